/** The servers of `serve`, one for each protocol that is wanted. */
import type { AddressInfo } from 'node:net';
import type { Broker } from '../broker/index.ts';
import type { ServeSettings } from '../config/serve-settings.ts';
import { AmqpServer, defaultAmqpSettings } from '../server/amqp/index.ts';
import type { MqttServer } from '../server/mqtt/index.ts';
import { Admission, type TlsIdentity } from '../server/socket/index.ts';
import { version } from '../version.ts';
import { connectionsWithin, descriptorLimit } from './descriptor-limit.ts';
import { listenError } from './listen-error.ts';
import type { TlsFiles } from './tls-files.ts';
import type { Ports, Protocol, WayIn } from './ways-in.ts';

const overMqtt: ReadonlySet<Protocol> = new Set(['mqtt', 'mqtts', 'ws', 'wss']);

export class Servers {
  readonly #amqp: AmqpServer;
  readonly #mqtt: MqttServer | null;

  /** None of them listens. */
  static async of(
    broker: Broker,
    ways: readonly WayIn[],
    { consumerTimeout, mqttMaxKeepAlive: maxKeepAliveSeconds }: ServeSettings,
    log: (line: string) => void,
  ): Promise<Servers> {
    const options = { broker, version, log, admission: admission(log) };
    const amqp = new AmqpServer({ ...options, settings: { consumerTimeoutMs: consumerTimeout * 1000 } });
    if (!ways.some(({ protocol }) => overMqtt.has(protocol))) return new Servers(amqp, null);
    const mqtt = await import('../server/mqtt/index.ts');
    return new Servers(amqp, new mqtt.MqttServer({ ...options, settings: { maxKeepAliveSeconds } }));
  }

  constructor(amqp: AmqpServer, mqtt: MqttServer | null) {
    this.#amqp = amqp;
    this.#mqtt = mqtt;
  }

  /** Answers which ports they took. @throws CommandError */
  async listen(host: string, ways: readonly WayIn[], tls: TlsFiles | null): Promise<Ports> {
    const ports: Ports = {};
    for (const { protocol, port, option } of ways) {
      try {
        ports[protocol] = (await this.#listen(protocol, host, port, tls?.identity)).port;
      } catch (error) {
        throw listenError(error, host, port, option);
      }
    }
    return ports;
  }

  setTlsIdentity(identity: TlsIdentity): void {
    this.#amqp.setTlsIdentity(identity);
    this.#mqtt?.setTlsIdentity(identity);
  }

  async close(): Promise<void> {
    await Promise.all([this.#amqp.close(), this.#mqtt?.close()]);
  }

  /** `identity` is there where TLS is. */
  #listen(protocol: Protocol, host: string, port: number, identity?: TlsIdentity): Promise<AddressInfo> {
    switch (protocol) {
      case 'amqp':
        return this.#amqp.listen(host, port);
      case 'amqps':
        return this.#amqp.listenTls(host, port, identity!);
      case 'mqtt':
        return this.#mqtt!.listen(host, port);
      case 'mqtts':
        return this.#mqtt!.listenTls(host, port, identity!);
      case 'ws':
        return this.#mqtt!.listenWs(host, port);
      case 'wss':
        return this.#mqtt!.listenWss(host, port, identity!);
    }
  }
}

/** Of all connections: they share the process's descriptors, whatever they speak. */
function admission(log: (line: string) => void): Admission {
  const { maxConnections, maxHandshakes } = defaultAmqpSettings;
  const limit = descriptorLimit();
  const most = limit === undefined ? maxConnections : Math.min(connectionsWithin(limit), maxConnections);
  return new Admission({ maxConnections: most, maxHandshakes }, log);
}
