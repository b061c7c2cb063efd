/**
 * Hot path: allocates nothing but the error it throws. PUBACK, PUBREC, PUBREL and PUBCOMP (5.0 §3.4 to §3.7), both ways.
 *
 *   before 5.0: packet-id:u16
 *   5.0:        packet-id:u16 [reason:u8 [properties-length:variable properties]]     no reason means success
 */
import { malformed, protocolError } from './mqtt-error.ts';
import { packetName, packetType, type AckType, type ProtocolVersion } from './packet-type.ts';
import { PacketReader } from './packet-reader.ts';
import { skipReasonProperties } from './reason-properties.ts';
import { reasonCode, type ReasonCode } from './reason-code.ts';

/** Which reasons each acknowledgement may give, by bits of its type [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]. */
const allowed = new Uint8Array(256);
for (const type of [packetType.puback, packetType.pubrec]) {
  for (const reason of [
    reasonCode.success,
    reasonCode.noMatchingSubscribers,
    reasonCode.unspecifiedError,
    reasonCode.implementationSpecificError,
    reasonCode.notAuthorized,
    reasonCode.topicNameInvalid,
    reasonCode.packetIdentifierInUse,
    reasonCode.quotaExceeded,
    reasonCode.payloadFormatInvalid,
  ]) {
    allowed[reason]! |= 1 << type;
  }
}
for (const type of [packetType.pubrel, packetType.pubcomp]) {
  for (const reason of [reasonCode.success, reasonCode.packetIdentifierNotFound]) allowed[reason]! |= 1 << type;
}

/** An acknowledgement that a client sent. */
export class AckView {
  packetId = 0;
  /** From 0x80 on the client refused the message. */
  reason: ReasonCode = reasonCode.success;

  /** Reads what stands behind the fixed header; reason string and user properties are checked and passed over. @throws MqttError */
  read(bytes: Uint8Array, type: AckType, start: number, end: number, version: ProtocolVersion): void {
    const length = end - start;
    if (length < 2 || (length > 2 && version < 5))
      throw malformed(`${packetName(type)} has ${length} bytes behind its length`);
    this.packetId = (bytes[start]! << 8) | bytes[start + 1]!;
    if (this.packetId === 0) throw protocolError(`${packetName(type)} has packet identifier 0`);
    this.reason = reasonCode.success;
    if (length === 2) return;
    const reason = bytes[start + 2]!;
    if ((allowed[reason]! & (1 << type)) === 0)
      throw protocolError(`${packetName(type)} can't have reason code ${reason}`);
    this.reason = reason as ReasonCode;
    if (length > 3) skipReasonProperties(new PacketReader(bytes, start + 3, end, packetName(type)));
  }
}

/** First byte by type: PUBREL alone has a flag [MQTT-3.6.1-1]. */
function firstByteOf(type: AckType): number {
  return type === packetType.pubrel ? 0x62 : type << 4;
}

export const ackBytes = 4;

/** Success, in any version. Answers its end. */
export function writeAck(bytes: Uint8Array, at: number, type: AckType, packetId: number): number {
  bytes[at] = firstByteOf(type);
  bytes[at + 1] = 2;
  bytes[at + 2] = packetId >> 8;
  bytes[at + 3] = packetId;
  return at + ackBytes;
}

export const ackReasonBytes = 5;

/** With a reason code: 5.0 only. Answers its end. */
export function writeAckReason(
  bytes: Uint8Array,
  at: number,
  type: AckType,
  packetId: number,
  reason: ReasonCode,
): number {
  bytes[at] = firstByteOf(type);
  bytes[at + 1] = 3;
  bytes[at + 2] = packetId >> 8;
  bytes[at + 3] = packetId;
  bytes[at + 4] = reason;
  return at + ackReasonBytes;
}
