/**
 * The settings of `postrider serve`, once: the command line makes its options of this table, the configuration file its keys.
 * A setting's name is its long option without the dashes.
 */
import { isIP } from 'node:net';
import { ConfigError } from './config-error.ts';
import { dataDirectory } from './data-directory.ts';

export type Port = number | 'off';

export interface ServeSettings {
  /** A directory, or `memory:`. */
  readonly data: string;
  readonly host: string;
  /** 0: any free port; off: not spoken this way. Those over TLS need a certificate. */
  readonly amqpPort: Port;
  readonly amqpsPort: Port;
  readonly mqttPort: Port;
  readonly mqttsPort: Port;
  /** MQTT over WebSocket. */
  readonly wsPort: Port;
  readonly wssPort: Port;
  /** Files; empty: none. */
  readonly tlsCert: string;
  readonly tlsKey: string;
  /** Whose certificates clients must show. */
  readonly tlsClientCa: string;
  /** Tell on standard output, as one JSON line, that it listens. */
  readonly json: boolean;
  /** Seconds that a delivery may stay unacknowledged; 0: for ever. */
  readonly consumerTimeout: number;
  /** The topic exchange on which MQTT's topics live. */
  readonly mqttExchange: string;
  /** Seconds; 65,535 leaves it to clients. */
  readonly mqttMaxKeepAlive: number;
  readonly maxQueues: number;
  readonly maxExchanges: number;
  readonly maxBindings: number;
  readonly maxArgumentBytes: number;
}

export interface Setting<K extends keyof ServeSettings = keyof ServeSettings> {
  readonly key: K;
  /** Long option and key of the file. */
  readonly name: string;
  /** What stands behind the option in the help; absent for a switch. */
  readonly placeholder?: string;
  readonly description: string;
  readonly standard: ServeSettings[K];
  /** Reads a value as given (text on the command line, a scalar in the file). @throws ConfigError saying what it must be */
  read(value: unknown): ServeSettings[K];
}

const data: Setting<'data'> = {
  key: 'data',
  name: 'data',
  placeholder: 'DIR|memory:',
  description: 'directory of the journal; memory: keeps everything in memory',
  standard: './data',
  read(value) {
    if (typeof value !== 'string' || value === '')
      throw new ConfigError(`must be a directory, or memory:, not ${shown(value)}`);
    return value === 'memory:' ? value : dataDirectory(value);
  },
};

const host: Setting<'host'> = {
  key: 'host',
  name: 'host',
  placeholder: 'ADDRESS',
  description: 'address to listen on; 0.0.0.0 or :: are all that this machine has',
  standard: '127.0.0.1',
  read(value) {
    if (typeof value !== 'string' || value === '')
      throw new ConfigError(`must be an address such as 127.0.0.1, not ${shown(value)}`);
    // Other names are not looked up: what they resolve to may change.
    if (value !== 'localhost' && isIP(value) === 0) {
      throw new ConfigError(`must be an IP address or localhost, not ${shown(value)}`);
    }
    return value;
  },
};

type PortKey = 'amqpPort' | 'amqpsPort' | 'mqttPort' | 'mqttsPort' | 'wsPort' | 'wssPort';

function portOf<K extends PortKey>(key: K, name: string, standard: number, description: string): Setting<K> {
  return { key, name, placeholder: 'PORT', description, standard, read: readPort };
}

const ports: readonly Setting<PortKey>[] = [
  portOf('amqpPort', 'amqp-port', 5672, 'port for AMQP 0-9-1; 0 picks a free one, off serves none'),
  portOf('amqpsPort', 'amqps-port', 5671, 'port for AMQP 0-9-1 over TLS, where there is a certificate'),
  portOf('mqttPort', 'mqtt-port', 1883, 'port for MQTT 3.1.1 and 5.0; 0 picks a free one, off serves none'),
  portOf('mqttsPort', 'mqtts-port', 8883, 'port for MQTT over TLS, where there is a certificate'),
  portOf('wsPort', 'ws-port', 8083, 'port for MQTT over WebSocket; 0 picks a free one, off serves none'),
  portOf('wssPort', 'wss-port', 8084, 'port for MQTT over WebSocket and TLS, where there is a certificate'),
];

type FileKey = 'tlsCert' | 'tlsKey' | 'tlsClientCa';

function file<K extends FileKey>(key: K, name: string, description: string): Setting<K> {
  return {
    key,
    name,
    placeholder: 'FILE',
    description,
    standard: '',
    read(value) {
      if (typeof value !== 'string' || value === '') throw new ConfigError(`must be a file, not ${shown(value)}`);
      return value;
    },
  };
}

