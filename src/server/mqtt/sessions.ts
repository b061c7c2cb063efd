/** All sessions of a server: who is connected, who may come back, and when what a client left behind ends. */
import type { Broker, Vhost } from '../../broker/index.ts';
import type { ConnectPacket } from '../../wire/mqtt/connect-packet.ts';
import { MqttError } from '../../wire/mqtt/mqtt-error.ts';
import { reasonCode } from '../../wire/mqtt/reason-code.ts';
import type { Agreed, Connection } from './connection.ts';
import { PacketState } from './packet-state.ts';
import type { MqttServer } from './server.ts';
import { MqttSession, stateName } from './session.ts';
import { RetainedSender } from './retained.ts';
import { decodeRecord } from './session-record.ts';
import { UserCounts } from './user-counts.ts';
import { publishWill, willOf } from './will.ts';

const sweepMs = 1_000;
/** The longest that a timer takes; a will that is to wait longer is looked at again then. */
const longestTimerMs = 0x7fff_ffff;

export interface Entered {
  readonly session: MqttSession;
  readonly isPresent: boolean;
}

export class Sessions {
  readonly #server: MqttServer;
  readonly #broker: Broker;
  /** Connections of each user. */
  readonly #connected = new UserCounts();
  readonly #byKey = new Map<string, MqttSession>();
  /** What is being done with the session of a client, which the next that wants it waits for. */
  readonly #turns = new Map<string, Promise<unknown>>();
  /** Those without a connection. */
  readonly #offline = new Set<MqttSession>();
  #timer: NodeJS.Timeout | null = null;

  constructor(server: MqttServer) {
    this.#server = server;
    this.#broker = server.broker;
  }

  get count(): number {
    return this.#byKey.size;
  }

  get offlineCount(): number {
    return this.#offline.size;
  }

  [Symbol.iterator](): IterableIterator<MqttSession> {
    return this.#byKey.values();
  }

  /** Takes up what earlier runs of the broker left. */
  start(): void {
    for (const vhost of this.#broker.vhosts) {
      for (const subscriber of vhost.subscribers) {
        const { user, clientId, records } = subscriber;
        const stored = records.get(stateName.record);
        const packets = PacketState.decode(records.get(stateName.packets));
        const key = keyOf(vhost, user, clientId);
        const session = new MqttSession(
          key,
          clientId,
          vhost,
          this.#broker.users.get(user) ?? null,
          subscriber,
          packets,
        );
        if (stored === undefined) {
          // A crash came before its record: no client knows of it.
          this.#end(session).catch((error: unknown) => this.#server.logBug(error));
          continue;
        }
        const record = decodeRecord(stored);
        session.expirySeconds = record.expirySeconds;
        session.will = record.will;
        session.offlineAt = record.offlineAt === 0 ? this.#now() : record.offlineAt;
        if (records.has(stateName.retained)) session.retained = new RetainedSender(this.#server, session);
        this.#byKey.set(key, session);
        this.#goneOffline(session);
      }
    }
    // Those that ended with the broker's last run: their wills are out, and must not be once more.
    this.#sweep();
    this.#timer ??= setInterval(() => this.#sweep(), sweepMs).unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    for (const session of this.#offline) {
      if (session.willTimer !== null) clearTimeout(session.willTimer);
      session.willTimer = null;
    }
  }

