/**
 * Hot for messages without properties, which take a constant block. Writes the basic properties that an MQTT message is stored with.
 *
 * One is enough for all connections: what it has written stays until its next `write`.
 */
import { routingKeyOf, topicOf } from '../../broker/index.ts';
import { propertyFlag } from '../../format/basic-properties.ts';
import { type PublishProperties, UserPropertyCursor } from '../../wire/mqtt/publish-properties.ts';
import type { Qos } from '../../wire/mqtt/packet-type.ts';
import { isMqttText } from '../../wire/mqtt/utf8.ts';
import {
  constantAt,
  constantBlocks,
  isPlainText,
  longestExpirySeconds,
  mqttHeader,
  shortStringBytes,
} from './message-properties.ts';

/** What fits into the one frame that AMQP has for them, of 128 KiB by default: a larger block would end each connection that consumes it. */
export const defaultMaxPropertiesBytes = 131_072 - 20;

/** Kept for the next message; what is larger is let go. */
const keptBytes = 64 * 1024;
/** Names among which a repeat is looked for one by one. */
const fewNames = 16;

const letter = { boolean: 0x74, integer: 0x49, long: 0x6c, text: 0x53, bytes: 0x78, list: 0x41 } as const;

const fieldName = {
  qos: Buffer.from(mqttHeader.qos),
  retain: Buffer.from(mqttHeader.retain),
  topic: Buffer.from(mqttHeader.topic),
  payloadFormat: Buffer.from(mqttHeader.payloadFormat),
  expiry: Buffer.from(mqttHeader.expiry),
  contentType: Buffer.from(mqttHeader.contentType),
  responseTopic: Buffer.from(mqttHeader.responseTopic),
  correlation: Buffer.from(mqttHeader.correlation),
  userProperties: Buffer.from(mqttHeader.userProperties),
};

/** Names that AMQP brokers or their clients act on, beside all that begin with `x-`. */
const actedOn = ['CC', 'BCC', '__proto__'].map((name) => Buffer.from(name));

export class StoredProperties {
  /** The block lies in `bytes`, from `start` to `end`. */
  bytes: Buffer = constantBlocks;
  start = 0;
  end = 0;

  readonly #maxBytes: number;
  #own = Buffer.allocUnsafeSlow(1024);
  #at = 0;
  readonly #cursor = new UserPropertyCursor();
  /** Where names of headers stand, by twos: start, end. */
  readonly #names: number[] = [];
  readonly #manyNames = new Set<string>();
  /** User properties for the list, by fives: place, name and value. */
  readonly #listed: number[] = [];

  constructor(maxBytes = defaultMaxPropertiesBytes) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Hot. `properties` were read from `source`; null: there are none. `topic`: of a message whose routing key is shortened, else null.
   * Null: it is written. Else why not: reason code 0x97 (quota exceeded).
   */
  write(
    qos: Qos,
    retain: boolean,
    properties: PublishProperties | null,
    source: Buffer,
    topic: string | null,
  ): string | null {
    if (topic === null && (properties === null || properties.start === properties.end)) {
      const index = retain ? 3 + qos : qos;
      this.bytes = constantBlocks;
      this.start = constantAt[index]!;
      this.end = constantAt[index + 1]!;
      return null;
    }
    return this.#write(qos, retain, properties, source, topic);
  }

