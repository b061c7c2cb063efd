/**
 * A binary min-heap of (due time, number, queue) in pages of typed arrays: which delayed message is due next, over all queues. 16 bytes a message: of
 * a number, its low 32 bits. Those of one queue that wait at a time lie so close that it is known by them. In pages, so that no push has
 * millions of others copied.
 */
const PAGE_BITS = 10;
const PAGE = 1 << PAGE_BITS;
const MASK = PAGE - 1;

export class DueHeap {
  size = 0;
  readonly #dues: Float64Array[] = [];
  /** Number and queue. */
  readonly #names: Uint32Array[] = [];

  /** Of the first; Infinity: there is none. */
  get dueAt(): number {
    return this.size === 0 ? Infinity : this.#dueOf(0);
  }

  /** Of the first: the low 32 bits. */
  get number(): number {
    return this.#numberOf(0);
  }

  /** Of the first: the queue's id. */
  get queue(): number {
    return this.#queueOf(0);
  }

  push(dueAt: number, fullNumber: number, queue: number): void {
    const at = this.size++;
    if (at >> PAGE_BITS === this.#dues.length) {
      this.#dues.push(new Float64Array(PAGE));
      this.#names.push(new Uint32Array(2 * PAGE));
    }
    this.#rise(at, dueAt, fullNumber >>> 0, queue);
  }

  /** Drops the first. */
  pop(): void {
    this.#dropAt(0);
  }

  /**
   * Looks at up to `count` entries, from position `below` downwards, and drops those that `keep` does not want. Returns below which position to go on;
   * 0: it is through. Those that came meanwhile may have been missed.
   */
  sweep(below: number, count: number, keep: (number: number, queue: number) => boolean): number {
    let at = Math.min(below, this.size) - 1;
    for (let left = count; left > 0 && at >= 0; left--) {
      // Where it is dropped, one stands here that was looked at, or one that stood above it.
      if (keep(this.#numberOf(at), this.#queueOf(at)) || !this.#dropAt(at)) at--;
    }
    return at + 1;
  }

  /** The last entry takes its place. True: an entry from above stands there now. */
  #dropAt(at: number): boolean {
    const last = --this.size;
    let rose = false;
    if (at < last) {
      const dueAt = this.#dueOf(last);
      const number = this.#numberOf(last);
      const queue = this.#queueOf(last);
      rose = at > 0 && this.#isBehind((at - 1) >> 1, dueAt, number);
      if (rose) this.#rise(at, dueAt, number, queue);
      else this.#sink(at, dueAt, number, queue);
    }
    // One page more than is needed stays, or a heap of about a page's size would make one again and again.
    if (this.#dues.length > (last >> PAGE_BITS) + 2) {
      this.#dues.pop();
      this.#names.pop();
    }
    return rose;
  }

  /** Puts an entry at `from`, or further up where greater ones stand. */
  #rise(from: number, dueAt: number, number: number, queue: number): void {
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isBehind(parent, dueAt, number)) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#put(at, dueAt, number, queue);
  }

  /** Puts an entry at `from`, or further down where smaller ones stand. */
  #sink(from: number, dueAt: number, number: number, queue: number): void {
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.size) break;
      if (child + 1 < this.size && this.#isBehind(child, this.#dueOf(child + 1), this.#numberOf(child + 1))) child++;
      if (this.#isBehind(child, dueAt, number)) break;
      this.#move(child, at);
      at = child;
    }
    this.#put(at, dueAt, number, queue);
  }

  /** Whether the entry at `at` comes after such a one. */
  #isBehind(at: number, dueAt: number, number: number): boolean {
    const other = this.#dueOf(at);
    return other > dueAt || (other === dueAt && ((this.#numberOf(at) - number) | 0) > 0);
  }

  #dueOf(at: number): number {
    return this.#dues[at >> PAGE_BITS]![at & MASK]!;
  }

  #numberOf(at: number): number {
    return this.#names[at >> PAGE_BITS]![2 * (at & MASK)]!;
  }

  #queueOf(at: number): number {
    return this.#names[at >> PAGE_BITS]![2 * (at & MASK) + 1]!;
  }

  #move(from: number, to: number): void {
    this.#put(to, this.#dueOf(from), this.#numberOf(from), this.#queueOf(from));
  }

  #put(at: number, dueAt: number, number: number, queue: number): void {
    this.#dues[at >> PAGE_BITS]![at & MASK] = dueAt;
    const names = this.#names[at >> PAGE_BITS]!;
    names[2 * (at & MASK)] = number;
    names[2 * (at & MASK) + 1] = queue;
  }
}
