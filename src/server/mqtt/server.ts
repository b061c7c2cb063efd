import type { AddressInfo } from 'node:net';
import { type Broker, BrokerError, type MessageView, type Route, type Session } from '../../broker/index.ts';
import type { ConnectPacket } from '../../wire/mqtt/connect-packet.ts';
import { MqttError } from '../../wire/mqtt/mqtt-error.ts';
import { reasonCode } from '../../wire/mqtt/reason-code.ts';
import { CountedBatch } from '../counted-batch.ts';
import { Admission } from '../socket/admission.ts';
import { FrozenClients } from '../socket/frozen-clients.ts';
import { OutputBudget } from '../socket/output-budget.ts';
import type { TlsIdentity } from '../socket/tls-listener.ts';
import { AccessChanges } from './access-changes.ts';
import { Connection } from './connection.ts';
import { credentialsOf, type Credentials } from './credentials.ts';
import type { Authentication, AuthenticationStep, Authenticator } from './enhanced-authentication.ts';
import { KeepAliveWheel } from './keep-alive.ts';
import { Listeners } from './listeners.ts';
import { RetainedTurns } from './retained-turns.ts';
import type { MqttSession } from './session.ts';
import { neverExpires } from './session-record.ts';
import { PlanBudget } from './plan-budget.ts';
import { Sessions } from './sessions.ts';
import { mqttSettings, type MqttSettings } from './settings.ts';
import { SysTopics } from './sys-topics.ts';
import { Traffic } from './traffic.ts';

export interface MqttServerOptions {
  readonly broker: Broker;
  readonly settings?: Partial<MqttSettings>;
  /** Told to clients in `$SYS`. */
  readonly version?: string;
  /** Ways to log in beside user name and password (5.0). Default: none. */
  readonly authenticators?: readonly Authenticator[];
  /** Where else a client is to go, by its identifier and address; null: it may stay. Default: all stay. */
  readonly redirect?: (clientId: string, address: string) => string | null;
  /** One line for an operator. */
  readonly log?: (line: string) => void;
  /** Shared with other listeners; without it the settings bound these alone. */
  readonly admission?: Admission;
}

/** Listens for MQTT 3.1.1 and 5.0, over TCP, TLS and WebSocket. */
export class MqttServer {
  readonly broker: Broker;
  readonly settings: MqttSettings;
  readonly version: string;
  readonly log: (line: string) => void;
  /** Only one batch is open at a time, so one counter serves all connections. */
  readonly batch = new CountedBatch();
  /** Of all connections. */
  readonly outputBudget: OutputBudget;
  readonly plans = new PlanBudget();
  readonly sessions: Sessions;
  readonly keepAlive = new KeepAliveWheel();
  readonly traffic = new Traffic();
  readonly sys: SysTopics;
  readonly retainedTurns: RetainedTurns;

  readonly #listeners: Listeners;
  readonly #admission: Admission;
  readonly #connections = new Set<Connection>();
  readonly #frozen: FrozenClients;
  readonly #authenticators: ReadonlyMap<string, Authenticator>;
  readonly #redirect: (clientId: string, address: string) => string | null;
  #unsubscribe: (() => void)[] = [];
  #allClosed: (() => void) | null = null;

