import type { BacklogReader } from './backlog-reader.ts';
import { ChunkList } from './chunk-list.ts';
import { NumberHeap } from './number-heap.ts';
import type { ParkedList } from './parked-list.ts';
import type { LocalQueue } from './queue.ts';
import { RunCursor } from './run-cursor.ts';
import type { Window } from './window.ts';

/** How far a level may deliver once a group is durable. */
export interface Mark {
  readonly queue: LocalQueue;
  readonly level: Level;
  readonly mayBelow: number;
  /** Number of the queue's next message when the group was closed. */
  readonly next: number;
}

/** The messages of one priority in a queue. A queue without priorities has one level. */
export class Level {
  readonly priority: number;
  readonly chunks = new ChunkList();
  /** One past the last number. */
  end = 1;
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
  /** Of a grouped queue: passed over, to be delivered when their keys are free. Null until there is one. */
  parked: ParkedList | null = null;
  /** Numbers below may be delivered, as the journal knows durably, and as it was told. */
  mayBelow = 1;
  notedMayBelow = 1;
  /** Numbers below were delivered, as the journal was told. */
  notedDelivered = 1;
  /** Numbers below may have been delivered before the last start, which was not after a clean stop. */
  flaggedBelow = 1;
  /** The group that has what was appended last, its first number of this level, and `end` before it. */
  openSequence = 0;
  openFirst = 0;
  endBefore = 1;
  readonly freshCursor: RunCursor;
  /** Most queues never have anything returned. */
  #returnedCursor: RunCursor | null = null;
  #spentCursor: RunCursor | null = null;
  #parkedCursor: RunCursor | null = null;
  #lowestParkedCursor: RunCursor | null = null;
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

  /** What is spent is looked for in the same turn as what came back: one cursor would read for the one and then for the other, for ever. */
  get spentCursor(): RunCursor {
    return (this.#spentCursor ??= new RunCursor(this.#window, this.chunks, this.#backlog));
  }

  /** What is parked is delivered out of order: apart from what came back, for the same reason. */
  get parkedCursor(): RunCursor {
    return (this.#parkedCursor ??= new RunCursor(this.#window, this.chunks, this.#backlog));
  }

  /** Stands on the lowest that is parked, which may expire or overflow while others are delivered. */
  get lowestParkedCursor(): RunCursor {
    return (this.#lowestParkedCursor ??= new RunCursor(this.#window, this.chunks, this.#backlog));
  }

  /** Numbers of this level below were delivered, or taken out. */
  get delivered(): number {
    return this.fresh > 0 ? this.head : this.end;
  }

  /** Below which number the journal may say that messages may be delivered, `lead` of them in advance. */
  ahead(lead: number, dense: boolean): number {
    const { delivered } = this;
    if (lead === 0 || this.fresh === 0) return delivered;
    return dense ? Math.min(this.end, delivered + lead) : this.chunks.past(delivered, lead);
  }

  /** Messages of group `sequence` follow, numbered from `first` on. */
  open(sequence: number, first: number): void {
    this.openSequence = sequence;
    this.openFirst = first;
    this.endBefore = this.end;
  }

  /**
   * A message that came in an earlier group gets this number in the open one: whatever is numbered so far is not delivered before that is
   * durable. A crash would bring it back without a word of its delivery.
   */
  numbered(sequence: number, number: number): void {
    if (this.openSequence !== sequence) this.open(sequence, number);
    this.end = number + 1;
    this.endBefore = this.end;
    if (this.fresh === 0) this.head = number;
    this.fresh++;
  }

  /** Nothing is to be delivered for now. */
  release(): void {
    this.freshCursor.release();
    this.#returnedCursor?.release();
    this.#spentCursor?.release();
    this.#parkedCursor?.release();
    this.#lowestParkedCursor?.release();
  }

  /** What may be delivered. */
  get ready(): number {
    return this.fresh + this.returned.size + this.announced.size;
  }
}
