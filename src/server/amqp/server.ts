import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Broker, MessageView } from '../../broker/index.ts';
import type { Channel } from './channel.ts';
import { CountedBatch } from './commit.ts';
import { Connection } from './connection.ts';
import { DirectReplies } from './direct-reply.ts';
import { topologyKey } from './reply-to.ts';
import { FrozenClients } from './frozen-clients.ts';
import { readInto } from './shared-read-buffer.ts';
import { defaultAmqpSettings, type AmqpSettings } from './settings.ts';
import { TopologyAnswers } from './topology-answers.ts';

export interface AmqpServerOptions {
  readonly broker: Broker;
  readonly settings?: Partial<AmqpSettings>;
  /** Told to clients. */
  readonly version?: string;
  /** One line for an operator. */
  readonly log?: (line: string) => void;
}

/** Listens for AMQP 0-9-1. */
export class AmqpServer {
  readonly broker: Broker;
  readonly settings: AmqpSettings;
  readonly version: string;
  readonly log: (line: string) => void;
  /** Only one batch is open at a time, so one counter serves all connections. */
  readonly batch: CountedBatch;
  readonly replies = new DirectReplies();
  readonly topology: TopologyAnswers;

  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  readonly #frozen: FrozenClients;
  /** Connections are refused, which was told. */
  #full = false;
  #unsubscribe: (() => void) | null = null;
  #allClosed: (() => void) | null = null;

  constructor(options: AmqpServerOptions) {
    this.broker = options.broker;
    this.settings = { ...defaultAmqpSettings, ...options.settings };
    this.version = options.version ?? '0.0.0';
    this.log = options.log ?? (() => undefined);
    this.batch = new CountedBatch();
    this.#frozen = new FrozenClients(this.#connections, this.settings);
    this.topology = new TopologyAnswers(options.broker);
    this.#server = createServer({ noDelay: true, allowHalfOpen: true, pauseOnConnect: true }, (socket) =>
      this.#accept(socket),
    );
  }

  /** Resolves once it listens. Port 0 takes a free one. @throws the error of `listen`: EADDRINUSE, EACCES, ... */
  async listen(host: string, port: number): Promise<AddressInfo> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port, backlog: 1024 }, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    this.#server.on('error', (error) => this.log(`amqp: ${error.message}`));
    const pressureChanged = (): void => {
      this.#frozen.follow(this.broker.pressure);
      for (const connection of this.#connections) connection.pressureChanged();
    };
    this.#unsubscribe = this.broker.pressure.subscribe({
      blocked: pressureChanged,
      unblocked: pressureChanged,
      behind: pressureChanged,
      caughtUp: pressureChanged,
    });
    return this.address;
  }

  get address(): AddressInfo {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the AMQP server does not listen');
    return address;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Takes no more connections, asks every client to go (320 CONNECTION_FORCED), and resolves once all are gone; after `timeoutMs` they are cut. */
  async close(reason = 'shutdown', timeoutMs = 3_000): Promise<void> {
    this.#unsubscribe?.();
    this.#frozen.stop();
    this.#server.close();
    for (const connection of this.#connections) connection.ending.force(reason);
    if (this.#connections.size === 0) return;
    const cut = setTimeout(() => {
      for (const connection of this.#connections) connection.ending.destroy();
    }, timeoutMs);
    await new Promise<void>((resolve) => {
      this.#allClosed = resolve;
    });
    clearTimeout(cut);
  }

  /** A message to one of the addresses that are no queue's. False: nobody is there. @throws BrokerError ACCESS_REFUSED */
  takeSpecial(channel: Channel, message: MessageView): boolean {
    const { routingKey } = channel.target;
    if (routingKey === topologyKey) return this.topology.answer(channel, message);
    return this.replies.deliver(routingKey, message);
  }

  connectionClosed(connection: Connection): void {
    this.#connections.delete(connection);
    if (this.#connections.size < 0.9 * this.settings.maxConnections) this.#full = false;
    if (this.#connections.size === 0) this.#allClosed?.();
  }

  #accept(socket: Socket): void {
    if (this.#connections.size >= this.settings.maxConnections) {
      if (!this.#full) this.log(`amqp: connections are refused: ${this.settings.maxConnections} are open`);
      this.#full = true;
      socket.destroy();
      return;
    }
    this.#connections.add(new Connection(this, (read) => readInto(socket, this.#server, read)));
  }
}
