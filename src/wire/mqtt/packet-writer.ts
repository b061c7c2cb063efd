import { ByteWriter } from '../../format/byte-writer.ts';
import { variableIntegerBytes, writeVariableInteger } from './fixed-header.ts';
import type { PacketType, ProtocolVersion } from './packet-type.ts';
import { propertyId, propertyType, type Properties, type SingleProperty, type UserProperties } from './property.ts';

/** What the client said of packets to it. */
export interface Recipient {
  readonly version: ProtocolVersion;
  /** `Infinity` where it said nothing. */
  readonly maxPacketBytes: number;
  /** False keeps reason strings and user properties out of all but PUBLISH, CONNACK and DISCONNECT [MQTT-3.1.2-29]. */
  readonly problemInformation: boolean;
}

/** What explains a packet: left out where the packet would be larger than the client takes. */
export interface Explanation {
  readonly reasonString?: string;
  readonly userProperties?: UserProperties;
}

/** Appends the fields of the rarer packets. */
export class PacketWriter extends ByteWriter {
  constructor() {
    super(64);
  }

  variableInteger(value: number): void {
    const bytes = Buffer.allocUnsafe(variableIntegerBytes(value));
    writeVariableInteger(bytes, 0, value);
    this.raw(bytes);
  }

  text(value: string): void {
    this.binary(encodedText(value));
  }

  binary(value: Uint8Array): void {
    this.u16(value.length);
    this.raw(value);
  }

  property<N extends SingleProperty>(name: N, value: NonNullable<Properties[N]>): void {
    this.u8(propertyId[name]);
    switch (propertyType[name]) {
      case 'bit':
        this.u8(value === true ? 1 : 0);
        break;
      case 'u16':
        this.u16(value as number);
        break;
      case 'u32':
        this.u32(value as number);
        break;
      case 'variable':
        this.variableInteger(value as number);
        break;
      case 'text':
        this.text(value as string);
        break;
      case 'binary':
        this.binary(value as Buffer);
        break;
    }
  }

  properties(properties: Properties): void {
    for (const [name, value] of Object.entries(properties)) {
      if (value !== undefined) this.property(name as SingleProperty, value);
    }
  }

  userProperties(pairs: UserProperties): void {
    for (const [name, value] of pairs) {
      this.u8(propertyId.userProperty);
      this.text(name);
      this.text(value);
    }
  }
}

const longestText = 65_535;

/** U+0000 is not allowed in any text; a longer one is cut between characters. */
function encodedText(value: string): Buffer {
  const bytes = Buffer.from(value.includes('\0') ? value.replaceAll('\0', '\ufffd') : value);
  if (bytes.length <= longestText) return bytes;
  let end = longestText;
  while ((bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}

/** A whole packet: `head` before the properties, `tail` behind them; null properties where the version or packet has none. */
export function packet(
  type: PacketType,
  flags: number,
  head: Uint8Array,
  properties: Uint8Array | null,
  tail: Uint8Array,
): Buffer {
  const propertiesLength = properties === null ? 0 : variableIntegerBytes(properties.length) + properties.length;
  const rest = head.length + propertiesLength + tail.length;
  const bytes = Buffer.allocUnsafe(1 + variableIntegerBytes(rest) + rest);
  bytes[0] = (type << 4) | flags;
  let at = writeVariableInteger(bytes, 1, rest);
  bytes.set(head, at);
  at += head.length;
  if (properties !== null) {
    at = writeVariableInteger(bytes, at, properties.length);
    bytes.set(properties, at);
    at += properties.length;
  }
  bytes.set(tail, at);
  return bytes;
}

const empty = new Uint8Array(0);

/**
 * A packet of 5.0 with as much of its explanation as the client takes: the user properties go first, then the reason string
 * [MQTT-3.2.2-19] [MQTT-3.2.2-20] and their like. Null where even the rest is too large: nothing may be sent [MQTT-3.1.2-24].
 */
export function explainedPacket(
  recipient: Recipient,
  type: PacketType,
  flags: number,
  head: Uint8Array,
  properties: Properties,
  explanation: Explanation,
  tail: Uint8Array = empty,
): Buffer | null {
  const { reasonString, userProperties = [] } = explanation;
  const required = new PacketWriter();
  required.properties(properties);
  const mark = required.length;
  if (reasonString !== undefined) required.property('reasonString', reasonString);
  const withReason = required.length;
  required.userProperties(userProperties);
  const whole = required.bytes();
  for (const end of new Set([whole.length, withReason, mark])) {
    const bytes = packet(type, flags, head, whole.subarray(0, end), tail);
    if (bytes.length <= recipient.maxPacketBytes) return bytes;
  }
  return null;
}
