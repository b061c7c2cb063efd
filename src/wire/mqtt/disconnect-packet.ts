/**
 * DISCONNECT (5.0 §3.14) and AUTH (§3.15), from a client.
 *
 *   DISCONNECT := nothing before 5.0; [reason:u8 [properties]]     no reason means a normal end
 *   AUTH       := reason:u8 properties
 */
import { malformed, protocolError } from './mqtt-error.ts';
import { PacketReader } from './packet-reader.ts';
import type { ProtocolVersion } from './packet-type.ts';
import type { Properties } from './property.ts';
import { readProperties } from './read-properties.ts';
import { reasonCode, type ReasonCode } from './reason-code.ts';

export interface DisconnectPacket {
  /** From 0x04 on the will is published. */
  readonly reason: ReasonCode;
  readonly properties: Properties<'sessionExpiryInterval' | 'reasonString' | 'serverReference'>;
}

/** What a client may say [MQTT-3.14.2-1]; the others are a server's. */
const clientReasons: ReadonlySet<number> = new Set([
  reasonCode.success,
  reasonCode.disconnectWithWill,
  reasonCode.unspecifiedError,
  reasonCode.malformedPacket,
  reasonCode.protocolError,
  reasonCode.implementationSpecificError,
  reasonCode.topicNameInvalid,
  reasonCode.receiveMaximumExceeded,
  reasonCode.topicAliasInvalid,
  reasonCode.packetTooLarge,
  reasonCode.messageRateTooHigh,
  reasonCode.quotaExceeded,
  reasonCode.administrativeAction,
  reasonCode.payloadFormatInvalid,
]);

/** Reads what stands behind the fixed header. @throws MqttError */
export function decodeDisconnect(
  bytes: Uint8Array,
  start: number,
  end: number,
  version: ProtocolVersion,
): DisconnectPacket {
  const reader = new PacketReader(bytes, start, end, 'DISCONNECT');
  if (version < 5) reader.finish();
  if (reader.atEnd) return { reason: reasonCode.success, properties: {} };
  const reason = reader.u8();
  if (!clientReasons.has(reason)) throw protocolError(`a client can't disconnect with reason code ${reason}`);
  if (reader.atEnd) return { reason: reason as ReasonCode, properties: {} };
  const { properties } = readProperties(reader, ['sessionExpiryInterval', 'reasonString', 'serverReference'], false);
  reader.finish();
  return { reason: reason as ReasonCode, properties };
}

export interface AuthPacket {
  readonly reason: typeof reasonCode.continueAuthentication | typeof reasonCode.reauthenticate;
  readonly method: string;
  readonly data: Buffer | null;
}

/** Reads what stands behind the fixed header. @throws MqttError */
export function decodeAuth(bytes: Uint8Array, start: number, end: number): AuthPacket {
  const reader = new PacketReader(bytes, start, end, 'AUTH');
  const reason = reader.atEnd ? reasonCode.success : reader.u8();
  if (reason !== reasonCode.continueAuthentication && reason !== reasonCode.reauthenticate) {
    throw protocolError(`a client can't authenticate with reason code ${reason}`); // [MQTT-3.15.2-1]
  }
  const { properties } = readProperties(reader, ['authenticationMethod', 'authenticationData', 'reasonString'], false);
  reader.finish();
  if (properties.authenticationMethod === undefined) throw protocolError('AUTH has no authentication method'); // §3.15.2.2.2
  return {
    reason,
    method: properties.authenticationMethod,
    data: properties.authenticationData ?? null,
  };
}

/** PINGREQ holds nothing behind its fixed header. @throws MqttError */
export function checkPingreq(start: number, end: number): void {
  if (start !== end) throw malformed('PINGREQ has bytes behind its length');
}
