/**
 * Brings what is no longer in memory back from the segments, ahead of the consumer: one large read where a queue's runs lie close
 * together, many small ones where other queues' messages lie between. Every run is verified before it is shown.
 */
import { EngineError } from '../errors.ts';
import { ChunkCursor, type ChunkList } from './chunk-list.ts';
import type { ReadAhead, ReadAheadHolder } from './read-ahead.ts';
import { RUN_HEADER_BYTES, RUN_MAX_BYTES, isWholeRun } from './run.ts';

const SEQUENTIAL_BYTES = 512 * 1024;
const SCATTERED_RUNS = 256;
/** What is read of a run that lies apart: as much as the longest of late took, rounded up to a power of two within these. */
const LEAST_SLOT_BYTES = 256;
const FIRST_SLOT_BYTES = 1024;
const MOST_SLOT_BYTES = RUN_MAX_BYTES;
/** Runs further apart than this are read one by one. */
const GAP_BYTES = 16 * 1024;
/** No run is longer: a message of the largest size, and its properties. */
const MOST_RUN_BYTES = 256 * 1024 * 1024;

/** Reads from segments on disk. */
export interface SegmentReader {
  readonly readAhead: ReadAhead;
  /** For errors. */
  path(segment: number): string;
  /** Up to `length` bytes from `offset`; fewer at the end of the segment. */
  read(segment: number, offset: number, length: number): Promise<Buffer>;
  /** The same from each offset, in one go: slots of `length` bytes one behind the other, and how many bytes each got. */
  readEach(
    segment: number,
    offsets: readonly number[],
    length: number,
  ): Promise<{ readonly buffer: Buffer; readonly counts: readonly number[] }>;
}

export interface RunBytes {
  readonly buffer: Buffer;
  readonly view: DataView;
  /** Where the run begins in the buffer. */
  readonly at: number;
}

/** Bytes of a segment, in a buffer that it may share with others. */
interface Extent extends RunBytes {
  readonly segment: number;
  /** In the segment. */
  readonly offset: number;
  readonly from: number;
  readonly to: number;
  /** Of the run that was taken last. */
  at: number;
}

export class BacklogReader implements ReadAheadHolder {
  readonly #segments: SegmentReader;
  readonly #arrived: () => void;
  readonly #damaged: (error: EngineError) => void;
  /** In the order of the queue. */
  #extents: Extent[] = [];
  #bytes = 0;
  #reading = false;
  #completing = false;
  /** Something was taken since `giveUpIdle`. */
  #taken = false;
  /** Grows when what was read ahead is forgotten. */
  #generation = 0;
  /** Where a run was not to be had whole when it was asked for last. It may have been moved or removed meanwhile, or been read before it was written. */
  #doubtedSegment = 0;
  #doubtedOffset = -1;
  /** What is read ahead reaches up to this number. */
  #aheadTo = 0;
  /** Length of the longest run taken since the last read; 0: none was. */
  #longest = 0;
  #slotBytes = FIRST_SLOT_BYTES;

  /** `arrived` is called when something was read; `damaged` when it can't be, or is not what was written. */
  constructor(segments: SegmentReader, arrived: () => void, damaged: (error: EngineError) => void) {
    this.#segments = segments;
    this.#arrived = arrived;
    this.#damaged = damaged;
  }

