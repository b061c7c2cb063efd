/**
 * Hot path. A short read that the page cache answers takes two microseconds on the spot, and five times that through the thread pool, on
 * more than one processor. So short reads are made on the event loop's thread, for a slice of each turn, as long as they come at once: those
 * that are slow had to ask the disk, and send what comes after them to the pool for a while.
 */

/** Of each turn of the event loop, over all files. */
const SLICE_MS = 0.5;
/** The page cache answers sooner, but for a hiccup of the machine: one in so many reads. */
const SLOW_MS = 0.1;
const HICCUP_READS = 16;
/** No hiccup. */
const VERY_SLOW_MS = 2;
/** How many times as long as a slow read took there is no other: a disk holds the event loop up for a tenth of the time at most. */
const REST = 10;

export class QuickReads {
  readonly #now: () => number;
  readonly #defer: (task: () => void) => void;
  #spentMs = 0;
  #lastMs = 0;
  #restUntilMs = -Infinity;
  /** Quick reads that are due before another slow one counts as a hiccup. */
  #quickUntilTrusted = 0;
  #nextTurn: Promise<void> | null = null;

  /** @param now milliseconds, monotonic */
  constructor(now = () => performance.now(), defer: (task: () => void) => void = (task) => setImmediate(task)) {
    this.#now = now;
    this.#defer = defer;
  }

  /** Resolves when it is known how to go on. True: a read may be made at once, and more as long as `goOn` says so; false: the pool is to make them. */
  async turn(): Promise<boolean> {
    for (;;) {
      this.#lastMs = this.#now();
      if (this.#lastMs < this.#restUntilMs) return false;
      if (this.#spentMs < SLICE_MS || this.#nextTurn === null) return true;
      await this.#nextTurn;
    }
  }

  /** A read was made. Whether the next may be, at once. */
  goOn(): boolean {
    const now = this.#now();
    const tookMs = now - this.#lastMs;
    this.#lastMs = now;
    this.#spentMs += tookMs;
    this.#nextTurn ??= new Promise((resolve) => {
      this.#defer(() => {
        this.#nextTurn = null;
        this.#spentMs = 0;
        resolve();
      });
    });
    if (tookMs <= SLOW_MS) {
      if (this.#quickUntilTrusted > 0) this.#quickUntilTrusted--;
    } else {
      const rest = this.#quickUntilTrusted > 0 || tookMs > VERY_SLOW_MS;
      this.#quickUntilTrusted = HICCUP_READS;
      if (rest) {
        this.#restUntilMs = now + REST * tookMs;
        return false;
      }
    }
    return this.#spentMs < SLICE_MS;
  }
}
