/** Writes checkpoints, and keeps the two newest with the files that their blocks lie in. */
import { join } from 'node:path';
import type { SegmentTable } from '../segments.ts';
import type { StoreHost } from '../store.ts';
import {
  CheckpointWriter,
  checkpointName,
  type Checkpoint,
  type CheckpointImage,
  type CheckpointPosition,
  type Parts,
} from './checkpoint.ts';
import type { Files } from './files.ts';

const RESERVE_NAME = 'reserve';
/** A checkpoint's blocks lie in no more files than this: the oldest is written anew then. */
const MOST_FILES = 12;

export class Checkpoints {
  readonly parts: Parts = { topology: null, keyed: null, producers: null };
  readonly #directory: string;
  readonly #files: Files;
  readonly #host: StoreHost;
  readonly #segments: SegmentTable;
  readonly #reserveBytes: number;
  /** Newest first, at most two. */
  #kept: Checkpoint[] = [];
  /** Files on disk. */
  readonly #present = new Set<number>();

  constructor(directory: string, files: Files, host: StoreHost, segments: SegmentTable, reserveBytes: number) {
    this.#directory = directory;
    this.#files = files;
    this.#host = host;
    this.#segments = segments;
    this.#reserveBytes = reserveBytes;
  }

  /** What recovery found: whole checkpoints, and the numbers of all checkpoint files. */
  adopt(images: readonly CheckpointImage[], present: readonly number[]): void {
    this.#kept = [...images];
    for (const file of present) this.#present.add(file);
  }

  /** Segments below are not read by a recovery from either of the two newest checkpoints. */
  get coveredSegment(): number {
    return this.#kept.length < 2 ? 0 : this.#kept[1]!.position.segment;
  }

  isStale(sequence: number): boolean {
    return (this.#kept[0]?.position.sequence ?? 0) < sequence;
  }

  /** Takes the state as it is now. */
  begin(position: CheckpointPosition): CheckpointWriter {
    const rewrite = new Set<number>();
    const used = [...(this.#kept[0]?.files ?? [])].sort((a, b) => a - b);
    if (used.length >= MOST_FILES) rewrite.add(used[0]!);
    return new CheckpointWriter(this.#host, this.#segments, position, this.parts, rewrite);
  }

  /** The group up to which the state was taken is durable: writes it. */
  async write(writer: CheckpointWriter): Promise<void> {
    const { sequence } = writer.position;
    try {
      await this.#writeFile(sequence, writer.pieces);
    } catch (error) {
      writer.abandon();
      this.#host.topology.changed = true;
      this.#host.keyed.changed = true;
      this.#host.identities.changed = true;
      throw error;
    }
    Object.assign(this.parts, writer.parts);
    this.#present.add(sequence);
    this.#kept = [writer.checkpoint, ...this.#kept.slice(0, 1)];
    await this.#removeUnused();
  }

  async #writeFile(sequence: number, pieces: readonly Buffer[]): Promise<void> {
    const path = join(this.#directory, checkpointName(sequence));
    const temporary = `${path}.new`;
    try {
      await this.#writeTemporary(temporary, pieces);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC' || !(await this.giveUpReserve())) throw error;
      await this.#writeTemporary(temporary, pieces);
    }
    await this.#files.rename(temporary, path);
    await this.#files.syncDirectory(this.#directory);
  }

  async #writeTemporary(path: string, pieces: readonly Buffer[]): Promise<void> {
    await this.#files.unlink(path).catch(() => undefined);
    const file = await this.#files.open(path, 'create');
    try {
      let end = 0;
      for (const bytes of pieces) {
        await file.write(bytes, 0, bytes.length, end);
        end += bytes.length;
      }
      await file.sync();
    } catch (error) {
      await file.close().catch(() => undefined);
      await this.#files.unlink(path).catch(() => undefined);
      throw error;
    }
    await file.close();
  }

  /** Makes the file whose space a checkpoint may use when the disk is full, if it is not there. */
  async keepReserve(): Promise<void> {
    const path = join(this.#directory, RESERVE_NAME);
    const names = await this.#files.list(this.#directory);
    if (names.includes(RESERVE_NAME)) return;
    try {
      await this.#writeTemporary(path, [Buffer.alloc(this.#reserveBytes)]);
      await this.#files.syncDirectory(this.#directory);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }

  /** False: it was given up before. */
  async giveUpReserve(): Promise<boolean> {
    try {
      await this.#files.unlink(join(this.#directory, RESERVE_NAME));
      return true;
    } catch {
      return false;
    }
  }

  async #removeUnused(): Promise<void> {
    const used = new Set(this.#kept.flatMap((checkpoint) => [...checkpoint.files]));
    const unused = [...this.#present].filter((file) => !used.has(file));
    for (const file of unused) {
      await this.#files.unlink(join(this.#directory, checkpointName(file)));
      this.#present.delete(file);
    }
    if (unused.length > 0) await this.#files.syncDirectory(this.#directory);
  }
}
