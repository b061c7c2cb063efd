/**
 * Hot path: allocates nothing but the error it throws. The properties of a PUBLISH that a client sent (5.0 §3.3.2.3), as ranges of
 * the bytes that they stand in.
 *
 *   0x01 payload format u8   0x02 expiry u32   0x03 content type text   0x08 response topic text   0x09 correlation data binary
 *   0x0b subscription identifier (never from a client)   0x23 topic alias u16   0x26 user property text text
 *   text, binary := length:u16 bytes
 */
import { malformed, MqttError, protocolError } from './mqtt-error.ts';
import { propertyId, propertyName } from './property.ts';
import { reasonCode } from './reason-code.ts';
import { isMqttText } from './utf8.ts';

export class PublishProperties {
  /** Where the properties stand, without their length; equal where there are none. */
  start = 0;
  end = 0;
  /** 0 where there is none. */
  topicAlias = 0;
  /** -1 where it isn't said, 1 for UTF-8. */
  payloadFormat = -1;
  /** -1 where the message does not expire. */
  expirySeconds = -1;
  /** Of a range, the start is -1 where the property is absent. */
  contentTypeStart = -1;
  contentTypeEnd = -1;
  responseTopicStart = -1;
  responseTopicEnd = -1;
  correlationStart = -1;
  correlationEnd = -1;
  /** `UserPropertyCursor` reads them. */
  userPropertyCount = 0;

  /** @throws MqttError */
  read(bytes: Uint8Array, start: number, end: number): void {
    if (this.start !== this.end) this.#clear();
    this.start = start;
    this.end = end;
    let seen = 0;
    for (let at = start; at < end;) {
      const id = bytes[at++]!;
      const valueEnd = endOfPublishProperty(bytes, id, at, end);
      if (id !== propertyId.userProperty) {
        // Bit 0 is free for the one identifier above 31.
        const bit = id === propertyId.topicAlias ? 1 : 1 << id;
        if ((seen & bit) !== 0) throw protocolError(`PUBLISH holds the property ${propertyName(id)!} twice`);
        seen |= bit;
      }
      this.#take(bytes, id, at, valueEnd);
      at = valueEnd;
    }
  }

  #take(bytes: Uint8Array, id: number, at: number, end: number): void {
    switch (id) {
      case propertyId.userProperty:
        this.userPropertyCount++;
        break;
      case propertyId.topicAlias:
        this.topicAlias = (bytes[at]! << 8) | bytes[at + 1]!;
        // [MQTT-3.3.2-8]; how far aliases go is for the server to say.
        if (this.topicAlias === 0) throw new MqttError(reasonCode.topicAliasInvalid, 'the topic alias is 0');
        break;
      case propertyId.payloadFormatIndicator:
        this.payloadFormat = bytes[at]!;
        if (this.payloadFormat > 1)
          throw protocolError(`the payload format indicator is ${this.payloadFormat}, not 0 or 1`);
        break;
      case propertyId.messageExpiryInterval:
        this.expirySeconds =
          bytes[at]! * 0x100_0000 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!);
        break;
      case propertyId.contentType:
        this.contentTypeStart = at + 2;
        this.contentTypeEnd = end;
        break;
      case propertyId.responseTopic:
        checkResponseTopic(bytes, at + 2, end);
        this.responseTopicStart = at + 2;
        this.responseTopicEnd = end;
        break;
      case propertyId.correlationData:
        this.correlationStart = at + 2;
        this.correlationEnd = end;
        break;
    }
  }

  #clear(): void {
    this.topicAlias = 0;
    this.payloadFormat = -1;
    this.expirySeconds = -1;
    this.contentTypeStart = this.contentTypeEnd = -1;
    this.responseTopicStart = this.responseTopicEnd = -1;
    this.correlationStart = this.correlationEnd = -1;
    this.userPropertyCount = 0;
  }
}

/** Steps through the user properties of a PUBLISH whose properties were read, in their order [MQTT-3.3.2-18]. */
export class UserPropertyCursor {
  nameStart = 0;
  nameEnd = 0;
  valueStart = 0;
  valueEnd = 0;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;

  begin(bytes: Uint8Array, properties: PublishProperties): void {
    this.#bytes = bytes;
    this.#at = properties.start;
    this.#end = properties.end;
  }

  /** Points the fields at the next one; false after the last. */
  next(): boolean {
    const bytes = this.#bytes;
    while (this.#at < this.#end) {
      const id = bytes[this.#at]!;
      const start = this.#at + 1;
      this.#at = endOfPublishProperty(bytes, id, start, this.#end);
      if (id !== propertyId.userProperty) continue;
      this.nameStart = start + 2;
      this.nameEnd = endOfBinary(bytes, start, this.#end);
      this.valueStart = this.nameEnd + 2;
      this.valueEnd = this.#at;
      return true;
    }
    return false;
  }
}

function endOfPublishProperty(bytes: Uint8Array, id: number, at: number, end: number): number {
  switch (id) {
    case propertyId.userProperty:
      return endOfText(bytes, endOfText(bytes, at, end), end);
    case propertyId.contentType:
    case propertyId.responseTopic:
      return endOfText(bytes, at, end);
    case propertyId.correlationData:
      return endOfBinary(bytes, at, end);
    case propertyId.payloadFormatIndicator:
      return within(at + 1, end);
    case propertyId.topicAlias:
      return within(at + 2, end);
    case propertyId.messageExpiryInterval:
      return within(at + 4, end);
    case propertyId.subscriptionIdentifier:
      throw protocolError('a client may not send a subscription identifier in PUBLISH'); // [MQTT-3.3.4-6]
    default:
      throw malformed(`PUBLISH can't hold the property 0x${id.toString(16)}`);
  }
}

function endOfText(bytes: Uint8Array, at: number, end: number): number {
  const textEnd = endOfBinary(bytes, at, end);
  if (!isMqttText(bytes, at + 2, textEnd)) throw malformed('a property of PUBLISH is not UTF-8');
  return textEnd;
}

function endOfBinary(bytes: Uint8Array, at: number, end: number): number {
  within(at + 2, end);
  return within(at + 2 + ((bytes[at]! << 8) | bytes[at + 1]!), end);
}

function within(valueEnd: number, end: number): number {
  if (valueEnd > end) throw malformed('a property of PUBLISH ends behind its properties');
  return valueEnd;
}

function checkResponseTopic(bytes: Uint8Array, start: number, end: number): void {
  if (start === end) throw protocolError('the response topic is empty'); // [MQTT-4.7.3-1]
  for (let at = start; at < end; at++) {
    // '+' and '#' [MQTT-3.3.2-14]
    if (bytes[at] === 0x2b || bytes[at] === 0x23) throw protocolError('the response topic holds a wildcard');
  }
}
