import type { Broker } from '../broker/index.ts';
import { PostriderError } from './errors.ts';
import type { Place } from './listening.ts';
import { Mq } from './mq.ts';
import { boolean, checkOptions, type Checks, either, integer, object, text } from './option-check.ts';

/** Where a broker in this process listens. */
export interface ListenPlace {
  /** Default: the protocol's own; 0: any free one. */
  readonly port?: number;
  /** An address of this machine. Default `127.0.0.1`. The user `guest` may come from loopback alone. */
  readonly host?: string;
}

/** What a broker in this process serves to others: `mq.listen(options)`. True: at its own port on loopback. */
export interface ListenOptions {
  /** AMQP 0-9-1, port 5672. */
  readonly amqp?: boolean | ListenPlace;
  /** MQTT 3.1.1 and 5.0, port 1883. */
  readonly mqtt?: boolean | ListenPlace;
  /** MQTT over WebSocket, for browsers, port 8083: `ws://127.0.0.1:8083/mqtt`. */
  readonly ws?: boolean | ListenPlace;
}

/** Where something is served. */
export interface ListeningPlace {
  /** As asked for. */
  readonly host: string;
  /** The port that was taken, where 0 was asked for. */
  readonly port: number;
}

/** A server, as `mq.listen()` gives it. */
export interface Listening {
  /** Where AMQP is served; null: it is not. */
  readonly amqp: ListeningPlace | null;
  /** Where MQTT is served; null: it is not. */
  readonly mqtt: ListeningPlace | null;
  /** Where MQTT over WebSocket is served; null: it is not. */
  readonly ws: ListeningPlace | null;
  /** No more connections; those that are open are asked to go. `mq.close()` does it too. */
  close(): Promise<void>;
}

const way = either(boolean, object);
const checks: Checks<ListenOptions> = { amqp: way, mqtt: way, ws: way };
const placeChecks: Checks<ListenPlace> = { port: integer(0, 65_535), host: text };
const defaultPorts = { amqp: 5672, mqtt: 1883, ws: 8083 } as const;

/** A broker in this process: what `connect('file:...')` and `connect('memory:')` give. */
export class EmbeddedMq extends Mq {
  /** @internal `connect`'s own. */
  broker: Broker | null = null;
  readonly #log: (line: string) => void;
  /** One server has all sessions of MQTT clients. */
  #servesMqtt = false;

  /** @internal Use `connect()`. */
  constructor(log: (line: string) => void) {
    super();
    this.#log = log;
  }

  /**
   * Serves this broker over the network, beside its use in this process: other programs connect to it as to any broker of AMQP or MQTT.
   * Resolves once it listens. MQTT is served by one call at a time: name `mqtt` and `ws` together.
   * @throws PostriderError INVALID_OPTION, REFUSED (a port is taken), CLOSED
   */
  async listen(options: ListenOptions): Promise<Listening> {
    checkOptions('listen()', options, checks);
    const [amqp, mqtt, ws] = [placeOf('amqp', options), placeOf('mqtt', options), placeOf('ws', options)];
    if (amqp === null && mqtt === null && ws === null) {
      throw new PostriderError(
        'INVALID_OPTION',
        'listen() wants to know what for: listen({ amqp: true }), { mqtt: true, ws: true }, or { amqp: { port } }',
      );
    }
    this.requireOpen('listen');
    const servesMqtt = mqtt !== null || ws !== null;
    if (servesMqtt && this.#servesMqtt) {
      throw new PostriderError('INVALID_OPTION', 'listen(): MQTT is served already; name mqtt and ws in one call');
    }
    if (servesMqtt) this.#servesMqtt = true;
    const servers: { close(): Promise<void> }[] = [];
    const closeAll = async (): Promise<void> => {
      await Promise.all(servers.map((server) => server.close()));
      if (servesMqtt) this.#servesMqtt = false;
    };
    let closing: Promise<void> | null = null;
    const close = (): Promise<void> => (closing ??= closeAll());
    try {
      const places: { amqp: Place | null; mqtt: Place | null; ws: Place | null } = { amqp: null, mqtt: null, ws: null };
      if (amqp !== null) {
        const { listenAmqp } = await import('./listen-amqp.ts');
        const server = await listenAmqp(this.broker!, amqp, this.#log);
        servers.push(server);
        places.amqp = server.amqp;
      }
      if (servesMqtt) {
        const { listenMqtt } = await import('./listen-mqtt.ts');
        const server = await listenMqtt(this.broker!, mqtt, ws, this.#log);
        servers.push(server);
        places.mqtt = server.mqtt;
        places.ws = server.ws;
      }
      this.addService(close);
      return { ...places, close };
    } catch (error) {
      // A port is taken, or it was closed meanwhile.
      await close();
      throw error;
    }
  }
}

function placeOf(protocol: keyof typeof defaultPorts, options: ListenOptions): Place | null {
  const asked = options[protocol] ?? false;
  if (asked === false) return null;
  const place = asked === true ? {} : asked;
  checkOptions(`listen(): ${protocol}`, place, placeChecks);
  const { port = defaultPorts[protocol], host = '127.0.0.1' } = place;
  return { host, port };
}
