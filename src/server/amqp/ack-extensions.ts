/** Deliveries of one channel that have more time, by tag, and until when, in time that its connection was read. */
export class AckExtensions {
  readonly #untilMs = new Map<number, number>();
  readonly #ledger: { readonly count: number; holds(tag: number): boolean };

  constructor(ledger: { readonly count: number; holds(tag: number): boolean }) {
    this.#ledger = ledger;
  }

  get tags(): ReadonlyMap<number, unknown> {
    return this.#untilMs;
  }

  /** What a delivery has anyway it keeps. */
  add(tag: number, untilMs: number, nowMs: number): void {
    this.#untilMs.set(tag, Math.max(this.#untilMs.get(tag) ?? 0, untilMs));
    // Looks are seldom. Half of what is walked here goes.
    if (this.#untilMs.size > 2 * this.#ledger.count + 16) this.lowest(nowMs);
  }

  /** Forgets those whose time is over and answers the lowest tag that is left; Infinity: there is none. */
  lowest(nowMs: number): number {
    let lowest = Infinity;
    for (const [tag, untilMs] of this.#untilMs) {
      if (untilMs <= nowMs || !this.#ledger.holds(tag)) this.#untilMs.delete(tag);
      else lowest = Math.min(lowest, tag);
    }
    return lowest;
  }
}
