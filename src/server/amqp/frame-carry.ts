/** The beginning of a frame whose rest comes with a later read. Holds what came, never what a size only declares. */
import { ConnectionError } from '../../wire/amqp/amqp-error.ts';
import { frameHeadBytes, frameOverheadBytes } from '../../wire/amqp/protocol.ts';

export class FrameCarry {
  bytes: Buffer = Buffer.alloc(0);
  length = 0;

  /** Takes what belongs to the frame begun from `source[from, end)` and answers where that ends. @throws ConnectionError */
  complete(source: Buffer, from: number, end: number, maxPayloadBytes: number): number {
    if (this.length < frameHeadBytes) {
      const to = Math.min(from + frameHeadBytes - this.length, end);
      this.add(source, from, to);
      from = to;
      if (this.length < frameHeadBytes) return from;
    }
    this.check(maxPayloadBytes);
    const to = Math.min(from + frameOverheadBytes + this.bytes.readUInt32BE(3) - this.length, end);
    this.add(source, from, to);
    return to;
  }

  get whole(): boolean {
    return this.length >= frameHeadBytes && this.length === frameOverheadBytes + this.bytes.readUInt32BE(3);
  }

  add(source: Buffer, from: number, to: number): void {
    const needed = this.length + to - from;
    if (needed > this.bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, this.bytes.length * 2, 64));
      this.bytes.copy(grown, 0, 0, this.length);
      this.bytes = grown;
    }
    source.copy(this.bytes, this.length, from, to);
    this.length = needed;
  }

  clear(): void {
    this.bytes = Buffer.alloc(0);
    this.length = 0;
  }

  /** Refuses a size that may not be, as soon as it is known. @throws ConnectionError */
  check(maxPayloadBytes: number): void {
    if (this.length < frameHeadBytes) return;
    const size = this.bytes.readUInt32BE(3);
    if (size <= maxPayloadBytes) return;
    const text = `type ${this.bytes[0]!}, frame of ${size} bytes is larger than the ${maxPayloadBytes} allowed`;
    throw new ConnectionError('FRAME_ERROR', text, { lostSync: true });
  }
}
