import type { BacklogReader } from './backlog-reader.ts';
import { ChunkList } from './chunk-list.ts';
import { NumberHeap } from './number-heap.ts';
import { RunCursor } from './run-cursor.ts';
import type { Window } from './window.ts';

/** The messages of one priority in a queue. A queue without priorities has one level. */
export class Level {
  readonly priority: number;
  readonly chunks = new ChunkList();
  /** Lowest number that was never delivered, or more exactly: no message of this level below it is fresh. */
  head = 0;
  /** Messages from `head` on. */
  fresh = 0;
  /** Given back, to be delivered again before what is fresh. */
  readonly returned = new NumberHeap();
  /** Given back, and their next delivery is journalled: deliverable once group `announcedIn` is durable. */
  readonly announced = new NumberHeap();
  announcedIn = 0;
  /** Given back at the delivery limit: not to be delivered again but to be removed. */
  readonly spent = new NumberHeap();
  readonly freshCursor: RunCursor;
  /** Most queues never have anything returned. */
  #returnedCursor: RunCursor | null = null;
  readonly #window: Window;
  readonly #backlog: () => BacklogReader | null;

  constructor(priority: number, window: Window, backlog: () => BacklogReader | null) {
    this.priority = priority;
    this.#window = window;
    this.#backlog = backlog;
    this.freshCursor = new RunCursor(window, this.chunks, backlog);
  }

  get returnedCursor(): RunCursor {
    return (this.#returnedCursor ??= new RunCursor(this.#window, this.chunks, this.#backlog));
  }

  /** Nothing is to be delivered for now. */
  release(): void {
    this.freshCursor.release();
    this.#returnedCursor?.release();
  }

  /** What may be delivered. */
  get ready(): number {
    return this.fresh + this.returned.size + this.announced.size;
  }
}
