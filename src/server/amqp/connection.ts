import type { Socket } from 'node:net';
import {
  ConnectionScope,
  Session,
  type Broker,
  type CommitReceiver,
  type EngineError,
  type ItemOutcome,
  type MessageView,
} from '../../broker/index.ts';
import { ConnectionError, type ChannelError, replyCode, replyText } from '../../wire/amqp/amqp-error.ts';
import { basicPublish } from '../../wire/amqp/basic-methods.ts';
import { channelClose, channelCloseOk, channelOpen, channelOpenOk } from '../../wire/amqp/channel-methods.ts';
import { connectionClose, connectionCloseOk } from '../../wire/amqp/connection-methods.ts';
import { headerFixedBytes, heartbeatFrame } from '../../wire/amqp/content.ts';
import {
  basicClass,
  firstFrameMaxBytes,
  frameHeadBytes,
  frameOverheadBytes,
  frameType,
} from '../../wire/amqp/protocol.ts';
import type { AmqpServer } from './server.ts';
import { writeReturn } from './answers.ts';
import { Channel } from './channel.ts';
import { unknownClient, type Client } from './client.ts';
import { CommitToken, type CountedBatch } from './commit.ts';
import { handleConnectionMethod } from './connection-handlers.ts';
import { closingError } from './errors.ts';
import { FrameCarry } from './frame-carry.ts';
import { checkChannelFrame, methodOf, notForConnection, unexpectedFrame } from './frame-check.ts';
import { message, publishMessage, runFrames } from './frame-run.ts';
import { channelMethods } from './handlers.ts';
import { GetTurns, type Stopped } from './get-turns.ts';
import { Handshake, type Negotiated } from './handshake.ts';
import { Heartbeat } from './heartbeat.ts';
import { beginTurn, Output } from './output.ts';
import type { PartialBudget } from './partial-content.ts';
import { PublisherBrake } from './publisher-brake.ts';
import { ReadPauses, type PauseReason } from './read-pauses.ts';
import type { AmqpSettings } from './settings.ts';
import type { Reader } from './shared-read-buffer.ts';

/**
 * One client.
 *
 *   handshake -> running -> closing (connection.close was sent; nothing but its answer matters) -> closed
 *
 * Bytes that break the protocol, and whatever is thrown while a client's bytes are handled, end this connection alone.
 */
export class Connection implements CommitReceiver<CommitToken> {
  readonly server: AmqpServer;
  readonly broker: Broker;
  readonly settings: AmqpSettings;
  /** For people: "127.0.0.1:50312 -> 127.0.0.1:5672". */
  readonly name: string;
  readonly output: Output;
  readonly loopback: boolean;
  client: Client = unknownClient;
  state: 'handshake' | 'running' | 'closing' | 'closed' = 'handshake';
  /** Nothing that comes can be understood any more. */
  deaf = false;

  /** By number; 0 is never there. */
  readonly channels: (Channel | undefined)[] = [];
  maxPayloadBytes = firstFrameMaxBytes - frameOverheadBytes;
  /** What is taken is as large as what a client fills to the whole frame_max, as RabbitMQ takes it: some count no overhead. */
  maxReceivedBytes = firstFrameMaxBytes;
  readonly budget: PartialBudget;
  /** Consumers, and a get, that wait for the output to drain. */
  stopped: Stopped[] = [];
  readonly gets: GetTurns;

  /** The open batch of the read that is being handled, and what its commit will confirm. */
  batch: CountedBatch | null = null;
  token = CommitToken.take();
  /** It has published, so it is held back when the broker can't take more. */
  publishing = false;

  readonly #socket: Socket;
  readonly #pauses: ReadPauses;
  readonly #brake: PublisherBrake;
  readonly #carry = new FrameCarry();
  readonly #counted: CountedBatch;
  #handshake: Handshake | null;
  #handshakeTimer: NodeJS.Timeout | null;
  #closeTimer: NodeJS.Timeout | null = null;
  #heartbeat: Heartbeat | null = null;
  #negotiated: (Negotiated & { readonly scope: ConnectionScope }) | null = null;
  #channelMax = 0;
  #channelCount = 0;
  #keptBytes = 0;
  #released: Promise<void> | null = null;

