/**
 * Recovery: the newest whole checkpoint, and what the journal says since. A group that is not whole ends the journal if nothing
 * proves that it was durable once (a *torn tail*: it is cut and told); with such a proof it is *corruption*, and named.
 */
import { join } from 'node:path';
import type { QueueSpec } from '../../engine.ts';
import { EngineError } from '../../errors.ts';
import { relocate } from '../queue-places.ts';
import { finishRecovery, replayDelayed, replayDue, replayRun, replaySettled } from '../queue-recovery.ts';
import { isWholeRun, storedAtOf } from '../run.ts';
import type { SegmentTable } from '../segments.ts';
import type { StoreHost } from '../store.ts';
import type { EntryChange } from '../topology.ts';
import { CheckpointImage, type CheckpointPosition, type Parts } from './checkpoint.ts';
import { RUN_FLAG_DUE, RUN_FLAG_EXPIRES, readDirectory } from './directory.ts';
import type { Files } from './files.ts';
import { GROUP_HEADER_BYTES, GROUP_MAGIC, claimsToBeGroup, readGroup, type GroupHeader } from './group.ts';
import { SEGMENT_HEADER_BYTES, readSegmentHeader, segmentName, type Salt } from './segment-file.ts';

export interface Recovered {
  /** Of the next group. */
  readonly sequence: number;
  /** Where the journal ends: the last segment that has groups, and its length. Null: it has none. */
  readonly tail: { readonly segment: number; readonly end: number } | null;
  /** What was not provably durable, to be written once more before anything is served. */
  readonly unproven: readonly { readonly segment: number; readonly offset: number; readonly bytes: Buffer }[];
  readonly clean: boolean;
  /** Whole checkpoints, newest first. */
  readonly checkpoints: readonly CheckpointImage[];
}

export class Recovery {
  readonly #directory: string;
  readonly #files: Files;
  readonly #host: StoreHost;
  readonly #segments: SegmentTable;
  readonly #parts: Parts;
  #expected = 1;
  #proven = 0;
  #clean = false;
  #tail: Recovered['tail'] = null;
  #unproven: { segment: number; offset: number; sequence: number; bytes: Buffer }[] = [];

  constructor(directory: string, files: Files, host: StoreHost, segments: SegmentTable, parts: Parts) {
    this.#directory = directory;
    this.#files = files;
    this.#host = host;
    this.#segments = segments;
    this.#parts = parts;
  }

