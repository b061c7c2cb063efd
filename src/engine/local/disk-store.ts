/** The store on disk: writes groups one after the other, each synced before the next, and keeps checkpoints, segments and space in order. */
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import { EngineError } from '../errors.ts';
import { Checkpoints } from './journal/checkpoints.ts';
import { Compaction } from './journal/compaction.ts';
import { claimDirectory, type DirectoryContents } from './journal/data-directory.ts';
import type { DirectoryLock, Files } from './journal/files.ts';
import { EntryKind } from './journal/directory.ts';
import { sealGroup } from './journal/group.ts';
import type { ClosedGroup, GroupStore, Place } from './journal/group-store.ts';
import { Journal } from './journal/journal.ts';
import type { JournalOptions } from './journal/options.ts';
import { Recovery, type Recovered } from './journal/recovery.ts';
import { Scrub } from './journal/scrub.ts';
import { SegmentFiles } from './journal/segment-files.ts';
import { segmentName } from './journal/segment-file.ts';
import { SegmentTable, type Segment } from './segments.ts';
import type { LocalStore, StoreHost } from './store.ts';
import { headSegments, liesInSegment } from './queue-places.ts';
import { Window } from './window.ts';

/**
 * What appends, what compaction and due messages with them, and what counts of deliveries with these may fill of the segment in use while no more
 * space can be had: the rest is for settlements.
 */
const APPENDS_SHARE = 1 / 2;
const MOVES_SHARE = 3 / 4;
const COUNTS_SHARE = 7 / 8;
/** Neighbouring groups that wait are written at once, up to this much. */
const MOST_WRITE_BYTES = 4 * 1024 * 1024;

