/** `memory:` — the same journal without a disk: each block is a segment of its own, and is given up when nothing in it is alive. */
import type { Clock } from '../clock.ts';
import { Journal, type ClosedGroup, type GroupStore, type Place } from './journal/journal.ts';
import { SegmentTable, type Segment } from './segments.ts';
import type { LocalStore, StoreHost } from './store.ts';
import { type Block, Window } from './window.ts';

export class MemoryStore implements LocalStore, GroupStore {
  readonly volatile = true;
  readonly reader = null;
  readonly segments = new SegmentTable((segment) => this.#drop(segment));
  readonly journal: Journal;
  readonly #clock: Clock;
  readonly #window = new Window(Infinity);
  #host: StoreHost | null = null;
  #current: Segment | null = null;
  /** Where delayed messages go. */
  #aside: { readonly segment: Segment; readonly block: Block } | null = null;
  #nextSegment = 1;
  #written: ClosedGroup[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
    this.journal = new Journal(this, this.#window, clock, 1);
  }

  open(host: StoreHost): Promise<void> {
    this.#host = host;
    return Promise.resolve();
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.journal.whenSynced(() => resolve()));
  }

  place(): Place {
    const full = this.#current;
    this.#current = this.segments.add(this.#nextSegment++);
    if (full !== null) this.segments.seal(full);
    return { segment: this.#current.id, offset: 0, end: Infinity };
  }

  /** One that waits for days would keep the whole block that it was published in. */
  putAside(buffer: Buffer, start: number, length: number): { readonly segment: number; readonly offset: number } {
    if (this.#aside === null || this.#aside.block.used + length > this.#aside.block.buffer.length) {
      const full = this.#aside;
      const segment = this.segments.add(this.#nextSegment++);
      this.#aside = { segment, block: this.#window.open(segment.id, 0, length) };
      if (full !== null) this.segments.seal(full.segment);
    }
    const { segment, block } = this.#aside;
    const offset = block.used;
    buffer.copy(block.buffer, offset, start, start + length);
    block.used += length;
    return { segment: segment.id, offset };
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
