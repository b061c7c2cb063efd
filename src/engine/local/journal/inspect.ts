/**
 * Reads a journal offline: takes no lock and writes nothing, so it works on a damaged one, and beside a broker that uses it.
 * What the queues hold is found out by recovery itself; damage by a look at every segment, for recovery reads the tail alone.
 */
import { basename, join } from 'node:path';
import { systemClock } from '../../clock.ts';
import { EngineError } from '../../errors.ts';
import { LocalEngine } from '../local-engine.ts';
import { MemoryStore } from '../memory-store.ts';
import type { StoreHost } from '../store.ts';
import { CheckpointImage, checkpointName } from './checkpoint.ts';
import { SegmentOutline, judge, type Known } from './continuity.ts';
import { claimDirectory, filesAmong, type DirectoryFiles } from './data-directory.ts';
import { DiskFiles } from './disk-files.ts';
import type { Files } from './files.ts';
import { OfflineFiles } from './offline-files.ts';
import { Recovery } from './recovery.ts';
import { residentsOf } from './residents.ts';
import { FORMAT_VERSION, readSegmentHeader, segmentName } from './segment-file.ts';
import { scanSegment, type ByteRange } from './segment-scan.ts';

export interface JournalInspection {
  readonly directory: string;
  /** Of the format. */
  readonly version: number;
  readonly segments: readonly InspectedSegment[];
  readonly checkpoints: readonly InspectedCheckpoint[];
  readonly queues: readonly InspectedQueue[];
  readonly damage: readonly Damage[];
  /** A group at the end that is not whole, and not known to be on disk: a write that a stop cut short. */
  readonly tornTail: { readonly file: string; readonly at: number } | null;
  /** Files kept to become segments. */
  readonly spares: readonly string[];
  /** Why the journal can't be opened; null: it can. */
  readonly refusal: string | null;
}

export interface InspectedSegment {
  readonly file: string;
  readonly bytes: number;
  readonly groups: number;
  /** 0 where it has no groups. */
  readonly firstSequence: number;
  readonly lastSequence: number;
  /** Messages in it that are not settled, counted once for each queue. */
  readonly live: number;
}

export interface InspectedCheckpoint {
  readonly file: string;
  readonly sequence: number;
  readonly valid: boolean;
  /** What is wrong; null: nothing. */
  readonly what: string | null;
}

export interface InspectedQueue {
  readonly key: string;
  readonly durable: boolean;
  /** Messages that are ready when the journal is opened. */
  readonly ready: number;
  /** Of their bodies. */
  readonly bytes: number;
  /** Messages that are due later, or were not ready yet when the journal was closed. */
  readonly delayed: number;
}

/** Bytes that are not what was written; `to` is one past the last. A file that is missing has 0 to 0. */
export interface Damage {
  readonly file: string;
  readonly from: number;
  readonly to: number;
  readonly what: string;
}

/** A broker that writes meanwhile moves files about: what looks like damage then is looked at again. */
const MOST_LOOKS = 20;
/** Looks that came to nothing, because a file was gone before it was read. */
const MOST_CUT_SHORT = 500;

/**
 * What the directory holds. `progress` is told how many of its segments were read.
 * @throws EngineError FOREIGN, NEWER, UNWRITABLE: there is no journal that this version reads
 */
export async function inspectJournal(
  directory: string,
  files: Files = new DiskFiles(),
  progress?: (read: number, segments: number) => void,
): Promise<JournalInspection> {
  const offline = new OfflineFiles(files);
  let before: string | null = null;
  for (let looks = 1, cutShort = 0; ; looks++) {
    try {
      const report = await new Inspection(directory, offline).look(progress);
      const seen = JSON.stringify(report.damage);
      if (report.damage.length === 0 || seen === before || looks === MOST_LOOKS) return report;
      before = seen;
    } catch (error) {
      // A file that was listed is gone: a broker removed it.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || cutShort++ === MOST_CUT_SHORT) throw error;
      looks--;
    }
  }
}

