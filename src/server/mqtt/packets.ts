/** The packets that are rare: all but PUBLISH and acknowledgements without a reason. */
import { AckView } from '../../wire/mqtt/ack.ts';
import { checkPingreq, decodeAuth, decodeDisconnect } from '../../wire/mqtt/disconnect-packet.ts';
import { protocolError } from '../../wire/mqtt/mqtt-error.ts';
import { packetName, packetType, type AckType, type ProtocolVersion } from '../../wire/mqtt/packet-type.ts';
import { reasonCode } from '../../wire/mqtt/reason-code.ts';
import { encodeAuth, pingresp } from '../../wire/mqtt/server-packets.ts';
import { decodeSubscribe, decodeUnsubscribe } from '../../wire/mqtt/subscribe-packet.ts';
import type { Connection } from './connection.ts';
import { authenticationError } from './enhanced-authentication.ts';
import { subscribe, unsubscribe } from './subscribing.ts';

const ack = new AckView();
/** Of one SUBSCRIBE or UNSUBSCRIBE. */
const maxFilters = 4_096;

/** Handles a packet whose rest behind the fixed header is `bytes[start, end)`. @throws MqttError */
export function handlePacket(connection: Connection, type: number, bytes: Buffer, start: number, end: number): void {
  const version = connection.version as ProtocolVersion;
  switch (type) {
    case packetType.puback:
    case packetType.pubrec:
    case packetType.pubrel:
    case packetType.pubcomp:
      ack.read(bytes, type, start, end, version);
      acknowledge(connection, type, ack.packetId, ack.reason);
      return;
    case packetType.subscribe: {
      const limits = { maxLevels: connection.settings.maxTopicLevels, maxFilters };
      subscribe(connection, decodeSubscribe(bytes, start, end, version, limits));
      return;
    }
    case packetType.unsubscribe: {
      const limits = { maxLevels: connection.settings.maxTopicLevels, maxFilters };
      unsubscribe(connection, decodeUnsubscribe(bytes, start, end, version, limits));
      return;
    }
    case packetType.pingreq:
      checkPingreq(start, end);
      connection.output.writeFrame(pingresp);
      return;
    case packetType.disconnect:
      disconnect(connection, bytes, start, end, version);
      return;
    case packetType.auth:
      reauthenticate(connection, bytes, start, end);
      return;
    default:
      // CONNECT comes once [MQTT-3.1.0-2]; the others are a server's.
      throw protocolError(`${packetName(type)} came where it may not`);
  }
}

export function acknowledge(connection: Connection, type: AckType, packetId: number, reason: number): void {
  switch (type) {
    case packetType.puback:
      connection.deliveries.acknowledged(packetId);
      return;
    case packetType.pubrec:
      connection.deliveries.received(packetId, reason);
      return;
    case packetType.pubrel:
      connection.releasePublish(packetId);
      return;
    case packetType.pubcomp:
      connection.deliveries.completed(packetId);
  }
}

function disconnect(connection: Connection, bytes: Buffer, start: number, end: number, version: ProtocolVersion): void {
  const { reason, properties } = decodeDisconnect(bytes, start, end, version);
  const { ending } = connection;
  const { sessionExpiryInterval } = properties;
  if (sessionExpiryInterval !== undefined) {
    const asked = connection.agreed.connect.properties.sessionExpiryInterval ?? 0;
    if (asked === 0 && sessionExpiryInterval > 0) {
      throw protocolError('DISCONNECT gives an expiry to a session that has none');
    }
    ending.expirySeconds = Math.min(sessionExpiryInterval, connection.settings.maxSessionExpirySeconds);
  }
  // [MQTT-3.14.4-3]
  ending.isWithoutWill = reason === reasonCode.success;
  ending.leave();
}

/** 5.0 §4.12.1: the client shows once more who it is. It stays who it was. */
function reauthenticate(connection: Connection, bytes: Buffer, start: number, end: number): void {
  const { reason, method, data } = decodeAuth(bytes, start, end);
  const { authenticationMethod } = connection.agreed.connect.properties;
  if (authenticationMethod === undefined || method !== authenticationMethod) {
    throw protocolError('AUTH names another method than CONNECT');
  }
  // It begins with one reason code, and each answer has the other [MQTT-4.12.1-1].
  if ((reason === reasonCode.reauthenticate) !== (connection.reauthentication === null)) {
    throw protocolError(`AUTH with reason code ${reason} came where it may not`);
  }
  connection.server
    .reauthenticate(connection, method, data)
    .then((answer) => {
      if (!connection.isRunning) return;
      const reason = answer.user === undefined ? reasonCode.continueAuthentication : reasonCode.success;
      const properties = {
        authenticationMethod: method,
        ...(answer.data === undefined ? {} : { authenticationData: answer.data }),
      };
      const packet = encodeAuth(connection.recipient, reason, properties);
      if (packet !== null) connection.output.writeFrame(packet);
    })
    .catch((error: unknown) => connection.ending.fail(authenticationError(connection, error)));
}
