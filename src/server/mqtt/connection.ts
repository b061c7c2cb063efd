import {
  type Broker,
  BrokerError,
  type CommitReceiver,
  ConnectionScope,
  type EngineError,
  type ItemOutcome,
  type MessageView,
  type Principal,
  type Route,
  Session,
  type Vhost,
} from '../../broker/index.ts';
import type { ConnectPacket } from '../../wire/mqtt/connect-packet.ts';
import { MqttError } from '../../wire/mqtt/mqtt-error.ts';
import { type AckType, packetName, packetType, type ProtocolVersion } from '../../wire/mqtt/packet-type.ts';
import type { Recipient as PacketRecipient } from '../../wire/mqtt/packet-writer.ts';
import { reasonCode, type ReasonCode } from '../../wire/mqtt/reason-code.ts';
import { encodeAck } from '../../wire/mqtt/server-packets.ts';
import type { CountedBatch } from '../counted-batch.ts';
import type { Entrant } from '../socket/entrance.ts';
import type { Recipient } from '../socket/frozen-clients.ts';
import { beginTurn, Output } from '../socket/output.ts';
import { ReadPauses, type PauseReason } from '../socket/read-pauses.ts';
import { Acknowledgements, answerOf, noItem } from './acknowledgements.ts';
import { Deliveries } from './deliveries.ts';
import { Ending } from './ending.ts';
import type { Authentication } from './enhanced-authentication.ts';
import { Greeting } from './greeting.ts';
import type { KeepAlive } from './keep-alive.ts';
import type { Arrival, Open } from './listeners.ts';
import { PacketCarry } from './packet-carry.ts';
import { runPackets } from './packet-run.ts';
import { PublishTarget } from './publish-target.ts';
import type { MqttServer } from './server.ts';
import type { MqttSession } from './session.ts';
import type { MqttSettings } from './settings.ts';
import { InboundAliases } from './topic-aliases.ts';

/** What a client may say of itself in a line of the log. */
const maxLogLength = 1_000;

/** Who has not said yet what it takes. */
const nobody: PacketRecipient = { version: 4, maxPacketBytes: Infinity, problemInformation: true };

/** What CONNECT and the server agreed on. */
export interface Agreed {
  readonly principal: Principal;
  readonly vhost: Vhost;
  readonly connect: ConnectPacket;
}

/**
 * One network connection of a client.
 *
 *   greeting (until CONNACK is sent; nothing is read while CONNECT is looked at) -> running -> ending -> closed
 *
 * Bytes that break the protocol, and whatever is thrown while a client's bytes are handled, end this connection alone.
 */
export class Connection implements CommitReceiver<Acknowledgements>, Entrant, Recipient {
  readonly server: MqttServer;
  readonly broker: Broker;
  readonly settings: MqttSettings;
  readonly arrival: Arrival;
  readonly output: Output;
  readonly address: string;
  state: 'greeting' | 'running' | 'ending' | 'closed' = 'greeting';
  /** 0 before CONNECT; 3 and 4: MQTT 3.1 and 3.1.1. */
  version: ProtocolVersion | 0 = 0;
  /** What the client takes. */
  recipient: PacketRecipient = nobody;
  /** Null once CONNACK is sent. */
  greeting: Greeting | null;
  readonly ending: Ending;
  /** A client that authenticates once more. */
  reauthentication: Authentication | null = null;
  packetsReceived = 0;

  /** The open batch of the read that is being handled, and what its commit will answer. */
  batch: CountedBatch | null = null;
  #acknowledgements: Acknowledgements | null = null;

  readonly pauses: ReadPauses;
  #carry: PacketCarry | null = null;
  readonly #counted: CountedBatch;
  readonly #port: number;
  #agreed: Agreed | null = null;
  #session: MqttSession | null = null;
  #deliveries: Deliveries | null = null;
  #target: PublishTarget | null = null;
  #aliases: InboundAliases | null = null;
  #brokerSession: Session | null = null;
  #isPublishing = false;
  #keepAlive: KeepAlive | null = null;
  /** PUBLISH packets of QoS 1 and 2 that are not answered to the end. */
  #inFlight = 0;
  /** Of publishes that were refused, by packet id: what is to be told beside the reason code. */
  #whys: Map<number, string> | null = null;
  /** Batches whose commits have not come back. */
  #underWay = 0;
  #allBack: (() => void) | null = null;

