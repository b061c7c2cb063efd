/** Hot path. Hands out messages of the queues that were touched, one queue after the other, never within a batch and never nested. */
import type { LocalQueue } from './queue.ts';

export class Dispatcher {
  /** Messages were handed to the removal sink since its last flush. */
  removed = false;
  /** A batch is open: sinks must wait. */
  held = false;
  readonly #flushRemoved: () => void;
  #touched: LocalQueue[] = [];
  #running = false;

  constructor(flushRemoved: () => void) {
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
    if (this.#running || this.held) return;
    this.#running = true;
    try {
      while (this.#touched.length > 0 || this.removed) {
        const touched = this.#touched;
        this.#touched = [];
        for (const queue of touched) {
          queue.touched = false;
          queue.dispatch();
        }
        if (this.removed) {
          this.removed = false;
          this.#flushRemoved();
        }
      }
    } finally {
      this.#running = false;
    }
  }
}
