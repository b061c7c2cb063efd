/**
 * A message that its topic keeps for those who subscribe later, in the bytes that it is stored as:
 *
 *   format:u8 = 1   stored at:f64   expires at:f64 (0: never)   user:u16 length, UTF-8   client id:u16 length, UTF-8
 *   properties:u32 length, bytes   body: the rest
 */
import type { MessageView } from '../../engine/engine.ts';
import { findProperty } from '../../format/basic-properties.ts';
import { decodeFieldValue, findField } from '../../format/field-table.ts';
import { FormatError } from '../../format/format-error.ts';

const format = 1;
const fixedBytes = 1 + 8 + 8 + 2 + 2 + 4;

/** Who published a message; empty where that is unknown. */
export interface Publisher {
  readonly user: string;
  readonly clientId: string;
}

/** Says that a message has QoS 2; the delivery mode tells 0 and 1 apart. */
const qosHeader = 'x-mqtt-qos';

export class RetainedMessage {
  readonly topic: string;
  /** Milliseconds since the epoch. */
  readonly storedAt: number;
  /** 0: never. */
  readonly expiresAt: number;
  /** Properties and body lie in them; they are not written to. */
  readonly bytes: Buffer;
  readonly propertiesStart: number;
  readonly propertiesEnd: number;

  /** @throws FormatError */
  constructor(topic: string, value: Uint8Array) {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    if (bytes.length < fixedBytes || bytes[0] !== format) throw unreadable();
    this.topic = topic;
    this.bytes = bytes;
    this.storedAt = bytes.readDoubleBE(1);
    this.expiresAt = bytes.readDoubleBE(9);
    const clientAt = 19 + bytes.readUInt16BE(17);
    if (clientAt + 6 > bytes.length) throw unreadable();
    const propertiesAt = clientAt + 2 + bytes.readUInt16BE(clientAt);
    if (propertiesAt + 4 > bytes.length) throw unreadable();
    this.propertiesStart = propertiesAt + 4;
    this.propertiesEnd = this.propertiesStart + bytes.readUInt32BE(propertiesAt);
    if (this.propertiesEnd > bytes.length) throw unreadable();
  }

  /** What a message is stored as. */
  static encode(message: MessageView, { user, clientId }: Publisher, storedAt: number): Buffer {
    const { head, propertiesStart, propertiesEnd, body, bodyStart, bodyEnd } = message;
    const userBytes = Buffer.byteLength(user);
    const clientBytes = Buffer.byteLength(clientId);
    const propertiesBytes = propertiesEnd - propertiesStart;
    const bytes = Buffer.allocUnsafeSlow(fixedBytes + userBytes + clientBytes + propertiesBytes + bodyEnd - bodyStart);
    bytes[0] = format;
    bytes.writeDoubleBE(storedAt, 1);
    bytes.writeDoubleBE(message.expiresAt, 9);
    let at = bytes.writeUInt16BE(userBytes, 17);
    at += bytes.write(user, at);
    at = bytes.writeUInt16BE(clientBytes, at);
    at += bytes.write(clientId, at);
    at = bytes.writeUInt32BE(propertiesBytes, at);
    at += head.copy(bytes, at, propertiesStart, propertiesEnd);
    body.copy(bytes, at, bodyStart, bodyEnd);
    return bytes;
  }

  /** Who published it. */
  get user(): string {
    return this.bytes.toString('utf8', 19, this.#userEnd);
  }

  /** Empty: none is known. */
  get clientId(): string {
    return this.bytes.toString('utf8', this.#userEnd + 2, this.propertiesStart - 4);
  }

  /** With which it was published. */
  get qos(): 0 | 1 | 2 {
    const { bytes, propertiesStart: start, propertiesEnd: end } = this;
    const headersAt = findProperty(bytes, start, end, 'headers');
    const qosAt = headersAt < 0 ? -1 : findField(bytes, headersAt, end, qosHeader);
    if (qosAt >= 0) {
      const qos = decodeFieldValue(bytes, qosAt, end);
      if (qos === 0 || qos === 1 || qos === 2) return qos;
    }
    const modeAt = findProperty(bytes, start, end, 'deliveryMode');
    return modeAt >= 0 && bytes[modeAt] === 2 ? 1 : 0;
  }

  isOver(nowMs: number): boolean {
    return this.expiresAt > 0 && this.expiresAt <= nowMs;
  }

  /** As it is appended or delivered: an object of its own each time. */
  get message(): MessageView {
    const { bytes, propertiesStart, propertiesEnd, expiresAt } = this;
    return {
      head: bytes,
      envelopeStart: 0,
      envelopeEnd: 0,
      propertiesStart,
      propertiesEnd,
      body: bytes,
      bodyStart: propertiesEnd,
      bodyEnd: bytes.length,
      expiresAt,
      priority: 0,
      dueAt: 0,
      identity: null,
    };
  }

  get #userEnd(): number {
    return 19 + this.bytes.readUInt16BE(17);
  }
}

function unreadable(): FormatError {
  return new FormatError('a retained message can not be read');
}
