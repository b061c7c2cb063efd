/**
 * Hot for messages without headers and other properties than the delivery mode. Reads what any message is stored with, whoever published
 * it, for MQTT subscribers: `read` finds QoS and retain flag, `encode` writes the properties of a PUBLISH in 5.0.
 *
 * One is enough for all connections: what `encode` has written stays until it is called again.
 */
import { readEnvelope, routingKeyOf, topicOf } from '../../broker/index.ts';
import { propertyFlag, propertyFlags } from '../../format/basic-properties.ts';
import {
  decodeFieldValue,
  FieldDecimal,
  FieldTimestamp,
  fieldTableEnd,
  fieldValueEnd,
} from '../../format/field-table.ts';
import { propertyId } from '../../wire/mqtt/property.ts';
import type { Qos } from '../../wire/mqtt/packet-type.ts';
import { isMqttText } from '../../wire/mqtt/utf8.ts';
import {
  amqpProperty,
  constantAt,
  constantBlocks,
  isPlainText,
  longestExpirySeconds,
  mqttHeader,
  plainText,
} from './message-properties.ts';

const prefix = Buffer.from('x-mqtt-');
const textLetter = 0x53;
const bytesLetter = 0x78;
const listLetter = 0x41;
const integerLetter = 0x49;
const booleanLetter = 0x74;
/** What an MQTT string holds. */
const maxTextBytes = 65_535;
/** Kept for the next message; what is larger is let go. */
const keptBytes = 64 * 1024;

/** Where the header's value begins, at its type letter; 0: there is none. */
type Places = Record<keyof typeof mqttHeader, number>;
const headerByName = new Map(Object.entries(mqttHeader).map(([key, name]) => [name as string, key as keyof Places]));

export class SentProperties {
  /** With which it was published. */
  qos: Qos = 0;
  /** As it was published. */
  retain = false;
  /** What `encode` has written begins at 0. */
  bytes = Buffer.allocUnsafeSlow(1024);
  length = 0;

  #head: Buffer = constantBlocks;
  #start = 0;
  #end = 0;
  #isConstant = true;
  /** Of the headers, their length first; 0: there are none. */
  #tableAt = 0;
  #tableEnd = 0;
  readonly #places: Places = emptyPlaces();
  #hasPlaces = false;
  #at = 0;

  /** Hot. The properties lie in `head` from `start` to `end`, and were checked when they came. */
  read(head: Buffer, start: number, end: number): void {
    this.#head = head;
    this.#start = start;
    this.#end = end;
    const constant = constantOf(head, start, end);
    this.#isConstant = constant >= 0;
    if (constant >= 0) {
      this.qos = (constant % 3) as Qos;
      this.retain = constant >= 3;
    } else this.#read();
  }

