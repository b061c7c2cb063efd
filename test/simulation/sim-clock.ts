import type { Clock, Timer } from '../../src/engine/clock.ts';
import type { Owner, Scheduler } from './scheduler.ts';

/** The clock of one simulated process: dies with it. */
export class SimClock implements Clock {
  readonly #scheduler: Scheduler;
  readonly #owner: Owner;

  constructor(scheduler: Scheduler, owner: Owner) {
    this.#scheduler = scheduler;
    this.#owner = owner;
  }

  now(): number {
    return this.#scheduler.nowMs();
  }

  /** At this very time, behind the events that are ready already: the end of an event loop's turn. */
  defer(task: () => void): void {
    this.#scheduler.at(0, this.#owner, task);
  }

  after(delayMs: number, task: () => void): Timer {
    const cancel = this.#scheduler.at(delayMs * 1000, this.#owner, task);
    return { cancel };
  }
}
