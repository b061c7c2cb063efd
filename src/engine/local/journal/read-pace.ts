/**
 * Whether a short read may be done at once, on the event loop. What the system has in its cache comes in a microsecond or two, and the
 * thread pool's round trip costs several times that; what it has to fetch from the disk belongs in the thread pool.
 *
 * Nobody tells beforehand, so the reads themselves do: one that took long sends those that follow to the thread pool, for a hundred
 * times as long as it took. So a slow disk holds the event loop up for one hundredth of its time at most.
 */
const SLOW_MS = 0.025;
const PAUSE_FACTOR = 100;

export class ReadPace {
  readonly #now: () => number;
  #slowUntil = -Infinity;

  /** @param now a clock in milliseconds */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Calls `read` for 0, 1, ... below `count` while that is quick; answers how many times it did. */
  whileQuick(count: number, read: (at: number) => void): number {
    let before = this.#now();
    if (before < this.#slowUntil) return 0;
    for (let at = 0; at < count; at++) {
      read(at);
      const after = this.#now();
      const tookMs = after - before;
      if (tookMs > SLOW_MS) {
        this.#slowUntil = after + tookMs * PAUSE_FACTOR;
        return at + 1;
      }
      before = after;
    }
    return count;
  }
}
