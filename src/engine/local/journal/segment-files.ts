/**
 * The segments on disk. The next one is always made ahead, at its full length, so that what was accepted has its space; emptied ones
 * are used again, which spares the disk the allocation. While the next can't be made (the disk is full) publishers are blocked.
 */
import { join } from 'node:path';
import type { Clock } from '../../clock.ts';
import { EngineError } from '../../errors.ts';
import type { SegmentReader } from '../backlog-reader.ts';
import { ReadAhead } from '../read-ahead.ts';
import type { FileHandle, Files } from './files.ts';
import type { Place } from './group-store.ts';
import type { JournalOptions } from './options.ts';
import { Pauses } from './pauses.ts';
import { ReadingFiles, isShortage } from './reading-files.ts';
import { SEGMENT_HEADER_BYTES, isSpareName, segmentHeader, segmentName, type Salt } from './segment-file.ts';

const RETRY_MS = 500;
/** A segment on a full disk is no smaller, and grows by so much. */
const LEAST_BYTES = 256 * 1024;
const ZEROS = Buffer.alloc(256 * 1024);

export interface SegmentFilesHost {
  blocked(): void;
  unblocked(): void;
  failed(error: EngineError): void;
  /** Frees the space kept for checkpoints. False: there is none. */
  giveUpReserve(): Promise<boolean>;
}

/** How a segment is to be made. */
interface Plan {
  readonly salt: Salt;
  readonly capacity: number;
  /** File to be used again; null: a new one. */
  readonly spare: string | null;
}

interface OpenSegment {
  readonly id: number;
  readonly salt: Salt;
  /** How far groups may be given places in it. */
  readonly planned: number;
  /** How far its space is allocated. */
  capacity: number;
  /** Its groups are on disk up to here. */
  written: number;
  file: FileHandle | null;
  readonly ready: Promise<FileHandle | null>;
  /** The last that waited for the file, or for more of its space, has it. */
  extended: Promise<void>;
}

export class SegmentFiles implements SegmentReader {
  readonly readAhead: ReadAhead;
  readonly #directory: string;
  readonly #files: Files;
  readonly #pauses: Pauses;
  readonly #options: JournalOptions;
  readonly #host: SegmentFilesHost;
  readonly #reading: ReadingFiles;
  /** Full, but groups that go there may still wait to be written. */
  readonly #older = new Map<number, OpenSegment>();
  #spares: { readonly name: string; readonly bytes: number }[] = [];
  /** Spares whose names are not durable yet. */
  #newSpares: { readonly name: string; readonly bytes: number }[] = [];
  #nextSpare = 1;
  #capacity: number;
  #current: OpenSegment | null = null;
  #next: OpenSegment | null = null;
  #blocked = false;
  /** Files that are being made or extended. */
  #underWay = 0;
  #closed = false;
  #lastAttempt: Promise<unknown> = Promise.resolve();

  constructor(directory: string, files: Files, clock: Clock, options: JournalOptions, host: SegmentFilesHost) {
    this.#directory = directory;
    this.#files = files;
    this.readAhead = new ReadAhead(clock);
    this.#reading = new ReadingFiles(directory, files, clock);
    this.#pauses = new Pauses(clock);
    this.#options = options;
    this.#host = host;
    this.#capacity = options.firstSegmentBytes;
  }

  /** Takes over spare files of an earlier life. */
  async adoptSpares(names: readonly string[]): Promise<void> {
    const spares = names.filter(isSpareName);
    // That they have these names may be known to the system's cache alone.
    if (spares.length > 0) await this.#files.syncDirectory(this.#directory);
    for (const name of spares) {
      const file = await this.#files.open(join(this.#directory, name), 'read');
      const bytes = await file.size().finally(() => file.close());
      this.#spares.push({ name, bytes });
      this.#nextSpare = Math.max(this.#nextSpare, Number(/\d+/.exec(name)![0]) + 1);
    }
  }

