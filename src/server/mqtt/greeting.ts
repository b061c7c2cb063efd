/**
 * From the first packet to CONNACK:
 *
 *   client            server
 *   CONNECT      ->
 *                <-   AUTH (5.0, where the client named a method that a hook of the server knows)
 *   AUTH         ->
 *                <-   CONNACK
 *
 * What comes behind CONNECT waits unread until CONNACK is written.
 */
import { randomBytes } from 'node:crypto';
import type { Principal } from '../../broker/index.ts';
import { type ConnectPacket, decodeConnect } from '../../wire/mqtt/connect-packet.ts';
import { decodeAuth } from '../../wire/mqtt/disconnect-packet.ts';
import { MqttError } from '../../wire/mqtt/mqtt-error.ts';
import { packetName, packetType } from '../../wire/mqtt/packet-type.ts';
import { reasonCode } from '../../wire/mqtt/reason-code.ts';
import { type ConnackProperties, encodeAuth, encodeConnack } from '../../wire/mqtt/server-packets.ts';
import type { Agreed, Connection } from './connection.ts';
import { type Authentication, authenticationError } from './enhanced-authentication.ts';
import { mostInFlight } from './outbound-window.ts';
import type { MqttSession } from './session.ts';
import type { Entered } from './sessions.ts';

const defaultReceiveMaximum = 65_535;