  constructor(options: MqttServerOptions) {
    this.broker = options.broker;
    this.settings = mqttSettings(options.settings);
    this.version = options.version ?? '0.0.0';
    this.log = options.log ?? (() => undefined);
    this.#authenticators = new Map((options.authenticators ?? []).map((each) => [each.method, each]));
    this.#redirect = options.redirect ?? (() => null);
    this.outputBudget = new OutputBudget(this.settings);
    this.#admission = options.admission ?? new Admission(this.settings, this.log);
    this.#frozen = new FrozenClients(this.#connections, this.settings, this.broker.pressure, this.outputBudget);
    this.sessions = new Sessions(this);
    this.sys = new SysTopics(this);
    this.retainedTurns = new RetainedTurns(this.broker.pressure);
    this.#listeners = new Listeners({
      admission: this.#admission,
      connectTimeoutMs: this.settings.connectTimeoutMs,
      accept: (open, arrival) => {
        const connection = new Connection(this, open, arrival);
        this.#connections.add(connection);
        return connection;
      },
      log: this.log,
    });
  }

  /** Resolves once it listens. Port 0 takes a free one. @throws the error of `listen`: EADDRINUSE, EACCES, ... */
  async listen(host: string, port: number): Promise<AddressInfo> {
    this.#start();
    return this.#listeners.listen(host, port);
  }

  /** The same for TLS. @throws what OpenSSL says of the identity, too */
  async listenTls(host: string, port: number, identity: TlsIdentity): Promise<AddressInfo> {
    this.#start();
    return this.#listeners.listenTls(host, port, identity);
  }

  /** The same for WebSocket. */
  async listenWs(host: string, port: number): Promise<AddressInfo> {
    this.#start();
    return this.#listeners.listenWs(host, port);
  }

  /** The same for WebSocket over TLS. @throws what OpenSSL says of the identity, too */
  async listenWss(host: string, port: number, identity: TlsIdentity): Promise<AddressInfo> {
    this.#start();
    return this.#listeners.listenWss(host, port, identity);
  }

  /** Another certificate, for connections to come. @throws what OpenSSL says of it; the one before stays */
  setTlsIdentity(identity: TlsIdentity): void {
    this.#listeners.setTlsIdentity(identity);
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Takes no more connections, tells every client to go (0x8B server shutting down, or 0x9C with another server), and resolves once all are gone; after `timeoutMs` they are cut. */
  async close(options: { readonly timeoutMs?: number; readonly serverReference?: string } = {}): Promise<void> {
    const { timeoutMs = 3_000, serverReference } = options;
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#frozen.stop();
    this.#listeners.close();
    const reason = serverReference === undefined ? reasonCode.serverShuttingDown : reasonCode.useAnotherServer;
    for (const connection of this.#connections) {
      connection.ending.refuse(reason, 'the server is shutting down', serverReference);
    }
    if (this.#connections.size > 0) {
      const cut = setTimeout(() => {
        for (const connection of this.#connections) connection.ending.destroy();
      }, timeoutMs);
      await new Promise<void>((resolve) => {
        this.#allClosed = resolve;
      });
      clearTimeout(cut);
    }
    this.sessions.stop();
    this.sys.stop();
  }

  // For connections

  /** The client is in. */
  entered(connection: Connection): void {
    this.#admission.loggedIn(connection);
    this.traffic.connected(this.#connections.size);
  }

  connectionClosed(connection: Connection): void {
    this.#connections.delete(connection);
    this.traffic.bytesSent += connection.output.taken;
    this.#admission.disconnected(connection);
    if (this.#connections.size === 0) this.#allClosed?.();
  }

  /** To all clients since the beginning. */
  get bytesSent(): number {
    let sum = this.traffic.bytesSent;
    for (const { output } of this.#connections) sum += output.taken;
    return sum;
  }

  redirect(clientId: string, address: string): string | null {
    return this.#redirect(clientId, address);
  }

  /** Null: it knows no such method. */
  authentication(method: string): Authentication | null {
    return this.#authenticators.get(method)?.begin() ?? null;
  }

  /** @throws MqttError, whatever the authenticator throws */
  async reauthenticate(connection: Connection, method: string, data: Buffer | null): Promise<AuthenticationStep> {
    connection.reauthentication ??= this.authentication(method);
    const answer = await connection.reauthentication!.step(data);
    if (answer.user === undefined) return answer;
    connection.reauthentication = null;
    const { user } = connection.agreed.principal;
    if (answer.user !== user) throw new MqttError(reasonCode.notAuthorized, `the client is user ${user}, and stays so`);
    return answer;
  }

  /** Who a CONNECT says its client is; null: it says nothing, and that is not enough here. */
  credentials(connection: Connection, connect: ConnectPacket): Credentials | null {
    return credentialsOf(connect, this.settings.vhost, connection.arrival.loopback);
  }

  /** How long the session may outlive its connection. */
  expirySeconds({ version, cleanStart, properties }: ConnectPacket): number {
    const asked = version === 5 ? (properties.sessionExpiryInterval ?? 0) : cleanStart ? 0 : neverExpires;
    return Math.min(asked, this.settings.maxSessionExpirySeconds);
  }

  /** What holds, of what the client asked for; 0: none. */
  keepAliveSeconds({ keepAliveSeconds: asked, version }: ConnectPacket): number {
    const { maxKeepAliveSeconds } = this.settings;
    // A client before 5.0 can't be told, and would be cut for what it doesn't know.
    if (version < 5 || maxKeepAliveSeconds >= 65_535) return asked;
    return asked === 0 ? maxKeepAliveSeconds : Math.min(asked, maxKeepAliveSeconds);
  }

  /** Where a publish to this topic goes. @throws BrokerError */
  routeOf(session: Session, topic: string, clientId: string): Route {
    if (topic.startsWith('$SYS/')) throw new BrokerError('ACCESS_REFUSED', "$SYS is the server's own");
    return session.vhost.routeTopic(session.principal, this.broker.context.settings.mqttExchange, topic, clientId);
  }

  /** Keeps the message for those who subscribe later; an empty one ends that. False: there is no room. */
  retain(owner: MqttSession, batch: CountedBatch, topic: string, message: MessageView): boolean {
    const { vhost, principal, clientId } = owner;
    return vhost.retained.put(batch, topic, message, { user: principal?.user ?? '', clientId });
  }

  /** A client may not publish where it wants to. It may want to often. */
  tellRefused(connection: Connection, why: string): void {
    if (!this.traffic.mayTell(connection)) return;
    connection.log(why);
  }

  logBug(error: unknown): void {
    this.log(`mqtt: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  }

  #start(): void {
    if (this.#unsubscribe.length > 0) return;
    this.#frozen.start();
    this.sessions.start();
    this.sys.start();
    const pressureChanged = (): void => {
      for (const connection of this.#connections) connection.pressureChanged();
      this.retainedTurns.pressureChanged();
    };
    this.#unsubscribe = [
      this.broker.pressure.subscribe({
        blocked: pressureChanged,
        unblocked: pressureChanged,
        behind: pressureChanged,
        caughtUp: pressureChanged,
      }),
      this.broker.onAccessChanged(new AccessChanges(this.#connections, this.sessions)),
    ];
  }
}
