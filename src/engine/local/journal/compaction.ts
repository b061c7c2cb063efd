/**
 * Compaction: what still lives in a sparse segment is appended again, with its numbers, so that the segment can go. Each run of a queue
 * moves within one group, and only what is alive at that moment: a settled message is never written again.
 */
import { join } from 'node:path';
import type { Clock } from '../../clock.ts';
import { EngineError } from '../../errors.ts';
import { liesAt, relocate } from '../queue-places.ts';
import { RUN_HEADER_BYTES, RunReader, isWholeRun } from '../run.ts';
import type { Segment } from '../segments.ts';
import type { StoreHost } from '../store.ts';
import { EntryKind } from './directory.ts';
import type { Journal } from './journal.ts';
import { placementsOf, type Placement } from './placements.ts';
import { segmentName } from './segment-file.ts';

/** Moved in one turn of the event loop, and looked at: of the directories, ... */
const TURN_BYTES = 256 * 1024;
/** ... a run, and a page of chunks (each run that moves has one written anew), as so many of them. */
const RUN_WORK = 64;
const PAGE_WORK = 2048;
/** What a piece of a run takes beside its head and its messages, rather more. */
const PIECE_BYTES = 128;

export class Compaction {
  readonly #directory: string;
  readonly #journal: Journal;
  readonly #host: StoreHost;
  readonly #clock: Clock;
  readonly #damaged: (queue: number, error: EngineError) => void;
  readonly #reader = new RunReader();

  constructor(
    directory: string,
    journal: Journal,
    host: StoreHost,
    clock: Clock,
    damaged: (queue: number, error: EngineError) => void,
  ) {
    this.#directory = directory;
    this.#journal = journal;
    this.#host = host;
    this.#clock = clock;
    this.#damaged = damaged;
  }

  /** Moves what lives in the segment, whose bytes these are. Resolves when that is durable. */
  async move(segment: Segment, bytes: Buffer): Promise<void> {
    let work = 0;
    for (const step of this.#steps(segment, bytes)) {
      if (segment.alive === 0) break;
      if (typeof step === 'number') {
        work += step;
      } else {
        // The disk is full, and what is left is for settlements.
        if (!this.#journal.takesMoved(bytes.readUInt32LE(step.offset))) break;
        work += RUN_WORK + this.#moveRun(segment, bytes, step);
      }
      if (work < TURN_BYTES) continue;
      work = 0;
      await new Promise<void>((resolve) => this.#clock.defer(resolve));
      if (this.#journal.failure !== null) return;
    }
    await new Promise<void>((resolve) => this.#journal.whenSynced(() => resolve()));
  }

  /**
   * What the segment's directories name, and what was delayed and is ready by now: it has a number that they do not know. Between them,
   * how much was looked at. Whatever is done meanwhile, what lies in the segment becomes no more.
   */
  *#steps(segment: Segment, bytes: Buffer): Generator<Placement | number> {
    const delaying = new Set<number>();
    for (const step of placementsOf(bytes, segment.id, segment.lastSequence)) {
      if (typeof step !== 'number' && step.delayed) delaying.add(step.queue);
      yield step;
    }
    for (const id of delaying) {
      for (const { chunks } of [...(this.#host.topology.byId.get(id)?.levels ?? [])]) {
        for (let page = chunks.pageFrom(0); page !== null;) {
          const { end } = page;
          const found: Placement[] = [];
          for (let chunk = 0; chunk < page.size; chunk++) {
            if (page.segmentOf(chunk) !== segment.id) continue;
            const [first, count, offset] = [page.firstOf(chunk), page.countOf(chunk), page.offsetOf(chunk)];
            found.push({ queue: id, delayed: false, first, count, offset });
          }
          yield PAGE_WORK;
          yield* found;
          page = chunks.pageFrom(end);
        }
      }
    }
  }

  /** Returns what that was of work. */
  #moveRun(segment: Segment, bytes: Buffer, placement: Placement): number {
    const queue = this.#host.topology.byId.get(placement.queue);
    if (queue === undefined || queue.damage !== null) return 0;
    const { delayed, first, count, offset } = placement;
    const lies = delayed
      ? queue.delayed.liesAt(first, segment.id, offset)
      : liesAt(queue, first, count, segment.id, offset);
    if (!lies) return 0;
    const living = delayed ? [[first, 1] as const] : queue.living(first, count);
    if (living.length === 0) return 0;
    if (!isWholeRun(bytes, placement.offset, bytes.length - placement.offset)) {
      this.#damaged(
        placement.queue,
        new EngineError(
          'CORRUPT',
          `segment ${join(this.#directory, segmentName(segment.id))}, from byte ${placement.offset}: messages are not what was written: restore it from a copy`,
        ),
      );
      return 0;
    }
    const reader = this.#reader;
    reader.open(bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.length), placement.offset);
    const head = bytes.subarray(
      placement.offset,
      placement.offset + RUN_HEADER_BYTES + reader.envelopeEnd - reader.envelopeStart,
    );
    const journal = this.#journal;
    let work = PAGE_WORK;
    // The entry below must stand in the group of the runs that it names: all of it is to find room where space is allocated already.
    const runBytes = bytes.readUInt32LE(placement.offset);
    journal.roomTogether(runBytes + living.length * (head.length + PIECE_BYTES) + PIECE_BYTES);
    journal.atomic = true;
    const pieces = living.map(([first, count]) => {
      reader.seek(first - placement.first);
      const from = reader.messageStart;
      reader.seek(first - placement.first + count - 1);
      const place = journal.copyRun(head, count, bytes.subarray(from, reader.bodyEnd));
      work += head.length + reader.bodyEnd - from;
      return { first, count, place };
    });
    journal.entryRoom(17 + 16 * pieces.length);
    const { directory } = journal;
    directory.u8(delayed ? EntryKind.MOVED_DELAYED : EntryKind.MOVED);
    directory.u32(queue.id);
    directory.f64(placement.first);
    directory.u32(pieces.length);
    for (const { first, count, place } of pieces) {
      directory.f64(first);
      directory.u32(count);
      directory.u32(place.inGroup);
    }
    journal.atomic = false;
    if (delayed) {
      for (const { place } of pieces) queue.delayed.relocate(first, place.segment, place.offset);
      return work;
    }
    relocate(
      queue,
      placement.first,
      pieces.map(({ first, count, place }) => [first, count, place.segment, place.offset] as const),
    );
    return work;
  }
}
