import { BrokerError } from '../../broker/index.ts';
import { FormatError } from '../../format/format-error.ts';
import { MqttError } from '../../wire/mqtt/mqtt-error.ts';
import { reasonCode, type ReasonCode } from '../../wire/mqtt/reason-code.ts';
import { encodeConnack, encodeDisconnect } from '../../wire/mqtt/server-packets.ts';
import type { Transport } from '../socket/transport.ts';
import type { Connection } from './connection.ts';

/** So many times as long as a silent peer one may stay that still sends: a socket that is cut takes with it what the peer did not read yet, the reason among it. */
const mostDelays = 5;

/** How a connection ends. Whoever begins it: what was held is given back once, and the socket does not stay for long. */
export class Ending {
  /** The client sent DISCONNECT, and its will goes with the connection [MQTT-3.14.4-3]. */
  isWithoutWill = false;
  /** The session's expiry, where DISCONNECT changed it; in seconds. */
  expirySeconds: number | null = null;
  readonly #connection: Connection;
  readonly #socket: Transport;
  #timer: NodeJS.Timeout | null = null;
  #cutAt = 0;
  #released: Promise<void> | null = null;

  constructor(connection: Connection, socket: Transport) {
    this.#connection = connection;
    this.#socket = socket;
  }

  /** Something is wrong with what the client sent, or with what was to be done with it: it is told, where its version can be told, and its connection ends. */
  fail(error: unknown): void {
    const connection = this.#connection;
    if (connection.state === 'closed' || connection.state === 'ending') return;
    const failure = mqttError(error);
    if (failure === null) connection.logBug(error);
    else connection.log(failure.message);
    this.refuse(failure?.reason ?? reasonCode.implementationSpecificError, failure?.message ?? 'internal error');
  }

  /** Tells the reason and ends. `serverReference`: where else the client may go. */
  refuse(reason: ReasonCode, text: string, serverReference?: string): void {
    const connection = this.#connection;
    const { state, recipient, output } = connection;
    if (state === 'closed' || state === 'ending') return;
    const properties = serverReference === undefined ? {} : { serverReference };
    const explanation = { reasonString: text };
    let packet: Buffer | null = null;
    if (state === 'greeting') {
      // Before CONNECT is understood nothing tells which version the client speaks: no answer [MQTT-3.1.4-1].
      if (connection.greeting?.isUnderstood === true)
        packet = encodeConnack(recipient, false, reason, properties, explanation);
    } else packet = encodeDisconnect(recipient, reason, properties, explanation);
    if (packet !== null) output.writeFrame(packet);
    this.finish();
  }

  /** Nothing more is read; what was to be sent still is, if the peer takes it. */
  finish(): void {
    const connection = this.#connection;
    if (connection.state === 'closed') return;
    const { silentCloseDelayMs } = connection.settings;
    // Who was let in is let finish what it is sending.
    this.#cutAt = connection.state === 'running' ? Date.now() + mostDelays * silentCloseDelayMs : 0;
    if (connection.state !== 'ending') connection.enterEnding();
    connection.output.end();
    this.#destroyAfter(silentCloseDelayMs);
  }

  /** The client said DISCONNECT. It sees the end once its session knows, and the disk: then its will is gone for good, for instance. */
  leave(): void {
    const connection = this.#connection;
    connection.enterEnding();
    this.#destroyAfter(connection.settings.silentCloseDelayMs);
    this.released()
      .catch((error: unknown) => connection.logBug(error))
      .finally(() => connection.output.end());
  }

  /** The peer has not seen yet that its connection ends. */
  peerSent(): void {
    if (Date.now() < this.#cutAt) this.#timer?.refresh();
  }

  /** The peer sends nothing more: that is the end of an MQTT connection. */
  peerEnded(): void {
    this.finish();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** The socket is gone. */
  closed(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#socket.destroy();
    const connection = this.#connection;
    this.released()
      .catch((error: unknown) => connection.logBug(error))
      .finally(() => {
        connection.server.connectionClosed(connection);
      });
  }

  /** Resolves once everything that the connection held is given back, and its session knows. */
  released(): Promise<void> {
    this.#released ??= this.#release();
    return this.#released;
  }

  async #release(): Promise<void> {
    const connection = this.#connection;
    await connection.release();
    await connection.server.sessions.left(connection);
  }

  #destroyAfter(delayMs: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.destroy(), delayMs);
  }
}

/** Null: it is no fault of the client. */
export function mqttError(error: unknown): MqttError | null {
  if (error instanceof MqttError) return error;
  if (error instanceof FormatError) return new MqttError(reasonCode.malformedPacket, error.message, { cause: error });
  if (!(error instanceof BrokerError)) return null;
  if (error.code === 'ACCESS_REFUSED') return new MqttError(reasonCode.notAuthorized, error.message, { cause: error });
  if (error.code === 'INTERNAL_ERROR') return null;
  return new MqttError(reasonCode.implementationSpecificError, error.message, { cause: error });
}
