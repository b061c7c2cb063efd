/**
 * Hot path: takes WebSocket's framing (RFC 6455, section 5) off what a client sends, where it lies.
 *
 * MQTT sees a WebSocket as a stream of bytes, so no message is put together and none is waited for: the payload of all data frames
 * of a read moves to the read's beginning, unmasked. Nothing is kept but a frame's header and a ping, whatever lengths are announced.
 */
import { isUtf8 } from 'node:buffer';
import { closeCode, opcode } from './protocol.ts';

const maxControlBytes = 125;
/** Two bytes, eight of length, four of mask. */
const maxHeaderBytes = 14;
const maskBytes = 4;

export class Unframer {
  /** What the close that ends the stream is answered with; null: it goes on. Nothing after it is looked at. */
  closeCode: number | null = null;
  /** Why, where it is the client's fault. */
  fault: string | null = null;

  readonly #pinged: (payload: Buffer) => void;
  readonly #header = new Uint8Array(maxHeaderBytes);
  #headerBytes = 0;
  #headerNeeded = 2;
  #inPayload = false;
  #left = 0;
  #phase = 0;
  /** A data frame that was not the last of its message came before. */
  #continues = false;
  #opcode: number = opcode.binary;
  #control: Buffer | null = null;
  #controlBytes = 0;

  constructor(pinged: (payload: Buffer) => void) {
    this.#pinged = pinged;
  }

  /** Takes `bytes[0, end)` and answers how many bytes of payload stand at its beginning now. */
  take(bytes: Buffer, end: number): number {
    let at = 0;
    let out = 0;
    while (at < end && this.closeCode === null) {
      if (!this.#inPayload) {
        this.#header[this.#headerBytes++] = bytes[at++]!;
        if (this.#headerBytes === this.#headerNeeded) this.#headerPartDone();
        continue;
      }
      const stop = Math.min(end, at + this.#left);
      this.#left -= stop - at;
      if (this.#control === null) {
        unmask(bytes, at, stop, bytes, out, this.#header, this.#phase);
        out += stop - at;
      } else {
        unmask(bytes, at, stop, this.#control, this.#controlBytes, this.#header, this.#phase);
        this.#controlBytes += stop - at;
      }
      this.#phase = (this.#phase + stop - at) & 3;
      at = stop;
      if (this.#left === 0) this.#payloadDone();
    }
    return out;
  }

  #headerPartDone(): void {
    const header = this.#header;
    if (this.#headerNeeded === 2) {
      if (!this.#checkStart(header[0]!, header[1]!)) return;
      const length = header[1]! & 0x7f;
      this.#headerNeeded = 2 + lengthBytes(length) + maskBytes;
      return;
    }
    this.#left = this.#payloadLength();
    // The mask is all of the header that is asked for from here on.
    header.copyWithin(0, this.#headerNeeded - maskBytes, this.#headerNeeded);
    this.#headerBytes = 0;
    this.#headerNeeded = 2;
    this.#inPayload = true;
    this.#phase = 0;
    if (isControl(this.#opcode)) {
      this.#control = Buffer.allocUnsafe(this.#left);
      this.#controlBytes = 0;
    }
    if (this.#left === 0) this.#payloadDone();
  }

  /** The first two bytes of a frame. False: they break the protocol. */
  #checkStart(first: number, second: number): boolean {
    const last = (first & 0x80) !== 0;
    const code = first & 0x0f;
    const length = second & 0x7f;
    if ((first & 0x70) !== 0) return this.#fail('a reserved bit is set');
    if ((second & 0x80) === 0) return this.#fail('a frame is not masked');
    if (isControl(code)) {
      if (code > opcode.pong) return this.#fail(`there is no opcode ${code}`);
      if (!last || length > maxControlBytes) return this.#fail('a control frame is too long or in parts');
      this.#opcode = code;
      return true;
    }
    if (code === opcode.text) return this.#fail('a text frame came', closeCode.unsupportedData);
    if (code !== opcode.binary && code !== opcode.continuation) return this.#fail(`there is no opcode ${code}`);
    if (this.#continues !== (code === opcode.continuation)) return this.#fail('a frame is out of turn');
    this.#continues = !last;
    this.#opcode = code;
    return true;
  }

  /** Beyond what a double counts it stays inexact: no client lives to send so much. */
  #payloadLength(): number {
    const header = this.#header;
    const short = header[1]! & 0x7f;
    const size = lengthBytes(short);
    if (size === 0) return short;
    let length = 0;
    for (let at = 2; at < 2 + size; at++) length = length * 256 + header[at]!;
    return length;
  }

  #payloadDone(): void {
    this.#inPayload = false;
    const payload = this.#control;
    if (payload === null) return;
    this.#control = null;
    if (this.#opcode === opcode.ping) this.#pinged(payload);
    else if (this.#opcode === opcode.close) this.#closed(payload);
  }

  #closed(payload: Buffer): void {
    if (payload.length === 0) {
      this.closeCode = closeCode.normal;
      return;
    }
    const code = payload.length === 1 ? 0 : payload.readUInt16BE(0);
    if (!mayBeSent(code)) this.#fail('a close frame has no valid code');
    else if (!isUtf8(payload.subarray(2))) this.#fail("a close frame's reason is no UTF-8", closeCode.invalidData);
    else this.closeCode = code;
  }

  #fail(why: string, code: number = closeCode.protocolError): false {
    this.fault = why;
    this.closeCode = code;
    return false;
  }
}

function isControl(code: number): boolean {
  return (code & 0x08) !== 0;
}

function lengthBytes(length: number): number {
  if (length < 126) return 0;
  return length === 126 ? 2 : 8;
}

function mayBeSent(code: number): boolean {
  if (code >= 3000 && code <= 4999) return true;
  return code >= 1000 && code <= 1014 && (code < 1004 || code > 1006);
}

/** The mask is the first four bytes of `mask`. Source and target may be one, where the target lies before. */
function unmask(
  source: Buffer,
  from: number,
  to: number,
  target: Buffer,
  at: number,
  mask: Uint8Array,
  phase: number,
): void {
  for (let n = from; n < to; n++) target[at++] = source[n]! ^ mask[phase++ & 3]!;
}