  constructor(server: MqttServer, open: Open, arrival: Arrival) {
    this.server = server;
    this.broker = server.broker;
    this.settings = server.settings;
    this.arrival = arrival;
    this.#counted = server.batch;
    const socket = open((bytes, end) => this.#read(bytes, end));
    this.pauses = new ReadPauses(socket);
    const { remoteAddress = '?', remotePort = 0 } = socket;
    this.address = remoteAddress;
    this.#port = remotePort;
    this.output = new Output(socket, server.outputBudget, () => this.#drained());
    this.ending = new Ending(this, socket);
    this.greeting = new Greeting(this);
    socket.setNoDelay(true);
    socket.on('end', () => this.ending.peerEnded());
    socket.on('error', () => this.ending.destroy());
    socket.on('close', () => this.#closed());
  }

  get #name(): string {
    return `${this.address}:${this.#port}`;
  }

  /** One line, whatever names a client made up. */
  log(line: string): void {
    const client = this.#session === null ? '' : ` ${JSON.stringify(this.#session.clientId)}`;
    const text = `${this.arrival.protocol} ${this.#name}${client}: ${line}`;
    this.server.log(text.replace(/[\p{Cc}\s]+/gu, ' ').slice(0, maxLogLength));
  }

  logBug(error: unknown): void {
    this.log(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }

  // Reading

  get isRunning(): boolean {
    return this.state === 'running';
  }

  /** Whether the next packet may be looked at now. */
  get listening(): boolean {
    return this.state === 'running' || (this.state === 'greeting' && this.greeting?.awaits === true);
  }

  /** What comes still means something. */
  get hears(): boolean {
    return this.state === 'greeting' || this.state === 'running';
  }

  #read(bytes: Buffer, end: number): void {
    if (!this.hears) {
      this.ending.peerSent();
      return;
    }
    beginTurn();
    this.server.traffic.bytesReceived += end;
    this.take(bytes, end);
    if (this.output.unsent > 2 * this.output.limit) this.pauses.set('unsent', true);
  }

  /** Handles what came, and keeps what can't be handled yet. */
  take(bytes: Buffer, end: number): void {
    const packetsBefore = this.packetsReceived;
    try {
      this.#handle(bytes, end);
    } catch (error) {
      this.ending.fail(error);
    }
    if (this.packetsReceived !== packetsBefore) this.#keepAlive?.heard();
    this.commitBatch();
  }

  #handle(bytes: Buffer, end: number): void {
    let at = 0;
    const carry = this.#carry;
    if (carry !== null) {
      while (carry.length > 0 && at < end && this.listening) {
        at = carry.complete(bytes, at, end, this.maxPacketBytes);
        if (!carry.isWhole) {
          // A length that may not be is refused as soon as it is known.
          runPackets(this, carry.bytes, 0, carry.length);
          continue;
        }
        const { bytes: packet, length } = carry;
        carry.clear();
        runPackets(this, packet, 0, length);
      }
    }
    if (at < end && this.listening) at = runPackets(this, bytes, at, end);
    if (at >= end || !this.hears) return;
    this.#checkKept(end - at);
    this.#carry ??= new PacketCarry();
    this.#carry.add(bytes, at, end);
    if (!this.listening) this.pause('greeting', true);
  }

  /** Nobody who has not logged in has more kept than a CONNECT. @throws MqttError */
  #checkKept(bytes: number): void {
    const { maxConnectBytes } = this.settings;
    if (this.greeting === null || this.greeting.isLoggedIn || bytes <= maxConnectBytes) return;
    throw new MqttError(reasonCode.quotaExceeded, `more than ${maxConnectBytes} bytes came behind CONNECT`);
  }

  /** CONNECT was looked at: what came behind it is handled now. */
  goOn(): void {
    const carry = this.#carry;
    this.pause('greeting', false);
    if (carry === null || carry.length === 0) return;
    const { bytes, length } = carry;
    carry.clear();
    this.take(bytes, length);
  }

  get maxPacketBytes(): number {
    return this.state === 'running' ? this.settings.maxPacketBytes : this.settings.maxConnectBytes;
  }

  /** @throws MqttError as soon as a length that may not be is known */
  checkLength(type: number, length: number): void {
    if (length <= this.maxPacketBytes) return;
    const text = `${packetName(type)} has ${length} bytes, more than the ${this.maxPacketBytes} allowed`;
    throw new MqttError(reasonCode.packetTooLarge, text);
  }

  pause(reason: PauseReason, wanted: boolean): void {
    if (this.state !== 'closed') this.pauses.set(reason, wanted);
  }

  /** It is not read, for whatever reason. */
  get isPaused(): boolean {
    return this.pauses.paused;
  }

  // What it has once it runs

  get session(): MqttSession {
    return this.#session!;
  }

  get agreed(): Agreed {
    return this.#agreed!;
  }

  get deliveries(): Deliveries {
    this.#deliveries ??= new Deliveries(this);
    return this.#deliveries;
  }

  get hasDeliveries(): boolean {
    return this.#deliveries !== null;
  }

