/** `memory:` — the same journal without a disk: each block is a segment of its own, and is given up when nothing in it is alive. */
import type { Clock } from '../clock.ts';
import type { ClosedGroup, GroupStore, Place } from './journal/group-store.ts';
import { Journal } from './journal/journal.ts';
import { DelayedBlocks } from './delayed-blocks.ts';
import type { LocalQueue } from './queue.ts';
import { SegmentTable, type Segment } from './segments.ts';
import type { LocalStore, StoreHost } from './store.ts';
import { Window } from './window.ts';

export class MemoryStore implements LocalStore, GroupStore {
  readonly volatile = true;
  readonly reader = null;
  readonly segments = new SegmentTable((segment) => this.#drop(segment));
  readonly journal: Journal;
  readonly #clock: Clock;
  readonly #window = new Window(Infinity);
  readonly #delayed: DelayedBlocks;
  #host: StoreHost | null = null;
  #current: Segment | null = null;
  #nextSegment = 1;
  #written: ClosedGroup[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
    this.journal = new Journal(this, this.#window, clock, 1);
    this.#delayed = new DelayedBlocks(clock, this.#window, {
      newSegment: () => this.segments.add(this.#nextSegment++),
      seal: (segment) => this.segments.seal(segment),
      queueOf: (id) => this.#host?.topology.byId.get(id),
    });
  }

  mayWait(usual: number): number {
    return usual;
  }

  open(host: StoreHost): Promise<void> {
    this.#host = host;
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#delayed.stop();
    return new Promise((resolve) => this.journal.whenSynced(() => resolve()));
  }

  place(): Place {
    const full = this.#current;
    this.#current = this.segments.add(this.#nextSegment++);
    if (full !== null) this.segments.seal(full);
    return { segment: this.#current.id, offset: 0, end: Infinity };
  }

  putAside(
    buffer: Buffer,
    start: number,
    length: number,
    queues: readonly LocalQueue[],
  ): { readonly segment: number; readonly offset: number } {
    return this.#delayed.put(
      buffer,
      start,
      length,
      queues.map((queue) => ({ queue, number: queue.delayed.messages.next })),
    );
  }

  write(group: ClosedGroup): void {
    this.#written.push(group);
    if (this.#written.length > 1) return;
    this.#clock.defer(() => {
      const written = this.#written;
      this.#written = [];
      for (const each of written) this.journal.written(each);
      this.journal.drained();
      this.#host?.caughtUp();
    });
  }

  #drop(segment: Segment): void {
    this.#window.dropSegment(segment.id);
    this.segments.remove(segment.id);
  }
}
