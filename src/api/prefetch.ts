/**
 * How many deliveries may wait for a handler: about as many as are handled in twenty milliseconds, but no fewer than run at a
 * time. So a fast handler does not wait for the broker, and a slow one leaves work to other consumers.
 */
const most = 2_048;
const targetMs = 20;
const patienceMs = 100;
/** A turn may be one message: looking at the clock in each would cost more than the turn. */
const turnsALook = 16;

export class Prefetch {
  count: number;
  readonly #least: number;
  readonly #fixed: boolean;
  /** Turns that left something, since the clock was looked at. */
  #turns = 0;
  /** When the first came after nothing was left. */
  #dryAt = performance.now();

  constructor(concurrency: number, fixed: number | null) {
    this.#least = Math.min(concurrency, most);
    this.#fixed = fixed !== null;
    this.count = fixed ?? this.#least;
  }

  /** The first message came after nothing was left: what the broker took to send it is not the handler's time. */
  begun(): void {
    if (!this.#fixed) this.#dryAt = performance.now();
  }

  /** After a turn that left so many waiting. True: `count` has changed. */
  handled(left: number): boolean {
    if (this.#fixed) return false;
    if (left > 0 && ++this.#turns < turnsALook) return false;
    this.#turns = 0;
    const now = performance.now();
    const before = this.count;
    if (left === 0) {
      if (now - this.#dryAt < targetMs) this.count = Math.min(most, before * 2);
      this.#dryAt = now;
    } else if (now - this.#dryAt > patienceMs) {
      this.count = Math.max(this.#least, before >> 1);
      this.#dryAt = now;
    }
    return this.count !== before;
  }
}
