import type { Clock, Timer } from '../engine/clock.ts';

/** Longer delays overflow a Node timer. */
const longestTimerMs = 0x7fff_ffff;

/** x-expires: deletes a queue that had no consumer, no get, no declaration and no dead letter on its way for so long. */
export class QueueExpiry {
  readonly #clock: Clock;
  readonly #expiresMs: number;
  readonly #queue: { isUsed(): boolean; expire(): void };
  #usedAt: number;
  #timer: Timer | null = null;

  constructor(clock: Clock, expiresMs: number, queue: { isUsed(): boolean; expire(): void }) {
    this.#clock = clock;
    this.#expiresMs = expiresMs;
    this.#queue = queue;
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
      if (this.#queue.isUsed()) this.touch();
      const leftMs = this.#usedAt + this.#expiresMs - this.#clock.now();
      if (leftMs > 0) this.#arm(leftMs);
      else this.#queue.expire();
    });
  }
}
