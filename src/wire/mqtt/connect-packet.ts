/**
 * CONNECT (5.0 §3.1). What stands in brackets is there where a flag or the version says so.
 *
 *   variable header := name-length:u16 "MQTT" level:u8 flags:u8 keep-alive:u16 [5.0: properties]
 *   flags, from the highest := user-name password will-retain will-qos:2 will clean-start reserved (0)
 *   payload := client-id text [will: [5.0: will properties] topic text payload binary] [user name text] [password binary]
 *   text, binary := length:u16 bytes
 */
import { malformed, MqttError, protocolError } from './mqtt-error.ts';
import { PacketReader } from './packet-reader.ts';
import type { ProtocolVersion, Qos } from './packet-type.ts';
import type { Properties, UserProperties } from './property.ts';
import { readProperties } from './read-properties.ts';
import { reasonCode } from './reason-code.ts';
import { checkTopicName, defaultMaxLevels } from './topic.ts';

const connectProperties = [
  'sessionExpiryInterval',
  'receiveMaximum',
  'maximumPacketSize',
  'topicAliasMaximum',
  'requestResponseInformation',
  'requestProblemInformation',
  'authenticationMethod',
  'authenticationData',
] as const;

const willProperties = [
  'willDelayInterval',
  'payloadFormatIndicator',
  'messageExpiryInterval',
  'contentType',
  'responseTopic',
  'correlationData',
] as const;

export type ConnectProperties = Properties<(typeof connectProperties)[number]>;
export type WillProperties = Properties<(typeof willProperties)[number]>;

export interface Will {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: Qos;
  readonly retain: boolean;
  readonly properties: WillProperties;
  readonly userProperties: UserProperties;
}

export interface ConnectPacket {
  readonly version: ProtocolVersion;
  /** Empty where the server is to choose one. */
  readonly clientId: string;
  /** Before 5.0 "clean session": the session then also ends with its connection. */
  readonly cleanStart: boolean;
  /** 0 means none. */
  readonly keepAliveSeconds: number;
  readonly will: Will | null;
  readonly userName: string | null;
  readonly password: Buffer | null;
  readonly properties: ConnectProperties;
  readonly userProperties: UserProperties;
}

const flag = {
  reserved: 0x01,
  cleanStart: 0x02,
  will: 0x04,
  willRetain: 0x20,
  password: 0x40,
  userName: 0x80,
} as const;

/** Before 5.0. */
const noProperties: {
  readonly properties: ConnectProperties & WillProperties;
  readonly userProperties: UserProperties;
} = { properties: {}, userProperties: [] };

/**
 * Reads what stands behind the fixed header of a CONNECT. All that it keeps is copied.
 *
 * @throws MqttError whose `version` says in whose form to answer: null where the client does not speak MQTT
 */
export function decodeConnect(
  bytes: Uint8Array,
  start: number,
  end: number,
  maxLevels: number = defaultMaxLevels,
): ConnectPacket {
  const reader = new PacketReader(bytes, start, end, 'CONNECT');
  const version = readVersion(reader);
  try {
    return readConnect(reader, version, maxLevels);
  } catch (error) {
    if (error instanceof MqttError) error.version = version;
    throw error;
  }
}

function readVersion(reader: PacketReader): ProtocolVersion {
  const name = reader.text();
  const level = reader.u8();
  // [MQTT-3.1.2-1] [MQTT-3.1.2-2]. "MQIsdp" is MQTT 3.1's name.
  if (name === 'MQTT' && (level === 4 || level === 5)) return level;
  if (name === 'MQIsdp' && level === 3) return 3;
  if (name !== 'MQTT' && name !== 'MQIsdp') {
    throw new MqttError(reasonCode.unsupportedProtocolVersion, 'the protocol is not MQTT');
  }
  const error = new MqttError(reasonCode.unsupportedProtocolVersion, `protocol level ${level} of ${name} is unknown`);
  // The nearest that it may understand. Mosquitto's bridges set the highest bit, and ask again without it when refused.
  error.version = (level & 0x7f) > 5 ? 5 : 4;
  throw error;
}

function readConnect(reader: PacketReader, version: ProtocolVersion, maxLevels: number): ConnectPacket {
  const flags = reader.u8();
  checkFlags(flags, version);
  const keepAliveSeconds = reader.u16();
  const own = version === 5 ? readProperties(reader, connectProperties, true) : noProperties;
  if (own.properties.authenticationData !== undefined && own.properties.authenticationMethod === undefined) {
    throw protocolError('CONNECT has authentication data without an authentication method'); // §3.1.2.11.10
  }
  const clientId = reader.text();
  const cleanStart = (flags & flag.cleanStart) !== 0;
  if (clientId === '' && (version === 3 || (version === 4 && !cleanStart))) {
    // 3.1.1 [MQTT-3.1.3-8]; MQTT 3.1 allows none without.
    throw new MqttError(reasonCode.clientIdentifierNotValid, 'the client identifier is empty');
  }
  const will = (flags & flag.will) === 0 ? null : readWill(reader, flags, version, maxLevels);
  const userName = (flags & flag.userName) === 0 ? null : reader.text();
  const password = (flags & flag.password) === 0 ? null : reader.binary();
  reader.finish();
  const { properties, userProperties } = own;
  return { version, clientId, cleanStart, keepAliveSeconds, will, userName, password, properties, userProperties };
}

function checkFlags(flags: number, version: ProtocolVersion): void {
  if ((flags & flag.reserved) !== 0) throw malformed('the reserved flag of CONNECT is set'); // [MQTT-3.1.2-3]
  const willQos = (flags >> 3) & 3;
  if (willQos === 3) throw malformed('the will of CONNECT has QoS 3'); // [MQTT-3.1.2-12]
  if ((flags & flag.will) === 0 && (willQos !== 0 || (flags & flag.willRetain) !== 0)) {
    throw malformed('CONNECT has no will but a QoS or retain flag of one'); // [MQTT-3.1.2-11] [MQTT-3.1.2-13]
  }
  if (version < 5 && (flags & flag.userName) === 0 && (flags & flag.password) !== 0) {
    throw malformed('CONNECT has a password without a user name'); // 3.1.1 [MQTT-3.1.2-22]
  }
}

function readWill(reader: PacketReader, flags: number, version: ProtocolVersion, maxLevels: number): Will {
  const own = version === 5 ? readProperties(reader, willProperties, true) : noProperties;
  const topic = reader.text();
  checkTopicName(topic, maxLevels);
  const { responseTopic } = own.properties;
  if (responseTopic !== undefined && (responseTopic === '' || /[+#]/.test(responseTopic))) {
    throw protocolError('the response topic of the will is empty or holds a wildcard'); // [MQTT-3.3.2-14]
  }
  const payload = reader.binary();
  return { topic, payload, qos: ((flags >> 3) & 3) as Qos, retain: (flags & flag.willRetain) !== 0, ...own };
}
