/**
 * Brings what is no longer in memory back from the segments, ahead of the consumer: one large read where a queue's runs lie close
 * together, many small ones where other queues' messages lie between. Every run is verified before it is shown.
 */
import { EngineError } from '../errors.ts';
import { ChunkCursor, type ChunkList } from './chunk-list.ts';
import { RUN_HEADER_BYTES, RUN_MAX_BYTES, isWholeRun } from './run.ts';

const SEQUENTIAL_BYTES = 512 * 1024;
const SCATTERED_RUNS = 128;
const SCATTERED_BYTES = 1024;
/** Runs further apart than this are read one by one. */
const GAP_BYTES = 16 * 1024;
/** No run is longer: a message of the largest size, and its properties. */
const MOST_RUN_BYTES = 256 * 1024 * 1024;
/** Above this much read ahead over all queues, a queue reads no more than the run it needs. */
export const READ_AHEAD_BYTES = 64 * 1024 * 1024;

/** Reads from segments on disk. */
export interface SegmentReader {
  /** What may be read ahead over all queues. */
  readonly budget: { bytes: number };
  /** Up to `length` bytes from `offset`; fewer at the end of the segment. */
  read(segment: number, offset: number, length: number): Promise<Buffer>;
  /** The same from each offset, in one go. */
  readEach(segment: number, offsets: readonly number[], length: number): Promise<Buffer[]>;
}

interface Extent {
  readonly segment: number;
  readonly start: number;
  readonly buffer: Buffer;
  readonly view: DataView;
}

export interface RunBytes {
  readonly buffer: Buffer;
  readonly view: DataView;
  readonly start: number;
}

export class BacklogReader {
  readonly #segments: SegmentReader;
  readonly #arrived: () => void;
  readonly #damaged: (error: EngineError) => void;
  /** In the order of the queue. */
  #extents: Extent[] = [];
  #bytes = 0;
  #reading = false;
  #completing = false;
  /** Grows when what was read ahead is forgotten. */
  #generation = 0;
  /** Where a run was found to reach beyond the end of its segment. */
  #shortAt = -1;
  /** First number of a run that was not whole when it was read. */
  #suspect = -1;
  /** What is read ahead reaches up to this number. */
  #aheadTo = 0;

  /** `arrived` is called when something was read; `damaged` when it can't be, or is not what was written. */
  constructor(segments: SegmentReader, arrived: () => void, damaged: (error: EngineError) => void) {
    this.#segments = segments;
    this.#arrived = arrived;
    this.#damaged = damaged;
  }

  /** The run at this place, or null: it is being read, and `arrived` will tell. */
  take(chunks: ChunkList, first: number, segment: number, offset: number): RunBytes | null {
    while (this.#extents.length > 0) {
      const extent = this.#extents[0]!;
      const start = offset - extent.start;
      if (extent.segment === segment && start >= 0 && start + RUN_HEADER_BYTES <= extent.buffer.length) {
        const length = extent.buffer.readUInt32LE(start);
        const plausible = length >= RUN_HEADER_BYTES && length <= MOST_RUN_BYTES;
        if (plausible && start + length > extent.buffer.length) {
          if (!this.#completing) void this.#complete(extent, start, length);
          return null;
        }
        if (plausible && isWholeRun(extent.buffer, start, extent.buffer.length - start)) {
          this.#readAhead(chunks);
          return { buffer: extent.buffer, view: extent.view, start };
        }
        // It may have been read ahead before it was written: only what is read afresh tells.
        if (this.#suspect === first) {
          this.#report(segment, offset, plausible ? length : RUN_HEADER_BYTES);
          return null;
        }
        this.#suspect = first;
        this.clear();
        break;
      }
      this.#bytes -= extent.buffer.length;
      this.#segments.budget.bytes += extent.buffer.length;
      this.#extents.shift();
    }
    if (!this.#reading && !this.#completing) void this.#read(chunks, first, true);
    return null;
  }

  clear(): void {
    this.#segments.budget.bytes += this.#bytes;
    this.#bytes = 0;
    this.#extents = [];
    this.#generation++;
  }

  #readAhead(chunks: ChunkList): void {
    if (
      this.#reading ||
      this.#extents.length > SCATTERED_RUNS / 2 ||
      this.#bytes > SEQUENTIAL_BYTES ||
      this.#segments.budget.bytes <= 0
    )
      return;
    void this.#read(chunks, this.#aheadTo, false);
  }

  /** `needed`: the first run is waited for. Those behind it may be dead, and their segment gone: that is no damage. */
  async #read(chunks: ChunkList, from: number, needed: boolean): Promise<void> {
    const plan = planReads(chunks, from, this.#segments.budget.bytes > 0 ? SCATTERED_RUNS : 1);
    if (plan === null) return;
    this.#reading = true;
    const generation = this.#generation;
    const results = await Promise.allSettled(
      plan.reads.map(({ segment, offsets, length }) => this.#segments.readEach(segment, offsets, length)),
    );
    this.#reading = false;
    if (generation !== this.#generation) {
      // What was read before that is not to be judged by.
      this.#arrived();
      return;
    }
    for (const [at, result] of results.entries()) {
      const { segment, offsets, end } = plan.reads[at]!;
      if (result.status === 'rejected') {
        if (at === 0 && needed) this.#unreadable(chunks, from, segment, offsets[0]!, result.reason as Error);
        else this.#aheadTo = end;
        break;
      }
      for (const [n, offset] of offsets.entries()) this.#add(segment, offset, result.value[n]!);
      this.#aheadTo = end;
    }
    this.#arrived();
  }

  /** Damage only if the run is still said to lie there: it may have been moved, or removed, meanwhile. */
  #unreadable(chunks: ChunkList, number: number, segment: number, offset: number, cause: Error): void {
    const place = new ChunkCursor();
    if (
      !chunks.seek(number, place) ||
      place.page!.segmentOf(place.chunk) !== segment ||
      place.page!.offsetOf(place.chunk) !== offset
    )
      return;
    this.#damaged(new EngineError('IO', `segment ${segment} can't be read: ${cause.message}`, { cause }));
  }

  /** The run at `start` of the first extent reaches beyond it: reads all of it, and leaves what follows as it is. */
  async #complete(extent: Extent, start: number, length: number): Promise<void> {
    this.#completing = true;
    const offset = extent.start + start;
    try {
      const buffer = await this.#segments.read(extent.segment, offset, length);
      if (buffer.length < length) {
        if (this.#shortAt === offset) {
          this.#report(extent.segment, offset, length);
          return;
        }
        this.#shortAt = offset;
        this.clear();
      }
      if (this.#extents[0] === extent) {
        this.#extents[0] = { segment: extent.segment, start: offset, buffer, view: viewOf(buffer) };
        this.#bytes += buffer.length - extent.buffer.length;
        this.#segments.budget.bytes -= buffer.length - extent.buffer.length;
      }
    } catch {
      // It may have been moved meanwhile: what is asked for next is read where it lies then, or is found unreadable there.
      this.clear();
    } finally {
      this.#completing = false;
    }
    this.#arrived();
  }