  /** `accept` makes the socket, which passes what it reads to the function given. */
  constructor(server: AmqpServer, accept: (read: Reader) => Socket) {
    this.server = server;
    const socket = accept((bytes, end) => this.#read(bytes, end));
    this.broker = server.broker;
    this.settings = server.settings;
    this.#counted = server.batch;
    this.#socket = socket;
    this.#pauses = new ReadPauses(socket);
    this.#brake = new PublisherBrake(this, this.#pauses);
    const { remoteAddress = '?', remotePort = 0, localAddress = '?', localPort = 0 } = socket;
    this.name = `${remoteAddress}:${remotePort} -> ${localAddress}:${localPort}`;
    this.loopback = isLoopback(remoteAddress);
    const { maxMessageBytes, maxPartialBytes } = this.settings;
    this.budget = { maxMessageBytes, maxPartialBytes, partialBytes: 0 };
    this.output = new Output(socket, () => this.#drained());
    this.gets = new GetTurns(this.output, this.settings, (stopped) => this.stopped.push(stopped));
    this.#handshake = new Handshake(this);
    this.#handshakeTimer = setTimeout(() => {
      this.log('the handshake took too long');
      this.destroy();
    }, this.settings.handshakeTimeoutMs);
    socket.setNoDelay(true);
    socket.on('end', () => this.#peerEnded());
    socket.on('error', () => this.destroy());
    socket.on('close', () => this.closed());
  }

  /** One line, whatever names a client made up. */
  log(line: string): void {
    this.server.log(`amqp ${this.name}: ${line.replace(/[\p{Cc}\s]+/gu, ' ')}`);
  }

  // Reading

  #read(bytes: Buffer, end: number): void {
    if (this.deaf || this.state === 'closed') return;
    beginTurn();
    try {
      this.#handle(bytes, end);
    } catch (error) {
      this.#fail(closingError(error), 0);
    }
    this.commitBatch();
    if (this.output.unsent > 2 * this.settings.maxUnsentBytes) this.#pause('unsent');
  }

