import type { ProtocolVersion } from './packet-type.ts';
import { reasonCode, type ReasonCode } from './reason-code.ts';

/** The connection dies of it: 5.0 says why in CONNACK or DISCONNECT, 3.1.1 only closes [MQTT-4.13.1-1]. */
export class MqttError extends Error {
  override readonly name = 'MqttError';
  readonly reason: ReasonCode;
  /** Of a CONNECT: in which version's form to answer. Null where the client does not speak MQTT, and for other packets. */
  version: ProtocolVersion | null = null;

  constructor(reason: ReasonCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.reason = reason;
  }
}

/** The bytes can't be read as the packet that they claim to be. */
export function malformed(message: string): MqttError {
  return new MqttError(reasonCode.malformedPacket, message);
}

/** The packet can be read and says what it must not say. */
export function protocolError(message: string): MqttError {
  return new MqttError(reasonCode.protocolError, message);
}