const tls: readonly Setting<FileKey>[] = [
  file('tlsCert', 'tls-cert', 'certificate (PEM), with those between it and its authority; read again when it changes'),
  file('tlsKey', 'tls-key', 'its private key (PEM)'),
  file('tlsClientCa', 'tls-client-ca', 'clients must show a certificate that one of these (PEM) has signed'),
];

const json: Setting<'json'> = {
  key: 'json',
  name: 'json',
  description: 'once it listens, print one line of JSON with the ports',
  standard: false,
  read(value) {
    if (typeof value !== 'boolean') throw new ConfigError(`must be true or false, not ${shown(value)}`);
    return value;
  },
};

/** Seven days: longer than any pause that is meant, and still a number of milliseconds that a timer takes. */
const longestTimeoutSeconds = 604_800;
const mostOfAKind = 100_000_000;
const mostBytes = 2 ** 40;

const consumerTimeout: Setting<'consumerTimeout'> = {
  key: 'consumerTimeout',
  name: 'consumer-timeout',
  placeholder: 'SECONDS',
  description: 'a delivery that is not acknowledged for so long ends its channel; 0: never',
  standard: 1800,
  read: (value) => readCount(value, 'seconds', 0, longestTimeoutSeconds),
};

const mqttExchange: Setting<'mqttExchange'> = {
  key: 'mqttExchange',
  name: 'mqtt-exchange',
  placeholder: 'EXCHANGE',
  description: "topic exchange on which MQTT's topics live",
  standard: 'amq.topic',
  read(value) {
    if (typeof value !== 'string' || value === '' || Buffer.byteLength(value) > 255) {
      throw new ConfigError(`must be the name of an exchange, not ${shown(value)}`);
    }
    return value;
  },
};

/** What the protocol can say. */
const longestKeepAliveSeconds = 65_535;

const mqttMaxKeepAlive: Setting<'mqttMaxKeepAlive'> = {
  key: 'mqttMaxKeepAlive',
  name: 'mqtt-max-keep-alive',
  placeholder: 'SECONDS',
  description: 'longest keep-alive of MQTT 5.0 clients, and of those that want none; 65535: as they like',
  standard: longestKeepAliveSeconds,
  read: (value) => readCount(value, 'seconds', 1, longestKeepAliveSeconds),
};

type LimitKey = 'maxQueues' | 'maxExchanges' | 'maxBindings' | 'maxArgumentBytes';

/** `units` is what is counted, in the words of a refusal. */
function limit<K extends LimitKey>(
  key: K,
  name: string,
  units: string,
  standard: number,
  description: string,
): Setting<K> {
  const most = units === 'bytes' ? mostBytes : mostOfAKind;
  const placeholder = units === 'bytes' ? 'BYTES' : 'COUNT';
  return { key, name, placeholder, description, standard, read: (value) => readCount(value, units, 1, most) };
}

const limits: readonly Setting<LimitKey>[] = [
  limit('maxQueues', 'max-queues', 'queues', 200_000, 'queues that may be declared'),
  limit('maxExchanges', 'max-exchanges', 'exchanges', 100_000, 'exchanges that may be declared'),
  limit('maxBindings', 'max-bindings', 'bindings', 1_000_000, 'bindings that may be made'),
  limit(
    'maxArgumentBytes',
    'max-argument-bytes',
    'bytes',
    268_435_456,
    'memory that the arguments of all these may take',
  ),
];

export const serveSettings: readonly Setting[] = [
  data,
  host,
  ...ports,
  ...tls,
  json,
  consumerTimeout,
  mqttExchange,
  mqttMaxKeepAlive,
  ...limits,
];

/** Reads the values given under their names, each layer over the one before, and fills in what none gave. */
export function settingsFrom(...layers: readonly Partial<ServeSettings>[]): ServeSettings {
  const standard = Object.fromEntries(serveSettings.map((setting) => [setting.key, setting.standard]));
  return Object.assign(standard, ...layers) as ServeSettings;
}

function readPort(value: unknown): Port {
  if (value === 'off') return value;
  const port = typeof value === 'string' && /^\d{1,5}$/.test(value) ? Number(value) : value;
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new ConfigError(`must be a port between 0 (any free one) and 65535, or off, not ${shown(value)}`);
  }
  return port;
}

function readCount(value: unknown, what: string, least: number, most: number): number {
  const count = typeof value === 'string' && /^\d{1,13}$/.test(value) ? Number(value) : value;
  if (typeof count !== 'number' || !Number.isInteger(count) || count < least || count > most) {
    throw new ConfigError(`must be a number of ${what} between ${least} and ${most}, not ${shown(value)}`);
  }
  return count;
}

function shown(value: unknown): string {
  return value === undefined ? 'a list' : JSON.stringify(value);
}
