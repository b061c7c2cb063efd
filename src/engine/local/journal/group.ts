/**
 * A *group* is what one write makes durable, whole or not at all: that is what makes a commit over several queues atomic.
 *
 *   0  u32  "PRGR"
 *   4  u32  length of the group; a multiple of 8
 *   8  f64  sequence: 1, 2, 3, ... over all segments
 *  16  f64  sequence known to be durable when this group was written
 *  24  u32  segment
 *  28  u32  offset of the group in the segment
 *  32  u32  offset of the directory in the group
 *  36  u32  length of the directory
 *  40  u32  low half of the segment's salt
 *  44  u32  CRC-32 of the header's first 44 bytes and of the directory, begun with the high half of the salt
 *  48       runs (run.ts), each with its own CRC, each at a multiple of 8
 *           directory: what the group does, one entry after the other (directory.ts)
 *           zeros up to a multiple of 8
 *      u32  "PREN"
 *      u32  sequence, low 32 bits
 *
 * Segment, offset and salt stand in the group because segments are recycled: what an earlier life left in the file can't pass, whoever wrote
 * it. The salt (segment-file.ts) is known to nobody who does not read the disk.
 * The directory closes the group instead of opening it, so that a group is built in one pass, in place.
 */
import { crc32 } from 'node:zlib';
import type { Salt } from './segment-file.ts';

export const GROUP_HEADER_BYTES = 48;
export const GROUP_TRAILER_BYTES = 8;
export const GROUP_MAGIC = 0x5247_5250;
const END_MAGIC = 0x4e45_5250;
const SALT_AT = 40;
const CHECKED_BYTES = 44;

export interface GroupHeader {
  readonly length: number;
  readonly sequence: number;
  readonly syncedThrough: number;
  readonly segment: number;
  readonly offset: number;
  readonly directoryStart: number;
  readonly directoryLength: number;
}

/** Writes everything but what `sealGroup` adds just before the write. */
export function finishGroup(buffer: Buffer, start: number, header: Omit<GroupHeader, 'syncedThrough'>): void {
  const end = start + header.length;
  buffer.writeUInt32LE(GROUP_MAGIC, start);
  buffer.writeUInt32LE(header.length, start + 4);
  buffer.writeDoubleLE(header.sequence, start + 8);
  buffer.writeUInt32LE(header.segment, start + 24);
  buffer.writeUInt32LE(header.offset, start + 28);
  buffer.writeUInt32LE(header.directoryStart, start + 32);
  buffer.writeUInt32LE(header.directoryLength, start + 36);
  buffer.writeUInt32LE(END_MAGIC, end - 8);
  buffer.writeUInt32LE(header.sequence % 0x1_0000_0000, end - 4);
}

export function sealGroup(buffer: Buffer, start: number, syncedThrough: number, salt: Salt): void {
  buffer.writeDoubleLE(syncedThrough, start + 16);
  buffer.writeUInt32LE(salt.low, start + SALT_AT);
  buffer.writeUInt32LE(checksumOfGroup(buffer, start, salt), start + CHECKED_BYTES);
}

function checksumOfGroup(buffer: Buffer, start: number, salt: Salt): number {
  const directory = start + buffer.readUInt32LE(start + 32);
  const head = crc32(buffer.subarray(start, start + CHECKED_BYTES), salt.high);
  return crc32(buffer.subarray(directory, directory + buffer.readUInt32LE(start + 36)), head);
}

/** Whether the bytes say that a group of this segment's life begins here, whole or not. */
export function claimsToBeGroup(buffer: Buffer, start: number, segment: number, salt: Salt): boolean {
  return (
    start + GROUP_HEADER_BYTES <= buffer.length &&
    buffer.readUInt32LE(start) === GROUP_MAGIC &&
    buffer.readUInt32LE(start + 24) === segment &&
    buffer.readUInt32LE(start + SALT_AT) === salt.low
  );
}

/**
 * The header of the group at `start`, or null if none stands there whole: frame, header and directory are verified, the runs are not.
 * `buffer` must reach to the end of the group, or the group is not whole.
 */
export function readGroup(
  buffer: Buffer,
  start: number,
  segment: number,
  offset: number,
  salt: Salt,
): GroupHeader | null {
  if (start + GROUP_HEADER_BYTES + GROUP_TRAILER_BYTES > buffer.length) return null;
  if (!claimsToBeGroup(buffer, start, segment, salt) || buffer.readUInt32LE(start + 28) !== offset) return null;
  const length = buffer.readUInt32LE(start + 4);
  const directoryStart = buffer.readUInt32LE(start + 32);
  const directoryLength = buffer.readUInt32LE(start + 36);
  const end = start + length;
  if (length < GROUP_HEADER_BYTES + GROUP_TRAILER_BYTES || length % 8 !== 0 || end > buffer.length) return null;
  if (directoryStart < GROUP_HEADER_BYTES || directoryStart + directoryLength > length - GROUP_TRAILER_BYTES)
    return null;
  const sequence = buffer.readDoubleLE(start + 8);
  if (buffer.readUInt32LE(end - 8) !== END_MAGIC || buffer.readUInt32LE(end - 4) !== sequence % 0x1_0000_0000)
    return null;
  if (buffer.readUInt32LE(start + CHECKED_BYTES) !== checksumOfGroup(buffer, start, salt)) return null;
  return {
    length,
    sequence,
    syncedThrough: buffer.readDoubleLE(start + 16),
    segment,
    offset,
    directoryStart,
    directoryLength,
  };
}