  get target(): PublishTarget {
    this.#target ??= new PublishTarget(this);
    return this.#target;
  }

  get aliases(): InboundAliases {
    this.#aliases ??= new InboundAliases(this.settings.maxTopicAliases);
    return this.#aliases;
  }

  /** Its session of the broker: what it publishes and consumes goes through it. Made when it is needed first: many clients do neither for long. */
  get brokerSession(): Session {
    if (this.#brokerSession === null) {
      const { principal, vhost } = this.agreed;
      this.#brokerSession = new Session(this.broker, vhost, principal, new ConnectionScope(vhost, this.#name));
      this.#brokerSession.subscriber = this.session.subscriber;
    }
    return this.#brokerSession;
  }

  /** The same for a publish, which back-pressure may hold. */
  get publishingSession(): Session {
    if (!this.#isPublishing) {
      this.#isPublishing = true;
      this.pressureChanged();
    }
    return this.brokerSession;
  }

  pressureChanged(): void {
    if (!this.#isPublishing || this.state !== 'running') return;
    const { blocked, behind } = this.broker.pressure;
    this.pause('blocked', blocked !== null);
    this.pause('behind', behind);
  }

  /** CONNECT says what the client can be told. */
  understood(recipient: PacketRecipient): void {
    this.version = recipient.version;
    this.recipient = recipient;
  }

  /** A session is its own, once it has one. */
  get ownSession(): MqttSession | null {
    return this.#session;
  }

  /** CONNACK is written. */
  started(agreed: Agreed, session: MqttSession, keepAliveSeconds: number): void {
    this.#agreed = agreed;
    this.#session = session;
    this.greeting = null;
    this.state = 'running';
    if (keepAliveSeconds > 0) this.#keepAlive = this.server.keepAlive.guard(this, keepAliveSeconds);
    this.server.entered(this);
  }

  // Publishing

  get acknowledgements(): Acknowledgements {
    this.#acknowledgements ??= Acknowledgements.take();
    return this.#acknowledgements;
  }

  beginBatch(): CountedBatch {
    this.#counted.begin(this.broker.begin(undefined, false, false));
    this.batch = this.#counted;
    return this.#counted;
  }

  /** Ends what this read put together. */
  commitBatch(): void {
    const session = this.#session;
    if (session?.packets.changed === true) session.storePackets(this.batch ?? this.beginBatch());
    const { batch } = this;
    if (batch === null) {
      // What hangs on nothing that is on its way is answered at once; else in its turn.
      if (this.#acknowledgements === null) return;
      this.beginBatch();
      this.commitBatch();
      return;
    }
    const { acknowledgements } = this;
    this.batch = null;
    this.#acknowledgements = null;
    this.#underWay++;
    batch.commit(this, acknowledgements);
  }

  committed(acknowledgements: Acknowledgements, outcomes: readonly ItemOutcome[] | null): void {
    // Nobody is told, but what was refused is not there, and its id is no sign that it is.
    if (this.state === 'running' || outcomes !== null) acknowledgements.send(this, outcomes);
    acknowledgements.deadLetter(outcomes);
    acknowledgements.recycle();
    this.#cameBack();
  }

  failed(acknowledgements: Acknowledgements, error: EngineError): void {
    acknowledgements.recycle();
    this.ending.fail(error);
    this.#cameBack();
  }

  #cameBack(): void {
    if (--this.#underWay === 0) this.#allBack?.();
  }

  /** Hot. This packet is sent once the read's batch is durable. */
  answer(type: number, packetId: number, item: number, reason: number): void {
    this.acknowledgements.add(type, packetId, item, reason);
  }

  /** Hot. Sends it. */
  acknowledge(type: number, packetId: number, reason: number): void {
    if (type === packetType.puback || type === packetType.pubcomp) this.#inFlight--;
    if (reason === reasonCode.quotaExceeded && this.#tellWhy(type, packetId)) return;
    const { output } = this;
    output.reserve(5);
    const { bytes } = output;
    let { at } = output;
    const hasReason = reason !== reasonCode.success && this.version === 5;
    bytes[at++] = type === packetType.pubrel ? 0x62 : type << 4;
    bytes[at++] = hasReason ? 3 : 2;
    bytes[at++] = packetId >>> 8;
    bytes[at++] = packetId & 0xff;
    if (hasReason) bytes[at++] = reason;
    output.at = at;
  }

  /** False: there is nothing to say but the reason code. */
  #tellWhy(type: number, packetId: number): boolean {
    const why = this.#whys?.get(packetId);
    if (why === undefined) return false;
    this.#whys?.delete(packetId);
    const explanation = { reasonString: why };
    const packet = encodeAck(this.recipient, type as AckType, packetId, reasonCode.quotaExceeded, explanation);
    if (packet !== null) this.output.writeFrame(packet);
    return true;
  }

  /** A client that says nothing of QoS may not have more on the way than the server announced. @throws MqttError */
  countInFlight(): void {
    if (++this.#inFlight > this.settings.receiveMaximum && this.version === 5) {
      const text = `more than ${this.settings.receiveMaximum} publishes are not acknowledged`;
      throw new MqttError(reasonCode.receiveMaximumExceeded, text);
    }
  }

  /** The message of a PUBLISH was not stored. */
  publishRefused(type: number, packetId: number, reason: ReasonCode): void {
    const { isRunning } = this;
    if (type === packetType.puback) {
      if (isRunning && this.version === 5) this.acknowledge(type, packetId, reason);
    } else {
      // Its id is free for another message now, and for this one to be sent again; that must be known after a crash as well.
      this.session.packets.forget(packetId);
      this.#inFlight--;
      if (isRunning && this.version === 5) this.answer(type, packetId, noItem, reason);
      this.commitBatch();
    }
    // Before 5.0 there is no answer that says no; the client will send it again [MQTT-3.3.5-2].
    if (this.version < 5) this.ending.fail(new MqttError(reason, 'a publish could not be stored'));
  }

  /** The client may not publish to this topic. @throws MqttError where it can't be told otherwise */
  publishNotAllowed(qos: number, packetId: number, refusal: unknown): void {
    if (!(refusal instanceof BrokerError)) throw refusal;
    this.server.tellRefused(this, refusal.message);
    if (qos === 0) return;
    if (this.version < 5) throw new MqttError(reasonCode.notAuthorized, refusal.message);
    if (qos === 2) this.#inFlight--;
    this.answer(answerOf(qos), packetId, noItem, reasonCode.notAuthorized);
  }

  /** PUBREL came. */
  releasePublish(packetId: number): void {
    const known = this.session.packets.forget(packetId);
    if (!known) this.#inFlight++;
    this.answer(packetType.pubcomp, packetId, noItem, known ? reasonCode.success : reasonCode.packetIdentifierNotFound);
  }

  /** What comes with a message is more than is stored. @throws MqttError where it can't be told otherwise */
  publishTooLarge(qos: number, packetId: number, why: string): void {
    if (this.version < 5 || qos === 0) throw new MqttError(reasonCode.quotaExceeded, why);
    this.server.tellRefused(this, why);
    if (qos === 2) this.#inFlight--;
    // In its turn, behind what waits for the disk.
    (this.#whys ??= new Map()).set(packetId, why);
    this.answer(answerOf(qos), packetId, noItem, reasonCode.quotaExceeded);
  }

  /** Where a publish to this topic goes. @throws BrokerError, MqttError */
  routeOf(session: Session, topic: string): Route {
    return this.server.routeOf(session, topic, this.session.clientId);
  }

  /** False: there is no room for it. */
  retain(batch: CountedBatch, topic: string, message: MessageView): boolean {
    return this.server.retain(this.session, batch, topic, message);
  }

  /** Nothing came for one and a half times its keep-alive. */
  keepAliveMissed(): void {
    this.ending.fail(new MqttError(reasonCode.keepAliveTimeout, 'sent nothing for longer than its keep-alive'));
  }

  // Ending

  cut(): void {
    this.ending.destroy();
  }

  /** The socket took what it was given. */
  #drained(): void {
    const { unsent, limit } = this.output;
    if (unsent <= limit) this.pauses.set('unsent', false);
    if (unsent <= limit / 2) this.#deliveries?.resume();
  }

  /** From now on nothing but the end matters. */
  enterEnding(): void {
    this.#deliveries?.end();
    this.commitBatch();
    this.state = 'ending';
    this.#stopKeepAlive();
    this.pauses.clear();
    this.#carry = null;
  }

  /**
   * Gives back what it holds; what was on its way to it may go to others, or to its client when that is back. Its session is not its client's
   * next connection's before all that it committed is durable, or refused: that one answers, and sends, what follows from it.
   */
  async release(): Promise<void> {
    await this.#brokerSession?.close();
    if (this.#underWay > 0) await new Promise<void>((resolve) => (this.#allBack = resolve));
  }

  #closed(): void {
    if (this.state === 'closed') return;
    this.#deliveries?.end();
    this.commitBatch();
    this.state = 'closed';
    this.#stopKeepAlive();
    this.#carry = null;
    this.greeting?.end();
    this.greeting = null;
    this.output.close();
    this.ending.closed();
  }

  #stopKeepAlive(): void {
    this.#keepAlive?.stop();
    this.#keepAlive = null;
  }
}
