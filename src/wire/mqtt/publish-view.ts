/**
 * Hot path: allocates nothing but the error it throws. A PUBLISH that a client sent (5.0 §3.3), as ranges of the bytes it stands in.
 *
 *   first byte := 3:4 dup:1 qos:2 retain:1
 *   PUBLISH := topic-length:u16 topic [packet-id:u16 where QoS > 0] [5.0: properties-length:variable properties] payload
 */
import { malformed, protocolError } from './mqtt-error.ts';
import type { ProtocolVersion, Qos } from './packet-type.ts';
import { PublishProperties } from './publish-properties.ts';
import { topicNameInvalid } from './topic.ts';
import { isMqttText } from './utf8.ts';

const slash = 0x2f;

/** Bytes of a topic that want a closer look: '/', '#', '+', U+0000 and all that is not ASCII. */
const special = new Uint8Array(256).fill(1, 0x80);
for (const byte of [slash, 0x23, 0x2b, 0]) special[byte] = 1;

export class PublishView {
  qos: Qos = 0;
  dup = false;
  retain = false;
  topicStart = 0;
  /** Equal to `topicStart` only in 5.0, where the topic alias tells the topic. */
  topicEnd = 0;
  /** 1 for a topic without a slash. Set by `checkTopic`. */
  topicLevels = 0;
  /** 0 where QoS is 0. */
  packetId = 0;
  propertiesStart = 0;
  propertiesEnd = 0;
  payloadStart = 0;
  payloadEnd = 0;
  readonly properties = new PublishProperties();

  /** Reads what stands behind the fixed header. @throws MqttError */
  read(bytes: Uint8Array, firstByte: number, start: number, end: number, version: ProtocolVersion): void {
    this.readUnchecked(bytes, firstByte, start, end, version);
    this.checkTopic(bytes);
  }

  /** `read` without a look at the topic's characters: for who knows from the publish before that they are good. */
  readUnchecked(bytes: Uint8Array, firstByte: number, start: number, end: number, version: ProtocolVersion): void {
    const qos = (firstByte >> 1) & 3;
    if (qos === 3) throw malformed('PUBLISH has QoS 3'); // [MQTT-3.3.1-4]
    this.qos = qos as Qos;
    this.dup = (firstByte & 8) !== 0;
    this.retain = (firstByte & 1) !== 0;
    if (qos === 0 && this.dup) throw protocolError('PUBLISH has QoS 0 and says that it is a duplicate'); // [MQTT-3.3.1-2]
    let at = start + 2;
    if (at > end) throw short();
    this.topicStart = at;
    at += (bytes[start]! << 8) | bytes[start + 1]!;
    if (at > end) throw short();
    this.topicEnd = at;
    this.packetId = 0;
    if (qos > 0) {
      if (at + 2 > end) throw short();
      this.packetId = (bytes[at]! << 8) | bytes[at + 1]!;
      if (this.packetId === 0) throw protocolError('PUBLISH has packet identifier 0'); // [MQTT-2.2.1-3]
      at += 2;
    }
    this.propertiesStart = this.propertiesEnd = at;
    if (version === 5) at = this.#readProperties(bytes, at, end);
    else this.properties.read(bytes, at, at);
    if (this.topicStart === this.topicEnd && (version !== 5 || this.properties.topicAlias === 0)) {
      // [MQTT-4.7.3-1]; in 5.0 it is a protocol error (§3.3.2.1).
      throw version === 5
        ? protocolError('PUBLISH has neither topic nor topic alias')
        : topicNameInvalid('the topic name is empty');
    }
    this.payloadStart = at;
    this.payloadEnd = end;
  }

  /** @throws MqttError when the topic's characters are none for a topic */
  checkTopic(bytes: Uint8Array): void {
    let levels = 1;
    const end = this.topicEnd;
    for (let at = this.topicStart; at < end; at++) {
      const byte = bytes[at]!;
      if (special[byte] === 0) continue;
      if (byte === slash) levels++;
      else if (byte === 0x23 || byte === 0x2b)
        throw topicNameInvalid('the topic name holds a wildcard'); // [MQTT-3.3.2-2]
      else {
        // [MQTT-3.3.2-1]. Once is enough: after it every byte from 0x80 on is part of a character.
        if (!isMqttText(bytes, at, end)) throw malformed('the topic name is not UTF-8, or holds U+0000');
        levels += restOfLevels(bytes, at, end);
        break;
      }
    }
    this.topicLevels = levels;
  }

  #readProperties(bytes: Uint8Array, at: number, end: number): number {
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      if (at >= end) throw short();
      if (shift > 21) throw malformed('the length of the properties takes more than four bytes');
      const byte = bytes[at++]!;
      if (byte === 0 && shift > 0) throw malformed('the length of the properties takes more bytes than it needs'); // [MQTT-1.5.5-1]
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    if (at + length > end) throw short();
    this.propertiesStart = at;
    this.propertiesEnd = at + length;
    this.properties.read(bytes, at, at + length);
    return at + length;
  }
}

/** The levels that begin in the rest of a topic, which is UTF-8. */
function restOfLevels(bytes: Uint8Array, start: number, end: number): number {
  let levels = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (byte === slash) levels++;
    else if (byte === 0x23 || byte === 0x2b) throw topicNameInvalid('the topic name holds a wildcard');
  }
  return levels;
}

function short(): Error {
  return malformed('PUBLISH ends before its fields do');
}
