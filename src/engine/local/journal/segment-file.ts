/**
 * A segment is a file of groups, written over its allocated length from the front. Its first 64 bytes are twice the same 32:
 *
 *   0  u32  "PRSG"
 *   4  u32  format version
 *   8  u32  segment
 *  12       zeros
 *  16  u64  salt
 *  24       zeros
 *  28  u32  CRC-32 of the 28 bytes before
 *
 * The salt is drawn anew each time a file becomes a segment. Its groups repeat it (group.ts), so nothing that an earlier life left in the
 * file passes for one of them: not even bytes that a publisher made to look like one.
 */
import { crc32 } from 'node:zlib';

export const SEGMENT_HEADER_BYTES = 64;
export const FORMAT_VERSION = 1;
const SEGMENT_MAGIC = 0x4753_5250;
const COPY_BYTES = 32;

/** The random 64 bits of a segment's life. */
export interface Salt {
  /** Stands in each group's header. */
  readonly low: number;
  /** Where the checksum of each group begins. */
  readonly high: number;
}

export interface SegmentHeader {
  /** Every bit is what was written. */
  readonly whole: boolean;
  /** Null: nothing tells any more what the groups are known by. */
  readonly salt: Salt | null;
}

export function segmentName(id: number): string {
  return `journal-${String(id).padStart(10, '0')}.seg`;
}

/** The segment's number, or null for a file of another kind. */
export function segmentOfName(name: string): number | null {
  const match = /^journal-(\d{10})\.seg$/.exec(name);
  return match === null ? null : Number(match[1]);
}

export function isSpareName(name: string): boolean {
  return /^spare-\d+\.seg$/.test(name);
}

export function segmentHeader(id: number, salt: Salt): Buffer {
  const header = Buffer.alloc(SEGMENT_HEADER_BYTES);
  header.writeUInt32LE(SEGMENT_MAGIC, 0);
  header.writeUInt32LE(FORMAT_VERSION, 4);
  header.writeUInt32LE(id, 8);
  header.writeUInt32LE(salt.low, 16);
  header.writeUInt32LE(salt.high, 20);
  header.writeUInt32LE(crc32(header.subarray(0, COPY_BYTES - 4)), COPY_BYTES - 4);
  header.copy(header, COPY_BYTES, 0, COPY_BYTES);
  return header;
}

export function readSegmentHeader(bytes: Buffer, id: number): SegmentHeader {
  const first = saltOfCopy(bytes, 0, id);
  const second = saltOfCopy(bytes, COPY_BYTES, id);
  return { whole: first !== null && second !== null, salt: first ?? second };
}

/** Null: this copy is not what was written. */
function saltOfCopy(bytes: Buffer, start: number, id: number): Salt | null {
  if (bytes.length < start + COPY_BYTES) return null;
  const salt = { low: bytes.readUInt32LE(start + 16), high: bytes.readUInt32LE(start + 20) };
  const expected = segmentHeader(id, salt);
  return bytes.compare(expected, 0, COPY_BYTES, start, start + COPY_BYTES) === 0 ? salt : null;
}
