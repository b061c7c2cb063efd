/**
 * Whether short reads may be done at once, on the event loop. What the system has in its cache comes in a microsecond or two, and the
 * thread pool's round trip costs several times that; what it has to fetch from the disk belongs in the thread pool.
 *
 * Nobody tells beforehand, so the reads themselves do. First they go through the thread pool. Where those came as fast as from a cache,
 * the next ones are done at once, until one takes long: that one was not in the cache, and the thread pool has it again for ten times
 * as long as it took, and until it is quick.
 */
/** Longer than a processor that does something else for a moment takes, shorter than a disk. */
const SLOW_MS = 0.06;
/** Of one read among many in the thread pool: its round trip is in it. */
const SLOW_POOLED_MS = 0.05;
const PAUSE_FACTOR = 10;

export class ReadPace {
  readonly #now: () => number;
  #quick = false;
  #slowUntil = -Infinity;

  /** @param now a clock in milliseconds */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Calls `read` for 0, 1, ... below `count` while that is quick; answers how many times it did. */
  whileQuick(count: number, read: (at: number) => void): number {
    if (!this.#quick) return 0;
    let before = this.#now();
    for (let at = 0; at < count; at++) {
      read(at);
      const after = this.#now();
      const tookMs = after - before;
      if (tookMs > SLOW_MS) {
        this.#quick = false;
        this.#slowUntil = after + tookMs * PAUSE_FACTOR;
        return at + 1;
      }
      before = after;
    }
    return count;
  }

  /** So many reads went through the thread pool together, and took so long. */
  pooled(count: number, tookMs: number): void {
    if (this.#now() >= this.#slowUntil) this.#quick = tookMs <= count * SLOW_POOLED_MS;
  }
}
