/**
 * Hot path. A *run* is the unit in which messages are stored: neighbours that went the same way (same envelope, same
 * queues, same priority) within one commit. What they share stands once at its head.
 *
 *   0  u32  length of the run, this header included; a multiple of 8
 *   4  u32  CRC-32 of the bytes from 8 to the end
 *   8  u32  count of messages
 *  12  u8   priority
 *  13  u8   flags: 1 = a message in it expires
 *  14  u16  envelope length
 *  16  f64  stored at, milliseconds since the epoch
 *  24       envelope
 *           messages, each:
 *             u32  body length
 *             u32  properties length, and flags in the top byte: 1 = expires, 2 = is due later
 *             f64  expires at (if flag 1)
 *             f64  due at (if flag 2)
 *                  properties, body
 *           zeros up to a multiple of 8
 *
 * All numbers little-endian. The bytes are the same in memory and on disk, wherever the run lies.
 */
import { crc32 } from 'node:zlib';

export const RUN_HEADER_BYTES = 24;
export const MESSAGE_HEADER_BYTES = 8;
export const MESSAGE_EXPIRES = 1;
export const MESSAGE_DUE = 2;
export const RUN_EXPIRES = 1;
/** A run is closed when it has grown beyond this: what is read to get at one of its messages stays small. */
export const RUN_MAX_BYTES = 64 * 1024;
const LENGTH_MASK = 0xff_ffff;

export function checksumOfRun(buffer: Uint8Array, offset: number, length: number): number {
  return crc32(buffer.subarray(offset + 8, offset + length));
}

/** Whether a run's bytes at `offset` are whole. `available` bytes may be read from there. */
export function isWholeRun(buffer: Buffer, offset: number, available: number): boolean {
  if (available < RUN_HEADER_BYTES) return false;
  const length = buffer.readUInt32LE(offset);
  if (length < RUN_HEADER_BYTES || length > available) return false;
  return checksumOfRun(buffer, offset, length) === buffer.readUInt32LE(offset + 4);
}

/** When the run at `offset` was stored. */
export function storedAtOf(buffer: Buffer, offset: number): number {
  return buffer.readDoubleLE(offset + 16);
}

const EMPTY = Buffer.alloc(0);
const EMPTY_VIEW = new DataView(EMPTY.buffer, EMPTY.byteOffset, 0);

/** Walks the messages of one run; filled anew for the next run instead of being made anew. */
export class RunReader {
  buffer: Buffer = EMPTY;
  view: DataView = EMPTY_VIEW;
  /** Where the run begins in `buffer`. */
  start = 0;
  count = 0;
  priority = 0;
  storedAt = 0;
  envelopeStart = 0;
  envelopeEnd = 0;
  /** Index in the run of the message that the fields below describe. */
  index = 0;
  expiresAt = 0;
  dueAt = 0;
  propertiesStart = 0;
  bodyStart = 0;
  bodyEnd = 0;

  /** Stands before the first message afterwards: call `next`. */
  open(buffer: Buffer, view: DataView, start: number): void {
    this.buffer = buffer;
    this.view = view;
    this.start = start;
    this.count = view.getUint32(start + 8, true);
    this.priority = view.getUint8(start + 12);
    this.storedAt = view.getFloat64(start + 16, true);
    this.envelopeStart = start + RUN_HEADER_BYTES;
    this.envelopeEnd = this.envelopeStart + view.getUint16(start + 14, true);
    this.index = -1;
    this.bodyEnd = this.envelopeEnd;
  }

  /** Moves to the next message of the run; the caller knows that there is one. */
  next(): void {
    const view = this.view;
    let at = this.bodyEnd;
    const bodyLength = view.getUint32(at, true);
    const word = view.getUint32(at + 4, true);
    at += MESSAGE_HEADER_BYTES;
    this.expiresAt = 0;
    this.dueAt = 0;
    if (word > LENGTH_MASK) {
      const flags = word >>> 24;
      if ((flags & MESSAGE_EXPIRES) !== 0) {
        this.expiresAt = view.getFloat64(at, true);
        at += 8;
      }
      if ((flags & MESSAGE_DUE) !== 0) {
        this.dueAt = view.getFloat64(at, true);
        at += 8;
      }
    }
    this.propertiesStart = at;
    this.bodyStart = at + (word & LENGTH_MASK);
    this.bodyEnd = this.bodyStart + bodyLength;
    this.index++;
  }

  /** Where the current message begins, its header included. */
  get messageStart(): number {
    return this.propertiesStart - MESSAGE_HEADER_BYTES - (this.expiresAt === 0 ? 0 : 8) - (this.dueAt === 0 ? 0 : 8);
  }

  seek(index: number): void {
    if (index < this.index) this.open(this.buffer, this.view, this.start);
    while (this.index < index) this.next();
  }

  close(): void {
    this.buffer = EMPTY;
    this.view = EMPTY_VIEW;
    this.count = 0;
    this.index = -1;
  }
}
