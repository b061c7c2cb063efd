/** Hot path. What is parked of one level, of all keys, lowest number first. */
import type { Parked } from './message-group.ts';
import type { QueueGroups } from './queue-groups.ts';

export class ParkedList {
  size = 0;
  #first: Parked | null = null;
  #last: Parked | null = null;
  /** Where one was put last. */
  #hint: Parked | null = null;
  readonly #groups: QueueGroups;

  constructor(groups: QueueGroups) {
    this.#groups = groups;
  }

  peek(): number {
    return this.#first === null ? Infinity : this.#first.number;
  }

  /** Takes the lowest out. */
  pop(): number {
    const parked = this.#first!;
    this.#groups.unpark(parked);
    return parked.number;
  }

  insert(parked: Parked): void {
    const { number } = parked;
    let lower = this.#last;
    if (lower !== null && lower.number > number) {
      lower = this.#hint !== null && this.#hint.number < number ? this.#hint : null;
      let next = lower === null ? this.#first : lower.higher;
      while (next !== null && next.number < number) {
        lower = next;
        next = next.higher;
      }
    }
    const higher = lower === null ? this.#first : lower.higher;
    parked.lower = lower;
    parked.higher = higher;
    if (lower === null) this.#first = parked;
    else lower.higher = parked;
    if (higher === null) this.#last = parked;
    else higher.lower = parked;
    this.#hint = parked;
    this.size++;
  }

  /** Of `QueueGroups.unpark` alone. */
  remove(parked: Parked): void {
    const { lower, higher } = parked;
    if (lower === null) this.#first = higher;
    else lower.higher = higher;
    if (higher === null) this.#last = lower;
    else higher.lower = lower;
    if (this.#hint === parked) this.#hint = lower;
    this.size--;
  }

  /** Lowest first. */
  *all(): Generator<Parked> {
    for (let parked = this.#first; parked !== null; parked = parked.higher) yield parked;
  }

  *values(): Generator<number> {
    for (const { number } of this.all()) yield number;
  }
}