  /**
   * Gives a client its session, a new one or that which it left; null: it has gone meanwhile. At once where nothing is known of the client, and
   * nothing is to be stored: so do most come. @throws MqttError, BrokerError
   */
  enter(connection: Connection, agreed: Agreed): Entered | Promise<Entered | null> {
    const { connect, principal, vhost } = agreed;
    const key = keyOf(vhost, principal.user, connect.clientId);
    this.#requireRoom(principal.user, key);
    if (!this.#byKey.has(key) && !this.#turns.has(key) && !this.#isDurable(connect)) {
      const session = this.#make(key, agreed);
      this.#connect(session, connection);
      return { session, isPresent: false };
    }
    return this.#inTurn(key, async () => {
      // Nobody makes way for who is gone.
      if (connection.state !== 'greeting') return null;
      let session = this.#byKey.get(key);
      if (session !== undefined) {
        if (session.connection !== null) await this.#takeOver(session);
        if (connect.cleanStart || session.endsAt <= this.#now() || session.ended) {
          await this.#end(session);
          session = undefined;
        }
      }
      if (connection.state !== 'greeting') return null;
      const isPresent = session !== undefined;
      session ??= this.#make(key, agreed);
      session.principal = principal;
      this.#connect(session, connection);
      this.#offline.delete(session);
      if (session.willTimer !== null) clearTimeout(session.willTimer);
      session.willTimer = null;
      session.offlineAt = 0;
      session.expirySeconds = this.#server.expirySeconds(connect);
      session.will = willOf(connect);
      if (session.subscriber.durable) await this.#store(session);
      const mayEnter = principal.entersVhost(vhost.name);
      if (connection.state === 'greeting' && mayEnter) return { session, isPresent };
      if (!mayEnter) session.will = null;
      await this.#leave(connection, session);
      if (mayEnter) return null;
      throw new MqttError(reasonCode.notAuthorized, `user ${JSON.stringify(principal.user)} may not enter any more`);
    });
  }

  /** The connection has ended, and given back what it held. */
  left(connection: Connection): Promise<void> {
    const session = connection.ownSession;
    if (session === null || session.connection !== connection) return Promise.resolve();
    return this.#leave(connection, session);
  }

  /** The session of a client whose user or vhost is gone, and all of what it left. */
  forget(session: MqttSession): void {
    this.#inTurn(session.key, async () => {
      session.will = null;
      if (this.#byKey.get(session.key) === session) await this.#end(session);
    }).catch((error: unknown) => this.#server.logBug(error));
  }

  /** Subscriptions that the permissions of their user allow no more. */
  dropUnreadable({ vhost, principal, subscriber, connection }: MqttSession): void {
    if (principal === null) return;
    vhost.subscribers
      .dropForbidden(principal, subscriber)
      .then(() => connection?.isRunning === true && connection.hasDeliveries && connection.deliveries.follow())
      .catch((error: unknown) => this.#server.logBug(error));
  }

  async #leave(connection: Connection, session: MqttSession): Promise<void> {
    if (session.connection !== connection) return;
    session.connection = null;
    this.#connected.remove(session.subscriber.user);
    // Its user is gone, say.
    if (session.ended) return;
    session.offlineAt = this.#now();
    const { isWithoutWill, expirySeconds } = connection.ending;
    if (isWithoutWill) session.will = null;
    if (expirySeconds !== null) session.expirySeconds = expirySeconds;
    if (session.expirySeconds === 0) {
      await this.#end(session);
      return;
    }
    this.#goneOffline(session);
    await this.#store(session);
  }

  /** A will must be published after a crash of the broker as well: its connection has ended with it. */
  #isDurable(connect: ConnectPacket): boolean {
    return connect.will !== null || this.#server.expirySeconds(connect) > 0;
  }

  #make(key: string, agreed: Agreed): MqttSession {
    const { connect, principal, vhost } = agreed;
    const { maxSessions, maxSessionsPerUser } = this.#server.settings;
    if (this.#byKey.size >= maxSessions) {
      throw new MqttError(reasonCode.quotaExceeded, `there are ${this.#byKey.size} sessions, as many as there may be`);
    }
    const { user } = principal;
    if (vhost.subscribers.countOf(user) >= maxSessionsPerUser) {
      const text = `user ${JSON.stringify(user)} has ${maxSessionsPerUser} sessions, as many as it may have`;
      throw new MqttError(reasonCode.quotaExceeded, text);
    }
    const keepsMessages = this.#server.expirySeconds(connect) > 0;
    const durable = this.#isDurable(connect);
    const subscriber = vhost.subscribers.create(principal.user, connect.clientId, { durable, keepsMessages });
    const session = new MqttSession(key, connect.clientId, vhost, principal, subscriber, new PacketState());
    this.#byKey.set(key, session);
    return session;
  }

  #connect(session: MqttSession, connection: Connection): void {
    session.connection = connection;
    this.#connected.add(session.subscriber.user);
  }

  /** Who comes again takes the place that it had. @throws MqttError */
  #requireRoom(user: string, key: string): void {
    const { maxConnectionsPerUser } = this.#server.settings;
    if (this.#connected.of(user) < maxConnectionsPerUser) return;
    const known = this.#byKey.get(key);
    if (known !== undefined && known.connection !== null) return;
    const text = `user ${JSON.stringify(user)} has ${maxConnectionsPerUser} connections, as many as it may have`;
    throw new MqttError(reasonCode.quotaExceeded, text);
  }

  /** Another connection of the same client has come [MQTT-3.1.4-3]. */
  async #takeOver(session: MqttSession): Promise<void> {
    const old = session.connection!;
    old.log('another connection of the same client has come');
    old.ending.refuse(reasonCode.sessionTakenOver, 'another connection of the same client has come');
    await old.ending.released();
    // It was not let in yet, so it leaves nothing; and has no more to say in what becomes of the session.
    if (session.connection !== old) return;
    session.will = null;
    await this.#leave(old, session);
  }

  /** Nobody is connected: its will is published, at once or later, and the session ends in its time. */
  #goneOffline(session: MqttSession): void {
    this.#offline.add(session);
    const { will } = session;
    if (will === null) return;
    const dueMs = session.offlineAt + 1000 * Math.min(will.delaySeconds, session.expirySeconds) - this.#now();
    if (dueMs <= 0) {
      this.#publishWill(session);
      return;
    }
    session.willTimer = setTimeout(() => this.#goneOffline(session), Math.min(dueMs, longestTimerMs)).unref();
  }

  #publishWill(session: MqttSession): void {
    const { will } = session;
    if (will === null) return;
    session.will = null;
    publishWill(this.#server, session, will);
    if (!session.ended && session.subscriber.durable && session.expirySeconds > 0) {
      this.#store(session).catch((error: unknown) => this.#server.logBug(error));
    }
  }

  /** Nothing of it stays. */
  async #end(session: MqttSession): Promise<void> {
    if (session.ended) return;
    session.ended = true;
    this.#offline.delete(session);
    if (this.#byKey.get(session.key) === session) this.#byKey.delete(session.key);
    if (session.willTimer !== null) clearTimeout(session.willTimer);
    session.willTimer = null;
    this.#publishWill(session);
    await session.vhost.subscribers.remove(session.subscriber);
  }

  #sweep(): void {
    const now = this.#now();
    for (const session of this.#offline) {
      if (session.endsAt > now) continue;
      this.#inTurn(session.key, async () => {
        if (session.endsAt <= this.#now()) await this.#end(session);
      }).catch((error: unknown) => this.#server.logBug(error));
    }
  }

  #store(session: MqttSession): Promise<void> {
    return session.vhost.subscribers.setRecord(session.subscriber, stateName.record, session.record());
  }

  #now(): number {
    return this.#broker.context.clock.now();
  }

  /** One thing after another is done with a client's session. */
  async #inTurn<T>(key: string, what: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(key);
    const turn = before === undefined ? what() : before.then(what, what);
    this.#turns.set(key, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(key) === turn) this.#turns.delete(key);
    }
  }
}

/** Nobody's names imitate another's. */
function keyOf({ name }: Vhost, user: string, clientId: string): string {
  return `${name.length}:${user.length}:${name}${user}${clientId}`;
}
