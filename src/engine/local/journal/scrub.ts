/**
 * The scrub: reads one sealed segment after the other, in the background and again and again, and verifies every group and run, so that
 * damage is told while a copy may still have the bytes, and not when the message is wanted.
 *
 * A queue stops if one of its living messages is not what was written. A damaged group whose runs are whole costs nothing but the
 * compaction of its segment: the state that it led to stands in the checkpoints.
 */
import { join } from 'node:path';
import type { Clock, Timer } from '../../clock.ts';
import { EngineError } from '../../errors.ts';
import type { LocalQueue } from '../queue.ts';
import { isWholeRun } from '../run.ts';
import type { Segment, SegmentTable } from '../segments.ts';
import type { StoreHost } from '../store.ts';
import type { Files } from './files.ts';
import type { Journal } from './journal.ts';
import { isShortage } from './reading-files.ts';
import { residentsOf } from './residents.ts';
import { SEGMENT_HEADER_BYTES, readSegmentHeader, segmentName } from './segment-file.ts';
import { scanSegment, type ByteRange } from './segment-scan.ts';

/** Verified in one turn of the event loop. */
const TURN_BYTES = 256 * 1024;
/** Read at once: a sync that waits for the disk does not wait long for the scrub. */
const READ_BYTES = 1024 * 1024;

export class Scrub {
  readonly #directory: string;
  readonly #files: Files;
  readonly #segments: SegmentTable;
  readonly #journal: Journal;
  readonly #host: StoreHost;
  readonly #clock: Clock;
  readonly #intervalMs: number;
  /** Where damage was told already, by segment. */
  readonly #told = new Map<number, Set<number>>();
  #timer: Timer | null = null;
  #looking: Promise<void> = Promise.resolve();
  #stopped = false;
  /** The segment that was looked at last. */
  #last = 0;

  /** @param intervalMs between two segments; 0: no scrub */
  constructor(
    directory: string,
    files: Files,
    segments: SegmentTable,
    journal: Journal,
    host: StoreHost,
    clock: Clock,
    intervalMs: number,
  ) {
    this.#directory = directory;
    this.#files = files;
    this.#segments = segments;
    this.#journal = journal;
    this.#host = host;
    this.#clock = clock;
    this.#intervalMs = intervalMs;
  }

  start(): void {
    if (this.#intervalMs === 0 || this.#stopped) return;
    this.#timer = this.#clock.after(this.#intervalMs, () => {
      this.#looking = this.#look().then(() => this.start());
    });
  }

  /** Resolves when it reads no more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#looking;
  }

  async #look(): Promise<void> {
    const segment = this.#next();
    if (segment === null) return;
    const before = this.#last;
    this.#last = segment.id;
    for (const id of this.#told.keys()) if (this.#segments.get(id) === undefined) this.#told.delete(id);
    try {
      await this.#verify(segment, await this.#read(segment));
    } catch (error) {
      // Once more then.
      if (isShortage(error)) this.#last = before;
      // It may have been given up meanwhile.
      else if (this.#isThere(segment)) this.#tell(segment, -1, `it can't be read: ${(error as Error).message}`);
    }
  }

  /** The next segment, in a circle, of those whose groups are all on disk. */
  #next(): Segment | null {
    let next: Segment | null = null;
    let first: Segment | null = null;
    for (const segment of this.#segments.values()) {
      const { id, sealed, lastSequence } = segment;
      if (!sealed || lastSequence === 0 || lastSequence > this.#journal.synced) continue;
      if (id > this.#last && (next === null || id < next.id)) next = segment;
      if (first === null || id < first.id) first = segment;
    }
    return next ?? first;
  }

  #isThere(segment: Segment): boolean {
    return !this.#stopped && this.#journal.failure === null && this.#segments.get(segment.id) === segment;
  }

  async #read(segment: Segment): Promise<Buffer> {
    const file = await this.#files.open(this.#path(segment), 'read');
    try {
      const bytes = Buffer.allocUnsafeSlow(await file.size());
      let read = 0;
      while (read < bytes.length && this.#isThere(segment)) {
        const wanted = Math.min(READ_BYTES, bytes.length - read);
        const got = await file.read(bytes, read, wanted, read);
        read += got;
        if (got < wanted) break;
      }
      return bytes.subarray(0, read);
    } finally {
      await file.close();
    }
  }

  async #verify(segment: Segment, bytes: Buffer): Promise<void> {
    if (!this.#isThere(segment)) return;
    if (!readSegmentHeader(bytes, segment.id).whole)
      this.#damaged(segment, bytes, { from: 0, to: SEGMENT_HEADER_BYTES }, 'its header is not what was written');
    let verified = 0;
    for (const piece of scanSegment(bytes, segment.id)) {
      if (!this.#isThere(segment)) return;
      if (piece.kind === 'gap') {
        this.#damaged(segment, bytes, piece, 'a group is not what was written');
        continue;
      }
      for (const run of piece.damagedRuns)
        this.#damaged(segment, bytes, run, 'messages are not what was written', run.from);
      if (piece.sequence >= segment.lastSequence) return;
      verified += piece.to - piece.from;
      if (verified < TURN_BYTES) continue;
      verified = 0;
      await new Promise<void>((resolve) => this.#clock.defer(resolve));
    }
  }

  /** `run`: offset of a run of which it is known that it is not what was written; others in the range are looked at. */
  #damaged(segment: Segment, bytes: Buffer, range: ByteRange, what: string, run = -1): void {
    const stopped = new Set<LocalQueue>();
    for (const { queue, offset, count } of residentsOf(this.#host.topology, segment.id, range)) {
      const whole =
        offset !== run && isWholeRun(bytes, offset, bytes.length - offset) && bytes.readUInt32LE(offset + 8) === count;
      if (!whole && queue.damage === null) stopped.add(queue);
    }
    const bounds = `bytes ${range.from} to ${range.to}`;
    for (const queue of stopped) {
      this.#host.damaged(
        queue,
        new EngineError('CORRUPT', `segment ${this.#path(segment)}, ${bounds}: ${what}: restore it from a copy`),
      );
    }
    const keys = [...stopped].map(({ key }) => key).join(', ');
    const effect = stopped.size > 0 ? `no more deliveries from ${keys}` : 'no queue is stopped by it';
    this.#tell(segment, range.from, `${bounds}: ${what}; ${effect}`, stopped.size > 0);
  }

  #tell(segment: Segment, from: number, what: string, anew = false): void {
    const told = this.#told.get(segment.id) ?? new Set();
    this.#told.set(segment.id, told);
    if (told.has(from) && !anew) return;
    told.add(from);
    this.#host.notice(`segment ${this.#path(segment)}, ${what}`);
  }

  #path(segment: Segment): string {
    return join(this.#directory, segmentName(segment.id));
  }
}
