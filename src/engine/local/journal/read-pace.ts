/**
 * Whether short reads may be done at once, on the event loop. What the system has in its cache comes in a microsecond or two, and the
 * thread pool's round trip costs several times that; what it has to fetch from the disk belongs in the thread pool.
 *
 * Nobody tells beforehand, so the reads themselves do. First they go through the thread pool. Where those came as fast as from a cache,
 * the next ones are done at once, each of which saves a little time; what takes long uses up what the last few hundred saved. When nothing of
 * that is left, the thread pool has the reads again for ten times as long as the last one took, and until it is quick.
 */
/** Longer than a processor that does something else for a moment takes, shorter than a disk. */
const SLOW_MS = 0.06;
/** Of one read among many in the thread pool: its round trip is in it. */
const SLOW_POOLED_MS = 0.1;
const PAUSE_FACTOR = 10;
/** What a quick read saves, and what is kept of that: a processor that was away for a moment is no disk. */
const SAVED_MS = 0.01;
const MOST_SAVED_MS = 1;
/** Of so many the oldest are forgotten: where reads never end, what was long ago says nothing. */
const MOST_COUNTED = 1024;

export class ReadPace {
  readonly #now: () => number;
  #quick = false;
  #slowUntil = -Infinity;
  #savedMs = 0;
  /** Reads that the thread pool has, whoever asked for them. */
  #underWay = 0;
  /** Since when, and how many of them came since. */
  #since = 0;
  #came = 0;

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
      if (tookMs <= SLOW_MS) {
        this.#savedMs = Math.min(MOST_SAVED_MS, this.#savedMs + SAVED_MS);
      } else {
        this.#savedMs -= tookMs;
        if (this.#savedMs < 0) {
          this.#savedMs = 0;
          this.#quick = false;
          this.#slowUntil = after + tookMs * PAUSE_FACTOR;
          return at + 1;
        }
      }
      before = after;
    }
    return count;
  }

  /** So many reads go to the thread pool, where others may be. */
  pooled(count: number): void {
    if (this.#underWay === 0) {
      this.#since = this.#now();
      this.#came = 0;
    }
    this.#underWay += count;
  }

  /** They have come back. They shared the thread pool with all that was under way, so that all of it counts. */
  came(count: number): void {
    const now = this.#now();
    this.#underWay -= count;
    this.#came += count;
    if (now >= this.#slowUntil) this.#quick = now - this.#since <= this.#came * SLOW_POOLED_MS;
    if (this.#came < MOST_COUNTED) return;
    this.#since = now;
    this.#came = 0;
  }
}
