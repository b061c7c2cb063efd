/**
 * The segments that are being read, each through a descriptor of its own: a bounded number of them, those that were read last. A backlog
 * may lie in thousands of segments.
 */
import { join } from 'node:path';
import type { Clock } from '../../clock.ts';
import { EngineError } from '../../errors.ts';
import type { FileHandle, Files } from './files.ts';
import { Pauses } from './pauses.ts';
import { segmentName } from './segment-file.ts';

/**
 * Descriptors kept; more only while as many are read from at once. Of ten thousand queues that were filled in turn each has messages in all
 * segments: beyond six gigabytes draining one opens and closes them anew.
 */
const MOST_OPEN = 192;
const RETRY_MS = 500;

interface OpenFile {
  readonly file: Promise<FileHandle>;
  /** Reads under way. */
  users: number;
  idle: (() => void) | null;
}

export class ReadingFiles {
  readonly #directory: string;
  readonly #files: Files;
  /** By segment; the one that was read last comes last. */
  readonly #open = new Map<number, OpenFile>();
  readonly #closing = new Set<Promise<void>>();
  readonly #pauses: Pauses;
  #closed = false;

  constructor(directory: string, files: Files, clock: Clock) {
    this.#directory = directory;
    this.#files = files;
    this.#pauses = new Pauses(clock);
  }

  /** Reads from a segment. Where the process or the system has no descriptor to spare it waits for one: that says nothing of the segment. */
  async use<T>(segment: number, read: (file: FileHandle) => Promise<T>): Promise<T> {
    for (;;) {
      if (this.#closed) throw new EngineError('CLOSED', 'the engine is closed: open it again');
      const entry = this.#enter(segment);
      let shortage: unknown;
      try {
        return await read(await entry.file);
      } catch (error) {
        if (!isShortage(error)) throw error;
        shortage = error;
      } finally {
        entry.users--;
        if (entry.users === 0) entry.idle?.();
      }
      if (!this.#closeIdle(0)) await this.#pauses.wait(RETRY_MS);
      if (this.#closed) throw shortage;
    }
  }

  /** Resolves once nobody reads from the segment and its descriptor is closed. */
  async stop(segment: number): Promise<void> {
    const entry = this.#open.get(segment);
    if (entry === undefined) return;
    this.#open.delete(segment);
    if (entry.users > 0) await new Promise<void>((resolve) => (entry.idle = resolve));
    await close(entry);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#pauses.end();
    for (const segment of [...this.#open.keys()]) await this.stop(segment);
    await Promise.all(this.#closing);
  }

  #enter(segment: number): OpenFile {
    let entry = this.#open.get(segment);
    if (entry === undefined) {
      entry = { file: this.#files.open(join(this.#directory, segmentName(segment)), 'read'), users: 0, idle: null };
      const opening = entry;
      opening.file.catch(() => {
        if (this.#open.get(segment) === opening) this.#open.delete(segment);
      });
    } else {
      this.#open.delete(segment);
    }
    this.#open.set(segment, entry);
    entry.users++;
    this.#closeIdle(MOST_OPEN);
    return entry;
  }

  /** Closes what nobody reads from, the longest unused first, until no more than `most` are open. False: there was none. */
  #closeIdle(most: number): boolean {
    let any = false;
    if (this.#open.size <= most) return any;
    for (const [segment, entry] of this.#open) {
      if (entry.users > 0) continue;
      this.#open.delete(segment);
      any = true;
      const closed: Promise<void> = close(entry).finally(() => this.#closing.delete(closed));
      this.#closing.add(closed);
      if (this.#open.size <= most) break;
    }
    return any;
  }
}

/** Something is missing that others will give back: descriptors, buffers. Nothing is wrong with the file. */
export function isShortage(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EMFILE' || code === 'ENFILE' || code === 'EAGAIN';
}

async function close({ file }: OpenFile): Promise<void> {
  const opened = await file.catch(() => null);
  await opened?.close().catch(() => undefined);
}
