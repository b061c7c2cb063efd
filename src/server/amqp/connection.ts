import type { Socket } from 'node:net';
import {
  ConnectionScope,
  type Broker,
  type CommitReceiver,
  type EngineError,
  type ItemOutcome,
  type MessageView,
} from '../../broker/index.ts';
import { type ChannelError, ConnectionError, replyText } from '../../wire/amqp/amqp-error.ts';
import { channelClose } from '../../wire/amqp/channel-methods.ts';
import { exchangeDeclare } from '../../wire/amqp/exchange-methods.ts';
import { headerFixedBytes, heartbeatFrame } from '../../wire/amqp/content.ts';
import { firstFrameMaxBytes, frameOverheadBytes } from '../../wire/amqp/protocol.ts';
import { queueDeclare } from '../../wire/amqp/queue-methods.ts';
import type { CountedBatch } from '../counted-batch.ts';
import type { AmqpServer } from './server.ts';
import { writeReturn } from './answers.ts';
import { ChannelTable } from './channel-table.ts';
import type { Channel } from './channel.ts';
import { unknownClient, type Client } from './client.ts';
import { CommitToken } from './commit.ts';
import { closeArguments, Ending } from './ending.ts';
import { closingError } from './errors.ts';
import type { Entrant } from '../socket/entrance.ts';
import { FrameCarry } from './frame-carry.ts';
import { FrameRouter } from './frame-router.ts';
import { runFrames } from './frame-run.ts';
import { GetTurns, type Stopped } from './get-turns.ts';
import { Handshake, type Negotiated } from './handshake.ts';
import { Heartbeat } from './heartbeat.ts';
import { isLoopback } from '../socket/loopback.ts';
import { beginTurn, Output } from '../socket/output.ts';
import type { PartialBudget } from './partial-content.ts';
import { PublisherBrake } from './publisher-brake.ts';
import { ReadPauses, type PauseReason } from '../socket/read-pauses.ts';
import type { AmqpSettings } from './settings.ts';
import type { Reader } from '../socket/shared-read-buffer.ts';

const keepAliveDelayMs = 60_000;
/** A user name is as long as whoever tries to log in likes. */
const maxLogLength = 1_000;

/**
 * One client.
 *
 *   handshake -> running -> closing (connection.close was sent; nothing but its answer matters) -> closed
 *
 * Bytes that break the protocol, and whatever is thrown while a client's bytes are handled, end this connection alone.
 */
export class Connection implements CommitReceiver<CommitToken>, Entrant {
  readonly server: AmqpServer;
  readonly broker: Broker;
  readonly settings: AmqpSettings;
  /** For people: "127.0.0.1:50312 -> 127.0.0.1:5672". */
  readonly name: string;
  readonly output: Output;
  /** Of the client. */
  readonly address: string;
  readonly loopback: boolean;
  client: Client = unknownClient;
  state: 'handshake' | 'running' | 'closing' | 'closed' = 'handshake';
  /** Nothing that comes can be understood any more. */
  deaf = false;