  #handle(bytes: Buffer, end: number): void {
    let at = 0;
    if (this.#handshake?.state === 'header') {
      at = this.#handshake.readHeader(bytes, end);
      if (at < 0) {
        this.deaf = true;
        this.output.end();
        this.#destroyAfter(this.settings.silentCloseDelayMs);
        return;
      }
    }
    const carry = this.#carry;
    while (carry.length > 0 && at < end && !this.deaf) {
      at = carry.complete(bytes, at, end, this.maxReceivedBytes);
      if (!carry.whole) continue;
      const { bytes: frame, length } = carry;
      carry.clear();
      runFrames(this, frame, 0, length);
    }
    if (at >= end || this.deaf) return;
    at = runFrames(this, bytes, at, end);
    if (at >= end || this.deaf) return;
    carry.add(bytes, at, end);
    carry.check(this.maxReceivedBytes);
  }

  /** Every frame that the hot path left. */
  handleFrame(bytes: Buffer, start: number, next: number, number: number): void {
    const channel = this.channels[number];
    try {
      if (this.state === 'closing') this.#frameWhileClosing(bytes, start, next, number);
      else if (number === 0) this.#frameOfConnection(bytes, start, next);
      else if (this.#handshake !== null) throw unexpectedFrame(bytes[start]!);
      else if (channel === undefined) this.#frameOfNoChannel(bytes, start, next, number);
      else if (channel.waiting) this.#keep(channel, bytes, start, next);
      else this.#frameOfChannel(channel, bytes, start, next);
    } catch (error) {
      const inContent = channel !== undefined && channel.content.expects !== 'method';
      const id = inContent ? basicPublish.id : (methodOf(bytes, start, next) ?? 0);
      if (channel === undefined) this.#fail(closingError(error), id);
      else this.methodFailed(channel, id, error);
    }
  }

  #frameOfConnection(bytes: Buffer, start: number, next: number): void {
    const type = bytes[start]!;
    const id = methodOf(bytes, start, next);
    const size = next - start - frameOverheadBytes;
    if (type === frameType.heartbeat && size === 0) return;
    if (id === null) throw notForConnection(type);
    const argumentsAt = start + frameHeadBytes + 4;
    this.commitBatch();
    if (this.#handshake === null) {
      handleConnectionMethod(this, id, bytes, argumentsAt, next - 1);
      return;
    }
    const negotiated = this.#handshake.method(id, bytes, argumentsAt, next - 1);
    if (negotiated !== null) this.#opened(negotiated);
  }

  #frameWhileClosing(bytes: Buffer, start: number, next: number, number: number): void {
    if (number !== 0) return;
    const id = methodOf(bytes, start, next);
    if (id === connectionClose.id) this.output.writeFrame(connectionCloseOk.frame(0, {}));
    if (id === connectionClose.id || id === connectionCloseOk.id) this.#finish();
  }

  #frameOfNoChannel(bytes: Buffer, start: number, next: number, number: number): void {
    const id = methodOf(bytes, start, next);
    if (id === null) {
      checkChannelFrame(bytes[start]!, next - start - frameOverheadBytes);
      throw new ConnectionError('UNEXPECTED_FRAME', 'expected method frame, got non method frame instead');
    }
    if (id !== channelOpen.id) throw new ConnectionError('CHANNEL_ERROR', "expected 'channel.open'");
    channelOpen.read(bytes, start + frameHeadBytes + 4, next - 1);
    if (number > this.#channelMax || this.#channelCount >= this.#channelMax) {
      const text = `number of channels opened (${this.#channelCount}) has reached the negotiated channel_max (${this.#channelMax})`;
      throw new ConnectionError('NOT_ALLOWED', number > this.#channelMax ? tooHigh(number, this.#channelMax) : text);
    }
    const { vhost, principal, scope } = this.#negotiated!;
    this.#channelCount++;
    while (this.channels.length < number) this.channels.push(undefined);
    this.channels[number] = new Channel(this, number, new Session(this.broker, vhost, principal, scope));
    this.output.writeFrame(channelOpenOk.frame(number, { channelId: Buffer.alloc(0) }));
  }

  #frameOfChannel(channel: Channel, bytes: Buffer, start: number, next: number): void {
    const id = methodOf(bytes, start, next);
    if (channel.state !== 'open') {
      this.#frameOfClosingChannel(channel, id);
      return;
    }
    checkChannelFrame(bytes[start]!, next - start - frameOverheadBytes);
    if (channel.content.expects !== 'method') {
      this.#contentOfChannel(channel, bytes, start, next);
      return;
    }
    if (id === null) {
      throw new ConnectionError('UNEXPECTED_FRAME', 'expected method frame, got non method frame instead');
    }
    this.commitBatch();
    const handle = channelMethods.get(id);
    if (handle === undefined) throw new ConnectionError('COMMAND_INVALID', 'unimplemented method');
    const pending = handle(channel, bytes, start + frameHeadBytes + 4, next - 1);
    if (pending !== undefined) this.#wait(channel, id, pending);
  }

  #frameOfClosingChannel(channel: Channel, id: number | null): void {
    if (id === channelClose.id) this.output.writeFrame(channelCloseOk.frame(channel.number, {}));
    if (id === channelCloseOk.id) this.removeChannel(channel).catch((error: unknown) => this.#logBug(error));
  }

  #contentOfChannel(channel: Channel, bytes: Buffer, start: number, next: number): void {
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
    publishMessage(this, channel);
    content.reset();
    channel.settleReady();
  }

  // Methods that wait for the broker

  #wait(channel: Channel, id: number, pending: Promise<void>): void {
    channel.waiting = true;
    channel.settleReady();
    pending.then(
      () => this.#goOn(channel),
      (error: unknown) => {
        this.methodFailed(channel, id, error);
        this.#goOn(channel);
      },
    );
  }

  #keep(channel: Channel, bytes: Buffer, start: number, next: number): void {
    channel.kept.add(bytes, start, next);
    this.#keptBytes += next - start;
    if (this.#keptBytes > this.settings.maxKeptBytes) this.#pause('kept');
  }

  /** Handles the frames that were kept, until one has to wait again. */
  #goOn(channel: Channel): void {
    const { kept } = channel;
    channel.waiting = false;
    channel.settleReady();
    const before = kept.size;
    try {
      while (kept.size > 0 && !channel.waiting && channel.state !== 'gone') {
        kept.drop(runFrames(this, kept.bytes, kept.start, kept.end, channel));
      }
    } catch (error) {
      this.#fail(closingError(error), 0);
    }
    this.commitBatch();
    this.#keptBytes -= before - kept.size;
    if (this.#keptBytes <= this.settings.maxKeptBytes) this.#pauses.set('kept', false);
  }

  // Publishing

  beginBatch(): CountedBatch {
    this.#counted.begin(this.broker.begin());
    this.batch = this.#counted;
    return this.#counted;
  }

  /** Ends what this read put together, so that whatever comes next finds it done. */
  commitBatch(): void {
    const { batch, token } = this;
    if (batch === null) return;
    this.batch = null;
    this.token = CommitToken.take();
    batch.commit(this, token);
  }

  committed(token: CommitToken, outcomes: readonly ItemOutcome[] | null): void {
    if (this.state === 'running') token.confirm(outcomes);
    token.recycle();
  }

  failed(token: CommitToken, error: EngineError): void {
    token.recycle();
    this.#fail(closingError(error), 0);
  }

  returnUnroutable(channel: Channel, unroutable: MessageView): void {
    writeReturn(channel, unroutable);
  }

  /** The first publish: from now on this connection is one that back-pressure holds. */
  startPublishing(): void {
    this.publishing = true;
    this.pressureChanged();
  }

  pressureChanged(): void {
    if (this.publishing && this.state === 'running') this.#brake.follow(this.broker.pressure);
  }

  // Delivering

  /** A content header is one frame: one beyond this client's frame_max can't be sent at all. */
  checkHeaderFits(view: MessageView): void {
    const headerBytes = headerFixedBytes + view.propertiesEnd - view.propertiesStart;
    if (headerBytes <= this.maxPayloadBytes || this.deaf) return;
    const text = `a content header of ${headerBytes} bytes does not fit into the negotiated frame_max`;
    queueMicrotask(() => this.#fail(new ConnectionError('RESOURCE_ERROR', text), 0));
  }

  /** The socket took what it was given. */
  #drained(): void {
    const { unsent } = this.output;
    const { maxUnsentBytes } = this.settings;
    if (unsent <= maxUnsentBytes) this.#pauses.set('unsent', false);
    if (unsent > maxUnsentBytes / 2 || this.stopped.length === 0) return;
    const { stopped } = this;
    this.stopped = [];
    try {
      for (const each of stopped) each.resume();
    } catch (error) {
      this.#fail(closingError(error), 0);
    }
  }

  // Opening and closing

  tuned(channelMax: number, frameMaxBytes: number, heartbeatSeconds: number): void {
    this.#channelMax = channelMax;
    this.maxPayloadBytes = frameMaxBytes - frameOverheadBytes;
    this.maxReceivedBytes = frameMaxBytes;
    if (heartbeatSeconds === 0) return;
    this.#heartbeat = new Heartbeat(this.#socket, heartbeatSeconds, {
      send: () => this.output.writeFrame(heartbeatFrame()),
      missed: () => {
        this.log(`missed heartbeats from client, timeout: ${heartbeatSeconds}s`);
        this.destroy();
      },
      paused: () => this.#pauses.paused,
    });
  }

  #opened(negotiated: Negotiated): void {
    this.#negotiated = { ...negotiated, scope: new ConnectionScope(negotiated.vhost, this.name) };
    this.#handshake = null;
    if (this.#handshakeTimer !== null) clearTimeout(this.#handshakeTimer);
    this.#handshakeTimer = null;
    this.state = 'running';
  }

  /** A method of this channel was refused, or its bytes made no sense. */
  methodFailed(channel: Channel, id: number, error: unknown): void {
    const closing = closingError(error);
    if (closing instanceof ConnectionError) {
      this.#fail(closing, id);
      return;
    }
    if (channel.state !== 'open') return;
    this.commitBatch();
    this.log(`channel ${channel.number}: ${replyText(closing.reply, closing.message)}`);
    this.output.writeFrame(channelClose.frame(channel.number, closeArguments(closing, id)));
    this.#endChannel(channel, 'closing');
  }

  async removeChannel(channel: Channel): Promise<void> {
    if (this.channels[channel.number] === channel) {
      this.channels[channel.number] = undefined;
      this.#channelCount--;
    }
    await channel.end('gone');
  }

  #endChannel(channel: Channel, state: 'closing' | 'gone'): void {
    channel.end(state).catch((error: unknown) => this.#logBug(error));
  }

  /** The client sent connection.close. */
  closeAtPeersWish(): void {
    this.#enterClosing();
    this.#release().then(
      () => {
        this.output.writeFrame(connectionCloseOk.frame(0, {}));
        this.#finish();
      },
      (error: unknown) => {
        this.#logBug(error);
        this.destroy();
      },
    );
  }

  /** The server ends: connection.close 320, and the end once the client has answered. */
  forceClose(reason: string): void {
    if (this.state !== 'running') {
      this.destroy();
      return;
    }
    const text = `broker forced connection closure with reason '${reason}'`;
    this.#sendClose(new ConnectionError('CONNECTION_FORCED', text), 0);
  }

  #fail(error: ChannelError | ConnectionError, id: number): void {
    if (this.state === 'closed' || this.state === 'closing') return;
    this.log(replyText(error.reply, error.message));
    if (error.cause !== undefined) this.#logBug(error.cause);
    const lostSync = error instanceof ConnectionError && error.lostSync;
    if (this.state === 'handshake' && !this.#mayAnswer(error)) {
      // Whoever got this far wrong waits, so that guessing is slow, and learns nothing.
      this.#deafen();
      this.#destroyAfter(this.settings.silentCloseDelayMs);
      return;
    }
    this.#sendClose(error, this.state === 'handshake' && error.reply === 'ACCESS_REFUSED' ? 0 : id);
    if (!lostSync) return;
    this.#deafen();
    this.output.end();
    this.#destroyAfter(this.settings.silentCloseDelayMs);
  }

  /** Whether a handshake that failed is answered (0-9-1 §2.2.4 says no, RabbitMQ's exceptions from it help). */
  #mayAnswer(error: ChannelError | ConnectionError): boolean {
    if (error.reply === 'ACCESS_REFUSED') return this.client.authenticationFailureClose;
    if (this.#handshake?.state === 'opening') return true;
    return this.#handshake?.state === 'tuning' && error.reply === 'NOT_ALLOWED';
  }

  #sendClose(error: ChannelError | ConnectionError, id: number): void {
    this.commitBatch();
    this.#enterClosing();
    this.output.writeFrame(connectionClose.frame(0, closeArguments(error, id)));
    this.#release().catch((failure: unknown) => this.#logBug(failure));
    this.#destroyAfter(this.settings.closeTimeoutMs);
  }

  #enterClosing(): void {
    this.commitBatch();
    this.state = 'closing';
    this.#stopTimers();
    for (const channel of this.channels) if (channel !== undefined) channel.ready = false;
    this.#pauses.clear();
  }

  /** Gives back everything that this connection held. */
  #release(): Promise<void> {
    this.#released ??= this.#releaseAll();
    return this.#released;
  }

  async #releaseAll(): Promise<void> {
    const channels = this.channels.filter((channel) => channel !== undefined);
    this.stopped = [];
    await Promise.all(channels.map((channel) => this.removeChannel(channel)));
    await this.#negotiated?.scope.close();
  }

  /** The peer sends nothing more; what was to be sent to it still is, if it takes it. */
  #peerEnded(): void {
    this.output.end();
    this.#destroyAfter(this.settings.silentCloseDelayMs);
  }

  /** Both sides said what they had to say. */
  #finish(): void {
    this.#deafen();
    this.output.end();
    this.#destroyAfter(this.settings.silentCloseDelayMs);
  }

  /** Reads on, so that the peer's end is seen, but looks at nothing. */
  #deafen(): void {
    this.deaf = true;
    this.#carry.clear();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** The socket is gone. */
  closed(): void {
    if (this.state === 'closed') return;
    this.commitBatch();
    this.state = 'closed';
    this.deaf = true;
    this.#stopTimers();
    if (this.#closeTimer !== null) clearTimeout(this.#closeTimer);
    this.#carry.clear();
    this.output.close();
    this.#socket.destroy();
    this.#release().then(
      () => this.server.connectionClosed(this),
      (error: unknown) => {
        this.#logBug(error);
        this.server.connectionClosed(this);
      },
    );
  }

  #stopTimers(): void {
    this.#heartbeat?.stop();
    this.#heartbeat = null;
    if (this.#handshakeTimer !== null) clearTimeout(this.#handshakeTimer);
    this.#handshakeTimer = null;
  }

  #destroyAfter(delayMs: number): void {
    if (this.#closeTimer !== null) clearTimeout(this.#closeTimer);
    this.#closeTimer = setTimeout(() => this.destroy(), delayMs);
  }

  #pause(reason: PauseReason): void {
    if (this.state === 'running') this.#pauses.set(reason, true);
  }

  #logBug(error: unknown): void {
    this.log(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
}

function closeArguments(error: ChannelError | ConnectionError, id: number) {
  return {
    replyCode: replyCode(error.reply),
    replyText: replyText(error.reply, error.message),
    classId: id >>> 16,
    methodId: id & 0xffff,
  };
}

function tooHigh(number: number, channelMax: number): string {
  return `channel number ${number} is beyond the negotiated channel_max (${channelMax})`;
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}
