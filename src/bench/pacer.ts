import { monotonicMs } from './load.ts';
import type { Publisher } from './publisher.ts';

const tickMs = 0.5;
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/**
 * Publishes at a fixed rate, a few messages every half millisecond and never more at once than one millisecond is due. Timers of
 * Node tick in whole milliseconds and spinning would take a processor from the broker, so the thread itself sleeps between turns
 * of the event loop: this process has nothing else to do than to count confirms.
 */
export class Pacer {
  readonly #publisher: Publisher;
  readonly #perMs: number;
  readonly #maxBurst: number;
  #fromMs = 0;
  #paced = 0;
  #running = false;

  constructor(publisher: Publisher, ratePerS: number) {
    this.#publisher = publisher;
    this.#perMs = ratePerS / 1000;
    this.#maxBurst = Math.max(1, Math.ceil(this.#perMs));
  }

  start(): void {
    this.#running = true;
    this.#fromMs = monotonicMs();
    this.#turn();
  }

  stop(): void {
    this.#running = false;
  }

  readonly #turn = (): void => {
    if (!this.#running) return;
    const due = Math.floor((monotonicMs() - this.#fromMs) * this.#perMs) - this.#paced;
    if (due > 0) this.#paced += this.#publisher.send(Math.min(due, this.#maxBurst));
    Atomics.wait(sleeper, 0, 0, tickMs);
    setImmediate(this.#turn);
  };
}
