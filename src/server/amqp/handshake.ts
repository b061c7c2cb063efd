/**
 * From the protocol header to connection.open-ok:
 *
 *   client                    server
 *   AMQP 0 0 9 1         ->
 *                        <-   connection.start
 *   connection.start-ok  ->
 *                        <-   connection.tune
 *   connection.tune-ok   ->
 *   connection.open      ->
 *                        <-   connection.open-ok
 */
import type { Principal, Vhost } from '../../broker/index.ts';
import { ConnectionError, type ChannelError } from '../../wire/amqp/amqp-error.ts';
import {
  connectionOpen,
  connectionOpenOk,
  connectionStart,
  connectionStartOk,
  connectionTune,
  connectionTuneOk,
} from '../../wire/amqp/connection-methods.ts';
import { frameMinBytes, protocolHeader } from '../../wire/amqp/protocol.ts';
import { clientOf } from './client.ts';
import type { Connection } from './connection.ts';
import { closingError } from './errors.ts';
import { runFrames } from './frame-run.ts';
import { KeptFrames } from './kept-frames.ts';
import { mechanisms, readCredentials } from './credentials.ts';
import { serverProperties } from './server-properties.ts';

export type HandshakeState = 'header' | 'starting' | 'authenticating' | 'tuning' | 'opening';

/** Of frames that come while a password is looked at: no client has more to say by then. */
const maxKeptBytes = 64 * 1024;
const maxKeptFrames = 64;

/** What the handshake found out. */
export interface Negotiated {
  readonly principal: Principal;
  readonly vhost: Vhost;
}

export class Handshake {
  state: HandshakeState = 'header';
  readonly #connection: Connection;
  #header = Buffer.alloc(0);
  #principal: Principal | null = null;
  /** What came while the password was looked at. */
  #kept = new KeptFrames();
  #keptCount = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Takes the first eight bytes and answers where the frames begin; -1: another protocol, which was told ours. */
  readHeader(bytes: Buffer, end: number): number {
    const before = this.#header.length;
    this.#header = Buffer.concat([this.#header, bytes.subarray(0, Math.min(end, protocolHeader.length - before))]);
    if (!isOurHeader(this.#header)) {
      this.#connection.output.writeFrame(protocolHeader);
      return -1;
    }
    if (this.#header.length === protocolHeader.length) {
      this.state = 'starting';
      const start = {
        versionMajor: 0,
        versionMinor: 9,
        serverProperties: serverProperties(this.#connection.server.version),
        mechanisms: Buffer.from(mechanisms),
        locales: Buffer.from('en_US'),
      };
      this.#connection.output.writeFrame(connectionStart.frame(0, start));
    }
    return protocolHeader.length - before;
  }

  /** A method on channel 0. Answers what was agreed on once the connection is open. @throws ConnectionError, FormatError */
  method(id: number, bytes: Buffer, start: number, end: number): Negotiated | null {
    if (id === connectionStartOk.id && this.state === 'starting') {
      this.#startOk(bytes, start, end);
      return null;
    }
    if (id === connectionTuneOk.id && this.state === 'tuning') {
      this.#tuneOk(bytes, start, end);
      return null;
    }
    if (id === connectionOpen.id && this.state === 'opening') return this.#open(bytes, start, end);
    throw new ConnectionError('CHANNEL_ERROR', `unexpected method in connection state ${this.state}`);
  }

  /** A frame whose turn comes once the password was looked at. @throws ConnectionError */
  keep(bytes: Buffer, start: number, next: number): void {
    this.#keptCount += 1;
    if (this.#keptCount > maxKeptFrames || this.#kept.size + next - start > maxKeptBytes) {
      throw new ConnectionError('CHANNEL_ERROR', `unexpected method in connection state ${this.state}`);
    }
    this.#kept.add(bytes, start, next);
  }

  /** Whether a handshake that failed is answered (0-9-1 §2.2.4 says no, RabbitMQ's exceptions from it help). */
  mayAnswer(error: ChannelError | ConnectionError): boolean {
    if (error.reply === 'ACCESS_REFUSED') return this.#connection.client.authenticationFailureClose;
    return this.state === 'opening' || (this.state === 'tuning' && error.reply === 'NOT_ALLOWED');
  }

  #startOk(bytes: Buffer, start: number, end: number): void {
    const args = connectionStartOk.read(bytes, start, end);
    const connection = this.#connection;
    connection.client = clientOf(args.clientProperties);
    const credentials = readCredentials(args.mechanism, args.response);
    if (credentials === null) {
      throw new ConnectionError('COMMAND_INVALID', `unknown authentication mechanism '${args.mechanism}'`);
    }
    const { user, password } = credentials;
    const { broker, loopback, address } = connection;
    const isThere = (): boolean => connection.state === 'handshake' && !connection.deaf;
    const found = broker.authenticate(user, password, { loopback, address, isThere });
    if (!(found instanceof Promise)) {
      this.#loggedIn(found, user, args.mechanism);
      return;
    }
    this.state = 'authenticating';
    found
      .then((principal) => {
        if (!isThere()) return;
        this.#loggedIn(principal, user, args.mechanism);
        const kept = this.#kept;
        this.#kept = new KeptFrames();
        runFrames(connection, kept.bytes, kept.start, kept.end);
        connection.commitBatch();
      })
      .catch((error: unknown) => connection.ending.fail(closingError(error), connectionStartOk.id));
  }

  /** @throws ConnectionError ACCESS_REFUSED */
  #loggedIn(principal: Principal | null, user: string, mechanism: string): void {
    const connection = this.#connection;
    if (principal === null) {
      connection.log(`login of user ${JSON.stringify(user)} by ${mechanism} was refused`);
      const text = `Login was refused using authentication mechanism ${mechanism}. For details see the broker logfile.`;
      throw new ConnectionError('ACCESS_REFUSED', text);
    }
    this.#principal = principal;
    const { channelMax, frameMaxBytes, heartbeatSeconds } = connection.settings;
    const tune = { channelMax, frameMax: frameMaxBytes, heartbeat: heartbeatSeconds };
    connection.output.writeFrame(connectionTune.frame(0, tune));
    this.state = 'tuning';
  }