  /** `segments` and `checkpoints` are the numbers of the files there are, ascending. @throws EngineError CORRUPT */
  async run(segments: readonly number[], checkpoints: readonly number[]): Promise<Recovered> {
    const images = await this.#readCheckpoints(checkpoints, segments);
    const newest = images[0];
    for (const id of segments) this.#segments.add(id);
    if (newest !== undefined) {
      newest.restore(this.#host, this.#segments, this.#parts);
      newest.release();
      this.#expected = newest.position.sequence + 1;
      this.#clean = newest.position.sealed;
      this.#tail = { segment: newest.position.segment, end: newest.position.offset };
    }
    this.#proven = Math.max(0, ...checkpoints);
    await this.#replay(segments, newest?.position ?? null);
    for (const queue of this.#host.topology.queues.values()) finishRecovery(queue, this.#clean);
    return {
      sequence: this.#expected,
      tail: this.#tail,
      unproven: this.#unproven.filter((range) => range.sequence > this.#proven),
      clean: this.#clean,
      checkpoints: images,
    };
  }

  /** The two newest whole ones. A damaged one is told, and does no harm while another is whole, or the journal is all there from its first group. */
  async #readCheckpoints(sequences: readonly number[], segments: readonly number[]): Promise<CheckpointImage[]> {
    const images: CheckpointImage[] = [];
    const failures: Error[] = [];
    for (const sequence of [...sequences].reverse()) {
      if (images.length === 2) break;
      try {
        images.push(await CheckpointImage.read(this.#directory, this.#files, sequence));
        images[1]?.release();
      } catch (error) {
        const { code } = error as EngineError | NodeJS.ErrnoException;
        if (code === 'NEWER' || (!(error instanceof EngineError) && code !== 'ENOENT')) throw error;
        failures.push(error as Error);
      }
    }
    const [cause] = failures;
    const complete = segments.length > 0 && segments.every((id, at) => id === at + 1);
    if (images.length === 0 && cause !== undefined && !complete)
      throw new EngineError('CORRUPT', cause.message, { cause });
    const instead = images.length > 0 ? 'another checkpoint is used' : 'the journal is read from its beginning instead';
    for (const { message } of failures) this.#host.notice(`${message}; ${instead}`);
    return images;
  }

  async #replay(segments: readonly number[], from: CheckpointPosition | null): Promise<void> {
    const tail = segments.filter((id) => from === null || id >= from.segment);
    if (from !== null && tail[0] !== from.segment) {
      throw new EngineError(
        'CORRUPT',
        `segment ${this.#path(from.segment)} is missing: the newest checkpoint continues in it`,
      );
    }
    let broken: { id: number; offset: number } | null = null;
    const torn: string[] = [];
    for (const id of tail) {
      const bytes = await this.#read(id);
      const start = from?.segment === id ? from.offset : SEGMENT_HEADER_BYTES;
      const { whole, salt } = readSegmentHeader(bytes, id);
      if (!whole || salt === null) {
        const holdsGroups =
          salt === null ? namesPlace(bytes, start, id) : readGroup(bytes, start, id, start, salt) !== null;
        if (start > SEGMENT_HEADER_BYTES || id !== tail[tail.length - 1] || holdsGroups) {
          throw new EngineError(
            'CORRUPT',
            `segment ${this.#path(id)}, bytes 0 to ${SEGMENT_HEADER_BYTES}: its header is not what was written`,
          );
        }
        continue;
      }
      const end = this.#replaySegment(id, bytes, start, salt);
      if (end > start) broken = null;
      broken ??= { id, offset: end };
      this.#seekProof(bytes, id, end, salt);
      if (claimsToBeGroup(bytes, end, id, salt)) torn.push(`segment ${this.#path(id)}: a group at byte ${end}`);
    }
    if (this.#proven >= this.#expected) {
      const at = broken ?? { id: tail[tail.length - 1] ?? 0, offset: 0 };
      throw new EngineError(
        'CORRUPT',
        `segment ${this.#path(at.id)}, from byte ${at.offset}: group ${this.#expected} is damaged or missing, though it was durable ` +
          `(group ${this.#proven} proves it): restore the directory from a copy`,
      );
    }
    for (const group of torn) this.#host.notice(`${group} is not whole, and not known to be on disk; it is cut`);
  }

  /** Applies whole groups in sequence. Returns where they end. */
  #replaySegment(id: number, bytes: Buffer, start: number, salt: Salt): number {
    let offset = start;
    for (;;) {
      const header = readGroup(bytes, offset, id, offset, salt);
      try {
        if (header?.sequence !== this.#expected || !runsAreWhole(bytes, offset, header)) return offset;
        this.#apply(bytes, offset, header);
      } catch (error) {
        throw this.#unreadable(id, offset, header!, error as Error);
      }
      this.#proven = Math.max(this.#proven, header.syncedThrough);
      this.#unproven.push({
        segment: id,
        offset,
        sequence: header.sequence,
        bytes: bytes.subarray(offset, offset + header.length),
      });
      if (this.#unproven[0]!.sequence <= this.#proven)
        this.#unproven = this.#unproven.filter((range) => range.sequence > this.#proven);
      offset += header.length;
      this.#expected++;
      this.#tail = { segment: id, end: offset };
    }
  }

  /** Looks behind the end of the journal for a group that says what was durable when it was written. */
  #seekProof(bytes: Buffer, id: number, from: number, salt: Salt): void {
    for (let at = from; at + 8 <= bytes.length; at += 8) {
      if (bytes.readUInt32LE(at) !== GROUP_MAGIC) continue;
      const header = readGroup(bytes, at, id, at, salt);
      if (header !== null && header.sequence >= this.#expected)
        this.#proven = Math.max(this.#proven, header.syncedThrough);
    }
  }

  #apply(bytes: Buffer, start: number, header: GroupHeader): void {
    const { topology, keyed, identities } = this.#host;
    this.#clean = false;
    for (const entry of readDirectory(bytes, start + header.directoryStart, header.directoryLength)) {
      switch (entry.kind) {
        case 'run':
          for (const { queue: id, first } of entry.targets) {
            const queue = topology.byId.get(id);
            if (queue === undefined) continue;
            const { count, dueAt, bodyBytes, priority } = entry;
            const offset = header.offset + entry.offset;
            const expires = (entry.flags & RUN_FLAG_EXPIRES) !== 0;
            if ((entry.flags & RUN_FLAG_DUE) !== 0)
              replayDelayed(queue, first, dueAt, bodyBytes, priority, header.segment, offset, expires);
            else {
              replayRun(queue, first, count, bodyBytes, priority, header.segment, offset, expires);
              queue.stream?.replayed(first, bodyBytes, storedAtOf(bytes, start + entry.offset));
            }
          }
          break;
        case 'settled': {
          const queue = topology.byId.get(entry.queue);
          if (queue === undefined) break;
          for (let i = 0; i < entry.ranges.length; i += 2) replaySettled(queue, entry.ranges[i]!, entry.ranges[i + 1]!);
          queue.aliveBytes -= entry.bodyBytes;
          break;
        }
        case 'delivered': {
          const level = topology.byId.get(entry.queue)?.levelFor(entry.priority);
          if (level === undefined) break;
          level.notedDelivered = entry.delivered;
          level.notedMayBelow = entry.mayBelow;
          break;
        }
        case 'counted':
          topology.byId.get(entry.queue)?.counts.set(entry.number, entry.deliveries);
          break;
        case 'state':
          keyed.restore(entry.key, entry.value === null ? null : Buffer.from(entry.value), entry.revision);
          break;
        case 'entry':
          topology.revision = entry.revision;
          topology.restoreEntry(JSON.parse(entry.json) as EntryChange);
          topology.changed = true;
          break;
        case 'queue': {
          topology.revision = entry.revision;
          topology.putQueue(entry.queue, JSON.parse(entry.json) as QueueSpec);
          topology.changed = true;
          break;
        }
        case 'gone': {
          topology.revision = entry.revision;
          const queue = topology.byId.get(entry.queue);
          if (queue !== undefined) topology.removeQueue(queue);
          topology.changed = true;
          break;
        }
        case 'producer':
          identities.restoreProducer(entry.name, entry.epoch, entry.sequence);
          break;
        case 'identity':
          identities.restoreId(entry.scope, entry.hash.toString('latin1'), entry.at, entry.forMs);
          break;
        case 'moved': {
          const queue = topology.byId.get(entry.queue);
          if (queue === undefined) break;
          if (entry.delayed) {
            for (const { first, offset } of entry.pieces)
              queue.delayed.relocate(first, header.segment, header.offset + offset);
            break;
          }
          relocate(
            queue,
            entry.oldFirst,
            entry.pieces.map(
              (piece) => [piece.first, piece.count, header.segment, header.offset + piece.offset] as const,
            ),
          );
          break;
        }
        case 'due': {
          const queue = topology.byId.get(entry.queue);
          if (queue !== undefined) replayDue(queue, entry.first, entry.numbers);
          break;
        }
        case 'cancelled':
          topology.byId.get(entry.queue)?.delayed.remove(entry.number);
          break;
        case 'sealed':
          this.#clean = true;
          break;
      }
    }
    const segment = this.#segments.get(header.segment);
    if (segment !== undefined) segment.lastSequence = header.sequence;
  }

