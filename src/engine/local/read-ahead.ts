/** What backlog readers may hold together. Those of idle queues give up theirs when the others run out. */
import type { Clock } from '../clock.ts';

/** Above this much read ahead over all queues, a queue reads no more than the run it needs. */
const READ_AHEAD_BYTES = 64 * 1024 * 1024;
/** A reader that nobody took from for as long is idle. */
const IDLE_MS = 1000;

export interface ReadAheadHolder {
  /** Gives up what it holds, if nobody took from it since the last call. */
  giveUpIdle(): void;
}

export class ReadAhead {
  /** What may still be read ahead; below zero where the last read brought more. */
  left: number;
  readonly holders = new Set<ReadAheadHolder>();
  readonly #clock: Clock;
  #lookedAt = -Infinity;

  constructor(clock: Clock, bytes = READ_AHEAD_BYTES) {
    this.#clock = clock;
    this.left = bytes;
  }

  get hasRoom(): boolean {
    if (this.left > 0) return true;
    const now = this.#clock.now();
    if (Math.abs(now - this.#lookedAt) < IDLE_MS) return false;
    this.#lookedAt = now;
    for (const holder of this.holders) holder.giveUpIdle();
    return this.left > 0;
  }
}
