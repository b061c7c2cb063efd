/** A set of whole numbers that mostly are neighbours: kept as ranges, it costs by its gaps. */
export class IndexRanges {
  /** Ascending: first and end of each range. A number is in the set if an odd count of these is not above it. */
  readonly #bounds: number[] = [];

  /** One past the highest; 0: the set is empty. */
  get end(): number {
    return this.#bounds.length === 0 ? 0 : this.#bounds[this.#bounds.length - 1]!;
  }

  has(index: number): boolean {
    return (this.#at(index) & 1) === 1;
  }

  /** One past the range that has the number; the number itself where none has. */
  endOf(index: number): number {
    const at = this.#at(index);
    return (at & 1) === 1 ? this.#bounds[at]! : index;
  }

  /** Adds a number that is not in the set. */
  add(index: number): void {
    const bounds = this.#bounds;
    const at = index >= this.end ? bounds.length : this.#at(index);
    const before = at > 0 && bounds[at - 1] === index;
    const behind = bounds[at] === index + 1;
    if (before && behind) bounds.splice(at - 1, 2);
    else if (before) bounds[at - 1] = index + 1;
    else if (behind) bounds[at] = index;
    else bounds.splice(at, 0, index, index + 1);
  }

  /** Drops the ranges that end at or below the number. */
  dropBelow(index: number): void {
    const at = this.#at(index);
    if (at > 1) this.#bounds.splice(0, at & ~1);
  }

  *ranges(): Generator<readonly [first: number, end: number]> {
    for (let at = 0; at < this.#bounds.length; at += 2) yield [this.#bounds[at]!, this.#bounds[at + 1]!];
  }

  /** How many bounds are not above the number. */
  #at(index: number): number {
    let low = 0;
    let high = this.#bounds.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#bounds[middle]! <= index) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
