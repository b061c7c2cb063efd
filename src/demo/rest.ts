/** When nothing moves any more. A program that gets no time moves nothing either, so all who tell of it must have told several times. */
const leastMs = 600;
const leastAnswers = 4;

export class Rest {
  #state: number | null = null;
  #since = 0;
  #answers: readonly number[] = [];

  /**
   * `state`: what is there now; null: something is still to be done. `answers`: how often each of those who tell of it has told.
   * True: it has been the same for a while, whomever one asks.
   */
  isReached(state: number | null, answers: readonly number[]): boolean {
    const now = performance.now();
    if (state === null || state !== this.#state) {
      this.#state = state;
      this.#since = now;
      this.#answers = answers;
      return false;
    }
    return now - this.#since > leastMs && answers.every((count, at) => count >= this.#answers[at]! + leastAnswers);
  }
}