  readonly channels = new ChannelTable();
  readonly frames: FrameRouter;
  readonly ending: Ending;
  /** Null once the connection is open. */
  handshake: Handshake | null;
  /** Null until then. */
  agreed: (Negotiated & { readonly scope: ConnectionScope }) | null = null;
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
  #handshakeTimer: NodeJS.Timeout | null;
  #heartbeat: Heartbeat | null = null;

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
    this.address = remoteAddress;
    this.loopback = isLoopback(remoteAddress);
    const { maxMessageBytes, maxPartialBytes } = this.settings;
    this.budget = { maxMessageBytes, maxPartialBytes, partialBytes: 0 };
    this.output = new Output(socket, server.outputBudget, () => this.#drained());
    this.gets = new GetTurns(this.output, server.outputBudget, (stopped) => this.stopped.push(stopped));
    this.frames = new FrameRouter(this);
    this.ending = new Ending(this, socket);
    this.handshake = new Handshake(this);
    this.#handshakeTimer = setTimeout(() => {
      this.log('the handshake took too long');
      this.ending.destroy();
    }, this.settings.handshakeTimeoutMs);
    socket.setNoDelay(true);
    socket.on('end', () => this.ending.peerEnded());
    socket.on('error', () => this.ending.destroy());
    socket.on('close', () => this.#closed());
  }

  get consumerCount(): number {
    return this.channels.all().reduce((sum, channel) => sum + channel.consumers.size, 0);
  }

  /** One line, whatever names a client made up. */
  log(line: string): void {
    this.server.log(`amqp ${this.name}: ${line.replace(/[\p{Cc}\s]+/gu, ' ').slice(0, maxLogLength)}`);
  }

  // Reading

  #read(bytes: Buffer, end: number): void {
    if (this.deaf || this.state === 'closed') return;
    beginTurn();
    try {
      this.#handle(bytes, end);
    } catch (error) {
      this.ending.fail(closingError(error), 0);
    }
    this.commitBatch();
    if (this.output.unsent > 2 * this.output.limit) this.pause('unsent', true);
  }

  #handle(bytes: Buffer, end: number): void {
    let at = 0;
    if (this.handshake?.state === 'header') {
      at = this.handshake.readHeader(bytes, end);
      if (at < 0) {
        this.ending.finish();
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

  // Publishing

  beginBatch(): CountedBatch {
    this.#counted.begin(this.broker.begin(undefined, false, false));
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
    token.deadLetter(outcomes);
    token.recycle();
  }

  failed(token: CommitToken, error: EngineError): void {
    token.recycle();
    this.ending.fail(closingError(error), 0);
  }

  returnUnroutable(channel: Channel, unroutable: MessageView): void {
    writeReturn(channel, unroutable, channel.target);
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
    queueMicrotask(() => this.ending.fail(new ConnectionError('RESOURCE_ERROR', text), 0));
  }

  /** The socket took what it was given. */
  #drained(): void {
    const { unsent, limit } = this.output;
    if (unsent <= limit) this.#pauses.set('unsent', false);
    if (unsent > limit / 2 || this.stopped.length === 0) return;
    const { stopped } = this;
    this.stopped = [];
    for (const each of stopped) this.resume(each);
  }

  resume(stopped: Stopped): void {
    try {
      stopped.resume();
    } catch (error) {
      this.ending.fail(closingError(error), 0);
    }
  }

  /** Acknowledgements may wait in the socket, which is not read for the broker's sake. */
  get refusing(): boolean {
    return this.#pauses.refusing;
  }

  /** For how long that was so, since the beginning. */
  refusedMs(nowMs: number): number {
    return this.#pauses.refusedMs(nowMs);
  }

  // Opening and closing

  tuned(channelMax: number, frameMaxBytes: number, heartbeatSeconds: number): void {
    this.channels.max = channelMax;
    this.maxPayloadBytes = frameMaxBytes - frameOverheadBytes;
    this.maxReceivedBytes = frameMaxBytes;
    if (heartbeatSeconds === 0) {
      // Nothing else would tell of a peer that is gone without a word, and what it holds would be held for ever.
      this.#socket.setKeepAlive(true, keepAliveDelayMs);
      return;
    }
    this.#heartbeat = new Heartbeat(this.#socket, heartbeatSeconds, {
      send: () => this.output.writeFrame(heartbeatFrame()),
      missed: () => {
        this.log(`missed heartbeats from client, timeout: ${heartbeatSeconds}s`);
        this.ending.destroy();
      },
      paused: () => this.#pauses.paused,
    });
  }

  opened(negotiated: Negotiated): void {
    this.agreed = { ...negotiated, scope: new ConnectionScope(negotiated.vhost, this.name) };
    this.handshake = null;
    if (this.#handshakeTimer !== null) clearTimeout(this.#handshakeTimer);
    this.#handshakeTimer = null;
    this.state = 'running';
    this.server.entered(this);
  }

  /** A method of this channel was refused, or its bytes made no sense. */
  methodFailed(channel: Channel, id: number, error: unknown): void {
    const closing = closingError(error);
    if (closing instanceof ConnectionError) {
      this.ending.fail(closing, id);
      return;
    }
    if (channel.state !== 'open') return;
    this.commitBatch();
    if (!isAnswer(closing, id)) this.log(`channel ${channel.number}: ${replyText(closing.reply, closing.message)}`);
    this.output.writeFrame(channelClose.frame(channel.number, closeArguments(closing, id)));
    channel.end('closing').catch((failure: unknown) => this.logBug(failure));
  }

  async removeChannel(channel: Channel): Promise<void> {
    this.channels.remove(channel);
    await channel.end('gone');
  }

  /** From now on nothing but the end matters. */
  enterClosing(): void {
    this.commitBatch();
    this.state = 'closing';
    this.#stopTimers();
    for (const channel of this.channels.all()) channel.ready = false;
    this.#pauses.clear();
  }

  /** Reads on, so that the peer's end is seen, but looks at nothing. */
  deafen(): void {
    this.deaf = true;
    this.#carry.clear();
  }

  /** Gives back everything that this connection held. */
  async releaseAll(): Promise<void> {
    this.stopped = [];
    this.gets.end();
    await Promise.all(this.channels.all().map((channel) => this.removeChannel(channel)));
    await this.agreed?.scope.close();
  }

  /** Others wait for its place, or for room. */
  cut(): void {
    this.ending.destroy();
  }

  #closed(): void {
    if (this.state === 'closed') return;
    this.commitBatch();
    this.state = 'closed';
    this.deafen();
    this.#stopTimers();
    this.output.close();
    this.ending.closed();
  }

  #stopTimers(): void {
    this.#heartbeat?.stop();
    this.#heartbeat = null;
    if (this.#handshakeTimer !== null) clearTimeout(this.#handshakeTimer);
    this.#handshakeTimer = null;
  }

  pause(reason: PauseReason, wanted: boolean): void {
    if (this.state === 'running') this.#pauses.set(reason, wanted);
  }

  logBug(error: unknown): void {
    this.log(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
}

/** Nothing else tells a client that a queue or an exchange is not there than a passive declaration that fails. */
function isAnswer({ reply }: ChannelError, id: number): boolean {
  return reply === 'NOT_FOUND' && (id === queueDeclare.id || id === exchangeDeclare.id);
}
