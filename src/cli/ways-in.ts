/** The ways into a served broker: which of them are wanted, and where. */
import type { ServeSettings } from '../config/serve-settings.ts';
import { CommandError } from './command-error.ts';
import { exitCode } from './exit-code.ts';
import { address } from './listen-error.ts';

export type Protocol = 'amqp' | 'amqps' | 'mqtt' | 'mqtts' | 'ws' | 'wss';

export interface WayIn {
  readonly protocol: Protocol;
  /** 0: any free one. */
  readonly port: number;
  /** Which chooses the port. */
  readonly option: string;
}

/** Where it listens. */
export type Ports = Partial<Record<Protocol, number>>;

const plain: readonly Protocol[] = ['amqp', 'mqtt', 'ws'];
const overTls: readonly Protocol[] = ['amqps', 'mqtts', 'wss'];

/** @throws CommandError where there is none, or two want one port */
export function waysIn(settings: ServeSettings, hasCertificate: boolean): readonly WayIn[] {
  const ways = [...plain, ...(hasCertificate ? overTls : [])].flatMap((protocol): WayIn[] => {
    const port = settings[`${protocol}Port`];
    return port === 'off' ? [] : [{ protocol, port, option: optionOf(protocol) }];
  });
  if (ways.length === 0) {
    const off = plain.map((protocol) => `${optionOf(protocol)} off`).join(', ');
    const why = hasCertificate ? 'every port is off' : `${off}, and no --tls-cert and --tls-key`;
    throw usage(`nothing is left to serve: ${why}`);
  }
  for (const { port, option } of ways) {
    const other = ways.find((way) => way.port === port && way.option !== option);
    if (port !== 0 && other !== undefined) throw usage(`${option} and ${other.option} are both ${port}`);
  }
  return ways;
}

/** For people. */
export function places(host: string, ports: Ports): string {
  const at = (protocol: Protocol, shown: (place: string) => string): string[] => {
    const port = ports[protocol];
    return port === undefined ? [] : [shown(address(host, port))];
  };
  const amqp = [...at('amqp', (place) => place), ...at('amqps', (place) => `${place} (TLS)`)];
  const mqtt = [
    ...at('mqtt', (place) => place),
    ...at('mqtts', (place) => `${place} (TLS)`),
    ...at('ws', (place) => `ws://${place}/mqtt`),
    ...at('wss', (place) => `wss://${place}/mqtt`),
  ];
  return [
    ...(amqp.length === 0 ? [] : [`AMQP 0-9-1 on ${amqp.join(' and ')}`]),
    ...(mqtt.length === 0 ? [] : [`MQTT on ${mqtt.join(' and ')}`]),
  ].join(', ');
}

function optionOf(protocol: Protocol): string {
  return `--${protocol}-port`;
}

function usage(message: string): CommandError {
  return new CommandError(exitCode.usage, message);
}
