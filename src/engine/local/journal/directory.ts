/**
 * The directory of a group: what it does, entry by entry. Each begins with a byte that names its kind; all numbers little-endian.
 *
 *   RUN        u32 offset in the group, u32 length, u32 CRC, u32 count, u32 body bytes, u8 flags, u8 priority, u16 n, n x { u32 queue, f64 first number }
 *   SETTLED    u32 queue, f64 body bytes, u32 n, n x { f64 first, u32 count }
 *   DELIVERED  u32 queue, u8 priority, f64 numbers below were delivered, f64 numbers below may be delivered before the next such entry
 *   COUNTED    u32 queue, f64 number, u32 deliveries, the one about to happen included
 *   STATE      f64 revision, u32 key length, u32 value length (0xffffffff: deleted), key, value
 *   ENTRY      f64 topology revision, u32 length, JSON of the change
 *   QUEUE      f64 topology revision, u32 queue, u32 length, JSON of its specification
 *   GONE       f64 topology revision, u32 queue
 *   PRODUCER   f64 epoch, f64 last sequence, u32 length, name
 *   IDENTITY   f64 remembered at, f64 for how many milliseconds, 16 bytes hash, u32 length, scope
 *   MOVED      u32 queue, f64 first number of the run that was copied, u32 n, n x { f64 first, u32 count, u32 offset in the group }
 *   SEALED     nothing: the store was closed after this group
 *   DUE        u32 queue, f64 first number, u32 n, n x f64 number among the delayed: these became ready, numbered from the first on
 *   CANCELLED  u32 queue, f64 number among the delayed
 *   MOVED_DELAYED  as MOVED, of a delayed message: the numbers are those among the delayed
 *
 * A RUN with flag 2 is one delayed message: f64 due at stands before the targets, and their numbers are those among the delayed.
 *
 * Queues are named by number; those of transient queues have the top bit set and mean nothing after a restart.
 */
export const EntryKind = {
  RUN: 1,
  SETTLED: 2,
  DELIVERED: 3,
  COUNTED: 4,
  STATE: 5,
  ENTRY: 6,
  QUEUE: 7,
  GONE: 8,
  PRODUCER: 9,
  IDENTITY: 10,
  MOVED: 11,
  SEALED: 12,
  DUE: 13,
  CANCELLED: 14,
  MOVED_DELAYED: 15,
} as const;

export const TRANSIENT_QUEUE = 0x8000_0000;
export const DELETED_VALUE = 0xffff_ffff;
export const RUN_FLAG_EXPIRES = 1;
export const RUN_FLAG_DUE = 2;

/** Bytes that grow as they are written. */
export class EntryWriter {
  buffer = Buffer.allocUnsafeSlow(4096);
  length = 0;

  u8(value: number): void {
    const at = this.#room(1);
    this.buffer[at] = value;
  }

  u16(value: number): void {
    const at = this.#room(2);
    this.buffer.writeUInt16LE(value, at);
  }

  u32(value: number): void {
    const at = this.#room(4);
    this.buffer.writeUInt32LE(value, at);
  }

  f64(value: number): void {
    const at = this.#room(8);
    this.buffer.writeDoubleLE(value, at);
  }

  bytes(value: Uint8Array): void {
    const at = this.#room(value.length);
    this.buffer.set(value, at);
  }

  clear(): void {
    this.length = 0;
    if (this.buffer.length > 1024 * 1024) this.buffer = Buffer.allocUnsafeSlow(4096);
  }

  #room(bytes: number): number {
    const at = this.length;
    this.length += bytes;
    if (this.length > this.buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(this.length, this.buffer.length * 2));
      this.buffer.copy(grown, 0, 0, at);
      this.buffer = grown;
    }
    return at;
  }
}

/** Reads what an `EntryWriter` wrote. The bytes were checked by their CRC: being short is a defect of the writer, and throws. */
export class EntryReader {
  readonly buffer: Buffer;
  position: number;
  readonly end: number;

  constructor(buffer: Buffer, start: number, length: number) {
    this.buffer = buffer;
    this.position = start;
    this.end = start + length;
  }

  get done(): boolean {
    return this.position >= this.end;
  }

