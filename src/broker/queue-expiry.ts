import type { Clock, Timer } from '../engine/clock.ts';
import type { Queue } from './queue.ts';

/** Longer delays overflow a Node timer. */
const longestTimerMs = 0x7fff_ffff;

/** x-expires: deletes a queue that had no consumer, no get and no declaration for so long. */
export class QueueExpiry {
  readonly #clock: Clock;
  readonly #queue: Queue;
  readonly #expiresMs: number;
  readonly #expire: () => void;
  #usedAt: number;
  #timer: Timer | null = null;

  constructor(clock: Clock, queue: Queue, expiresMs: number, expire: () => void) {
    this.#clock = clock;
    this.#queue = queue;
    this.#expiresMs = expiresMs;
    this.#expire = expire;
    this.#usedAt = clock.now();
    this.#arm(expiresMs);
  }

  /** The queue is used just now. Cheap: the timer finds out when it fires. */
  touch(): void {
    this.#usedAt = this.#clock.now();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #arm(delayMs: number): void {
    this.#timer = this.#clock.after(Math.min(delayMs, longestTimerMs), () => {
      this.#timer = null;
      if (this.#queue.deleted) return;
      if (this.#queue.consumerCount > 0) this.touch();
      const leftMs = this.#usedAt + this.#expiresMs - this.#clock.now();
      if (leftMs > 0) this.#arm(leftMs);
      else this.#expire();
    });
  }
}
