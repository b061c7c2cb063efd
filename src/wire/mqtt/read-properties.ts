import { malformed, protocolError } from './mqtt-error.ts';
import type { PacketReader } from './packet-reader.ts';
import { propertyName, propertyType, type Properties, type SingleProperty, type UserProperties } from './property.ts';

export interface ReadProperties<N extends SingleProperty> {
  readonly properties: Properties<N>;
  readonly userProperties: UserProperties;
}

const none: UserProperties = [];

/**
 * Reads the properties at the reader, with their length.
 *
 * @param allowed what this packet may hold beside user properties
 * @param keepUser false where they mean nothing to a server: they are checked and passed over
 * @throws MqttError for one that the packet can't hold, that stands there twice, or whose value is wrong
 */
export function readProperties<const N extends SingleProperty>(
  reader: PacketReader,
  allowed: readonly N[],
  keepUser: boolean,
): ReadProperties<N> {
  const length = reader.variableInteger();
  if (length === 0) return { properties: {}, userProperties: none };
  const part = reader.part(length);
  const properties: Partial<Record<SingleProperty, unknown>> = {};
  const userProperties: (readonly [string, string])[] = [];
  while (!part.atEnd) {
    const id = part.u8();
    const name = propertyName(id);
    if (name === 'userProperty') {
      if (keepUser) {
        userProperties.push([part.text(), part.text()]);
      } else {
        part.skipText();
        part.skipText();
      }
      continue;
    }
    if (name === undefined || !(allowed as readonly SingleProperty[]).includes(name)) {
      throw malformed(`${part.packet} can't hold the property ${name ?? `0x${id.toString(16)}`}`);
    }
    if (properties[name] !== undefined) throw protocolError(`${part.packet} holds the property ${name} twice`);
    properties[name] = readValue(part, name);
  }
  return { properties: properties as Properties<N>, userProperties };
}

/** Numbers that may not be 0 (5.0 §3.1.2.11, §3.8.2.1). */
const notZero: readonly SingleProperty[] = ['receiveMaximum', 'maximumPacketSize', 'subscriptionIdentifier'];

function readValue(reader: PacketReader, name: SingleProperty): boolean | number | string | Buffer {
  const value = readType(reader, name);
  if (value === 0 && notZero.includes(name)) throw protocolError(`${name} of ${reader.packet} is 0`);
  return value;
}

function readType(reader: PacketReader, name: SingleProperty): boolean | number | string | Buffer {
  switch (propertyType[name]) {
    case 'bit': {
      const value = reader.u8();
      if (value > 1) throw protocolError(`${name} of ${reader.packet} is ${value}, not 0 or 1`);
      return value === 1;
    }
    case 'u16':
      return reader.u16();
    case 'u32':
      return reader.u32();
    case 'variable':
      return reader.variableInteger();
    case 'text':
      return reader.text();
    case 'binary':
      return reader.binary();
  }
}
