// Hot path: written and checked once per message; allocates nothing.
//
// The body of every benchmark message, so that loss, duplication, reordering and alteration each show:
//
//    0        4        8        12       16                      n-4      n
//    +--------+--------+--------+--------+--- - - - - - - ------+--------+
//    | stream |  seq   |  sec   |  nsec  | pattern (by slot)    |  mark  |
//    +--------+--------+--------+--------+--- - - - - - - ------+--------+
//
// `stream` is the publisher, `seq` counts its messages from 0, `sec`/`nsec` are CLOCK_MONOTONIC at the write, and `mark` is a
// hash of stream and seq at the far end of the body. The pattern is a window of a fixed pseudo-random block, chosen by the slot
// (`seq % ring`), so a body that got another message's bytes differs. Stream, seq and mark are checked in every message, the
// pattern in every 13th (13 shares no factor with any ring, so all slots get their turn).

export const bodyHeaderBytes = 16;
export const markBytes = 4;
export const minBodyBytes = bodyHeaderBytes + markBytes;
export const patternCheckedEvery = 13;

const blockBytes = 1 << 18;
const patternBlock = randomBlock(blockBytes);

/** The hash of stream and sequence that ends every body. */
export function markOf(stream: number, seq: number): number {
  const mixed = Math.imul(seq ^ Math.imul(stream + 1, 0x9e3779b1), 0x85ebca6b);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

/** Writes what never changes in a slot: the stream and the pattern. */
export function writeBodyTemplate(target: Buffer, at: number, bytes: number, stream: number, slot: number): void {
  if (bytes < minBodyBytes) throw new RangeError(`a body needs at least ${minBodyBytes} bytes, not ${bytes}`);
  target.writeUInt32BE(stream, at);
  const length = bytes - minBodyBytes;
  const from = patternStart(slot, length);
  patternBlock.copy(target, at + bodyHeaderBytes, from, from + length);
}

/** Writes what changes with every message into `count` bodies that lie `stride` bytes apart, numbered from `seq`. */
export function stampBodies(
  target: Buffer,
  at: number,
  stride: number,
  count: number,
  bytes: number,
  stream: number,
  seq: number,
  sec: number,
  nsec: number,
): void {
  const toMark = bytes - markBytes;
  for (const end = seq + count; seq < end; seq++, at += stride) {
    target[at + 4] = seq >>> 24;
    target[at + 5] = seq >>> 16;
    target[at + 6] = seq >>> 8;
    target[at + 7] = seq;
    target[at + 8] = sec >>> 24;
    target[at + 9] = sec >>> 16;
    target[at + 10] = sec >>> 8;
    target[at + 11] = sec;
    target[at + 12] = nsec >>> 24;
    target[at + 13] = nsec >>> 16;
    target[at + 14] = nsec >>> 8;
    target[at + 15] = nsec;
    const mark = markOf(stream, seq);
    const markAt = at + toMark;
    target[markAt] = mark >>> 24;
    target[markAt + 1] = mark >>> 16;
    target[markAt + 2] = mark >>> 8;
    target[markAt + 3] = mark;
  }
}

/** True if the pattern of this body is the one that its slot was given. */
export function patternIntact(source: Buffer, at: number, bytes: number, slot: number): boolean {
  const length = bytes - minBodyBytes;
  if (length <= 0) return true;
  const from = patternStart(slot, length);
  return patternBlock.compare(source, at + bodyHeaderBytes, at + bytes - markBytes, from, from + length) === 0;
}

function patternStart(slot: number, length: number): number {
  return (slot * 61) % (blockBytes - length);
}

/** The same block in every process: xorshift32 from a fixed seed. */
function randomBlock(bytes: number): Buffer {
  const block = Buffer.alloc(bytes);
  let state = 0x2545f491;
  for (let at = 0; at < bytes; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    block[at] = state & 0xff;
  }
  return block;
}