class Inspection {
  readonly #directory: string;
  readonly #files: Files;
  /** Never opened: it stands in for the engine whose state recovery puts together. */
  readonly #engine = new LocalEngine(new MemoryStore(systemClock), systemClock, Infinity);
  readonly #damage: Damage[] = [];

  constructor(directory: string, files: Files) {
    this.#directory = directory;
    this.#files = files;
  }

  async look(progress?: (read: number, segments: number) => void): Promise<JournalInspection> {
    const { contents, unmarked } = await this.#contents();
    const { checkpoints, newest } = await this.#readCheckpoints(contents.checkpoints);
    const unreadable = await this.#recover(contents);
    const outlines: SegmentOutline[] = [];
    for (const id of contents.segments) {
      outlines.push(await this.#outline(id));
      progress?.(outlines.length, contents.segments.length);
    }
    const { segments, topology } = this.#engine;
    const known: Known | null = newest && {
      ...newest.position,
      lastSequence: new Map([...segments.values()].map((segment) => [segment.id, segment.lastSequence])),
    };
    const noneMissing = contents.segments.every((id, at) => id === at + 1);
    const noneGone = contents.checkpoints.length === 0 && (contents.segments[0] ?? 1) === 1;
    const fromStart = newest === null && (noneMissing || noneGone);
    const { damage, tornTail } = judge(outlines, known, Math.max(0, ...contents.checkpoints), fromStart ? 1 : 0);
    for (const { segment, from, to, what } of damage) this.#damaged(segmentName(segment), from, to, what, segment);
    for (const { id, alive } of segments.values()) {
      if (alive > 0 && !contents.segments.includes(id)) this.#damaged(segmentName(id), 0, 0, 'it is missing', id);
    }
    if (newest !== null && !contents.segments.includes(newest.position.segment))
      this.#damaged(segmentName(newest.position.segment), 0, 0, 'it is missing');
    if (unreadable !== null && this.#damage.length === 0) this.#told(unreadable);
    if (unmarked !== null) this.#told(unmarked);
    return {
      directory: this.#directory,
      version: FORMAT_VERSION,
      segments: outlines.map(({ id, bytes, groups, firstSequence, lastSequence }) => {
        const live = segments.get(id)?.alive ?? 0;
        return { file: segmentName(id), bytes, groups, firstSequence, lastSequence, live };
      }),
      checkpoints,
      queues: [...topology.queues.values()].map((queue) => {
        let ready = 0;
        for (const level of queue.levels) for (const page of level.chunks.pages) ready += page.alive;
        const { key, durable } = queue;
        return {
          key,
          durable,
          ready,
          bytes: ready === 0 ? 0 : queue.aliveBytes,
          delayed: queue.delayed.messages.count,
        };
      }),
      damage: this.#damage,
      tornTail: tornTail && { file: segmentName(tornTail.segment), at: tornTail.at },
      spares: contents.spares,
      refusal: (unmarked ?? unreadable)?.message ?? null,
    };
  }

  /** `unmarked`: what is wrong with the marker of a directory that holds a journal. */
  async #contents(): Promise<{ readonly contents: DirectoryFiles; readonly unmarked: EngineError | null }> {
    const noJournal = `${this.#directory} holds no journal: name the directory that was given to serve`;
    let names: string[];
    try {
      names = await this.#files.list(this.#directory);
    } catch (error) {
      const cause = error as NodeJS.ErrnoException;
      const absent = cause.code === 'ENOENT' || cause.code === 'ENOTDIR';
      const message = absent ? noJournal : `${this.#directory} can't be read: ${cause.message}`;
      throw new EngineError(absent ? 'FOREIGN' : 'UNWRITABLE', message, { cause });
    }
    if (names.every((name) => name === 'postrider.new' || name.startsWith('lock')))
      throw new EngineError('FOREIGN', noJournal);
    try {
      return { contents: await claimDirectory(this.#directory, this.#files), unmarked: null };
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      if (error.code === 'FOREIGN') throw new EngineError('FOREIGN', noJournal, { cause: error });
      if (error.code !== 'CORRUPT') throw error;
      return { contents: filesAmong(names), unmarked: error };
    }
  }

  /** All checkpoint files, and the newest that is whole. */
  async #readCheckpoints(
    sequences: readonly number[],
  ): Promise<{ readonly checkpoints: InspectedCheckpoint[]; readonly newest: CheckpointImage | null }> {
    const checkpoints: InspectedCheckpoint[] = [];
    let whole = 0;
    let newest: CheckpointImage | null = null;
    for (const sequence of [...sequences].reverse()) {
      const file = checkpointName(sequence);
      let what: string | null = null;
      try {
        const image = await CheckpointImage.read(this.#directory, this.#files, sequence);
        newest ??= image;
        whole++;
      } catch (error) {
        if (error instanceof EngineError) {
          if (error.code === 'NEWER') throw error;
          what = this.#told(error);
        } else if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
          throw error;
        } else if (whole < 2) {
          const path = (error as NodeJS.ErrnoException).path;
          what = `it needs a file that is missing${path === undefined ? '' : `: ${path}`}`;
          this.#damaged(file, 0, 0, what);
        }
        // Otherwise it is kept only for the blocks that newer ones have in it, and those were read.
      }
      checkpoints.unshift({ file, sequence, valid: what === null, what });
    }
    return { checkpoints, newest };
  }

  /** Puts the state together, as far as it can be. Returns why the journal can't be opened. */
  async #recover(contents: DirectoryFiles): Promise<EngineError | null> {
    const { topology, identities, keyed, segments } = this.#engine;
    const ignore = (): void => undefined;
    const host: StoreHost = {
      topology,
      identities,
      keyed,
      failed: ignore,
      blocked: ignore,
      unblocked: ignore,
      caughtUp: ignore,
      damaged: ignore,
      notice: ignore,
    };
    const parts = { topology: null, keyed: null, producers: null };
    try {
      await new Recovery(this.#directory, this.#files, host, segments, parts).run(
        contents.segments,
        contents.checkpoints,
      );
      return null;
    } catch (error) {
      if (error instanceof EngineError) return error;
      throw error;
    }
  }

  async #outline(id: number): Promise<SegmentOutline> {
    const file = await this.#files.open(join(this.#directory, segmentName(id)), 'read');
    try {
      const size = await file.size();
      const buffer = Buffer.allocUnsafeSlow(size);
      const bytes = buffer.subarray(0, await file.read(buffer, 0, size, 0));
      const outline = new SegmentOutline(id, bytes.length, readSegmentHeader(bytes, id).whole);
      for (const piece of scanSegment(bytes, id)) outline.add(piece);
      return outline;
    } finally {
      await file.close();
    }
  }

  #damaged(file: string, from: number, to: number, what: string, segment?: number): void {
    if (this.#damage.some((other) => other.file === file && other.from === from && other.to === to)) return;
    this.#damage.push({ file, from, to, what: segment === undefined ? what : what + this.#whose(segment, from, to) });
  }

  #whose(segment: number, from: number, to: number): string {
    const range: ByteRange = to === 0 ? { from: 0, to: Infinity } : { from, to };
    const keys = new Set<string>();
    for (const { queue } of residentsOf(this.#engine.topology, segment, range)) keys.add(queue.key);
    return keys.size === 0 ? '' : ` (messages of ${[...keys].join(', ')})`;
  }

  /** Takes file and range from an error that names them. Returns what is wrong. */
  #told({ message }: EngineError): string {
    const match = /^(?:checkpoint|segment|marker) (.+?), (?:bytes (\d+) to (\d+)|from byte (\d+)): (.+)$/.exec(message);
    if (match === null) {
      this.#damaged(this.#directory, 0, 0, message);
      return message;
    }
    const file = basename(match[1]!);
    const from = Number(match[2] ?? match[4]);
    this.#damaged(file, from, Number(match[3] ?? from), match[5]!);
    return match[5]!;
  }
}
