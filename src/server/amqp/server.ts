import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Broker, MessageView } from '../../broker/index.ts';
import { CountedBatch } from '../counted-batch.ts';
import { AccessChanges } from './access-changes.ts';
import { AckDeadlines } from './ack-deadlines.ts';
import type { Channel } from './channel.ts';
import { Connection } from './connection.ts';
import { ControlAnswers } from './control/control-answers.ts';
import { DirectReplies } from './direct-reply.ts';
import { Admission } from '../socket/admission.ts';
import { FrozenClients } from '../socket/frozen-clients.ts';
import { listening } from '../socket/listening.ts';
import { OutputBudget } from '../socket/output-budget.ts';
import { controlKey, topologyKey } from './reply-to.ts';
import { Turns } from './turns.ts';
import { readEvents, readInto, shareReads, type Reader } from '../socket/shared-read-buffer.ts';
import { defaultAmqpSettings, type AmqpSettings } from './settings.ts';
import { TlsListener, type TlsIdentity } from '../socket/tls-listener.ts';
import { TopologyAnswers } from './topology-answers.ts';

export interface AmqpServerOptions {
  readonly broker: Broker;
  readonly settings?: Partial<AmqpSettings>;
  /** Told to clients. */
  readonly version?: string;
  /** One line for an operator. */
  readonly log?: (line: string) => void;
  /** Shared with other listeners; without it the settings bound these alone. */
  readonly admission?: Admission;
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
  readonly turns = new Turns();
  readonly topology: TopologyAnswers;
  readonly control = new ControlAnswers();
  /** Of all connections. */
  readonly outputBudget: OutputBudget;

  readonly #server: Server;
  #tls: TlsListener | null = null;
  readonly #connections = new Set<Connection>();
  readonly #admission: Admission;
  readonly #frozen: FrozenClients;
  readonly deadlines: AckDeadlines;
  #unsubscribe: (() => void)[] = [];
  #allClosed: (() => void) | null = null;

  constructor(options: AmqpServerOptions) {
    this.broker = options.broker;
    this.settings = { ...defaultAmqpSettings, ...options.settings };
    this.version = options.version ?? '0.0.0';
    this.log = options.log ?? (() => undefined);
    this.batch = new CountedBatch();
    const { consumerTimeoutMs, shortestAckPeriodMs } = this.settings;
    this.outputBudget = new OutputBudget(this.settings);
    this.#admission = options.admission ?? new Admission(this.settings, this.log);
    this.#frozen = new FrozenClients(this.#connections, this.settings, options.broker.pressure, this.outputBudget);
    this.deadlines = new AckDeadlines(this.#connections, consumerTimeoutMs, shortestAckPeriodMs);
    this.topology = new TopologyAnswers(options.broker);
    this.#server = createServer({ noDelay: true, allowHalfOpen: true, pauseOnConnect: true }, (socket) =>
      this.#accept(socket),
    );
  }

  /** Resolves once it listens. Port 0 takes a free one. @throws the error of `listen`: EADDRINUSE, EACCES, ... */
  async listen(host: string, port: number): Promise<AddressInfo> {
    const address = await listening(this.#server, host, port, this.#listenFailed);
    shareReads(this.#server);
    this.#start();
    return address;
  }

  /** The same for TLS, beside the other or alone. @throws what OpenSSL says of the identity, too */
  async listenTls(host: string, port: number, identity: TlsIdentity): Promise<AddressInfo> {
    this.#tls = new TlsListener(identity, {
      protocol: 'amqps',
      admit: () => this.#admission.admit('amqp'),
      entered: (entrant) => this.#admission.entered(entrant),
      left: (entrant) => this.#admission.left(entrant),
      accept: (socket) => this.#connect((read) => readEvents(socket, read)),
      log: this.log,
    });
    const address = await listening(this.#tls.server, host, port, this.#listenFailed);
    this.#start();
    return address;
  }

  /** Another certificate, for connections to come. @throws what OpenSSL says of it; the one before stays */
  setTlsIdentity(identity: TlsIdentity): void {
    this.#tls?.setIdentity(identity);
  }

  readonly #listenFailed = (error: Error): void => this.log(`amqp: ${error.message}`);

  #start(): void {
    if (this.#unsubscribe.length > 0) return;
    this.#frozen.start();
    this.deadlines.start();
    const pressureChanged = (): void => {
      for (const connection of this.#connections) connection.pressureChanged();
    };
    const pressure = {
      blocked: pressureChanged,
      unblocked: pressureChanged,
      behind: pressureChanged,
      caughtUp: pressureChanged,
    };
    this.#unsubscribe = [
      this.broker.pressure.subscribe(pressure),
      this.broker.onAccessChanged(new AccessChanges(this.#connections)),
    ];
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
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#frozen.stop();
    this.deadlines.stop();
    this.#server.close();
    this.#tls?.close();
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
    if (routingKey === controlKey) return this.control.answer(channel, message);
    if (routingKey === topologyKey) return this.topology.answer(channel, message);
    return this.replies.deliver(routingKey, message);
  }

  /** The connection is open: its client may do something. */
  entered(connection: Connection): void {
    this.#admission.loggedIn(connection);
  }

  connectionClosed(connection: Connection): void {
    if (this.#connections.delete(connection)) this.#admission.disconnected(connection);
    if (this.#connections.size === 0) this.#allClosed?.();
  }

  #accept(socket: Socket): void {
    if (this.#admission.admit('amqp')) this.#connect((read) => readInto(socket, this.#server, read));
    else socket.destroy();
  }

  #connect(accept: (read: Reader) => Socket): void {
    const connection = new Connection(this, accept);
    this.#connections.add(connection);
    this.#admission.connected(connection);
  }
}
