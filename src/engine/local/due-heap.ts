/**
 * A binary min-heap of (due time, number, queue) in typed arrays: which delayed message is due next, over all queues. 16 bytes a message: of a
 * number, its low 32 bits. Those of one queue that wait at a time lie so close that it is known by them.
 */
const LEAST = 64;

export class DueHeap {
  size = 0;
  #dues = new Float64Array(0);
  #numbers = new Uint32Array(0);
  #queues = new Uint32Array(0);

  /** Of the first; Infinity: there is none. */
  get dueAt(): number {
    return this.size === 0 ? Infinity : this.#dues[0]!;
  }

  /** Of the first: the low 32 bits. */
  get number(): number {
    return this.#numbers[0]!;
  }

  /** Of the first: the queue's id. */
  get queue(): number {
    return this.#queues[0]!;
  }

  push(dueAt: number, fullNumber: number, queue: number): void {
    const number = fullNumber >>> 0;
    if (this.size === this.#dues.length) this.#resize(Math.max(LEAST, this.size * 2));
    let at = this.size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isBehind(parent, dueAt, number)) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#put(at, dueAt, number, queue);
  }

  /** Drops the first. */
  pop(): void {
    const last = --this.size;
    if (last > 0) this.#sink(0, this.#dues[last]!, this.#numbers[last]!, this.#queues[last]!);
    if (this.#dues.length > LEAST && last * 4 < this.#dues.length) this.#resize(this.#dues.length / 2);
  }

  /** Drops those that `keep` does not want. */
  filter(keep: (number: number, queue: number) => boolean): void {
    let kept = 0;
    for (let at = 0; at < this.size; at++) if (keep(this.#numbers[at]!, this.#queues[at]!)) this.#move(at, kept++);
    this.size = kept;
    for (let at = (kept >> 1) - 1; at >= 0; at--)
      this.#sink(at, this.#dues[at]!, this.#numbers[at]!, this.#queues[at]!);
    this.#resize(Math.max(LEAST, kept * 2));
  }

  /** Puts an entry at `at`, or further down where smaller ones stand. */
  #sink(from: number, dueAt: number, number: number, queue: number): void {
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.size) break;
      if (child + 1 < this.size && this.#isBehind(child, this.#dues[child + 1]!, this.#numbers[child + 1]!)) child++;
      if (this.#isBehind(child, dueAt, number)) break;
      this.#move(child, at);
      at = child;
    }
    this.#put(at, dueAt, number, queue);
  }

  /** Whether the entry at `at` comes after such a one. */
  #isBehind(at: number, dueAt: number, number: number): boolean {
    const other = this.#dues[at]!;
    return other > dueAt || (other === dueAt && ((this.#numbers[at]! - number) | 0) > 0);
  }

  #move(from: number, to: number): void {
    this.#put(to, this.#dues[from]!, this.#numbers[from]!, this.#queues[from]!);
  }

  #put(at: number, dueAt: number, number: number, queue: number): void {
    this.#dues[at] = dueAt;
    this.#numbers[at] = number;
    this.#queues[at] = queue;
  }

  #resize(length: number): void {
    const dues = new Float64Array(length);
    const numbers = new Uint32Array(length);
    const queues = new Uint32Array(length);
    dues.set(this.#dues.subarray(0, this.size));
    numbers.set(this.#numbers.subarray(0, this.size));
    queues.set(this.#queues.subarray(0, this.size));
    this.#dues = dues;
    this.#numbers = numbers;
    this.#queues = queues;
  }
}
