// The packets of MQTT 3.1.1 that the load generator sends, in a codec of its own: it shares none with what it measures.

export const packetType = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
} as const;

export type Qos = 0 | 1 | 2;

const refused = 0x80;

export const pingreq = Buffer.from([packetType.pingreq << 4, 0]);
export const disconnect = Buffer.from([packetType.disconnect << 4, 0]);

/** Keep-alive 0: a load generator that is busy for seconds must not be cut off. */
export function connectPacket(clientId: string, cleanSession: boolean): Buffer {
  const flags = Buffer.from([4, cleanSession ? 0b10 : 0, 0, 0]);
  return packet(packetType.connect << 4, text('MQTT'), flags, text(clientId));
}

export function subscribePacket(packetId: number, filters: readonly string[], qos: Qos): Buffer {
  const asked = filters.flatMap((filter) => [text(filter), Buffer.from([qos])]);
  return packet((packetType.subscribe << 4) | 0b10, uint16(packetId), ...asked);
}

/** A message whose last `bodyBytes` bytes are its body, to be filled in; the packet id stands before the body. */
export function publishPacket(topic: string, qos: Qos, packetId: number, bodyBytes: number): Buffer {
  const id = qos === 0 ? [] : [uint16(packetId)];
  return packet((packetType.publish << 4) | (qos << 1), text(topic), ...id, Buffer.alloc(bodyBytes));
}

/** PUBACK, PUBREC, PUBREL or PUBCOMP. */
export function acknowledgement(type: number, packetId: number): Buffer {
  return Buffer.from([firstByteOf(type), 2, packetId >> 8, packetId & 0xff]);
}

/** PUBREL has a reserved bit that is set. */
export function firstByteOf(type: number): number {
  return (type << 4) | (type === packetType.pubrel ? 0b10 : 0);
}

/** Why a CONNACK or a SUBACK says no; undefined where it says yes. */
export function refusalIn(packet: Buffer): string | undefined {
  const type = (packet[0] ?? 0) >> 4;
  if (type === packetType.connack) return packet[3] === 0 ? undefined : `CONNACK with code ${packet[3] ?? -1}`;
  if (type !== packetType.suback) return undefined;
  const codes = packet.subarray(headerBytes(packet, 0) + 2);
  return codes.some((code) => code >= refused) ? 'a subscription was refused' : undefined;
}

/** Bytes before the variable header of a whole packet. */
export function headerBytes(bytes: Buffer, at: number): number {
  let next = at + 1;
  while ((bytes[next] as number) >= 0x80) next++;
  return next + 1 - at;
}

/** Bytes of the packet at `at`, or 0 where its header is not whole. */
export function packetBytes(bytes: Buffer, at: number, end: number): number {
  let size = 0;
  for (let index = 0; index < 4; index++) {
    const from = at + 1 + index;
    if (from >= end) return 0;
    const byte = bytes[from] as number;
    size |= (byte & 0x7f) << (7 * index);
    if (byte < 0x80) return 2 + index + size;
  }
  throw new Error('the broker sent a remaining length of more than four bytes');
}

function packet(firstByte: number, ...parts: Buffer[]): Buffer {
  let left = parts.reduce((sum, part) => sum + part.length, 0);
  const header = [firstByte];
  do {
    const more = left > 0x7f ? 0x80 : 0;
    header.push((left & 0x7f) | more);
    left >>>= 7;
  } while (left > 0);
  return Buffer.concat([Buffer.from(header), ...parts]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint16(bytes.length), bytes]);
}

function uint16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}