export class DiskStore implements LocalStore, GroupStore {
  readonly volatile = false;
  readonly segments = new SegmentTable(() => this.#tidySoon());
  readonly journal: Journal;
  readonly #directory: string;
  readonly #files: Files;
  readonly #clock: Clock;
  readonly #options: JournalOptions;
  readonly #segmentFiles: SegmentFiles;
  #host: StoreHost | null = null;
  #lock: DirectoryLock | null = null;
  #checkpoints: Checkpoints | null = null;
  #compaction: Compaction | null = null;
  #scrub: Scrub | null = null;
  #waiting: ClosedGroup[] = [];
  #writing = false;
  #appending = false;
  #idle: (() => void) | null = null;
  #appended = 0;
  #tidying = false;
  #tidyAgain = false;
  #tidied: Promise<void> = Promise.resolve();
  #closing = false;

  constructor(directory: string, files: Files, clock: Clock, options: JournalOptions) {
    this.#directory = directory;
    this.#files = files;
    this.#clock = clock;
    this.#options = options;
    this.journal = new Journal(this, new Window(options.windowBytes, options.blockBytes), clock, 1);
    this.#segmentFiles = new SegmentFiles(directory, files, clock, options, {
      blocked: () => {
        this.#judgeSpace();
        this.#host?.blocked();
        this.#tidySoon();
      },
      unblocked: () => {
        this.#judgeSpace();
        this.#host?.unblocked();
      },
      failed: (error) => this.#fail(error),
      giveUpReserve: () => this.#checkpoints!.giveUpReserve(),
    });
  }

  get reader(): SegmentFiles {
    return this.#segmentFiles;
  }

  /** What waits for a segment for which there is no space holds up all behind it: no more than what is kept on the disk for such a time. */
  mayWait(usual: number): number {
    return this.#segmentFiles.isAwaited ? Math.min(usual, this.#options.reserveBytes) : usual;
  }

  async open(host: StoreHost): Promise<void> {
    this.#host = host;
    const contents = await claimDirectory(this.#directory, this.#files);
    this.#lock = contents.lock;
    try {
      await this.#recover(host, contents);
    } catch (error) {
      await this.#segmentFiles.close().catch(() => undefined);
      await this.#lock.release();
      const cause = error as NodeJS.ErrnoException;
      if (cause.syscall === undefined) throw error;
      throw new EngineError('UNWRITABLE', `${cause.path ?? this.#directory} can't be used: ${cause.message}`, {
        cause,
      });
    }
  }

  async #recover(host: StoreHost, contents: DirectoryContents): Promise<void> {
    const checkpoints = new Checkpoints(this.#directory, this.#files, host, this.segments, this.#options.reserveBytes);
    this.#checkpoints = checkpoints;
    const recovery = new Recovery(this.#directory, this.#files, host, this.segments, checkpoints.parts);
    const recovered = await recovery.run(contents.segments, contents.checkpoints);
    checkpoints.adopt(recovered.checkpoints, contents.checkpoints);
    await this.#proveTail(recovered);
    this.#checkMissing(contents.segments);
    for (const segment of this.segments.values()) this.segments.seal(segment);
    await this.#segmentFiles.adoptSpares(contents.spares);
    const first = Math.max(0, ...contents.segments) + 1;
    await this.#segmentFiles.begin(first);
    this.journal.resume(recovered.sequence);
    this.#compaction = new Compaction(this.#directory, this.journal, host, this.#clock, (id, error) => {
      const queue = host.topology.byId.get(id);
      if (queue !== undefined) host.damaged(queue, error);
    });
    this.#scrub = new Scrub(
      this.#directory,
      this.#files,
      this.segments,
      this.journal,
      host,
      this.#clock,
      this.#options.scrubIntervalMs,
    );
    this.#scrub.start();
    this.#tidySoon();
  }

  /** What was read is not thereby durable: writes the end of the journal once more, and cuts what is torn behind it. */
  async #proveTail(recovered: Recovered): Promise<void> {
    const { tail } = recovered;
    if (tail === null) return;
    const last = join(this.#directory, segmentName(tail.segment));
    for (const id of new Set([...recovered.unproven.map((range) => range.segment), tail.segment])) {
      const file = await this.#files.open(join(this.#directory, segmentName(id)), 'update');
      try {
        for (const range of recovered.unproven) {
          if (range.segment === id) await file.write(range.bytes, 0, range.bytes.length, range.offset);
        }
        if (file.path === last) await file.truncate(tail.end);
        await file.sync();
      } finally {
        await file.close();
      }
    }
    await this.#files.syncDirectory(this.#directory);
  }

  /** Queues whose messages lay in a segment that is not there stop. One that was emptied after the newest checkpoint was taken may be gone by right. */
  #checkMissing(present: readonly number[]): void {
    const there = new Set(present);
    const missing = [...this.segments.values()].filter((segment) => !there.has(segment.id));
    const lost = missing.filter((segment) => segment.alive > 0);
    for (const queue of lost.length === 0 ? [] : this.#host!.topology.queues.values()) {
      for (const segment of lost) {
        if (!liesInSegment(queue, segment.id)) continue;
        const path = join(this.#directory, segmentName(segment.id));
        this.#host!.damaged(queue, new EngineError('CORRUPT', `segment ${path} is missing: restore it from a copy`));
      }
    }
    for (const segment of missing) this.segments.remove(segment.id);
  }

  // --- writing ---

  place(after: Place | null, minBytes: number): Place {
    return this.#segmentFiles.place(after, minBytes, (from, to) => {
      this.segments.add(to);
      if (from === null) return;
      // Of the new segment it is known how much is to be kept when its first group is closed.
      if (this.#segmentFiles.blocked) this.journal.limitAppends(0, 0, 0);
      const full = this.segments.get(from);
      if (full !== undefined) this.segments.seal(full);
    });
  }

  write(group: ClosedGroup): void {
    this.#waiting.push(group);
    const segment = this.segments.get(group.block.segment);
    if (segment !== undefined) {
      segment.lastSequence = group.sequence;
      segment.bytes += group.bytes;
    }
    this.#judgeSpace();
    if (!this.#writing) this.#writeNext();
  }

  #judgeSpace(): void {
    const bytes = this.#segmentFiles.spendable(this.journal.tail);
    this.journal.limitAppends(bytes * APPENDS_SHARE, bytes * MOVES_SHARE, bytes * COUNTS_SHARE);
  }

  #writeNext(): void {
    const first = this.#waiting[0];
    if (first === undefined || this.journal.failure !== null) return;
    this.#writing = true;
    let count = 1;
    let end = first.end;
    while (count < this.#waiting.length) {
      const next = this.#waiting[count]!;
      if (next.block !== first.block || next.start !== end || next.end - first.start > MOST_WRITE_BYTES) break;
      end = next.end;
      count++;
    }
    const groups = this.#waiting.splice(0, count);
    const salt = this.#segmentFiles.saltOf(first.block.segment);
    for (const group of groups) sealGroup(group.block.buffer, group.start, this.journal.synced, salt);
    this.#segmentFiles.withFile(first.block.segment, first.offset + end - first.start, (file) => {
      this.#appending = true;
      file.append(first.block.buffer, first.start, end - first.start, first.offset, true, (error) => {
        this.#appending = false;
        this.#idle?.();
        if (error !== null) {
          const path = join(this.#directory, segmentName(first.block.segment));
          this.#fail(
            new EngineError(
              'IO',
              `${path} can't be written: ${error.message}; nothing is confirmed any more: check the disk and start again`,
              {
                cause: error,
              },
            ),
          );
          return;
        }
        this.#segmentFiles.wrote(first.block.segment, first.offset + end - first.start);
        this.#written(groups, end - first.start);
      });
    });
  }

  #written(groups: readonly ClosedGroup[], bytes: number): void {
    if (this.journal.failure !== null) return;
    this.#writing = false;
    this.#appended += bytes;
    for (const group of groups) this.journal.written(group);
    // The journal may have closed another group meanwhile.
    if (!this.#writing) this.#writeNext();
    if (!this.#writing) this.journal.drained();
    // The segment that they went to may be one that was waited for.
    if (this.journal.full) this.#judgeSpace();
    this.#host!.caughtUp();
    if (this.#appended >= this.#options.checkpointBytes) {
      this.#appended = 0;
      this.#tidySoon();
    }
  }

  #fail(error: EngineError): void {
    this.#host?.failed(error);
    this.#segmentFiles.giveUp();
    void this.#scrub?.stop();
  }

  // --- keeping order ---

  /** Has a checkpoint written, emptied segments removed and sparse ones compacted, soon and one at a time. */
  #tidySoon(): void {
    if (this.#closing || this.#compaction === null) return;
    if (this.#tidying) {
      this.#tidyAgain = true;
      return;
    }
    this.#tidying = true;
    this.#tidied = this.#tidy().finally(() => {
      this.#tidying = false;
      if (this.#tidyAgain) {
        this.#tidyAgain = false;
        this.#tidySoon();
      }
    });
  }

  async #tidy(): Promise<void> {
    try {
      // Not within the call that noticed: a checkpoint is of the state between two groups.
      await new Promise<void>((resolve) => this.#clock.defer(resolve));
      if (this.journal.failure !== null || this.#closing) return;
      if (!this.#segmentFiles.blocked) await this.#checkpoints!.keepReserve();
      if (this.journal.failure !== null || !this.#hasWork()) return;
      await this.#checkpoint(false);
      // Space is missing: emptied segments can't wait until traffic brings the two checkpoints that must be newer.
      for (let round = 0; round < 2 && this.#segmentFiles.blocked && this.#hasEmptied(); round++) {
        this.journal.mustSync();
        await this.#checkpoint(false);
      }
      for (const segment of this.#sparse()) {
        segment.busy = true;
        await this.#compact(segment);
        if (this.journal.failure !== null || this.#closing) return;
      }
    } catch (error) {
      const cause = error as Error;
      this.#host!.notice(`a checkpoint could not be written: ${cause.message}; the journal grows until one can`);
    }
  }

  #hasEmptied(): boolean {
    return [...this.segments.values()].some((segment) => segment.sealed && segment.alive === 0);
  }

  #hasWork(): boolean {
    const covered = this.#checkpoints!.coveredSegment;
    return this.#hasEmptied() || this.#checkpoints!.isStale(this.journal.sequence - 1) || covered === 0;
  }

  async #checkpoint(sealed: boolean): Promise<void> {
    this.journal.closeGroup();
    const sequence = this.journal.sequence - 1;
    if (this.#checkpoints!.isStale(sequence)) {
      const end = this.journal.closedTo;
      if (end !== null) {
        const writer = this.#checkpoints!.begin({ sequence, segment: end.segment, offset: end.offset, sealed });
        await new Promise<void>((resolve, reject) =>
          this.journal.whenSynced((error) => (error === null ? resolve() : reject(error))),
        );
        await this.#checkpoints!.write(writer);
      }
    }
    await this.#removeEmptied();
  }

  /** Deletes segments in which nothing lives and which no recovery from the two newest checkpoints would read. */
  async #removeEmptied(): Promise<void> {
    const covered = this.#checkpoints!.coveredSegment;
    await this.#segmentFiles.closeOlder(covered);
    const emptied = [...this.segments.values()].filter(
      (segment) => segment.sealed && segment.alive === 0 && segment.id < covered,
    );
    if (emptied.length === 0) return;
    await new Promise<void>((resolve, reject) =>
      this.journal.whenSynced((error) => (error === null ? resolve() : reject(error))),
    );
    for (const segment of emptied) {
      this.segments.remove(segment.id);
      this.journal.window.dropSegment(segment.id);
      await this.#segmentFiles.release(segment.id);
    }
    await this.#segmentFiles.released();
  }

  #sparse(): Segment[] {
    const covered = this.#checkpoints!.coveredSegment;
    const heads = headSegments(this.#host!.topology.streams);
    return [...this.segments.values()].filter(
      (segment) =>
        segment.sealed &&
        !segment.busy &&
        !heads.has(segment.id) &&
        segment.alive > 0 &&
        segment.id < covered &&
        segment.alive < segment.total * this.#options.sparseShare,
    );
  }

  async #compact(segment: Segment): Promise<void> {
    try {
      const size = await this.#segmentFiles.size(segment.id);
      const bytes = await this.#segmentFiles.read(segment.id, 0, size);
      await this.#compaction!.move(segment, bytes);
      segment.busy = false;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      // It stays busy, and so is left alone: its messages are judged when they are read.
      this.#host!.notice(
        `segment ${join(this.#directory, segmentName(segment.id))}: ${error.message}; it is not compacted`,
      );
    }
  }

  async close(): Promise<void> {
    // The start was refused, and has left nothing behind.
    if (this.#scrub === null) return;
    this.#closing = true;
    await this.#scrub.stop();
    await this.#tidied;
    if (this.journal.failure === null) {
      this.journal.entryRoom(1);
      this.journal.directory.u8(EntryKind.SEALED);
      this.journal.mustSync();
      await new Promise<void>((resolve) => this.journal.whenSynced(() => resolve()));
    }
    if (this.journal.failure === null) {
      await this.#checkpoint(true).catch((error: unknown) =>
        this.#host!.notice(`no checkpoint at the end: ${(error as Error).message}`),
      );
    }
    this.journal.stop();
    if (this.#appending) await new Promise<void>((resolve) => (this.#idle = resolve));
    await this.#segmentFiles.close();
    await this.#lock?.release();
  }
}
