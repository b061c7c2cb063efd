/** Messages in the client's words and in the API's. */
import type { AsyncMessage, Envelope, SyncMessage } from 'rabbitmq-client';
import type { BasicProperties } from '../../format/basic-properties.ts';
import {
  encodeFieldTable,
  FieldDecimal,
  type FieldTable,
  FieldTimestamp,
  type FieldValue,
} from '../../format/field-table.ts';
import { PostriderError } from '../errors.ts';
import type { Address, Delivery } from '../link.ts';
import { withoutDelays } from '../message-headers.ts';

export type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** As the connection hands it on: a body that nobody parsed, and its content type by another name. */
type RawMessage = (AsyncMessage | SyncMessage) & { readonly rawContentType?: string };

const countHeader = 'x-delivery-count';

export function emptyDelivery(): Writable<Delivery> {
  return {
    tag: 0,
    body: Buffer.alloc(0),
    bodyStart: 0,
    bodyEnd: 0,
    properties: {},
    exchange: '',
    routingKey: '',
    redelivered: false,
    deliveryCount: 0,
  };
}

/** Fills `delivery`, but for its tag. */
export function readDelivery(delivery: Writable<Delivery>, message: RawMessage): void {
  const body = message.body as Buffer;
  delivery.body = body;
  delivery.bodyStart = 0;
  delivery.bodyEnd = body.length;
  delivery.exchange = message.exchange;
  delivery.routingKey = message.routingKey;
  delivery.redelivered = message.redelivered;
  delivery.deliveryCount = 0;
  const properties: BasicProperties = {};
  if (message.rawContentType !== undefined) properties.contentType = message.rawContentType;
  copyProperties(message, properties);
  if (message.headers !== undefined) {
    let headers = message.headers as FieldTable;
    const count = headers[countHeader];
    if (count !== undefined) {
      const { [countHeader]: _count, ...others } = headers;
      headers = others;
      if (typeof count === 'number') delivery.deliveryCount = count;
    }
    properties.headers = withoutDelays(headers);
  }
  delivery.properties = properties;
}

/** Hot. All but content type and headers. */
function copyProperties(from: BasicProperties, to: BasicProperties): void {
  if (from.contentEncoding !== undefined) to.contentEncoding = from.contentEncoding;
  if (from.deliveryMode !== undefined) to.deliveryMode = from.deliveryMode;
  if (from.priority !== undefined) to.priority = from.priority;
  if (from.correlationId !== undefined) to.correlationId = from.correlationId;
  if (from.replyTo !== undefined) to.replyTo = from.replyTo;
  if (from.expiration !== undefined) to.expiration = from.expiration;
  if (from.messageId !== undefined) to.messageId = from.messageId;
  if (from.timestamp !== undefined) to.timestamp = from.timestamp;
  if (from.type !== undefined) to.type = from.type;
  if (from.userId !== undefined) to.userId = from.userId;
  if (from.appId !== undefined) to.appId = from.appId;
}

/**
 * The envelope that the client takes. `again`: the message came from a broker, so that what can't be said again is said as well as
 * it can be; else it is refused.
 * @throws PostriderError UNSUPPORTED, INVALID_OPTION, TOO_LARGE
 */
export function envelopeOf(to: Address, properties: BasicProperties, again: boolean, frameMaxBytes: number): Envelope {
  const { headers, userId: _user, clusterId: _cluster, ...plain } = properties;
  return {
    // The client would put the time of day here.
    timestamp: undefined as unknown as number,
    ...plain,
    ...(headers === undefined ? {} : { headers: checkedHeaders(headers, again, frameMaxBytes) }),
    exchange: to.exchange,
    routingKey: to.routingKey,
    mandatory: to.mandatory,
  };
}

function checkedHeaders(headers: FieldTable, again: boolean, frameMaxBytes: number): Record<string, unknown> {
  const table = again ? (sayable(headers) as FieldTable) : headers;
  if (!again) checkSayable(headers, '');
  let bytes: number;
  try {
    bytes = encodeFieldTable(table).length;
  } catch (error) {
    throw new PostriderError('INVALID_OPTION', `the headers can't be encoded: ${(error as Error).message}`, {
      cause: error,
    });
  }
  // The other properties are short strings: ten of them at most.
  if (bytes + 2_600 > frameMaxBytes) {
    throw new PostriderError('TOO_LARGE', `headers of ${bytes} bytes don't fit into a frame of ${frameMaxBytes}`);
  }
  return table;
}

/** The client knows no letter for these. @throws PostriderError UNSUPPORTED */
function checkSayable(value: FieldValue, path: string): void {
  if (value instanceof Uint8Array || value instanceof FieldTimestamp || value instanceof FieldDecimal) {
    const what = value instanceof Uint8Array ? 'bytes' : 'a time or a decimal';
    throw new PostriderError(
      'UNSUPPORTED',
      `the header '${path}' is ${what}, which can't be sent over amqp: from here; send text or a number`,
    );
  }
  if (typeof value !== 'object' || value === null) return;
  for (const [name, inner] of Object.entries<FieldValue>(value as FieldTable)) {
    checkSayable(inner, path === '' ? name : `${path}.${name}`);
  }
}

function sayable(value: FieldValue): FieldValue {
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.length).toString();
  if (value instanceof FieldTimestamp) return value.seconds;
  if (value instanceof FieldDecimal) return value.value / 10 ** value.scale;
  if (Array.isArray(value)) return value.map(sayable);
  if (typeof value !== 'object' || value === null) return value;
  const [table, said]: [FieldTable, FieldTable] = [value as FieldTable, {}];
  for (const name of Object.keys(table)) said[name] = sayable(table[name]!);
  return said;
}
