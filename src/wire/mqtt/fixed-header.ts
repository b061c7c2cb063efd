/**
 * Hot path: allocates nothing but the error it throws. What stands before every packet, read where the buffer may end anywhere.
 *
 *   fixed header := type:4 flags:4 remaining-length:variable byte integer
 *   variable byte integer := 1 to 4 bytes of 7 bits, the lowest first; the eighth bit says that another one follows
 */
import { malformed, protocolError } from './mqtt-error.ts';
import { packetName, packetType, type ProtocolVersion } from './packet-type.ts';

/** Flags by type; those of PUBLISH are its own [MQTT-2.1.3-1] (3.1.1 [MQTT-2.2.2-1]). */
const reservedFlags = new Uint8Array(16);
reservedFlags[packetType.pubrel] = 2;
reservedFlags[packetType.subscribe] = 2;
reservedFlags[packetType.unsubscribe] = 2;

const fromServerOnly =
  (1 << packetType.connack) | (1 << packetType.suback) | (1 << packetType.unsuback) | (1 << packetType.pingresp);

export class FixedHeader {
  firstByte = 0;
  /** A `PacketType`. */
  type = 0;
  /** Where the rest of the packet begins. */
  start = 0;
  /** Where the packet ends, which may be beyond what has come. */
  end = 0;

  /**
   * Reads the header at `at` of a packet that a client sent; `end` is where the bytes that have come end. Answers false where the
   * header isn't whole. Nothing of the packet's length is believed but its number: whoever keeps bytes compares it with a limit.
   *
   * @param version 0 before CONNECT
   * @throws MqttError for a type or flags that no client sends, a length of more than four bytes, and in 5.0 one in more bytes than
   * it needs [MQTT-1.5.5-1]
   */
  read(bytes: Uint8Array, at: number, end: number, version: ProtocolVersion | 0): boolean {
    if (at >= end) return false;
    const first = bytes[at]!;
    const type = first >> 4;
    if (
      type !== packetType.publish &&
      ((first & 15) !== reservedFlags[type] || type === 0 || (fromServerOnly & (1 << type)) !== 0)
    ) {
      throw refusedType(first);
    }
    if (type === packetType.auth && version < 5 && version !== 0)
      throw malformed('packet type 15 exists only in MQTT 5.0');
    let next = at + 1;
    if (next >= end) return false;
    let byte = bytes[next++]!;
    let length = byte & 0x7f;
    for (let shift = 7; byte >= 0x80; shift += 7) {
      if (shift > 21) throw malformed(`the remaining length of ${packetName(type)} takes more than four bytes`);
      if (next >= end) return false;
      byte = bytes[next++]!;
      if (byte === 0 && version === 5)
        throw malformed(`the remaining length of ${packetName(type)} takes more bytes than it needs`);
      length |= (byte & 0x7f) << shift;
    }
    this.firstByte = first;
    this.type = type;
    this.start = next;
    this.end = next + length;
    return true;
  }
}

function refusedType(first: number): Error {
  const type = first >> 4;
  if (type === 0) return malformed('packet type 0 is reserved');
  if ((fromServerOnly & (1 << type)) !== 0) return protocolError(`a client does not send ${packetName(type)}`);
  return malformed(`the reserved flags of ${packetName(type)} are ${first & 15}, not ${reservedFlags[type]!}`);
}

/** Bytes that a variable byte integer takes. */
export function variableIntegerBytes(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4;
}

/** Writes a variable byte integer and answers its end. */
export function writeVariableInteger(bytes: Uint8Array, at: number, value: number): number {
  while (value >= 0x80) {
    bytes[at++] = (value & 0x7f) | 0x80;
    value >>>= 7;
  }
  bytes[at++] = value;
  return at;
}
