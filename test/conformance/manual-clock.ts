/** A clock that stands still until it is told to go on; tasks of this turn run as they do with the real one. */
import type { Clock, Timer } from '../../src/engine/clock.ts';

interface Pending {
  readonly at: number;
  readonly order: number;
  readonly task: () => void;
}

export class ManualClock implements Clock {
  #now: number;
  #order = 0;
  readonly #pending = new Set<Pending>();

  constructor(now = 1_700_000_000_000) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  defer(task: () => void): void {
    setImmediate(task);
  }

  after(delayMs: number, task: () => void): Timer {
    const pending: Pending = { at: this.#now + delayMs, order: ++this.#order, task };
    this.#pending.add(pending);
    // What is due already need not wait for time to pass.
    if (delayMs <= 0) setImmediate(() => this.#pending.delete(pending) && task());
    return { cancel: () => void this.#pending.delete(pending) };
  }

  /** Lets `ms` pass: what falls due meanwhile runs at its time, in order, each followed by a turn of the event loop. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      const next = this.#earliest();
      if (next === undefined || next.at > end) break;
      this.#pending.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.task();
      await turn();
    }
    this.#now = end;
    await turn();
  }

  /** Sets the time forward, as on a machine that slept: what fell due runs now, once. */
  async jump(ms: number): Promise<void> {
    this.#now += ms;
    await this.advance(0);
  }

  #earliest(): Pending | undefined {
    let earliest: Pending | undefined;
    for (const pending of this.#pending) {
      if (
        earliest === undefined ||
        pending.at < earliest.at ||
        (pending.at === earliest.at && pending.order < earliest.order)
      ) {
        earliest = pending;
      }
    }
    return earliest;
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