  #write(
    qos: Qos,
    retain: boolean,
    properties: PublishProperties | null,
    source: Buffer,
    topic: string | null,
  ): string | null {
    const topicBytes = topic === null ? 0 : Buffer.byteLength(topic);
    const givenBytes = properties === null ? 0 : properties.end - properties.start;
    if (topicBytes + givenBytes > this.#maxBytes) return this.#tooLarge(topicBytes + givenBytes);
    // A user property of a list takes 15 bytes more than in MQTT; beside those, headers and properties have fixed names.
    this.#reserve(1024 + topicBytes + givenBytes + 16 * (properties?.userPropertyCount ?? 0) + 3 * shortStringBytes);
    const bytes = this.#own;
    this.#at = 2;
    let flags = propertyFlag.deliveryMode;
    let contentTypeIsLong = false;
    if (properties !== null && properties.contentTypeStart >= 0) {
      const { contentTypeStart, contentTypeEnd } = properties;
      contentTypeIsLong =
        contentTypeEnd - contentTypeStart > shortStringBytes || !isPlainText(source, contentTypeStart, contentTypeEnd);
      if (!contentTypeIsLong) {
        flags |= propertyFlag.contentType;
        this.#shortString(source, contentTypeStart, contentTypeEnd);
      }
    }
    const tableAt = this.#at;
    this.#at += 4;
    this.#ownHeaders(qos, retain, topic);
    let responseKey: string | null = null;
    let correlationIsShort = false;
    if (properties !== null) {
      if (contentTypeIsLong) {
        this.#text(fieldName.contentType, letter.text, source, properties.contentTypeStart, properties.contentTypeEnd);
      }
      this.#numbers(properties);
      responseKey = this.#responseTopic(properties, source);
      correlationIsShort = this.#correlation(properties, source);
      if (properties.userPropertyCount > 0) this.#userProperties(properties, source);
    }
    if (this.#at > tableAt + 4) {
      flags |= propertyFlag.headers;
      bytes.writeUInt32BE(this.#at - tableAt - 4, tableAt);
    } else this.#at = tableAt;
    bytes[this.#at++] = qos === 0 ? 1 : 2;
    if (properties !== null) {
      if (correlationIsShort) {
        flags |= propertyFlag.correlationId;
        this.#shortString(source, properties.correlationStart, properties.correlationEnd);
      }
      if (responseKey !== null) {
        flags |= propertyFlag.replyTo;
        this.#shortText(responseKey);
      }
      if (properties.expirySeconds >= 0) {
        flags |= propertyFlag.expiration;
        this.#shortText(`${Math.min(properties.expirySeconds, longestExpirySeconds) * 1000}`);
      }
    }
    bytes.writeUInt16BE(flags, 0);
    if (this.#at > this.#maxBytes) return this.#tooLarge(this.#at);
    this.bytes = bytes;
    this.start = 0;
    this.end = this.#at;
    return null;
  }

  #ownHeaders(qos: Qos, retain: boolean, topic: string | null): void {
    if (qos === 2) this.#integer(fieldName.qos, 2);
    if (retain) {
      this.#name(fieldName.retain, letter.boolean);
      this.#own[this.#at++] = 1;
    }
    if (topic === null) return;
    this.#name(fieldName.topic, letter.text);
    const length = this.#own.write(topic, this.#at + 4);
    this.#at = this.#own.writeUInt32BE(length, this.#at) + length;
  }

  #numbers({ payloadFormat, expirySeconds }: PublishProperties): void {
    if (payloadFormat >= 0) this.#integer(fieldName.payloadFormat, payloadFormat);
    if (expirySeconds <= longestExpirySeconds) return;
    this.#name(fieldName.expiry, letter.long);
    this.#own.writeUInt32BE(0, this.#at);
    this.#at = this.#own.writeUInt32BE(expirySeconds, this.#at + 4);
  }

  /** Answers the routing key of replies. A header has the topic where the key alone does not lead back to it. */
  #responseTopic(
    { responseTopicStart: start, responseTopicEnd: end }: PublishProperties,
    source: Buffer,
  ): string | null {
    if (start < 0) return null;
    const topic = source.toString('utf8', start, end);
    const key = routingKeyOf(topic);
    if (topicOf(key) !== topic) this.#text(fieldName.responseTopic, letter.text, source, start, end);
    return key;
  }

  /** True: it fits into `correlation_id`. Else a header has it. */
  #correlation({ correlationStart: start, correlationEnd: end }: PublishProperties, source: Buffer): boolean {
    if (start < 0) return false;
    if (end - start <= shortStringBytes && isMqttText(source, start, end)) return true;
    this.#text(fieldName.correlation, letter.bytes, source, start, end);
    return false;
  }

  #userProperties(properties: PublishProperties, source: Buffer): void {
    const cursor = this.#cursor;
    this.#names.length = 0;
    this.#listed.length = 0;
    this.#manyNames.clear();
    cursor.begin(source, properties);
    for (let place = 0; cursor.next(); place++) {
      const { nameStart, nameEnd, valueStart, valueEnd } = cursor;
      const isHeader =
        isHeaderName(source, nameStart, nameEnd) &&
        isPlainText(source, nameStart, nameEnd) &&
        isPlainText(source, valueStart, valueEnd) &&
        this.#isNew(source, nameStart, nameEnd);
      if (!isHeader) {
        this.#listed.push(place, nameStart, nameEnd, valueStart, valueEnd);
        continue;
      }
      this.#shortString(source, nameStart, nameEnd);
      this.#own[this.#at++] = letter.text;
      this.#longString(source, valueStart, valueEnd);
    }
    if (this.#listed.length > 0) this.#list(source);
    if (this.#names.length > 1024) this.#names.length = 0;
    if (this.#listed.length > 1024) this.#listed.length = 0;
    this.#manyNames.clear();
  }

  #list(source: Buffer): void {
    const bytes = this.#own;
    const listed = this.#listed;
    this.#name(fieldName.userProperties, letter.list);
    const listAt = this.#at;
    this.#at += 4;
    for (let i = 0; i < listed.length; i += 5) {
      const itemAt = this.#at + 1;
      bytes[this.#at] = letter.list;
      bytes[itemAt + 4] = letter.integer;
      this.#at = bytes.writeUInt32BE(listed[i]!, itemAt + 5);
      bytes[this.#at++] = letter.text;
      this.#longString(source, listed[i + 1]!, listed[i + 2]!);
      bytes[this.#at++] = letter.text;
      this.#longString(source, listed[i + 3]!, listed[i + 4]!);
      bytes.writeUInt32BE(this.#at - itemAt - 4, itemAt);
    }
    bytes.writeUInt32BE(this.#at - listAt - 4, listAt);
  }

  /** Whether no header has this name yet; then it has now. */
  #isNew(source: Buffer, start: number, end: number): boolean {
    const names = this.#names;
    if (names.length < 2 * fewNames) {
      for (let i = 0; i < names.length; i += 2) {
        if (source.compare(source, names[i], names[i + 1], start, end) === 0) return false;
      }
      names.push(start, end);
      return true;
    }
    const many = this.#manyNames;
    if (many.size === 0) {
      for (let i = 0; i < names.length; i += 2) many.add(source.toString('latin1', names[i], names[i + 1]));
    }
    const name = source.toString('latin1', start, end);
    if (many.has(name)) return false;
    many.add(name);
    return true;
  }

  #integer(name: Buffer, value: number): void {
    this.#name(name, letter.integer);
    this.#at = this.#own.writeInt32BE(value, this.#at);
  }

  #text(name: Buffer, type: number, source: Buffer, start: number, end: number): void {
    this.#name(name, type);
    this.#longString(source, start, end);
  }

  #name(name: Buffer, type: number): void {
    this.#shortString(name, 0, name.length);
    this.#own[this.#at++] = type;
  }

  #shortString(source: Buffer, start: number, end: number): void {
    this.#own[this.#at++] = end - start;
    this.#at += source.copy(this.#own, this.#at, start, end);
  }

  #shortText(text: string): void {
    const length = this.#own.write(text, this.#at + 1);
    this.#own[this.#at] = length;
    this.#at += 1 + length;
  }

  #longString(source: Buffer, start: number, end: number): void {
    this.#at = this.#own.writeUInt32BE(end - start, this.#at);
    this.#at += source.copy(this.#own, this.#at, start, end);
  }

  #reserve(size: number): void {
    const isTooLarge = this.#own.length > keptBytes && size <= keptBytes;
    if (size > this.#own.length || isTooLarge) this.#own = Buffer.allocUnsafeSlow(Math.max(1024, size));
  }

  #tooLarge(size: number): string {
    return `the message's properties and topic take ${size} bytes, more than ${this.#maxBytes}`;
  }
}

function isHeaderName(bytes: Buffer, start: number, end: number): boolean {
  const length = end - start;
  if (length === 0 || length > shortStringBytes) return false;
  // x-
  if (length > 1 && bytes[start] === 0x78 && bytes[start + 1] === 0x2d) return false;
  for (const name of actedOn) {
    if (name.length === length && bytes.compare(name, 0, length, start, end) === 0) return false;
  }
  return true;
}
