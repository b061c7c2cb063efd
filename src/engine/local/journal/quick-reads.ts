/**
 * Hot path. A short read that the page cache answers takes two microseconds on the spot, and five times that through the thread pool, on
 * more than one processor. So short reads are made on the event loop's thread, for a slice of each turn, as long as they come at once: one
 * that is slow had to ask the disk, and sends those after it to the pool for a while.
 */

/** Of each turn of the event loop, over all files. */
const SLICE_MS = 0.5;
/** The page cache answers sooner. */
const SLOW_MS = 0.1;
/** How many times as long as a slow read took there is no other: a disk holds the event loop up for a tenth of the time at most. */
const REST = 10;

export class QuickReads {
  readonly #now: () => number;
  readonly #defer: (task: () => void) => void;
  #spentMs = 0;
  #lastMs = 0;
  #restUntilMs = -Infinity;
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
    if (tookMs > SLOW_MS) this.#restUntilMs = now + REST * tookMs;
    return tookMs <= SLOW_MS && this.#spentMs < SLICE_MS;
  }
}
