/**
 * Hot: no object a delivery. A session's unacknowledged deliveries by delivery tag.
 *
 * Tags are dense from 1. The window [base, next) lies in a ring of typed arrays: tag -> number in its queue, and holder (an
 * index that means something to the session; kept plus 1, so that 0 is "nothing unacknowledged here"). What stays
 * unacknowledged while a window's worth of tags passes by moves to `#stragglers`, so that one forgotten delivery doesn't make
 * the ring as long as the session's life.
 */
export interface RunTaker {
  /** A run of neighbouring numbers of one holder, unacknowledged until now. */
  takeRun(holder: number, first: number, count: number): void;
}

/** Is told of each tag, where the tags themselves are needed. */
export interface TagTaker {
  takeTag(tag: number, holder: number, number: number): void;
}

const initialCapacity = 64;
const noTag = 0;

export class Ledger {
  #numbers = new Float64Array(initialCapacity);
  #holders = new Uint32Array(initialCapacity);
  #mask = initialCapacity - 1;
  /** No tag below it is in the ring. */
  #base = 1;
  #next = 1;
  #inRing = 0;
  /** Old unacknowledged tags, in ascending order. */
  readonly #stragglers = new Map<number, { readonly holder: number; readonly number: number }>();
  /** The number of what `take` took last. */
  takenNumber = 0;

  /** How many are unacknowledged. */
  get count(): number {
    return this.#inRing + this.#stragglers.size;
  }

  /** How many tags the ring has room for: bounded by what is unacknowledged, not by what has passed. */
  get capacity(): number {
    return this.#mask + 1;
  }

