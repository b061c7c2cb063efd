/**
 * A segment is a file of groups, written over its allocated length from the front. Its first 64 bytes:
 *
 *   0  u32  "PRSG"
 *   4  u32  format version
 *   8  u32  segment
 *  12  u32  CRC-32 of the 12 bytes before
 *  16       zeros
 */
import { crc32 } from 'node:zlib';

export const SEGMENT_HEADER_BYTES = 64;
export const FORMAT_VERSION = 1;
const SEGMENT_MAGIC = 0x4753_5250;

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

export function segmentHeader(id: number): Buffer {
  const header = Buffer.alloc(SEGMENT_HEADER_BYTES);
  header.writeUInt32LE(SEGMENT_MAGIC, 0);
  header.writeUInt32LE(FORMAT_VERSION, 4);
  header.writeUInt32LE(id, 8);
  header.writeUInt32LE(crc32(header.subarray(0, 12)), 12);
  return header;
}

export function isSegmentHeader(buffer: Buffer, id: number): boolean {
  return buffer.length >= SEGMENT_HEADER_BYTES && buffer.subarray(0, SEGMENT_HEADER_BYTES).equals(segmentHeader(id));
}
