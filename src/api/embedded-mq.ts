import type { Broker } from '../broker/index.ts';
import { PostriderError } from './errors.ts';
import { Mq } from './mq.ts';
import { boolean, checkOptions, type Checks, either, integer, object, text } from './option-check.ts';

/** What a broker in this process serves to others: `mq.listen(options)`. */
export interface ListenOptions {
  /** Serves AMQP 0-9-1: true for port 5672 on loopback, or where. Port 0 takes a free one. */
  readonly amqp?:
    | boolean
    | {
        /** Default 5672; 0: any free one. */
        readonly port?: number;
        /** An address of this machine. Default `127.0.0.1`. The user `guest` may come from loopback alone. */
        readonly host?: string;
      };
}

/** A server, as `mq.listen()` gives it. */
export interface Listening {
  /** Where AMQP is served; null: it is not. */
  readonly amqp: {
    /** As asked for. */
    readonly host: string;
    /** The port that was taken, where 0 was asked for. */
    readonly port: number;
  } | null;
  /** No more connections; those that are open are asked to go. `mq.close()` does it too. */
  close(): Promise<void>;
}

const checks: Checks<ListenOptions> = { amqp: either(boolean, object) };
const amqpChecks: Checks<{ port?: number; host?: string }> = { port: integer(0, 65_535), host: text };
const defaultPort = 5672;

/** A broker in this process: what `connect('file:...')` and `connect('memory:')` give. */
export class EmbeddedMq extends Mq {
  /** @internal `connect`'s own. */
  broker: Broker | null = null;
  readonly #log: (line: string) => void;

  /** @internal Use `connect()`. */
  constructor(log: (line: string) => void) {
    super();
    this.#log = log;
  }

  /**
   * Serves this broker over the network, beside its use in this process: other programs connect to it as to any AMQP broker.
   * Resolves once it listens.
   * @throws PostriderError INVALID_OPTION, REFUSED (the port is taken), CLOSED
   */
  async listen(options: ListenOptions): Promise<Listening> {
    checkOptions('listen()', options, checks);
    const { amqp = false } = options;
    if (amqp === false) {
      throw new PostriderError(
        'INVALID_OPTION',
        'listen() wants to know what for: listen({ amqp: true }), or { amqp: { port } }',
      );
    }
    const where = amqp === true ? {} : amqp;
    checkOptions('listen(): amqp', where, amqpChecks);
    const { port = defaultPort, host = '127.0.0.1' } = where;
    this.requireOpen('listen');
    const { listenAmqp } = await import('./listen-amqp.ts');
    const server = await listenAmqp(this.broker!, host, port, this.#log);
    let closing: Promise<void> | null = null;
    const close = (): Promise<void> => (closing ??= server.close());
    try {
      this.addService(close);
    } catch (error) {
      // Closed meanwhile.
      await close();
      throw error;
    }
    return { amqp: { host, port: server.port }, close };
  }
}
