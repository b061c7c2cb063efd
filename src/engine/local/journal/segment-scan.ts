/** Reads a segment's groups one after the other, verifies each with its runs, and finds its way behind bytes that are no group. */
import { isWholeRun } from '../run.ts';
import { readDirectory } from './directory.ts';
import { GROUP_HEADER_BYTES, GROUP_TRAILER_BYTES, claimsToBeGroup, readGroup } from './group.ts';
import { SEGMENT_HEADER_BYTES, readSegmentHeader, type Salt } from './segment-file.ts';

/** A range of bytes in a segment; `to` is one past the last. */
export interface ByteRange {
  readonly from: number;
  readonly to: number;
}

export type ScannedPiece =
  | {
      readonly kind: 'group';
      readonly from: number;
      readonly to: number;
      readonly sequence: number;
      readonly syncedThrough: number;
      /** Runs that are not what was written. */
      readonly damagedRuns: readonly ByteRange[];
    }
  | {
      /** No whole group stands here. The last piece is always one: what lies behind the last group, if anything. */
      readonly kind: 'gap';
      readonly from: number;
      readonly to: number;
      /** Its first bytes say that they are a group of this place: it is torn or damaged, not merely unused. */
      readonly claims: boolean;
      /** A whole group stands behind it. */
      readonly followed: boolean;
    };

const magic = Buffer.from('PRGR');
const endMagic = Buffer.from('PREN');

/** Without a header that tells the salt all of it is a gap. */
export function* scanSegment(bytes: Buffer, segment: number): Generator<ScannedPiece> {
  const { salt } = readSegmentHeader(bytes, segment);
  let offset = SEGMENT_HEADER_BYTES;
  if (salt === null) {
    yield { kind: 'gap', from: offset, to: Math.max(offset, bytes.length), claims: false, followed: false };
    return;
  }
  let sequence = 0;
  for (;;) {
    const header = readGroup(bytes, offset, segment, offset, salt);
    if (header !== null && header.sequence > sequence) {
      ({ sequence } = header);
      yield {
        kind: 'group',
        from: offset,
        to: offset + header.length,
        sequence,
        syncedThrough: header.syncedThrough,
        damagedRuns: damagedRuns(bytes, offset, header.directoryStart, header.directoryLength),
      };
      offset += header.length;
      continue;
    }
    const next = nextGroup(bytes, segment, salt, offset + 8, sequence);
    const claims = claimsToBeGroup(bytes, offset, segment, salt);
    const to = next ?? (claims ? endOfBroken(bytes, offset, sequence) : bytes.length);
    yield { kind: 'gap', from: offset, to, claims, followed: next !== null };
    if (next === null) return;
    offset = next;
  }
}

/** A directory that can't be read counts as one. */
function damagedRuns(bytes: Buffer, group: number, directoryStart: number, directoryLength: number): ByteRange[] {
  const damaged: ByteRange[] = [];
  const start = group + directoryStart;
  try {
    for (const entry of readDirectory(bytes, start, directoryLength)) {
      if (entry.kind !== 'run') continue;
      const from = group + entry.offset;
      const whole =
        isWholeRun(bytes, from, directoryStart - entry.offset) && bytes.readUInt32LE(from + 4) === entry.crc;
      if (!whole) damaged.push({ from, to: from + entry.length });
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    damaged.push({ from: start, to: start + directoryLength });
  }
  return damaged;
}

/** Where the first whole group with a later sequence stands, from `from` on. */
function nextGroup(bytes: Buffer, segment: number, salt: Salt, from: number, sequence: number): number | null {
  for (let at = bytes.indexOf(magic, from); at >= 0; at = bytes.indexOf(magic, at + 1)) {
    if (at % 8 !== 0) continue;
    const header = readGroup(bytes, at, segment, at, salt);
    if (header !== null && header.sequence > sequence) return at;
  }
  return null;
}

/** Where a group that is not whole ends: behind the trailer with its sequence, or else where its length says. */
function endOfBroken(bytes: Buffer, from: number, sequenceBefore: number): number {
  const sequence = sequenceBefore === 0 ? bytes.readDoubleLE(from + 8) : sequenceBefore + 1;
  for (let at = bytes.indexOf(endMagic, from); at >= 0; at = bytes.indexOf(endMagic, at + 1)) {
    if (at % 8 === 0 && at + GROUP_TRAILER_BYTES <= bytes.length) {
      if (bytes.readUInt32LE(at + 4) === sequence % 0x1_0000_0000) return at + GROUP_TRAILER_BYTES;
    }
  }
  const length = bytes.readUInt32LE(from + 4);
  return length >= GROUP_HEADER_BYTES + GROUP_TRAILER_BYTES && length % 8 === 0 ? from + length : bytes.length;
}
