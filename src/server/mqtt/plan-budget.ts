/**
 * How many topics all clients together have plans of. Each may always have some; who receives from thousands of publishers has one of each of
 * their topics while others leave room.
 */

/** Topics that a client has in any case, and how long they may be together: it is others who choose them. */
const fewPlans = 1_024;
const fewLength = 64 * 1024;
/** The most that one has. */
const manyPlans = 16_384;
const manyLength = 1024 * 1024;
/** With more than that of all, nobody gets more than a few. */
const plansOfAll = 131_072;
const lengthOfAll = 8 * 1024 * 1024;

export class PlanBudget {
  #plans = 0;
  #length = 0;

  get held(): number {
    return this.#plans;
  }

  /** Whether who has so many plans may have one more, of a topic of `length`. */
  admits(plans: number, planLength: number, length: number): boolean {
    if (plans < fewPlans && planLength + length <= fewLength) return true;
    if (this.#plans >= plansOfAll || this.#length >= lengthOfAll) return false;
    return plans < manyPlans && planLength + length <= manyLength;
  }

  take(length: number): void {
    this.#plans += 1;
    this.#length += length;
  }

  giveBack(plans: number, planLength: number): void {
    this.#plans -= plans;
    this.#length -= planLength;
  }
}