  /**
   * Makes the first segment; the engine can serve afterwards. On a full disk it makes do with a small one: what is consumed then makes
   * space, so the start must not wait for it. @throws EngineError FULL, UNWRITABLE
   */
  async begin(id: number): Promise<void> {
    const path = this.path(id);
    const least = Math.min(this.#capacity, LEAST_BYTES);
    let mayGiveUpReserve = true;
    let tight = false;
    for (;;) {
      const wanted = this.#capacity;
      const plan = this.#plan();
      try {
        const file = await this.#create(path, id, plan);
        await this.#files.syncDirectory(this.#directory).catch(async (error: unknown) => {
          await file.close().catch(() => undefined);
          throw error;
        });
        this.#current = {
          id,
          salt: plan.salt,
          planned: plan.capacity,
          capacity: plan.capacity,
          written: 0,
          file,
          ready: Promise.resolve(file),
          extended: Promise.resolve(),
        };
        if (tight) this.#beginBlocked(id);
        return;
      } catch (error) {
        const cause = error as Error;
        const what = `segment ${path} can't be made: ${cause.message}`;
        // It would be known to nobody, and its space may be what is missing.
        if (plan.spare !== null) await this.#files.unlink(join(this.#directory, plan.spare)).catch(() => undefined);
        if (!isFull(cause)) throw new EngineError('UNWRITABLE', what, { cause });
        tight = true;
        this.#capacity = plan.spare === null ? Math.max(least, wanted / 2) : wanted;
        if (plan.spare !== null || wanted > least) continue;
        if (!mayGiveUpReserve || !(await this.#host.giveUpReserve()))
          throw new EngineError('FULL', `${what}: free ${least} bytes, or more, on its disk`, { cause });
        mayGiveUpReserve = false;
      }
    }
  }