  /** The run at this place, good until the next call; or null: it is being read, and `arrived` will tell. */
  take(chunks: ChunkList, first: number, segment: number, offset: number): RunBytes | null {
    this.#taken = true;
    while (this.#extents.length > 0) {
      const extent = this.#extents[0]!;
      const at = extent.from + offset - extent.offset;
      if (extent.segment === segment && at >= extent.from && at + RUN_HEADER_BYTES <= extent.to) {
        const length = extent.view.getUint32(at, true);
        const plausible = length >= RUN_HEADER_BYTES && length <= MOST_RUN_BYTES;
        if (plausible && at + length > extent.to) {
          if (!this.#completing) void this.#complete(chunks, first, extent, offset, length);
          return null;
        }
        if (plausible && isWholeRun(extent.buffer, at, extent.to - at)) {
          if (this.#doubtedOffset === offset) this.#doubtedOffset = -1;
          if (length > this.#longest) this.#longest = length;
          this.#readAhead(chunks);
          extent.at = at;
          return extent;
        }
        if (this.#doubts(segment, offset)) {
          this.#damaged(damageOf(this.#segments.path(segment), offset, plausible ? length : RUN_HEADER_BYTES));
          return null;
        }
        this.clear();
        break;
      }
      this.#hold(extent.from - extent.to);
      this.#extents.shift();
    }
    if (!this.#reading && !this.#completing) void this.#read(chunks, first, true);
    return null;
  }

  /** Forgets what was read ahead, and what is on its way. */
  clear(): void {
    if (this.#extents.length === 0 && !this.#reading && !this.#completing) return;
    this.#hold(-this.#bytes);
    this.#extents = [];
    this.#generation++;
  }

  giveUpIdle(): void {
    if (!this.#taken) this.clear();
    this.#taken = false;
  }

  #hold(bytes: number): void {
    const { readAhead } = this.#segments;
    readAhead.left -= bytes;
    this.#bytes += bytes;
    if (this.#bytes > 0) readAhead.holders.add(this);
    else readAhead.holders.delete(this);
  }

  #readAhead(chunks: ChunkList): void {
    if (
      this.#reading ||
      this.#extents.length > SCATTERED_RUNS / 4 ||
      this.#bytes > SEQUENTIAL_BYTES ||
      !this.#segments.readAhead.hasRoom
    )
      return;
    void this.#read(chunks, this.#aheadTo, false);
  }

  /** `needed`: the first run is waited for. Those behind it may be dead, and their segment gone: that is no damage. */
  async #read(chunks: ChunkList, from: number, needed: boolean): Promise<void> {
    if (this.#longest > 0) this.#slotBytes = slotFor(this.#longest);
    this.#longest = 0;
    const reads = planReads(chunks, from, this.#segments.readAhead.hasRoom ? SCATTERED_RUNS : 1, this.#slotBytes);
    if (reads.length === 0) return;
    this.#reading = true;
    const generation = this.#generation;
    const results = await Promise.allSettled(
      reads.map(({ segment, offsets, length }) => this.#segments.readEach(segment, offsets, length)),
    );
    this.#reading = false;
    // What was read before it was forgotten is not to be judged by.
    if (generation === this.#generation) {
      for (const [n, result] of results.entries()) {
        const { segment, offsets, length, end } = reads[n]!;
        this.#aheadTo = end;
        const read = result.status === 'fulfilled' ? result.value : null;
        if (read === null || read.counts[0]! < RUN_HEADER_BYTES) {
          const failure = result.status === 'rejected' ? (result.reason as Error) : null;
          if (n === 0 && needed) this.#failed(chunks, from, segment, offsets[0]!, RUN_HEADER_BYTES, failure);
          break;
        }
        this.#add(segment, offsets, length, read.buffer, read.counts);
      }
    }
    this.#arrived();
  }

  #add(segment: number, offsets: readonly number[], length: number, buffer: Buffer, counts: readonly number[]): void {
    const view = viewOf(buffer);
    for (let n = 0; n < offsets.length; n++) {
      const from = n * length;
      const to = from + counts[n]!;
      this.#extents.push({ segment, offset: offsets[n]!, buffer, view, from, to, at: from });
      this.#hold(to - from);
    }
  }

  /** The run at `offset` in the first extent reaches beyond it: reads all of it, and leaves what follows as it is. */
  async #complete(chunks: ChunkList, first: number, extent: Extent, offset: number, length: number): Promise<void> {
    this.#completing = true;
    const generation = this.#generation;
    const { segment } = extent;
    let buffer: Buffer | null = null;
    let failure: Error | null = null;
    try {
      buffer = await this.#segments.read(segment, offset, length);
    } catch (error) {
      failure = error as Error;
    }
    this.#completing = false;
    if (generation === this.#generation) {
      if (buffer?.length !== length) {
        this.#failed(chunks, first, segment, offset, length, failure);
      } else if (this.#extents[0] === extent) {
        this.#extents[0] = { segment, offset, buffer, view: viewOf(buffer), from: 0, to: length, at: 0 };
        this.#hold(length - (extent.to - extent.from));
      }
    }
    this.#arrived();
  }

  /** What is waited for is not to be had (`cause`: why; null: the segment ends before it). Twice, and still said to lie there, that is damage. */
  #failed(
    chunks: ChunkList,
    number: number,
    segment: number,
    offset: number,
    length: number,
    cause: Error | null,
  ): void {
    this.clear();
    if (!this.#doubts(segment, offset) || !liesAt(chunks, number, segment, offset)) return;
    const path = this.#segments.path(segment);
    this.#damaged(
      cause === null
        ? damageOf(path, offset, length)
        : new EngineError('IO', `segment ${path} can't be read: ${cause.message}`, { cause }),
    );
  }

  /** Whether the place was doubted before. */
  #doubts(segment: number, offset: number): boolean {
    if (this.#doubtedSegment === segment && this.#doubtedOffset === offset) return true;
    this.#doubtedSegment = segment;
    this.#doubtedOffset = offset;
    return false;
  }
}

function liesAt(chunks: ChunkList, number: number, segment: number, offset: number): boolean {
  const place = new ChunkCursor();
  if (!chunks.seek(number, place)) return false;
  const page = place.page!;
  return page.alive > 0 && page.segmentOf(place.chunk) === segment && page.offsetOf(place.chunk) === offset;
}

function slotFor(length: number): number {
  let bytes = LEAST_SLOT_BYTES;
  while (bytes < length && bytes < MOST_SLOT_BYTES) bytes *= 2;
  return bytes;
}

function damageOf(path: string, offset: number, length: number): EngineError {
  return new EngineError(
    'CORRUPT',
    `segment ${path}, bytes ${offset} to ${offset + length}: these messages are not what was written`,
  );
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

/** What to read for the runs from number `from` on. */
function planReads(chunks: ChunkList, from: number, mostRuns: number, slotBytes: number): readonly PlannedRead[] {
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
  if (runs > 4 || last - start > FIRST_SLOT_BYTES)
    return [{ segment, offsets: [start], length: last - start + RUN_MAX_BYTES + FIRST_SLOT_BYTES, end: number }];
  number = from;
  const most = Math.min(mostRuns, SEQUENTIAL_BYTES / slotBytes);
  for (runs = 0; runs < most && chunks.seek(number, cursor); runs++) {
    const page = cursor.page!;
    const offset = page.offsetOf(cursor.chunk);
    number = page.firstOf(cursor.chunk) + page.countOf(cursor.chunk);
    const latest = reads[reads.length - 1];
    if (latest?.segment === page.segmentOf(cursor.chunk)) {
      latest.offsets.push(offset);
      latest.end = number;
    } else {
      reads.push({ segment: page.segmentOf(cursor.chunk), offsets: [offset], length: slotBytes, end: number });
    }
  }
  return reads;
}