  #add(segment: number, start: number, buffer: Buffer): void {
    this.#extents.push({ segment, start, buffer, view: viewOf(buffer) });
    this.#bytes += buffer.length;
    this.#segments.budget.bytes -= buffer.length;
  }

  #report(segment: number, offset: number, length: number): void {
    this.#damaged(
      new EngineError(
        'CORRUPT',
        `segment ${segment}, bytes ${offset} to ${offset + length}: these messages are not what was written`,
      ),
    );
  }
}

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
}

interface PlannedRead {
  readonly segment: number;
  readonly offsets: number[];
  readonly length: number;
  /** Numbers below are covered by it and those before. */
  end: number;
}

interface Plan {
  readonly reads: readonly PlannedRead[];
}

/** What to read for the runs from number `from` on. */
function planReads(chunks: ChunkList, from: number, mostRuns: number): Plan | null {
  const cursor = new ChunkCursor();
  const reads: PlannedRead[] = [];
  let number = from;
  let start = 0;
  let last = 0;
  let segment = -1;
  let runs = 0;
  for (; runs < mostRuns && chunks.seek(number, cursor); runs++) {
    const page = cursor.page!;
    const at = page.offsetOf(cursor.chunk);
    if (runs === 0) {
      segment = page.segmentOf(cursor.chunk);
      start = at;
      last = at;
    } else if (
      page.segmentOf(cursor.chunk) !== segment ||
      at < last ||
      at - last > GAP_BYTES + RUN_MAX_BYTES ||
      at - start > SEQUENTIAL_BYTES
    ) {
      break;
    }
    last = at;
    number = page.firstOf(cursor.chunk) + page.countOf(cursor.chunk);
  }
  if (runs === 0) return null;
  if (runs > 4 || last - start > SCATTERED_BYTES) {
    return {
      reads: [{ segment, offsets: [start], length: last - start + RUN_MAX_BYTES + SCATTERED_BYTES, end: number }],
    };
  }
  number = from;
  for (runs = 0; runs < mostRuns && chunks.seek(number, cursor); runs++) {
    const page = cursor.page!;
    const offset = page.offsetOf(cursor.chunk);
    number = page.firstOf(cursor.chunk) + page.countOf(cursor.chunk);
    const latest = reads[reads.length - 1];
    if (latest?.segment === page.segmentOf(cursor.chunk)) {
      latest.offsets.push(offset);
      latest.end = number;
    } else {
      reads.push({ segment: page.segmentOf(cursor.chunk), offsets: [offset], length: SCATTERED_BYTES, end: number });
    }
  }
  return { reads };
}