  /** Nothing is to be accepted that the small segment has no room for: what waits for space that is not there holds up all behind it. */
  #beginBlocked(id: number): void {
    this.#blocked = true;
    this.#host.blocked();
    this.#next = this.#prepare(id + 1);
  }

  /** Where groups go: behind `after`, or at the beginning of the next segment. */
  place(after: Place | null, minBytes: number, rolled: (from: number | null, to: number) => void): Place {
    if (after !== null && after.offset + minBytes <= after.end) return after;
    const full = after === null ? null : this.#current!;
    if (full !== null) {
      this.#older.set(full.id, full);
      this.#current = this.#next ?? this.#prepare(full.id + 1);
      this.#next = null;
    }
    const current = this.#current!;
    this.#next ??= this.#prepare(current.id + 1);
    rolled(full?.id ?? null, current.id);
    return {
      segment: current.id,
      offset: SEGMENT_HEADER_BYTES,
      end: current.planned,
    };
  }

  /** Groups wait for a segment that is not there yet. */
  get isAwaited(): boolean {
    return this.#current !== null && this.#current.file === null;
  }

  /** Calls `use` with the segment's file as soon as it is there, with its space up to `end` allocated. */
  withFile(id: number, end: number, use: (file: FileHandle) => void): void {
    const segment = this.#begun(id)!;
    if (segment.file !== null && end <= segment.capacity) {
      use(segment.file);
      return;
    }
    segment.extended = segment.ready.then(async (file) => {
      const isThere = file !== null && (end <= segment.capacity || (await this.#extend(segment, file, end)));
      if (isThere && !this.#closed) use(file);
    });
  }

  /** What the groups of the segment are known by, which was begun and is not closed. */
  saltOf(id: number): Salt {
    return this.#begun(id)!.salt;
  }

  /**
   * A group that can't be divided passes the segment's end, or the segment had to do with less space than was planned. All that comes later waits
   * for it, settlements too, so what is kept for other uses gives way to it. False: closed, or failed for good.
   */
  #extend(segment: OpenSegment, file: FileHandle, end: number): Promise<boolean> {
    return this.#persist(segment.id, async () => {
      // Not for each group by itself.
      let to = Math.max(end, Math.min(segment.planned, end + LEAST_BYTES));
      for (;;) {
        try {
          await writeZeros(file, segment.capacity, to);
          await file.sync();
          segment.capacity = to;
          return;
        } catch (error) {
          if (!isFull(error)) throw error;
          if (to > end) to = end;
          else if (!((await this.#giveUpSpare()) || (await this.#host.giveUpReserve()))) throw error;
        }
      }
    });
  }

  /** Frees the space of one. False: there is none. */
  async #giveUpSpare(): Promise<boolean> {
    const spare = this.#spares.pop();
    if (spare === undefined) return false;
    await this.#files.unlink(join(this.#directory, spare.name));
    return true;
  }

  /** Everything in the segments below is on disk. */
  async closeOlder(before: number): Promise<void> {
    for (const [id, segment] of [...this.#older]) {
      if (id >= before) continue;
      this.#older.delete(id);
      await segment.file?.close();
    }
  }

  /** No more space can be had now. */
  get blocked(): boolean {
    return this.#blocked;
  }

  /** How much of the segment of the tail may be filled by what is not a settlement; Infinity: more space can be had, so nothing needs to be kept. */
  spendable(tail: Place | null): number {
    if (!this.#blocked) return Infinity;
    const current = this.#current;
    return current === null || current.file === null || (tail !== null && tail.segment !== current.id)
      ? 0
      : current.capacity;
  }

  /** Groups are on disk up to `end`. */
  wrote(id: number, end: number): void {
    const segment = this.#begun(id);
    if (segment !== undefined) segment.written = end;
  }

  /**
   * How much of a range may be shown. What lies behind the last group an earlier life left in a spare: whole runs perhaps, of other
   * messages, where runs of this life will lie once they are written. Whoever reads ahead must not take them for those.
   */
  #readable(id: number, offset: number, length: number): number {
    const segment = this.#begun(id);
    return segment === undefined ? length : Math.max(0, Math.min(length, segment.written - offset));
  }

  /** Undefined: it is of an earlier life of the engine, or all of it was written. */
  #begun(id: number): OpenSegment | undefined {
    return this.#current?.id === id ? this.#current : this.#older.get(id);
  }

  path(id: number): string {
    return join(this.#directory, segmentName(id));
  }

  async read(id: number, offset: number, length: number): Promise<Buffer> {
    return this.#reading.use(id, async (file) => {
      const buffer = Buffer.allocUnsafeSlow(this.#readable(id, offset, length));
      const read = await file.read(buffer, 0, buffer.length, offset);
      return read === buffer.length ? buffer : buffer.subarray(0, read);
    });
  }

  async readEach(
    id: number,
    offsets: readonly number[],
    length: number,
  ): Promise<{ buffer: Buffer; counts: number[] }> {
    return this.#reading.use(id, async (file) => {
      const readable = offsets.map((offset) => this.#readable(id, offset, length));
      const buffer = Buffer.allocUnsafeSlow(length * offsets.length);
      const counts = await file.readEach(buffer, length, offsets);
      return { buffer, counts: counts.map((count, at) => Math.min(count, readable[at]!)) };
    });
  }

  size(id: number): Promise<number> {
    return this.#reading.use(id, (file) => file.size());
  }

  /** The segment is needed no more: kept as a spare, or deleted. The caller calls `released` in the end. */
  async release(id: number): Promise<void> {
    // On a full disk its space is what the next segment waits for.
    const wanted = !this.#blocked && this.#spares.length + this.#newSpares.length < this.#options.spareSegments;
    const bytes = wanted ? await this.size(id) : 0;
    await this.#reading.stop(id);
    const path = this.path(id);
    if (wanted && bytes >= this.#options.firstSegmentBytes) {
      const name = `spare-${this.#nextSpare++}.seg`;
      await this.#files.rename(path, join(this.#directory, name));
      this.#newSpares.push({ name, bytes });
    } else {
      await this.#files.unlink(path);
    }
  }

  /** Makes the end of released segments durable. */
  async released(): Promise<void> {
    await this.#files.syncDirectory(this.#directory);
    // Renamed once more before that, it could have its first name and its last after a power cut: one file as two segments.
    this.#spares.push(...this.#newSpares.splice(0));
  }

  /** Nothing is waited for any more: neither space nor descriptors. */
  giveUp(): void {
    this.#closed = true;
    this.#pauses.end();
  }

  async close(): Promise<void> {
    this.giveUp();
    const prepared = [this.#next, this.#current, ...this.#older.values()];
    for (const segment of prepared) {
      await segment?.extended;
      await (await segment?.ready)?.close().catch(() => undefined);
    }
    await this.#reading.close();
  }

  /** Of the next segment. */
  #plan(): Plan {
    const spare = this.#spares.pop();
    const capacity = spare?.bytes ?? this.#capacity;
    this.#capacity = Math.min(this.#options.segmentBytes, this.#capacity * 2);
    const salt = { low: this.#options.randomBits(), high: this.#options.randomBits() };
    return { salt, capacity, spare: spare?.name ?? null };
  }

  #prepare(id: number): OpenSegment {
    const plan = this.#plan();
    const { salt, capacity } = plan;
    let segment: OpenSegment | null = null;
    const ready = this.#make(id, plan).then((file) => {
      if (segment !== null) segment.file = file;
      return file;
    });
    segment = { id, salt, planned: capacity, capacity, written: 0, file: null, ready, extended: Promise.resolve() };
    return segment;
  }

  /** Null: closed, or failed for good. */
  async #make(id: number, plan: Plan): Promise<FileHandle | null> {
    const path = this.path(id);
    let made: FileHandle | null = null;
    const done = await this.#persist(id, async () => {
      made ??= await this.#createWithLess(path, id, plan);
      await this.#files.syncDirectory(this.#directory);
    });
    if (done) return made;
    await (made as FileHandle | null)?.close().catch(() => undefined);
    return null;
  }

  /** Tries until it is done; while space is missing publishers are blocked. False: closed, or failed for good. */
  async #persist(id: number, attempt: () => Promise<void>): Promise<boolean> {
    this.#underWay++;
    const done = await this.#tryUntilDone(id, attempt);
    this.#underWay--;
    // One that got what was kept for it says nothing of the others: publishers would fill what is left for settlements.
    if (done && this.#blocked && this.#underWay === 0) {
      this.#blocked = false;
      this.#host.unblocked();
    }
    return done;
  }

  async #tryUntilDone(id: number, attempt: () => Promise<void>): Promise<boolean> {
    for (;;) {
      // One at a time: what one that fails takes meanwhile must not be what another lacks.
      const attempted = this.#lastAttempt.then(() => (this.#closed ? undefined : attempt()));
      this.#lastAttempt = attempted.catch(() => undefined);
      try {
        await attempted;
        return !this.#closed;
      } catch (error) {
        if (!isFull(error) && !isShortage(error)) {
          const cause = error as Error;
          const path = this.path(id);
          this.#host.failed(new EngineError('IO', `segment ${path} can't be made: ${cause.message}`, { cause }));
          return false;
        }
        this.#noteFull();
        await this.#pauses.wait(RETRY_MS);
      }
    }
  }

  /**
   * Groups that have their places in it wait, and all that comes later waits with them, settlements too: where the space of the whole segment is
   * missing it begins with what there is. As on any full disk publishers are blocked then, until the one after it is there.
   */
  async #createWithLess(path: string, id: number, plan: Plan): Promise<FileHandle> {
    const least = Math.min(plan.capacity, LEAST_BYTES);
    for (let capacity = plan.capacity; ;) {
      try {
        const file = await this.#create(path, id, { ...plan, capacity });
        const segment = this.#begun(id);
        if (segment !== undefined) segment.capacity = capacity;
        return file;
      } catch (error) {
        const isWaitedFor = this.#begun(id) !== undefined;
        if (!isFull(error) || !isWaitedFor || plan.spare !== null) throw error;
        this.#noteFull();
        if (capacity > least) capacity = Math.max(least, capacity / 2);
        else if (!((await this.#giveUpSpare()) || (await this.#host.giveUpReserve()))) throw error;
      }
    }
  }

  #noteFull(): void {
    if (this.#blocked) return;
    this.#blocked = true;
    this.#host.blocked();
  }

  #create(path: string, id: number, { salt, capacity, spare }: Plan): Promise<FileHandle> {
    return spare === null ? this.#allocate(path, id, salt, capacity) : this.#reuse(spare, path, id, salt);
  }

  async #allocate(path: string, id: number, salt: Salt, capacity: number): Promise<FileHandle> {
    // What a failed try left behind.
    const temporary = `${path}.new`;
    await this.#files.unlink(temporary).catch(() => undefined);
    const file = await this.#files.open(temporary, 'create');
    try {
      await file.write(segmentHeader(id, salt), 0, SEGMENT_HEADER_BYTES, 0);
      await writeZeros(file, SEGMENT_HEADER_BYTES, capacity);
      await file.sync();
      await this.#files.rename(temporary, path);
      return file;
    } catch (error) {
      await file.close().catch(() => undefined);
      await this.#files.unlink(temporary).catch(() => undefined);
      throw error;
    }
  }

  async #reuse(spare: string, path: string, id: number, salt: Salt): Promise<FileHandle> {
    const old = join(this.#directory, spare);
    const file = await this.#files.open(old, 'update');
    try {
      await file.write(segmentHeader(id, salt), 0, SEGMENT_HEADER_BYTES, 0);
      await file.sync();
      await this.#files.rename(old, path);
      return file;
    } catch (error) {
      await file.close().catch(() => undefined);
      throw error;
    }
  }
}

async function writeZeros(file: FileHandle, from: number, to: number): Promise<void> {
  for (let at = from; at < to; at += ZEROS.length) await file.write(ZEROS, 0, Math.min(ZEROS.length, to - at), at);
}

function isFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT';
}
