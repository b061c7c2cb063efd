/** Control packets by the high four bits of their first byte (5.0 §2.1.2). */
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
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
  /** 5.0 only. */
  auth: 15,
} as const;

export type PacketType = (typeof packetType)[keyof typeof packetType];

/** What acknowledges a PUBLISH, in either direction. */
export type AckType =
  typeof packetType.puback | typeof packetType.pubrec | typeof packetType.pubrel | typeof packetType.pubcomp;

const names = new Map<number, string>(Object.entries(packetType).map(([name, type]) => [type, name.toUpperCase()]));

/** "PUBLISH", for messages. */
export function packetName(type: number): string {
  return names.get(type) ?? `packet type ${type}`;
}

/** The level that CONNECT names: 3 is MQTT 3.1, 4 is 3.1.1, 5 is 5.0. Of 3.1 a server notices nothing but the protocol's name. */
export type ProtocolVersion = 3 | 4 | 5;

export type Qos = 0 | 1 | 2;

/** Largest variable byte integer, and so the largest remaining length (5.0 §1.5.5). */
export const largestVariableInteger = 268_435_455;
