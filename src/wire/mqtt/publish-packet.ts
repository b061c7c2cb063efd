/**
 * Hot path: allocates nothing. A PUBLISH to a client: everything before its properties and payload, which the caller copies behind.
 *
 *   PUBLISH := first byte, remaining length, topic-length:u16 topic [packet-id:u16 where QoS > 0] [5.0: properties-length:variable ...]
 */
import { copyShort } from '../../format/copy.ts';
import { variableIntegerBytes, writeVariableInteger } from './fixed-header.ts';
import { packetType, type ProtocolVersion, type Qos } from './packet-type.ts';
import { propertyId } from './property.ts';

/** The whole packet's size, to be compared with what the client takes [MQTT-3.1.2-24]. */
export function publishBytes(
  topicBytes: number,
  qos: Qos,
  version: ProtocolVersion,
  propertiesBytes: number,
  payloadBytes: number,
): number {
  const rest = restBytes(topicBytes, qos, version, propertiesBytes, payloadBytes);
  return 1 + variableIntegerBytes(rest) + rest;
}

function restBytes(
  topicBytes: number,
  qos: Qos,
  version: ProtocolVersion,
  propertiesBytes: number,
  payloadBytes: number,
): number {
  const fixed = 2 + topicBytes + (qos > 0 ? 2 : 0) + payloadBytes;
  return version === 5 ? fixed + variableIntegerBytes(propertiesBytes) + propertiesBytes : fixed;
}

/**
 * Writes all before the properties and answers where they begin. Each view is of all of its bytes; the caller reserved room for
 * `publishBytes`. Without properties, or before 5.0, the payload begins there.
 */
export function writePublishHead(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  topic: Uint8Array,
  topicView: DataView,
  qos: Qos,
  dup: boolean,
  retain: boolean,
  packetId: number,
  version: ProtocolVersion,
  propertiesBytes: number,
  payloadBytes: number,
): number {
  bytes[at++] = (packetType.publish << 4) | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
  at = writeVariableInteger(bytes, at, restBytes(topic.length, qos, version, propertiesBytes, payloadBytes));
  view.setUint16(at, topic.length);
  at = copyShort(topic, topicView, 0, topic.length, bytes, view, at + 2);
  if (qos > 0) {
    view.setUint16(at, packetId);
    at += 2;
  }
  return version === 5 ? writeVariableInteger(bytes, at, propertiesBytes) : at;
}

/** Three bytes. */
export const topicAliasBytes = 3;

export function writeTopicAlias(bytes: Uint8Array, at: number, alias: number): number {
  bytes[at] = propertyId.topicAlias;
  bytes[at + 1] = alias >> 8;
  bytes[at + 2] = alias;
  return at + topicAliasBytes;
}

export function subscriptionIdentifierBytes(identifier: number): number {
  return 1 + variableIntegerBytes(identifier);
}

export function writeSubscriptionIdentifier(bytes: Uint8Array, at: number, identifier: number): number {
  bytes[at] = propertyId.subscriptionIdentifier;
  return writeVariableInteger(bytes, at + 1, identifier);
}

export const messageExpiryBytes = 5;

export function writeMessageExpiry(bytes: Uint8Array, view: DataView, at: number, seconds: number): number {
  bytes[at] = propertyId.messageExpiryInterval;
  view.setUint32(at + 1, seconds);
  return at + messageExpiryBytes;
}
