/** The properties of MQTT 5.0 as tests write and read them: by name, in the order in which they are given. */
import assert from 'node:assert/strict';

type Kind = 'byte' | 'u16' | 'u32' | 'varint' | 'string' | 'binary' | 'pair';

export interface Properties {
  readonly payloadFormat?: number;
  readonly messageExpiry?: number;
  readonly contentType?: string;
  readonly responseTopic?: string;
  readonly correlationData?: string;
  readonly subscriptionIdentifier?: number | readonly number[];
  readonly sessionExpiry?: number;
  readonly assignedClientId?: string;
  readonly serverKeepAlive?: number;
  readonly authMethod?: string;
  readonly authData?: string;
  readonly requestProblemInfo?: number;
  readonly willDelay?: number;
  readonly requestResponseInfo?: number;
  readonly responseInfo?: string;
  readonly serverReference?: string;
  readonly reasonString?: string;
  readonly receiveMaximum?: number;
  readonly topicAliasMaximum?: number;
  readonly topicAlias?: number;
  readonly maximumQos?: number;
  readonly retainAvailable?: number;
  readonly userProperty?: readonly (readonly [string, string])[];
  readonly maximumPacketSize?: number;
  readonly wildcardAvailable?: number;
  readonly subscriptionIdsAvailable?: number;
  readonly sharedAvailable?: number;
}

const kinds: readonly (readonly [number, keyof Properties, Kind])[] = [
  [0x01, 'payloadFormat', 'byte'],
  [0x02, 'messageExpiry', 'u32'],
  [0x03, 'contentType', 'string'],
  [0x08, 'responseTopic', 'string'],
  [0x09, 'correlationData', 'binary'],
  [0x0b, 'subscriptionIdentifier', 'varint'],
  [0x11, 'sessionExpiry', 'u32'],
  [0x12, 'assignedClientId', 'string'],
  [0x13, 'serverKeepAlive', 'u16'],
  [0x15, 'authMethod', 'string'],
  [0x16, 'authData', 'binary'],
  [0x17, 'requestProblemInfo', 'byte'],
  [0x18, 'willDelay', 'u32'],
  [0x19, 'requestResponseInfo', 'byte'],
  [0x1a, 'responseInfo', 'string'],
  [0x1c, 'serverReference', 'string'],
  [0x1f, 'reasonString', 'string'],
  [0x21, 'receiveMaximum', 'u16'],
  [0x22, 'topicAliasMaximum', 'u16'],
  [0x23, 'topicAlias', 'u16'],
  [0x24, 'maximumQos', 'byte'],
  [0x25, 'retainAvailable', 'byte'],
  [0x26, 'userProperty', 'pair'],
  [0x27, 'maximumPacketSize', 'u32'],
  [0x28, 'wildcardAvailable', 'byte'],
  [0x29, 'subscriptionIdsAvailable', 'byte'],
  [0x2a, 'sharedAvailable', 'byte'],
];
const byId = new Map(kinds.map(([id, name, kind]) => [id, { name, kind }]));
const byName = new Map(kinds.map(([id, name, kind]) => [name, { id, kind }]));

export const u8 = (value: number): Buffer => Buffer.from([value]);

export function u16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A variable byte integer. */
export function varint(value: number): Buffer {
  const bytes: number[] = [];
  do {
    const rest = Math.floor(value / 128);
    bytes.push((value % 128) | (rest > 0 ? 0x80 : 0));
    value = rest;
  } while (value > 0);
  return Buffer.from(bytes);
}

/** With its length before it; bytes where a test wants a string that is none. */
export function string(value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value as Uint8Array);
  return Buffer.concat([u16(bytes.length), bytes]);
}

/** With their length before them; raw bytes are taken as they are. */
export function properties(given: Properties | Buffer): Buffer {
  if (Buffer.isBuffer(given)) return Buffer.concat([varint(given.length), given]);
  const parts: Buffer[] = [];
  for (const [name, value] of Object.entries(given) as [keyof Properties, never][]) {
    const { id, kind } = byName.get(name)!;
    const values: readonly unknown[] = Array.isArray(value) ? value : [value];
    for (const one of values) parts.push(u8(id), encoded(kind, one as never));
  }
  const bytes = Buffer.concat(parts);
  return Buffer.concat([varint(bytes.length), bytes]);
}

function encoded(kind: Kind, value: never): Buffer {
  switch (kind) {
    case 'byte':
      return u8(value);
    case 'u16':
      return u16(value);
    case 'u32':
      return u32(value);
    case 'varint':
      return varint(value);
    case 'pair':
      return Buffer.concat([string(value[0]), string(value[1])]);
    default:
      return string(value);
  }
}

/** Reads a packet's fields from its bytes; what goes beyond the end fails the test. */
export class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  take(count: number): Buffer {
    if (this.left < count) assert.fail(`the packet ends before its field: ${this.#bytes.toString('hex')}`);
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  u8(): number {
    return this.take(1)[0]!;
  }

  u16(): number {
    return this.take(2).readUInt16BE();
  }

  u32(): number {
    return this.take(4).readUInt32BE();
  }

  varint(): number {
    let value = 0;
    for (let shift = 0, length = 1; ; shift += 7, length++) {
      assert.ok(length <= 4, 'a variable byte integer of more than four bytes');
      const byte = this.u8();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) {
        assert.ok(length === 1 || byte !== 0, 'a variable byte integer longer than it need be [MQTT-1.5.5-1]');
        return value;
      }
    }
  }

  string(): string {
    const bytes = this.take(this.u16());
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  }

  /** A property that may not be repeated fails the test when it is. */
  properties(): Properties {
    const inner = new Reader(this.take(this.varint()));
    const found: Record<string, unknown> = {};
    while (inner.left > 0) {
      const id = inner.varint();
      const known = byId.get(id);
      assert.ok(known !== undefined, `no property has the identifier ${id}`);
      const value = inner.#value(known.kind);
      if (known.name === 'userProperty' || known.name === 'subscriptionIdentifier') {
        ((found[known.name] ??= []) as unknown[]).push(value);
      } else {
        assert.ok(!(known.name in found), `${known.name} twice`);
        found[known.name] = value;
      }
    }
    return found;
  }

  #value(kind: Kind): unknown {
    switch (kind) {
      case 'byte':
        return this.u8();
      case 'u16':
        return this.u16();
      case 'u32':
        return this.u32();
      case 'varint':
        return this.varint();
      case 'pair':
        return [this.string(), this.string()];
      case 'string':
        return this.string();
      case 'binary':
        return this.take(this.u16()).toString();
    }
  }
}