  /** Its checksum is right, so a stop did not cut it: it was written so, or for another version. */
  #unreadable(id: number, offset: number, { sequence, length }: GroupHeader, cause: Error): EngineError {
    return new EngineError(
      'CORRUPT',
      `segment ${this.#path(id)}, bytes ${offset} to ${offset + length}: what group ${sequence} did can't be read (${cause.message}): ` +
        'restore the directory from a copy',
      { cause },
    );
  }

  async #read(id: number): Promise<Buffer> {
    const file = await this.#files.open(this.#path(id), 'read');
    try {
      const size = await file.size();
      const bytes = Buffer.allocUnsafeSlow(size);
      return bytes.subarray(0, await file.read(bytes, 0, size, 0));
    } finally {
      await file.close();
    }
  }

  #path(id: number): string {
    return join(this.#directory, segmentName(id));
  }
}

/** Without the salt: whether a group that names this segment and offset begins here. What an earlier life of the file left names another segment. */
function namesPlace(bytes: Buffer, offset: number, segment: number): boolean {
  return (
    offset + GROUP_HEADER_BYTES <= bytes.length &&
    bytes.readUInt32LE(offset) === GROUP_MAGIC &&
    bytes.readUInt32LE(offset + 24) === segment &&
    bytes.readUInt32LE(offset + 28) === offset
  );
}

/** Whether each run that the directory names is what was written. */
export function runsAreWhole(bytes: Buffer, start: number, header: GroupHeader): boolean {
  for (const entry of readDirectory(bytes, start + header.directoryStart, header.directoryLength)) {
    if (entry.kind !== 'run') continue;
    const at = start + entry.offset;
    if (!isWholeRun(bytes, at, header.directoryStart - entry.offset) || bytes.readUInt32LE(at + 4) !== entry.crc)
      return false;
  }
  return true;
}
