/**
 * How an MQTT message's properties are stored: as AMQP's basic properties, which every AMQP consumer can read. docs/MQTT.md has the table.
 * `stored-properties.ts` writes them, `sent-properties.ts` makes MQTT properties of any message's.
 */
import { topicHeader } from '../../broker/index.ts';
import { encodeProperties } from '../../format/basic-properties.ts';
import type { FieldTable } from '../../format/field-table.ts';

/** Headers that hold what AMQP has no place for. None goes out to a subscriber as a user property. */
export const mqttHeader = {
  /** Of a message with QoS 2; the delivery mode tells 0 and 1 apart. */
  qos: 'x-mqtt-qos',
  /** Published as a retained message. */
  retain: 'x-mqtt-retain',
  topic: topicHeader,
  payloadFormat: 'x-mqtt-payload-format',
  /** Seconds, beside an `expiration` that ends earlier: it has room for ten years, MQTT for 136. */
  expiry: 'x-mqtt-expiry',
  contentType: 'x-mqtt-content-type',
  responseTopic: 'x-mqtt-response-topic',
  correlation: 'x-mqtt-correlation',
  /** Those that are no headers of their own: a list of lists of place, name and value. */
  userProperties: 'x-mqtt-user-properties',
} as const;

/** The longest expiration that the broker takes, in seconds. */
export const longestExpirySeconds = 315_360_000;

/** What an AMQP short string holds. */
export const shortStringBytes = 255;

/** AMQP's own properties without a place in MQTT, as user properties. Not the user id, which an MQTT client could make up. */
export const amqpProperty = {
  contentEncoding: 'amqp-content-encoding',
  priority: 'amqp-priority',
  messageId: 'amqp-message-id',
  timestamp: 'amqp-timestamp',
  type: 'amqp-type',
  appId: 'amqp-app-id',
} as const;

function constantBlock(qos: number, retain: boolean): Buffer {
  const headers: FieldTable = {
    ...(qos === 2 ? { [mqttHeader.qos]: 2 } : {}),
    ...(retain ? { [mqttHeader.retain]: true } : {}),
  };
  const deliveryMode = qos === 0 ? 1 : 2;
  return encodeProperties(Object.keys(headers).length === 0 ? { deliveryMode } : { headers, deliveryMode });
}

const blocks = [false, true].flatMap((retain) => [0, 1, 2].map((qos) => constantBlock(qos, retain)));

/** The blocks of messages without properties, side by side: QoS 0, 1, 2, then the same retained. */
export const constantBlocks = Buffer.concat(blocks);
/** Where each of them begins, and the last ends. */
export const constantAt: readonly number[] = blocks.reduce((at, block) => [...at, at.at(-1)! + block.length], [0]);

/**
 * Characters that MQTT allows and advises against [MQTT-1.5.4-2], for which clients may (Mosquitto's do) close their connections. They
 * come back to who published them by MQTT; an AMQP publisher's become U+FFFD, as does U+0000.
 */
const unwelcome = /[\p{Cc}\p{Noncharacter_Code_Point}]/u;
const allUnwelcome = new RegExp(unwelcome, 'gu');

/** Hot. Whether text, which is UTF-8, has none of them. */
export function isPlainText(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (byte >= 0x80) return !unwelcome.test(bytes.toString('utf8', at, end));
    if (byte < 0x20 || byte === 0x7f) return false;
  }
  return true;
}

export function plainText(text: string): string {
  return text.replace(allUnwelcome, '\ufffd');
}
