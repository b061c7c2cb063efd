import { Session } from '../../broker/index.ts';
import { ConnectionError } from '../../wire/amqp/amqp-error.ts';
import { basicPublish } from '../../wire/amqp/basic-methods.ts';
import { channelClose, channelCloseOk, channelOpen, channelOpenOk } from '../../wire/amqp/channel-methods.ts';
import { connectionClose, connectionCloseOk } from '../../wire/amqp/connection-methods.ts';
import { basicClass, frameHeadBytes, frameOverheadBytes, frameType } from '../../wire/amqp/protocol.ts';
import { Channel } from './channel.ts';
import type { Connection } from './connection.ts';
import { handleConnectionMethod } from './connection-handlers.ts';
import { closingError } from './errors.ts';
import { checkChannelFrame, methodOf, notForConnection, unexpectedFrame } from './frame-check.ts';
import { message, publishMessage, runFrames } from './frame-run.ts';
import { channelMethods, overlapping } from './handlers.ts';

/** Methods of a channel that wait for the disk at once. */
const mostOverlapping = 256;

/**
 * Where a frame goes that the hot path left: to the handshake, to the handler of its method, or into the message that its channel
 * is getting. Frames of a channel that waits for an earlier method are kept, in order.
 */
export class FrameRouter {
  readonly #connection: Connection;
  /** Of all channels. */
  #keptBytes = 0;
  /** The channel whose kept frames are being handled. */
  #resumed: Channel | null = null;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Handles the frame `bytes[start, next)`, of channel `number`. Whatever is wrong with it ends the channel or the connection. */
  handle(bytes: Buffer, start: number, next: number, number: number): void {
    const connection = this.#connection;
    const channel = connection.channels.byNumber[number];
    try {
      if (connection.state === 'closing') this.#whileClosing(bytes, start, next, number);
      else if (connection.handshake?.state === 'authenticating') connection.handshake.keep(bytes, start, next);
      else if (number === 0) this.#ofConnection(bytes, start, next);
      else if (connection.handshake !== null) throw unexpectedFrame(bytes[start]!);
      else if (channel === undefined) this.#ofNoChannel(bytes, start, next, number);
      else if (channel.waiting && !this.#overlaps(channel, bytes, start, next)) this.#keep(channel, bytes, start, next);
      else this.#ofChannel(channel, bytes, start, next);
    } catch (error) {
      const inContent = channel !== undefined && channel.content.expects !== 'method';
      const id = inContent ? basicPublish.id : (methodOf(bytes, start, next) ?? 0);
      if (channel === undefined) connection.ending.fail(closingError(error), id);
      else if (channel.answered === null) connection.methodFailed(channel, id, error);
      else this.#refuse(channel, id, channel.answered, error);
    }
  }

  #ofConnection(bytes: Buffer, start: number, next: number): void {
    const connection = this.#connection;
    const type = bytes[start]!;
    const id = methodOf(bytes, start, next);
    const size = next - start - frameOverheadBytes;
    if (type === frameType.heartbeat && size === 0) return;
    if (id === null) throw notForConnection(type);
    const argumentsAt = start + frameHeadBytes + 4;
    connection.commitBatch();
    if (connection.handshake === null) {
      handleConnectionMethod(connection, id, bytes, argumentsAt, next - 1);
      return;
    }
    const negotiated = connection.handshake.method(id, bytes, argumentsAt, next - 1);
    if (negotiated !== null) connection.opened(negotiated);
  }