  #tuneOk(bytes: Buffer, start: number, end: number): void {
    const args = connectionTuneOk.read(bytes, start, end);
    const { channelMax, frameMaxBytes } = this.#connection.settings;
    checkNegotiated('frame_max', args.frameMax, frameMinBytes, frameMaxBytes);
    checkNegotiated('channel_max', args.channelMax, 1, channelMax);
    this.#connection.tuned(args.channelMax, args.frameMax, args.heartbeat);
    this.state = 'opening';
  }

  #open(bytes: Buffer, start: number, end: number): Negotiated {
    const name = connectionOpen.read(bytes, start, end).virtualHost;
    const { broker, output } = this.#connection;
    const principal = this.#principal!;
    const vhost = broker.vhost(name);
    if (vhost === undefined) throw new ConnectionError('NOT_ALLOWED', `vhost ${name} not found`);
    if (!principal.entersVhost(name)) {
      throw new ConnectionError('NOT_ALLOWED', `access to vhost '${name}' refused for user '${principal.user}'`);
    }
    output.writeFrame(connectionOpenOk.frame(0, {}));
    return { principal, vhost };
  }
}

/** Clients of 0-9, which has the same frames, announce themselves as `AMQP 1 1 0 9`; RabbitMQ takes them as well. */
function isOurHeader(bytes: Buffer): boolean {
  const { length } = bytes;
  if (bytes.equals(protocolHeader.subarray(0, length))) return true;
  return bytes.equals(Buffer.from('AMQP\x01\x01\x00\x09', 'latin1').subarray(0, length));
}

/** @throws ConnectionError NOT_ALLOWED */
function checkNegotiated(field: string, value: number, least: number, most: number): void {
  const detail = value === 0 ? ' (no limit)' : '';
  if (value !== 0 && value < least) {
    throw new ConnectionError(
      'NOT_ALLOWED',
      `negotiated ${field} = ${value} is lower than the minimum allowed value (${least})`,
    );
  }
  if (value === 0 || value > most) {
    const text = `negotiated ${field} = ${value}${detail} is higher than the maximum allowed value (${most})`;
    throw new ConnectionError('NOT_ALLOWED', text);
  }
}