  u8(): number {
    return this.buffer.readUInt8(this.#step(1));
  }

  u16(): number {
    return this.buffer.readUInt16LE(this.#step(2));
  }

  u32(): number {
    return this.buffer.readUInt32LE(this.#step(4));
  }

  f64(): number {
    return this.buffer.readDoubleLE(this.#step(8));
  }

  bytes(length: number): Buffer {
    const at = this.#step(length);
    return this.buffer.subarray(at, at + length);
  }

  #step(bytes: number): number {
    const at = this.position;
    this.position += bytes;
    if (this.position > this.end) throw new RangeError('a directory entry is cut short');
    return at;
  }
}

export interface RunTarget {
  readonly queue: number;
  readonly first: number;
}

export type DirectoryEntry =
  | {
      readonly kind: 'run';
      readonly offset: number;
      readonly length: number;
      readonly crc: number;
      readonly count: number;
      readonly bodyBytes: number;
      readonly flags: number;
      readonly priority: number;
      /** 0: it was not delayed. */
      readonly dueAt: number;
      readonly targets: readonly RunTarget[];
    }
  | { readonly kind: 'settled'; readonly queue: number; readonly bodyBytes: number; readonly ranges: readonly number[] }
  | {
      readonly kind: 'delivered';
      readonly queue: number;
      readonly priority: number;
      readonly delivered: number;
      readonly mayBelow: number;
    }
  | { readonly kind: 'counted'; readonly queue: number; readonly number: number; readonly deliveries: number }
  | { readonly kind: 'state'; readonly revision: number; readonly key: string; readonly value: Buffer | null }
  | { readonly kind: 'entry'; readonly revision: number; readonly json: string }
  | { readonly kind: 'queue'; readonly revision: number; readonly queue: number; readonly json: string }
  | { readonly kind: 'gone'; readonly revision: number; readonly queue: number }
  | { readonly kind: 'producer'; readonly epoch: number; readonly sequence: number; readonly name: string }
  | {
      readonly kind: 'identity';
      readonly at: number;
      readonly forMs: number;
      readonly hash: Buffer;
      readonly scope: string;
    }
  | {
      readonly kind: 'moved';
      readonly queue: number;
      /** The numbers are those among the queue's delayed messages. */
      readonly delayed: boolean;
      readonly oldFirst: number;
      readonly pieces: readonly MovedPiece[];
    }
  | { readonly kind: 'sealed' }
  | { readonly kind: 'due'; readonly queue: number; readonly first: number; readonly numbers: readonly number[] }
  | { readonly kind: 'cancelled'; readonly queue: number; readonly number: number };

export interface MovedPiece {
  readonly first: number;
  readonly count: number;
  readonly offset: number;
}

/** The entries of a directory, in order. @throws RangeError if the bytes are not a directory */
export function* readDirectory(buffer: Buffer, start: number, length: number): Generator<DirectoryEntry> {
  const reader = new EntryReader(buffer, start, length);
  while (!reader.done) yield readEntry(reader);
}

function readEntry(reader: EntryReader): DirectoryEntry {
  const kind = reader.u8();
  switch (kind) {
    case EntryKind.RUN: {
      const offset = reader.u32();
      const runLength = reader.u32();
      const crc = reader.u32();
      const count = reader.u32();
      const bodyBytes = reader.u32();
      const flags = reader.u8();
      const priority = reader.u8();
      const dueAt = (flags & RUN_FLAG_DUE) === 0 ? 0 : reader.f64();
      const targets: RunTarget[] = [];
      for (let n = reader.u16(); n > 0; n--) targets.push({ queue: reader.u32(), first: reader.f64() });
      return { kind: 'run', offset, length: runLength, crc, count, bodyBytes, flags, priority, dueAt, targets };
    }
    case EntryKind.SETTLED: {
      const queue = reader.u32();
      const bodyBytes = reader.f64();
      const ranges: number[] = [];
      for (let n = reader.u32(); n > 0; n--) ranges.push(reader.f64(), reader.u32());
      return { kind: 'settled', queue, bodyBytes, ranges };
    }
    case EntryKind.DELIVERED:
      return {
        kind: 'delivered',
        queue: reader.u32(),
        priority: reader.u8(),
        delivered: reader.f64(),
        mayBelow: reader.f64(),
      };
    case EntryKind.COUNTED:
      return { kind: 'counted', queue: reader.u32(), number: reader.f64(), deliveries: reader.u32() };
    case EntryKind.STATE: {
      const revision = reader.f64();
      const keyLength = reader.u32();
      const valueLength = reader.u32();
      const key = reader.bytes(keyLength).toString('utf8');
      return { kind: 'state', revision, key, value: valueLength === DELETED_VALUE ? null : reader.bytes(valueLength) };
    }
    case EntryKind.ENTRY:
      return { kind: 'entry', revision: reader.f64(), json: reader.bytes(reader.u32()).toString('utf8') };
    case EntryKind.QUEUE:
      return {
        kind: 'queue',
        revision: reader.f64(),
        queue: reader.u32(),
        json: reader.bytes(reader.u32()).toString('utf8'),
      };
    case EntryKind.GONE:
      return { kind: 'gone', revision: reader.f64(), queue: reader.u32() };
    case EntryKind.PRODUCER:
      return {
        kind: 'producer',
        epoch: reader.f64(),
        sequence: reader.f64(),
        name: reader.bytes(reader.u32()).toString('utf8'),
      };
    case EntryKind.IDENTITY:
      return {
        kind: 'identity',
        at: reader.f64(),
        forMs: reader.f64(),
        hash: reader.bytes(16),
        scope: reader.bytes(reader.u32()).toString('utf8'),
      };
    case EntryKind.MOVED:
    case EntryKind.MOVED_DELAYED: {
      const queue = reader.u32();
      const oldFirst = reader.f64();
      const pieces: MovedPiece[] = [];
      for (let n = reader.u32(); n > 0; n--)
        pieces.push({ first: reader.f64(), count: reader.u32(), offset: reader.u32() });
      return { kind: 'moved', delayed: kind === EntryKind.MOVED_DELAYED, queue, oldFirst, pieces };
    }
    case EntryKind.SEALED:
      return { kind: 'sealed' };
    case EntryKind.DUE: {
      const queue = reader.u32();
      const first = reader.f64();
      const numbers: number[] = [];
      for (let n = reader.u32(); n > 0; n--) numbers.push(reader.f64());
      return { kind: 'due', queue, first, numbers };
    }
    case EntryKind.CANCELLED:
      return { kind: 'cancelled', queue: reader.u32(), number: reader.f64() };
    default:
      throw new RangeError(`a directory entry of unknown kind ${kind}`);
  }
}