  /** The oldest tag that is unacknowledged; 0: none is. */
  get oldest(): number {
    for (const tag of this.#stragglers.keys()) return tag;
    return this.#inRing === 0 ? noTag : this.#base;
  }

  /** The tag of the next delivery. */
  get next(): number {
    return this.#next;
  }

  /** Notes a delivery that is to be acknowledged; answers its tag. */
  add(holder: number, number: number): number {
    if (this.#next - this.#base > this.#mask) this.#makeRoom();
    const tag = this.#next++;
    const at = tag & this.#mask;
    this.#numbers[at] = number;
    this.#holders[at] = holder + 1;
    this.#inRing += 1;
    return tag;
  }

  /** A tag for a delivery that nobody acknowledges. */
  skip(): number {
    const tag = this.#next;
    if (this.#inRing === 0) {
      this.#next = tag + 1;
      this.#base = tag + 1;
      return tag;
    }
    if (tag - this.#base > this.#mask) this.#makeRoom();
    this.#holders[tag & this.#mask] = 0;
    this.#next = tag + 1;
    return tag;
  }

  /** Takes one tag out: its holder, with its number in `takenNumber`; -1 when it is not unacknowledged. */
  take(tag: number): number {
    if (tag < this.#base) return this.#takeStraggler(tag);
    if (tag >= this.#next) return -1;
    const at = tag & this.#mask;
    const holder = this.#holders[at]! - 1;
    if (holder < 0) return -1;
    this.takenNumber = this.#numbers[at]!;
    this.#holders[at] = 0;
    this.#inRing -= 1;
    if (tag === this.#base) this.#advance();
    return holder;
  }

  /**
   * Takes all tags up to and including this one, as runs in the order of tags. False, and nothing is taken, when that very tag
   * is not unacknowledged. Tag 0: all there are.
   */
  takeThrough(tag: number, taker: RunTaker): boolean {
    if (tag !== noTag && !this.holds(tag)) return false;
    const last = tag === noTag ? this.#next - 1 : tag;
    let holder = -1;
    let first = 0;
    let count = 0;
    for (const [old, straggler] of this.#stragglers) {
      if (old > last) break;
      this.#stragglers.delete(old);
      if (straggler.holder === holder && straggler.number === first + count) {
        count += 1;
        continue;
      }
      if (count > 0) taker.takeRun(holder, first, count);
      holder = straggler.holder;
      first = straggler.number;
      count = 1;
    }
    for (let at = this.#base; at <= last; at++) {
      const slot = at & this.#mask;
      const next = this.#holders[slot]! - 1;
      if (next < 0) continue;
      this.#holders[slot] = 0;
      this.#inRing -= 1;
      const number = this.#numbers[slot]!;
      if (next === holder && number === first + count) {
        count += 1;
        continue;
      }
      if (count > 0) taker.takeRun(holder, first, count);
      holder = next;
      first = number;
      count = 1;
    }
    if (last >= this.#base) this.#base = last + 1;
    this.#advance();
    if (count > 0) taker.takeRun(holder, first, count);
    return true;
  }

  /** Visits what is unacknowledged, from a tag on, in the order of tags, until it answers false. */
  each(visit: (tag: number, holder: number) => unknown, from = 0): void {
    if (from < this.#base) {
      for (const [tag, { holder }] of this.#stragglers) if (tag >= from && visit(tag, holder) === false) return;
    }
    if (this.#inRing === 0) return;
    for (let tag = Math.max(from, this.#base); tag < this.#next; tag++) {
      const holder = this.#holders[tag & this.#mask]! - 1;
      if (holder >= 0 && visit(tag, holder) === false) return;
    }
  }

  /** As `takeThrough`, tag by tag in ascending order. */
  takeEachThrough(tag: number, taker: TagTaker): boolean {
    if (tag !== noTag && !this.holds(tag)) return false;
    const last = tag === noTag ? this.#next - 1 : tag;
    for (const [old, straggler] of this.#stragglers) {
      if (old > last) break;
      this.#stragglers.delete(old);
      taker.takeTag(old, straggler.holder, straggler.number);
    }
    for (let at = this.#base; at <= last; at++) {
      const slot = at & this.#mask;
      const holder = this.#holders[slot]! - 1;
      if (holder < 0) continue;
      this.#holders[slot] = 0;
      this.#inRing -= 1;
      taker.takeTag(at, holder, this.#numbers[slot]!);
    }
    if (last >= this.#base) this.#base = last + 1;
    this.#advance();
    return true;
  }

  /** Makes tags that were taken unacknowledged again; each stands where it stood. */
  putBack(taken: Iterable<{ readonly tag: number; readonly holder: number; readonly number: number }>): void {
    let isSorted = true;
    for (const { tag, holder, number } of taken) {
      if (tag >= this.#base) {
        this.#numbers[tag & this.#mask] = number;
        this.#holders[tag & this.#mask] = holder + 1;
        this.#inRing += 1;
        continue;
      }
      isSorted = false;
      this.#stragglers.set(tag, { holder, number });
    }
    if (isSorted) return;
    const sorted = Array.from(this.#stragglers).sort(([a], [b]) => a - b);
    this.#stragglers.clear();
    for (const [tag, straggler] of sorted) this.#stragglers.set(tag, straggler);
  }

  /** Whether the delivery is unacknowledged. */
  holds(tag: number): boolean {
    if (tag < this.#base) return this.#stragglers.has(tag);
    return tag < this.#next && this.#holders[tag & this.#mask] !== 0;
  }

  /** The holder of an unacknowledged delivery; -1: there is no such delivery. */
  holderOf(tag: number): number {
    if (tag < this.#base) return this.#stragglers.get(tag)?.holder ?? -1;
    return tag < this.#next ? this.#holders[tag & this.#mask]! - 1 : -1;
  }

  #takeStraggler(tag: number): number {
    const straggler = this.#stragglers.get(tag);
    if (straggler === undefined) return -1;
    this.#stragglers.delete(tag);
    this.takenNumber = straggler.number;
    return straggler.holder;
  }

  /** Each tag is passed once in its life. */
  #advance(): void {
    if (this.#inRing === 0) {
      this.#base = this.#next;
      return;
    }
    while (this.#holders[this.#base & this.#mask] === 0) this.#base += 1;
  }

  /** The ring is full: mostly of what is settled, then the few that are not move out; else it grows. */
  #makeRoom(): void {
    const size = this.#mask + 1;
    if (this.#inRing <= size >> 2) {
      for (let tag = this.#base; tag < this.#next; tag++) {
        const at = tag & this.#mask;
        if (this.#holders[at] === 0) continue;
        this.#stragglers.set(tag, { holder: this.#holders[at]! - 1, number: this.#numbers[at]! });
        this.#holders[at] = 0;
      }
      this.#inRing = 0;
      this.#base = this.#next;
      return;
    }
    const numbers = new Float64Array(size * 2);
    const holders = new Uint32Array(size * 2);
    const mask = size * 2 - 1;
    for (let tag = this.#base; tag < this.#next; tag++) {
      numbers[tag & mask] = this.#numbers[tag & this.#mask]!;
      holders[tag & mask] = this.#holders[tag & this.#mask]!;
    }
    this.#numbers = numbers;
    this.#holders = holders;
    this.#mask = mask;
  }
}
