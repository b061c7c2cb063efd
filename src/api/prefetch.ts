/**
 * How many deliveries may wait for a handler: about as many as are handled in twenty milliseconds, but no fewer than run at a
 * time. So a fast handler does not wait for the broker, and a slow one leaves work to other consumers.
 *
 * Only the time in which handlers had something to do counts: what a broker takes to send the next message says nothing of them.
 */
const most = 2_048;
const targetMs = 20;
const patienceMs = 100;
/** Of so many handled messages one has the clock looked at. */
const handledALook = 4;

export class Prefetch {
  count: number;
  readonly #least: number;
  readonly #fixed: boolean;
  readonly #now: () => number;
  /** Up to when the work is counted in `workedMs`. */
  #since: number;
  /** Handled since `count` was looked at, and the time that took. */
  #handled = 0;
  #workedMs = 0;

  /** @param now a clock in milliseconds */
  constructor(concurrency: number, fixed: number | null, now: () => number = () => performance.now()) {
    this.#least = Math.min(concurrency, most);
    this.#fixed = fixed !== null;
    this.#now = now;
    this.count = fixed ?? this.#least;
    this.#since = now();
  }

  /** A message came while nothing waited and no handler ran. */
  begun(): void {
    if (!this.#fixed) this.#since = this.#now();
  }

  /** A handler has ended. */
  handled(): void {
    this.#handled += 1;
  }

  /** To be called when handlers have ended; `rests`: none runs any more, and nothing waits. True: `count` has changed. */
  adapt(rests: boolean): boolean {
    if (this.#fixed || this.#handled === 0) return false;
    if (!rests && this.#handled < this.count && this.#handled % handledALook !== 1) return false;
    const now = this.#now();
    this.#workedMs += now - this.#since;
    this.#since = now;
    if (this.#handled < this.count && this.#workedMs <= patienceMs) return false;
    const before = this.count;
    if (this.#workedMs < targetMs) this.count = Math.min(most, before * 2);
    else if (this.#workedMs > patienceMs) this.count = Math.max(this.#least, before >> 1);
    this.#handled = 0;
    this.#workedMs = 0;
    return this.count !== before;
  }
}
