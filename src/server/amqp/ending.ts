import type { Socket } from 'node:net';
import { ConnectionError, type ChannelError, replyCode, replyText } from '../../wire/amqp/amqp-error.ts';
import { connectionClose, connectionCloseOk } from '../../wire/amqp/connection-methods.ts';
import type { Connection } from './connection.ts';

/** How a connection ends. Whoever begins it: what was held is given back once, and the socket does not stay for long. */
export class Ending {
  readonly #connection: Connection;
  readonly #socket: Socket;
  #timer: NodeJS.Timeout | null = null;
  #released: Promise<void> | null = null;

  constructor(connection: Connection, socket: Socket) {
    this.#connection = connection;
    this.#socket = socket;
  }

  /** The client broke the protocol in method `id`, or asked for what ends its connection. */
  fail(error: ChannelError | ConnectionError, id: number): void {
    const connection = this.#connection;
    const { state, handshake, settings } = connection;
    if (state === 'closed' || state === 'closing') return;
    connection.log(replyText(error.reply, error.message));
    if (error.cause !== undefined) connection.logBug(error.cause);
    const lostSync = error instanceof ConnectionError && error.lostSync;
    if (handshake !== null && !handshake.mayAnswer(error)) {
      // Whoever got this far wrong waits, so that guessing is slow, and learns nothing.
      connection.deafen();
      this.#destroyAfter(settings.silentCloseDelayMs);
      return;
    }
    this.#sendClose(error, handshake !== null && error.reply === 'ACCESS_REFUSED' ? 0 : id);
    if (lostSync) this.finish();
  }

  /** The server ends. */
  force(reason: string): void {
    this.expel(`broker forced connection closure with reason '${reason}'`);
  }

  /** connection.close 320, and the end once the client has answered. */
  expel(text: string): void {
    if (this.#connection.state !== 'running') {
      this.destroy();
      return;
    }
    this.#sendClose(new ConnectionError('CONNECTION_FORCED', text), 0);
  }

  /** The client sent connection.close. */
  atPeersWish(): void {
    const connection = this.#connection;
    connection.enterClosing();
    this.#release().then(
      () => {
        connection.output.writeFrame(connectionCloseOk.frame(0, {}));
        this.finish();
      },
      (error: unknown) => {
        connection.logBug(error);
        this.destroy();
      },
    );
  }

  /** The peer sends nothing more; what was to be sent to it still is, if it takes it. */
  peerEnded(): void {
    this.#connection.output.end();
    this.#destroyAfter(this.#connection.settings.silentCloseDelayMs);
  }

  /** Both sides said what they had to say. */
  finish(): void {
    const { output, settings } = this.#connection;
    this.#connection.deafen();
    output.end();
    this.#destroyAfter(settings.silentCloseDelayMs);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** The socket is gone. */
  closed(): void {
    const connection = this.#connection;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#socket.destroy();
    this.#release().then(
      () => connection.server.connectionClosed(connection),
      (error: unknown) => {
        connection.logBug(error);
        connection.server.connectionClosed(connection);
      },
    );
  }

  #sendClose(error: ChannelError | ConnectionError, id: number): void {
    const connection = this.#connection;
    connection.enterClosing();
    connection.output.writeFrame(connectionClose.frame(0, closeArguments(error, id)));
    this.#release().catch((failure: unknown) => connection.logBug(failure));
    this.#destroyAfter(connection.settings.closeTimeoutMs);
  }

  #release(): Promise<void> {
    this.#released ??= this.#connection.releaseAll();
    return this.#released;
  }

  #destroyAfter(delayMs: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.destroy(), delayMs);
  }
}

/** The arguments of connection.close and channel.close. */
export function closeArguments(error: ChannelError | ConnectionError, id: number) {
  return {
    replyCode: replyCode(error.reply),
    replyText: replyText(error.reply, error.message),
    classId: id >>> 16,
    methodId: id & 0xffff,
  };
}