  /**
   * What is read belongs to this message, whose envelope begins at `envelopeStart`: its topic. Equal for messages of one envelope, but for
   * a routing key that says that it was shortened where its message does not.
   */
  topic(envelopeStart: number): string {
    const { routingKey } = readEnvelope(this.#head, envelopeStart);
    const at = this.#isConstant || !this.#hasPlaces ? 0 : this.#places.topic;
    if (at > 0 && this.#head[at] === textLetter) {
      const topic = this.#head.toString('utf8', at + 5, fieldValueEnd(this.#head, at, this.#tableEnd));
      // Nobody else's.
      if (routingKeyOf(topic) === routingKey) return topic;
    }
    return topicOf(routingKey);
  }

  /**
   * Writes the properties of a PUBLISH to a subscriber, without their length, and without those that are the subscription's or the
   * connection's own. `expiresAt`: when the message does, or 0.
   */
  encode(expiresAt: number, nowMs: number): void {
    this.length = 0;
    if (this.#isConstant) return;
    this.#begin();
    const head = this.#head;
    const flags = propertyFlags(head, this.#start);
    if (this.#hasPlaces) this.#payloadFormat();
    if ((flags & propertyFlag.expiration) !== 0 && expiresAt > 0) this.#expiry(expiresAt, nowMs);
    let at = this.#start + 2;
    const contentTypeAt = at;
    if ((flags & propertyFlag.contentType) !== 0) at += 1 + head[at]!;
    this.#contentType((flags & propertyFlag.contentType) !== 0 ? contentTypeAt : 0);
    const contentEncodingAt = at;
    if ((flags & propertyFlag.contentEncoding) !== 0) at += 1 + head[at]!;
    if ((flags & propertyFlag.headers) !== 0) at = this.#tableEnd;
    if ((flags & propertyFlag.deliveryMode) !== 0) at += 1;
    const priorityAt = at;
    if ((flags & propertyFlag.priority) !== 0) at += 1;
    const correlationAt = at;
    if ((flags & propertyFlag.correlationId) !== 0) at += 1 + head[at]!;
    this.#correlation((flags & propertyFlag.correlationId) !== 0 ? correlationAt : 0);
    if ((flags & propertyFlag.replyTo) !== 0) {
      this.#responseTopic(at);
      at += 1 + head[at]!;
    }
    if ((flags & propertyFlag.expiration) !== 0) at += 1 + head[at]!;
    if ((flags & propertyFlag.headers) !== 0) this.#userProperties();
    if ((flags & propertyFlag.contentEncoding) !== 0) this.#ownText(amqpProperty.contentEncoding, contentEncodingAt);
    if ((flags & propertyFlag.priority) !== 0) this.#userProperty(amqpProperty.priority, `${head[priorityAt]!}`);
    if ((flags & propertyFlag.messageId) !== 0) {
      this.#ownText(amqpProperty.messageId, at);
      at += 1 + head[at]!;
    }
    if ((flags & propertyFlag.timestamp) !== 0) {
      this.#userProperty(amqpProperty.timestamp, head.readBigUInt64BE(at).toString());
      at += 8;
    }
    if ((flags & propertyFlag.type) !== 0) {
      this.#ownText(amqpProperty.type, at);
      at += 1 + head[at]!;
    }
    if ((flags & propertyFlag.userId) !== 0) at += 1 + head[at]!;
    if ((flags & propertyFlag.appId) !== 0) this.#ownText(amqpProperty.appId, at);
    this.length = this.#at;
  }

  #read(): void {
    const head = this.#head;
    const flags = propertyFlags(head, this.#start);
    let at = this.#start + 2;
    if ((flags & propertyFlag.contentType) !== 0) at += 1 + head[at]!;
    if ((flags & propertyFlag.contentEncoding) !== 0) at += 1 + head[at]!;
    this.#tableAt = 0;
    if (this.#hasPlaces) Object.assign(this.#places, emptyPlaces());
    this.#hasPlaces = false;
    if ((flags & propertyFlag.headers) !== 0) {
      this.#tableAt = at;
      at = this.#tableEnd = fieldTableEnd(head, at, this.#end);
      this.#findPlaces();
    }
    this.qos = (flags & propertyFlag.deliveryMode) !== 0 && head[at] === 2 ? 1 : 0;
    this.retain = false;
    if (!this.#hasPlaces) return;
    const qos = this.#integerAt(this.#places.qos);
    if (qos === 0 || qos === 1 || qos === 2) this.qos = qos;
    const { retain } = this.#places;
    this.retain = retain > 0 && head[retain] === booleanLetter && head[retain + 1] !== 0;
  }

  #findPlaces(): void {
    const head = this.#head;
    for (let at = this.#tableAt + 4; at < this.#tableEnd;) {
      const valueAt = at + 1 + head[at]!;
      if (startsWithPrefix(head, at + 1, valueAt)) {
        const name = headerByName.get(head.toString('latin1', at + 1, valueAt));
        if (name !== undefined) {
          this.#places[name] = valueAt;
          this.#hasPlaces = true;
        }
      }
      at = fieldValueEnd(head, valueAt, this.#tableEnd);
    }
  }

  /** NaN: none. */
  #integerAt(at: number): number {
    if (at === 0) return NaN;
    if (this.#head[at] === integerLetter) return this.#head.readInt32BE(at + 1);
    const value = decodeFieldValue(this.#head, at, this.#tableEnd);
    return typeof value === 'number' && Number.isInteger(value) ? value : NaN;
  }

  #payloadFormat(): void {
    const value = this.#integerAt(this.#places.payloadFormat);
    if (value !== 0 && value !== 1) return;
    this.bytes[this.#at++] = propertyId.payloadFormatIndicator;
    this.bytes[this.#at++] = value;
  }

  #expiry(expiresAt: number, nowMs: number): void {
    let seconds = Math.min(Math.max(0, Math.ceil((expiresAt - nowMs) / 1000)), 0xffff_ffff);
    if (this.#hasPlaces) {
      const whole = this.#integerAt(this.#places.expiry);
      // AMQP's ends after ten years; what is left of the rest comes on top.
      if (whole > longestExpirySeconds && whole <= 0xffff_ffff) seconds += whole - longestExpirySeconds;
    }
    this.bytes[this.#at] = propertyId.messageExpiryInterval;
    this.#at = this.bytes.writeUInt32BE(Math.min(seconds, 0xffff_ffff), this.#at + 1);
  }

  #contentType(at: number): void {
    const head = this.#head;
    const headerAt = this.#hasPlaces ? this.#places.contentType : 0;
    const end = headerAt === 0 ? 0 : this.#textEnd(headerAt);
    if (end > 0) this.#text(propertyId.contentType, headerAt + 5, end);
    else if (at > 0 && isPlain(head, at + 1, at + 1 + head[at]!)) {
      this.#text(propertyId.contentType, at + 1, at + 1 + head[at]!);
    } else if (at > 0) {
      this.#string(propertyId.contentType, plainText(head.toString('utf8', at + 1, at + 1 + head[at]!)));
    }
  }

  #correlation(at: number): void {
    const head = this.#head;
    const headerAt = this.#hasPlaces ? this.#places.correlation : 0;
    if (headerAt > 0 && (head[headerAt] === bytesLetter || head[headerAt] === textLetter)) {
      const end = fieldValueEnd(head, headerAt, this.#tableEnd);
      if (end - headerAt - 5 <= maxTextBytes) {
        this.#text(propertyId.correlationData, headerAt + 5, end);
        return;
      }
    }
    if (at > 0) this.#text(propertyId.correlationData, at + 1, at + 1 + head[at]!);
  }

  /** Of the routing key at `at`. */
  #responseTopic(at: number): void {
    const head = this.#head;
    const key = head.toString('utf8', at + 1, at + 1 + head[at]!);
    if (key === '') return;
    const headerAt = this.#hasPlaces ? this.#places.responseTopic : 0;
    const end = headerAt === 0 ? 0 : this.#textEnd(headerAt);
    if (end > 0 && routingKeyOf(head.toString('utf8', headerAt + 5, end)) === key) {
      this.#text(propertyId.responseTopic, headerAt + 5, end);
    } else this.#string(propertyId.responseTopic, topicOf(key));
  }

  /** Headers in their order, and those of the list at their places among them [MQTT-3.3.2-18]. */
  #userProperties(): void {
    const head = this.#head;
    const listAt = this.#hasPlaces ? this.#places.userProperties : 0;
    const isList = listAt > 0 && head[listAt] === listLetter;
    const listEnd = isList ? fieldValueEnd(head, listAt, this.#tableEnd) : 0;
    let itemAt = isList ? listAt + 5 : 0;
    let count = 0;
    for (let at = this.#tableAt + 4; at < this.#tableEnd;) {
      const valueAt = at + 1 + head[at]!;
      const end = fieldValueEnd(head, valueAt, this.#tableEnd);
      if (!startsWithPrefix(head, at + 1, valueAt)) {
        for (; itemAt < listEnd && this.#placeOf(itemAt) <= count; itemAt = fieldValueEnd(head, itemAt, listEnd)) {
          if (this.#item(itemAt, listEnd)) count++;
        }
        if (this.#header(at, valueAt, end)) count++;
      }
      at = end;
    }
    for (; itemAt < listEnd; itemAt = fieldValueEnd(head, itemAt, listEnd)) this.#item(itemAt, listEnd);
  }

  /** The place of a list's item; what is none goes first. */
  #placeOf(at: number): number {
    const head = this.#head;
    return head[at] === listLetter && head[at + 5] === integerLetter ? head.readInt32BE(at + 6) : -1;
  }

  /** item := A length I place:i32 S name:longstr S value:longstr */
  #item(at: number, listEnd: number): boolean {
    const head = this.#head;
    const end = fieldValueEnd(head, at, listEnd);
    const nameAt = at + 10;
    if (this.#placeOf(at) < 0 || nameAt >= end || head[nameAt] !== textLetter) return false;
    const nameEnd = fieldValueEnd(head, nameAt, end);
    if (nameEnd >= end || head[nameEnd] !== textLetter || fieldValueEnd(head, nameEnd, end) !== end) return false;
    if (!isSendable(head, nameAt + 5, nameEnd) || !isSendable(head, nameEnd + 5, end)) return false;
    this.#text(propertyId.userProperty, nameAt + 5, nameEnd);
    this.#textBytes(nameEnd + 5, end);
    return true;
  }

  #header(nameAt: number, valueAt: number, end: number): boolean {
    const head = this.#head;
    if (head[valueAt] === textLetter) {
      if (end - valueAt - 5 > maxTextBytes) return false;
      if (isPlain(head, nameAt + 1, valueAt) && isPlain(head, valueAt + 5, end)) {
        this.#text(propertyId.userProperty, nameAt + 1, valueAt);
        this.#textBytes(valueAt + 5, end);
        return true;
      }
    }
    const text = textOf(decodeFieldValue(head, valueAt, end));
    if (text === null) return false;
    return this.#userProperty(head.toString('utf8', nameAt + 1, valueAt), text);
  }

  #ownText(name: string, at: number): void {
    const head = this.#head;
    this.#userProperty(name, head.toString('utf8', at + 1, at + 1 + head[at]!));
  }

  #userProperty(name: string, value: string): boolean {
    const plain = plainText(value);
    if (Buffer.byteLength(plain) > maxTextBytes) return false;
    this.#string(propertyId.userProperty, plainText(name));
    this.#stringBytes(plain);
    return true;
  }

  /** Where a header's text ends; 0: it is none that MQTT can carry. */
  #textEnd(at: number): number {
    if (this.#head[at] !== textLetter) return 0;
    const end = fieldValueEnd(this.#head, at, this.#tableEnd);
    return isSendable(this.#head, at + 5, end) ? end : 0;
  }

  #text(id: number, start: number, end: number): void {
    this.bytes[this.#at++] = id;
    this.#textBytes(start, end);
  }

  #textBytes(start: number, end: number): void {
    this.#at = this.bytes.writeUInt16BE(end - start, this.#at);
    this.#at += this.#head.copy(this.bytes, this.#at, start, end);
  }

  #string(id: number, text: string): void {
    this.bytes[this.#at++] = id;
    this.#stringBytes(text);
  }

  #stringBytes(text: string): void {
    const length = this.bytes.write(text, this.#at + 2);
    this.bytes.writeUInt16BE(length, this.#at);
    this.#at += 2 + length;
  }

  /** Whatever is stored takes at most so much: a byte that is no text three, a number of a byte its digits. */
  #begin(): void {
    const size = 1024 + 8 * (this.#end - this.#start);
    const isTooLarge = this.bytes.length > keptBytes && size <= keptBytes;
    if (size > this.bytes.length || isTooLarge) this.bytes = Buffer.allocUnsafeSlow(Math.max(1024, size));
    this.#at = 0;
  }
}

function emptyPlaces(): Places {
  return {
    qos: 0,
    retain: 0,
    topic: 0,
    payloadFormat: 0,
    expiry: 0,
    contentType: 0,
    responseTopic: 0,
    correlation: 0,
    userProperties: 0,
  };
}

/** Hot. Which constant block it is; -1: none. */
function constantOf(head: Buffer, start: number, end: number): number {
  const length = end - start;
  for (let index = 0; index < 6; index++) {
    const at = constantAt[index]!;
    if (constantAt[index + 1]! - at === length && isEqual(head, start, at, length)) return index;
  }
  return -1;
}

function isEqual(head: Buffer, start: number, constant: number, length: number): boolean {
  // The delivery mode stands last.
  for (let i = length - 1; i >= 0; i--) if (head[start + i] !== constantBlocks[constant + i]) return false;
  return true;
}

function startsWithPrefix(bytes: Buffer, start: number, end: number): boolean {
  if (end - start <= prefix.length) return false;
  for (let i = 0; i < prefix.length; i++) if (bytes[start + i] !== prefix[i]) return false;
  return true;
}

function isPlain(bytes: Buffer, start: number, end: number): boolean {
  return isMqttText(bytes, start, end) && isPlainText(bytes, start, end);
}

function isSendable(bytes: Buffer, start: number, end: number): boolean {
  return end - start <= maxTextBytes && isMqttText(bytes, start, end);
}

/** Null: MQTT has nothing for it. */
function textOf(value: ReturnType<typeof decodeFieldValue>): string | null {
  switch (typeof value) {
    case 'string':
      return value;
    case 'number':
    case 'boolean':
    case 'bigint':
      return String(value);
    default:
      if (value instanceof FieldTimestamp) return String(value.seconds);
      return value instanceof FieldDecimal ? String(value.value / 10 ** value.scale) : null;
  }
}
