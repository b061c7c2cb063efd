/** Hot path. Hands out messages of the queues that were touched, one queue after the other, never within a batch and never nested. */
import type { LocalQueue } from './queue.ts';

export class Dispatcher {
  /** Messages were handed to the removal sink since its last flush. */
  removed = false;
  /** A batch is open: sinks must wait. */
  held = false;
  readonly #later: (task: () => void) => void;
  readonly #flushRemoved: () => void;
  #touched: LocalQueue[] = [];
  #running = false;
  #waiting = false;

  /** `later` runs a task in a turn of its own. */
  constructor(later: (task: () => void) => void, flushRemoved: () => void) {
    this.#later = later;
    this.#flushRemoved = flushRemoved;
  }

  /** The queue has something to hand out; `run` is about to be called. */
  touch(queue: LocalQueue): void {
    if (queue.touched) return;
    queue.touched = true;
    this.#touched.push(queue);
  }

  pump(queue: LocalQueue): void {
    this.touch(queue);
    this.run();
  }

  run(): void {
    if (this.held) {
      this.#awaitTurn();
      return;
    }
    if (this.#running) return;
    this.#running = true;
    while (this.#touched.length > 0 || this.removed) {
      // Often there is one, and no new list is to be made for the next.
      if (this.#touched.length === 1) this.#dispatch(this.#touched.pop()!);
      else {
        const touched = this.#touched;
        this.#touched = [];
        for (const queue of touched) this.#dispatch(queue);
      }
      if (this.removed) {
        this.removed = false;
        try {
          this.#flushRemoved();
        } catch (error) {
          this.threw(error);
        }
      }
    }
    this.#running = false;
  }

  #dispatch(queue: LocalQueue): void {
    queue.touched = false;
    try {
      queue.dispatch();
    } catch (error) {
      this.threw(error);
    }
  }

  /** What a sink threw is thrown in a turn of its own: it must hinder neither other queues nor whoever has this one dispatched. */
  threw(error: unknown): void {
    this.#later(() => {
      throw error;
    });
  }

  /** A batch ends within its turn: one that is still open afterwards was given up, and holds nobody. */
  #awaitTurn(): void {
    if (this.#waiting) return;
    this.#waiting = true;
    this.#later(() => {
      this.#waiting = false;
      this.held = false;
      this.run();
    });
  }
}
