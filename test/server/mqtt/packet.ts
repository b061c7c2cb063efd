/** Packets as tests send and read them: written by hand from the specification, with nothing of the server's own codec. */
import assert from 'node:assert/strict';
import { type Properties, properties, Reader, string, u16, u8, varint } from './properties.ts';

/** The protocol level: 3.1.1 or 5.0. */
export type Version = 4 | 5;

const types = [
  'reserved',
  'connect',
  'connack',
  'publish',
  'puback',
  'pubrec',
  'pubrel',
  'pubcomp',
  'subscribe',
  'suback',
  'unsubscribe',
  'unsuback',
  'pingreq',
  'pingresp',
  'disconnect',
  'auth',
] as const;
export type PacketType = (typeof types)[number];

/** What came. Fields that a packet has not are 0, false or empty. */
export interface Packet {
  readonly type: PacketType;
  readonly flags: number;
  readonly id: number;
  readonly reason: number;
  readonly reasons: readonly number[];
  readonly sessionPresent: boolean;
  readonly topic: string;
  readonly payload: string;
  readonly qos: number;
  readonly dup: boolean;
  readonly retain: boolean;
  readonly properties: Properties;
  /** All of its bytes. */
  readonly bytes: Buffer;
}

export interface Will {
  readonly topic: string;
  readonly payload?: string;
  readonly qos?: number;
  readonly retain?: boolean;
  readonly properties?: Properties | Buffer;
}

export interface ConnectOptions {
  readonly clientId?: string;
  readonly clean?: boolean;
  readonly keepAlive?: number;
  readonly will?: Will;
  readonly user?: string;
  readonly password?: string;
  readonly properties?: Properties | Buffer;
  /** In place of what the other fields say. */
  readonly protocol?: string;
  readonly level?: number;
  readonly flags?: number;
  readonly payload?: Buffer;
}

export interface PublishOptions {
  readonly qos?: number;
  readonly id?: number;
  readonly dup?: boolean;
  readonly retain?: boolean;
  readonly properties?: Properties | Buffer;
}

export interface SubscribeOptions {
  readonly qos?: number;
  readonly noLocal?: boolean;
  readonly retainAsPublished?: boolean;
  readonly retainHandling?: number;
  readonly properties?: Properties | Buffer;
  /** The whole byte, in place of the fields above. */
  readonly options?: number;
}

const codeOf = (type: PacketType): number => types.indexOf(type);

/** A packet of any type with any flags. */
export function packet(type: PacketType | number, flags: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const code = typeof type === 'number' ? type : codeOf(type);
  return Buffer.concat([u8((code << 4) | flags), varint(body.length), body]);
}

const propertiesOf = (version: Version, given: Properties | Buffer | undefined): Buffer =>
  version === 5 ? properties(given ?? {}) : Buffer.alloc(0);

export function connect(version: Version, options: ConnectOptions = {}): Buffer {
  const { clientId = '', clean = true, keepAlive = 0, will, user, password } = options;
  const flags =
    (clean ? 2 : 0) |
    (will === undefined ? 0 : 4 | ((will.qos ?? 0) << 3) | (will.retain === true ? 0x20 : 0)) |
    (password === undefined ? 0 : 0x40) |
    (user === undefined ? 0 : 0x80);
  const payload = [string(clientId)];
  if (will !== undefined) {
    payload.push(propertiesOf(version, will.properties), string(will.topic), string(will.payload ?? ''));
  }
  if (user !== undefined) payload.push(string(user));
  if (password !== undefined) payload.push(string(password));
  return packet(
    'connect',
    0,
    string(options.protocol ?? 'MQTT'),
    u8(options.level ?? version),
    u8(options.flags ?? flags),
    u16(keepAlive),
    propertiesOf(version, options.properties),
    options.payload ?? Buffer.concat(payload),
  );
}

export function publish(
  version: Version,
  topic: string | Uint8Array,
  payload: string | Uint8Array = '',
  options: PublishOptions = {},
): Buffer {
  const { qos = 0, id = 1, dup = false, retain = false } = options;
  return packet(
    'publish',
    (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0),
    string(topic),
    qos > 0 ? u16(id) : Buffer.alloc(0),
    propertiesOf(version, options.properties),
    Buffer.from(payload as Uint8Array),
  );
}

/** PUBACK, PUBREC, PUBREL or PUBCOMP, in its short form unless there is something to say. */
export function acknowledge(
  type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp',
  id: number,
  reason = 0,
  given?: Properties | Buffer,
): Buffer {
  const flags = type === 'pubrel' ? 2 : 0;
  if (given !== undefined) return packet(type, flags, u16(id), u8(reason), properties(given));
  return reason === 0 ? packet(type, flags, u16(id)) : packet(type, flags, u16(id), u8(reason));
}