export class Greeting {
  /** The next packet may be looked at: CONNECT, or the next step of an enhanced authentication. */
  awaits = true;
  /** CONNECT was read: an answer can be understood. */
  isUnderstood = false;
  /** It is known who the client is. */
  isLoggedIn = false;
  readonly #connection: Connection;
  readonly #timer: NodeJS.Timeout;
  #connect: ConnectPacket | null = null;
  #authentication: Authentication | null = null;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#timer = setTimeout(() => {
      connection.log('sent no CONNECT in time');
      connection.ending.destroy();
    }, connection.settings.connectTimeoutMs);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.awaits = false;
  }

  /** @throws MqttError */
  handle(type: number, bytes: Buffer, start: number, end: number): void {
    if (this.#connect === null) {
      if (type !== packetType.connect) {
        throw new MqttError(reasonCode.protocolError, `${packetName(type)} came before CONNECT`);
      }
      this.#take(bytes, start, end);
      return;
    }
    if (type !== packetType.auth || this.#authentication === null) {
      throw new MqttError(reasonCode.protocolError, `${packetName(type)} came before CONNACK`);
    }
    const { reason, method, data } = decodeAuth(bytes, start, end);
    if (reason !== reasonCode.continueAuthentication) {
      throw new MqttError(reasonCode.protocolError, `AUTH with reason code ${reason} came before CONNACK`); // [MQTT-4.12.0-3]
    }
    if (method !== this.#connect.properties.authenticationMethod) {
      throw new MqttError(reasonCode.protocolError, 'AUTH names another method than CONNECT');
    }
    this.#step(data);
  }

  #take(bytes: Buffer, start: number, end: number): void {
    const connection = this.#connection;
    let connect: ConnectPacket;
    try {
      connect = decodeConnect(bytes, start, end, connection.settings.maxTopicLevels);
    } catch (error) {
      if (error instanceof MqttError && error.version !== null) {
        connection.understood({ version: error.version, maxPacketBytes: Infinity, problemInformation: true });
        this.isUnderstood = true;
      }
      throw error;
    }
    this.#connect = connect;
    this.awaits = false;
    this.isUnderstood = true;
    const { maximumPacketSize, requestProblemInformation } = connect.properties;
    connection.understood({
      version: connect.version,
      maxPacketBytes: maximumPacketSize ?? Infinity,
      problemInformation: requestProblemInformation !== false,
    });
    const elsewhere = connection.server.redirect(connect.clientId, connection.address);
    if (elsewhere !== null) {
      connection.ending.refuse(reasonCode.useAnotherServer, `use ${elsewhere}`, elsewhere);
      return;
    }
    const method = connect.properties.authenticationMethod;
    if (method === undefined) {
      this.#logIn(connect);
      return;
    }
    this.#authentication = connection.server.authentication(method);
    if (this.#authentication === null) {
      throw new MqttError(
        reasonCode.badAuthenticationMethod,
        `authentication method ${JSON.stringify(method)} is not known`,
      );
    }
    this.#step(connect.properties.authenticationData ?? null);
  }

  /** A step of the enhanced authentication (5.0 §4.12). */
  #step(data: Buffer | null): void {
    const connection = this.#connection;
    this.awaits = false;
    const authentication = this.#authentication!;
    Promise.resolve()
      .then(() => authentication.step(data))
      .then((answer) => {
        if (connection.state !== 'greeting') return;
        if (answer.user !== undefined) {
          const user = connection.broker.users.get(answer.user);
          this.#loggedIn(user ?? null, answer.vhost ?? connection.settings.vhost, answer.user, answer.data ?? null);
          return;
        }
        const { authenticationMethod } = this.#connect!.properties;
        const properties = {
          authenticationMethod: authenticationMethod!,
          ...(answer.data === undefined ? {} : { authenticationData: answer.data }),
        };
        const packet = encodeAuth(connection.recipient, reasonCode.continueAuthentication, properties);
        if (packet !== null) connection.output.writeFrame(packet);
        this.awaits = true;
        connection.goOn();
      })
      .catch((error: unknown) => connection.ending.fail(authenticationError(connection, error)));
  }

  #logIn(connect: ConnectPacket): void {
    const connection = this.#connection;
    const { server, broker, address, arrival } = connection;
    const { loopback } = arrival;
    const credentials = server.credentials(connection, connect);
    if (credentials === null) {
      throw new MqttError(reasonCode.notAuthorized, 'a login without a user name is refused from here');
    }
    const { user, vhost, password } = credentials;
    const isThere = (): boolean => connection.state === 'greeting';
    const found = broker.authenticate(user, password, { loopback, address, isThere });
    if (!(found instanceof Promise)) {
      this.#loggedIn(found, vhost, user, null);
      return;
    }
    found
      .then((principal) => {
        if (isThere()) this.#loggedIn(principal, vhost, user, null);
      })
      .catch((error: unknown) => connection.ending.fail(error));
  }

  /** @throws MqttError */
  #loggedIn(principal: Principal | null, vhostName: string, user: string, data: Buffer | null): void {
    if (principal === null) {
      throw new MqttError(reasonCode.badUserNameOrPassword, `login of user ${JSON.stringify(user)} was refused`);
    }
    const connection = this.#connection;
    const vhost = connection.broker.vhost(vhostName);
    if (vhost === undefined || !principal.entersVhost(vhostName)) {
      throw new MqttError(
        reasonCode.notAuthorized,
        `user ${JSON.stringify(user)} may not enter vhost ${JSON.stringify(vhostName)}`,
      );
    }
    this.isLoggedIn = true;
    const given = this.#connect!;
    const connect =
      given.clientId === '' ? { ...given, clientId: `auto-${randomBytes(16).toString('base64url')}` } : given;
    const agreed = { principal, vhost, connect };
    const entered = connection.server.sessions.enter(connection, agreed);
    if (!(entered instanceof Promise)) {
      this.#entered(agreed, entered, data);
      return;
    }
    entered
      .then((session) => {
        if (session !== null && connection.state === 'greeting') this.#entered(agreed, session, data);
      })
      .catch((error: unknown) => connection.ending.fail(error));
  }

  #entered(agreed: Agreed, { session, isPresent }: Entered, data: Buffer | null): void {
    const connection = this.#connection;
    const { server, settings } = connection;
    const { connect } = agreed;
    const wanted = connect.properties.receiveMaximum ?? defaultReceiveMaximum;
    session.receiveMaximum = Math.min(wanted, settings.maxInFlight, mostInFlight);
    const keepAliveSeconds = server.keepAliveSeconds(connect);
    const properties = connect.version < 5 ? {} : this.#properties(connect, session, keepAliveSeconds, data);
    const packet = encodeConnack(connection.recipient, isPresent, reasonCode.success, properties);
    if (packet !== null) connection.output.writeFrame(packet);
    this.end();
    connection.started(agreed, session, keepAliveSeconds);
    session.begin(connection);
    connection.goOn();
  }

  /** What CONNACK says, but what the client knows already. */
  #properties(
    connect: ConnectPacket,
    { expirySeconds }: MqttSession,
    keepAliveSeconds: number,
    data: Buffer | null,
  ): ConnackProperties {
    const { settings } = this.#connection;
    const { authenticationMethod, sessionExpiryInterval = 0 } = connect.properties;
    return {
      receiveMaximum: settings.receiveMaximum,
      topicAliasMaximum: settings.maxTopicAliases,
      maximumPacketSize: settings.maxPacketBytes,
      ...(this.#connect?.clientId === '' ? { assignedClientIdentifier: connect.clientId } : {}),
      ...(keepAliveSeconds === connect.keepAliveSeconds ? {} : { serverKeepAlive: keepAliveSeconds }),
      ...(expirySeconds === sessionExpiryInterval ? {} : { sessionExpiryInterval: expirySeconds }),
      ...(authenticationMethod === undefined ? {} : { authenticationMethod }),
      ...(data === null ? {} : { authenticationData: data }),
    };
  }
}
