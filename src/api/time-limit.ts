/** Finds what runs too long without a look at the clock for each message: time passes in periods. */
import type { Message } from './message.ts';
import type { Places } from './places.ts';

const leastPeriodMs = 5;
const longestPeriodMs = 5_000;

export class TimeLimit {
  /** In which what begins now begins. */
  period = 0;
  readonly #timeoutMs: number;
  #timer: NodeJS.Timeout | null = null;

  /** @param timeoutMs `Infinity`: none */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** `late` is told of each message that has held its place for too long; it has left then. */
  watch(all: readonly Places[], late: (message: Message) => void): void {
    if (this.#timeoutMs === Infinity) return;
    const periodMs = Math.max(leastPeriodMs, Math.min(this.#timeoutMs / 4, longestPeriodMs));
    // One that began just before the end of its period has had so many since.
    const most = Math.ceil(this.#timeoutMs / periodMs);
    this.#timer = setInterval(() => {
      this.period += 1;
      for (const places of all) {
        for (const message of places.since(this.period - most - 1)) {
          // What was told of one before may have had it settled.
          if (places.leave(message)) late(message);
        }
      }
    }, periodMs).unref();
  }

  end(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }
}