export function subscribe(
  version: Version,
  id: number,
  filters: readonly (string | Uint8Array)[],
  options: SubscribeOptions = {},
): Buffer {
  const asked =
    options.options ??
    (options.qos ?? 0) |
      (options.noLocal === true ? 4 : 0) |
      (options.retainAsPublished === true ? 8 : 0) |
      ((options.retainHandling ?? 0) << 4);
  const payload = filters.map((filter) => Buffer.concat([string(filter), u8(asked)]));
  return packet('subscribe', 2, u16(id), propertiesOf(version, options.properties), ...payload);
}

export function unsubscribe(
  version: Version,
  id: number,
  filters: readonly (string | Uint8Array)[],
  given?: Properties | Buffer,
): Buffer {
  return packet('unsubscribe', 2, u16(id), propertiesOf(version, given), ...filters.map((filter) => string(filter)));
}

export const pingreq = packet('pingreq', 0);

export function disconnect(version: Version, reason = 0, given?: Properties | Buffer): Buffer {
  if (version === 4 || (reason === 0 && given === undefined)) return packet('disconnect', 0);
  return given === undefined
    ? packet('disconnect', 0, u8(reason))
    : packet('disconnect', 0, u8(reason), properties(given));
}

export function auth(reason: number, given: Properties | Buffer): Buffer {
  return packet('auth', 0, u8(reason), properties(given));
}

const nothing: Omit<Packet, 'type' | 'flags' | 'bytes'> = {
  id: 0,
  reason: 0,
  reasons: [],
  sessionPresent: false,
  topic: '',
  payload: '',
  qos: 0,
  dup: false,
  retain: false,
  properties: {},
};

/** The first packet of `received`; null while it is not whole. Checks what every packet of a server must have. */
export function decode(received: Buffer, version: Version): Packet | null {
  let length = 0;
  let at = 1;
  for (let shift = 0; ; shift += 7) {
    if (received.length <= at) return null;
    const byte = received[at++]!;
    length += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) break;
    assert.ok(shift < 21, 'a remaining length of more than four bytes');
  }
  if (received.length < at + length) return null;
  const bytes = received.subarray(0, at + length);
  const type = types[bytes[0]! >> 4]!;
  const flags = bytes[0]! & 0x0f;
  const reader = new Reader(bytes.subarray(at));
  const fields = fieldsOf(type, flags, reader, version);
  assert.equal(reader.left, 0, `${type} goes on beyond its fields: ${bytes.toString('hex')}`);
  return { ...nothing, ...fields, type, flags, bytes };
}

function fieldsOf(type: PacketType, flags: number, reader: Reader, version: Version): Partial<Packet> {
  if (type !== 'publish') {
    assert.equal(flags, type === 'pubrel' ? 2 : 0, `flags of ${type} [MQTT-2.1.3-1]`);
  }
  const tail = (): Properties => (version === 5 ? reader.properties() : {});
  switch (type) {
    case 'connack': {
      const acknowledge = reader.u8();
      assert.equal(acknowledge & 0xfe, 0, 'reserved acknowledge flags [MQTT-3.2.2-1]');
      const reason = reader.u8();
      // A refusal of the version may be one of 3.1.1.
      return { sessionPresent: acknowledge === 1, reason, properties: reason === 1 ? {} : tail() };
    }
    case 'publish': {
      const qos = (flags >> 1) & 3;
      assert.ok(qos < 3, 'both QoS bits [MQTT-3.3.1-4]');
      const topic = reader.string();
      const id = qos > 0 ? reader.u16() : 0;
      assert.ok(qos === 0 || id > 0, 'packet identifier 0');
      const found = tail();
      const payload = reader.take(reader.left).toString();
      return { topic, id, payload, qos, dup: (flags & 8) !== 0, retain: (flags & 1) !== 0, properties: found };
    }
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp': {
      const id = reader.u16();
      const reason = version === 5 && reader.left > 0 ? reader.u8() : 0;
      return { id, reason, properties: reader.left > 0 ? tail() : {} };
    }
    case 'suback':
      return { id: reader.u16(), properties: tail(), reasons: [...reader.take(reader.left)] };
    case 'unsuback': {
      const id = reader.u16();
      const found = tail();
      return { id, properties: found, reasons: version === 5 ? [...reader.take(reader.left)] : [] };
    }
    case 'pingresp':
      return {};
    case 'disconnect':
    case 'auth': {
      assert.equal(version, 5, `a 3.1.1 server sends no ${type}`);
      const reason = reader.left > 0 ? reader.u8() : 0;
      const found = reader.left > 0 ? reader.properties() : {};
      assert.equal(found.sessionExpiry, undefined, 'session expiry in a packet of a server [MQTT-3.14.2-2]');
      return { reason, properties: found };
    }
    default:
      assert.fail(`a server sends no ${type}`);
  }
}
