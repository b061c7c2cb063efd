/**
 * What a server answers, but PUBLISH and its plain acknowledgements. Each encoder answers a whole packet, or null where the client takes
 * none that large.
 *
 *   CONNACK    := session-present:u8 reason:u8 [5.0: properties]
 *   SUBACK     := packet-id:u16 [5.0: properties] { reason:u8 }
 *   UNSUBACK   := packet-id:u16 [5.0: properties { reason:u8 }]
 *   DISCONNECT := reason:u8 properties      5.0 only
 *   AUTH       := reason:u8 properties      5.0 only
 */
import { packetType, type AckType } from './packet-type.ts';
import { explainedPacket, packet, type Explanation, type Recipient } from './packet-writer.ts';
import type { Properties } from './property.ts';
import { reasonCode, returnCodeOf, type ReasonCode } from './reason-code.ts';

export type ConnackProperties = Properties<
  | 'sessionExpiryInterval'
  | 'receiveMaximum'
  | 'maximumQos'
  | 'retainAvailable'
  | 'maximumPacketSize'
  | 'assignedClientIdentifier'
  | 'topicAliasMaximum'
  | 'wildcardSubscriptionAvailable'
  | 'subscriptionIdentifierAvailable'
  | 'sharedSubscriptionAvailable'
  | 'serverKeepAlive'
  | 'responseInformation'
  | 'serverReference'
  | 'authenticationMethod'
  | 'authenticationData'
>;

const none: Explanation = {};
const empty = new Uint8Array(0);

/** Before 5.0 null, too, where no return code fits the reason: the connection is closed without a word. */
export function encodeConnack(
  recipient: Recipient,
  sessionPresent: boolean,
  reason: ReasonCode,
  properties: ConnackProperties = {},
  explanation: Explanation = none,
): Buffer | null {
  // [MQTT-3.2.2-6], 3.1.1 [MQTT-3.2.2-4]; MQTT 3.1 knows no such flag.
  const flags = sessionPresent && reason === reasonCode.success && recipient.version > 3 ? 1 : 0;
  if (recipient.version === 5) {
    return explainedPacket(recipient, packetType.connack, 0, Buffer.of(flags, reason), properties, explanation);
  }
  if (reason === reasonCode.success) return flags === 0 ? accepted : acceptedAgain;
  const code = returnCodeOf(reason);
  return code === null ? null : packet(packetType.connack, 0, Buffer.of(flags, code), null, empty);
}

/** CONNACK before 5.0, where nothing is wrong. */
const accepted = packet(packetType.connack, 0, Buffer.of(0, 0), null, empty);
const acceptedAgain = packet(packetType.connack, 0, Buffer.of(1, 0), null, empty);

/** One reason for each filter, in their order [MQTT-3.8.4-6] [MQTT-3.9.3-1]. */
export function encodeSuback(
  recipient: Recipient,
  packetId: number,
  reasons: readonly ReasonCode[],
  explanation: Explanation = none,
): Buffer | null {
  const head = packetIdentifier(packetId);
  if (recipient.version === 5) {
    const told = recipient.problemInformation ? explanation : none;
    return explainedPacket(recipient, packetType.suback, 0, head, {}, told, Buffer.from(reasons));
  }
  // 3.1.1 [MQTT-3.9.3-2] knows one failure.
  const codes = reasons.map((reason) => (reason >= 0x80 ? 0x80 : reason));
  return packet(packetType.suback, 0, head, null, Buffer.from(codes));
}

/** One reason for each filter, in their order [MQTT-3.11.3-1]; before 5.0 none is said. */
export function encodeUnsuback(
  recipient: Recipient,
  packetId: number,
  reasons: readonly ReasonCode[],
  explanation: Explanation = none,
): Buffer | null {
  const head = packetIdentifier(packetId);
  if (recipient.version < 5) return packet(packetType.unsuback, 0, head, null, empty);
  const told = recipient.problemInformation ? explanation : none;
  return explainedPacket(recipient, packetType.unsuback, 0, head, {}, told, Buffer.from(reasons));
}

/** PUBACK, PUBREC, PUBREL and PUBCOMP with more than a reason; `writeAck` and `writeAckReason` write the others. 5.0 only. */
export function encodeAck(
  recipient: Recipient,
  type: AckType,
  packetId: number,
  reason: ReasonCode,
  explanation: Explanation,
): Buffer | null {
  const head = Buffer.of(packetId >> 8, packetId & 0xff, reason);
  const told = recipient.problemInformation ? explanation : none;
  return explainedPacket(recipient, type, type === packetType.pubrel ? 2 : 0, head, {}, told);
}

/** Null before 5.0, where a server only closes. Never before CONNACK [MQTT-3.14.0-1]. */
export function encodeDisconnect(
  recipient: Recipient,
  reason: ReasonCode,
  properties: Properties<'serverReference'> = {},
  explanation: Explanation = none,
): Buffer | null {
  if (recipient.version < 5) return null;
  return explainedPacket(recipient, packetType.disconnect, 0, Buffer.of(reason), properties, explanation);
}

/** Of 5.0 only, and only to who named a method in CONNECT [MQTT-4.12.0-6]. */
export function encodeAuth(
  recipient: Recipient,
  reason: typeof reasonCode.success | typeof reasonCode.continueAuthentication | typeof reasonCode.reauthenticate,
  properties: Properties<'authenticationMethod' | 'authenticationData'>,
  explanation: Explanation = none,
): Buffer | null {
  const told = recipient.problemInformation ? explanation : none;
  return explainedPacket(recipient, packetType.auth, 0, Buffer.of(reason), properties, told);
}

/** The same bytes in every version. */
export const pingresp: Buffer = packet(packetType.pingresp, 0, empty, null, empty);

function packetIdentifier(packetId: number): Buffer {
  return Buffer.of(packetId >> 8, packetId & 0xff);
}