  #whileClosing(bytes: Buffer, start: number, next: number, number: number): void {
    if (number !== 0) return;
    const { output, ending } = this.#connection;
    const id = methodOf(bytes, start, next);
    if (id === connectionClose.id) output.writeFrame(connectionCloseOk.frame(0, {}));
    if (id === connectionClose.id || id === connectionCloseOk.id) ending.finish();
  }

  #ofNoChannel(bytes: Buffer, start: number, next: number, number: number): void {
    const connection = this.#connection;
    const id = methodOf(bytes, start, next);
    if (id === null) {
      checkChannelFrame(bytes[start]!, next - start - frameOverheadBytes);
      throw new ConnectionError('UNEXPECTED_FRAME', 'expected method frame, got non method frame instead');
    }
    if (id !== channelOpen.id) throw new ConnectionError('CHANNEL_ERROR', "expected 'channel.open'");
    channelOpen.read(bytes, start + frameHeadBytes + 4, next - 1);
    connection.channels.check(number);
    const { vhost, principal, scope } = connection.agreed!;
    const session = new Session(connection.broker, vhost, principal, scope);
    connection.channels.add(new Channel(connection, number, session));
    connection.output.writeFrame(channelOpenOk.frame(number, { channelId: Buffer.alloc(0) }));
  }

  #ofChannel(channel: Channel, bytes: Buffer, start: number, next: number): void {
    const id = methodOf(bytes, start, next);
    if (channel.state !== 'open') {
      this.#ofClosingChannel(channel, id);
      return;
    }
    checkChannelFrame(bytes[start]!, next - start - frameOverheadBytes);
    if (channel.content.expects !== 'method') {
      this.#contentOf(channel, bytes, start, next);
      return;
    }
    if (id === null) {
      throw new ConnectionError('UNEXPECTED_FRAME', 'expected method frame, got non method frame instead');
    }
    this.#connection.commitBatch();
    const handle = channelMethods.get(id);
    if (handle === undefined) throw new ConnectionError('COMMAND_INVALID', 'unimplemented method');
    const pending = handle(channel, bytes, start + frameHeadBytes + 4, next - 1);
    if (pending !== undefined) this.#wait(channel, id, pending);
  }

  #ofClosingChannel(channel: Channel, id: number | null): void {
    const connection = this.#connection;
    if (id === channelClose.id) connection.output.writeFrame(channelCloseOk.frame(channel.number, {}));
    if (id !== channelCloseOk.id) return;
    connection.removeChannel(channel).catch((error: unknown) => connection.logBug(error));
  }

  #contentOf(channel: Channel, bytes: Buffer, start: number, next: number): void {
    const { content } = channel;
    const payload = start + frameHeadBytes;
    const type = bytes[start];
    let whole: boolean;
    if (content.expects === 'header') {
      if (type !== frameType.header) {
        const text = `expected content header for class ${basicClass}, got non content header frame instead`;
        throw new ConnectionError('UNEXPECTED_FRAME', text);
      }
      whole = content.header(bytes, payload, next - 1, message);
    } else {
      if (type !== frameType.body) {
        throw new ConnectionError('UNEXPECTED_FRAME', 'expected content body, got non content body frame instead');
      }
      whole = content.body(bytes, payload, next - 1, message);
    }
    if (!whole) return;
    publishMessage(this.#connection, channel);
    content.reset();
    channel.settleReady();
  }

  /** A publish of the channel took long: what comes behind it waits until others had their turn. */
  rest(channel: Channel): void {
    if (channel.state === 'open') this.#wait(channel, basicPublish.id, this.#connection.server.turns.next());
  }

  // Methods that wait for the broker

  /** Whether a method may begin while earlier ones of its channel wait. */
  #overlaps(channel: Channel, bytes: Buffer, start: number, next: number): boolean {
    if (channel.answered === null || channel.unanswered >= mostOverlapping) return false;
    if (channel.kept.size > 0 && channel !== this.#resumed) return false;
    return overlapping.has(methodOf(bytes, start, next) ?? 0);
  }

  #wait(channel: Channel, id: number, pending: Promise<void>, mayOverlap = overlapping.has(id)): void {
    channel.waiting = true;
    channel.settleReady();
    channel.unanswered += 1;
    const answered = pending
      .catch((error: unknown) => this.#connection.methodFailed(channel, id, error))
      .then(() => {
        channel.unanswered -= 1;
        if (channel.unanswered > 0) return;
        channel.answered = null;
        this.#goOn(channel);
      });
    channel.answered = mayOverlap ? answered : null;
  }

  /** A method was refused while those before it wait: they are answered first, and what comes behind it is not begun. */
  #refuse(channel: Channel, id: number, answered: Promise<void>, error: unknown): void {
    const refused = answered.then(() => {
      throw error;
    });
    this.#wait(channel, id, refused, false);
  }

  #keep(channel: Channel, bytes: Buffer, start: number, next: number): void {
    channel.kept.add(bytes, start, next);
    this.#keptBytes += next - start;
    this.#pauseOrNot();
  }

  /** Handles the frames that were kept, until one has to wait again. */
  #goOn(channel: Channel): void {
    const connection = this.#connection;
    const { kept } = channel;
    channel.waiting = false;
    channel.settleReady();
    const before = kept.size;
    try {
      this.#resumed = channel;
      while (kept.size > 0 && channel.state !== 'gone') {
        const { bytes, start, end } = kept;
        if (channel.waiting && !this.#overlaps(channel, bytes, start, end)) break;
        kept.drop(runFrames(connection, bytes, start, end, channel));
      }
    } catch (error) {
      connection.ending.fail(closingError(error), 0);
    } finally {
      this.#resumed = null;
    }
    connection.commitBatch();
    this.#keptBytes -= before - kept.size;
    this.#pauseOrNot();
  }

  #pauseOrNot(): void {
    this.#connection.pause('kept', this.#keptBytes > this.#connection.settings.maxKeptBytes);
  }
}
