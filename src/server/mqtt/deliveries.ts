/**
 * Hot path: what goes out to one client, from its session's mailbox, from those of shared subscriptions, at once from publishers (live), and
 * of what is retained.
 */
import {
  type DeliveryView,
  isShortened,
  LARGE_BODY_BYTES,
  type LiveSink,
  type MessageView,
  readEnvelope,
  type Route,
  type SharedGroup,
  type Subscription,
} from '../../broker/index.ts';
import { packetType, type ProtocolVersion, type Qos } from '../../wire/mqtt/packet-type.ts';
import {
  publishBytes,
  subscriptionIdentifierBytes,
  topicAliasBytes,
  writePublishHead,
  writeSubscriptionIdentifier,
  writeTopicAlias,
} from '../../wire/mqtt/publish-packet.ts';
import { reasonCode } from '../../wire/mqtt/reason-code.ts';
import { copyBytes } from '../../format/copy.ts';
import type { OutputBudget, Waiting } from '../socket/output-budget.ts';
import { Output } from '../socket/output.ts';
import { noItem } from './acknowledgements.ts';
import type { Connection } from './connection.ts';
import { MailboxConsumer } from './mailbox-consumer.ts';
import { OutboundWindow } from './outbound-window.ts';
import { SentProperties } from './sent-properties.ts';
import { qosOf, retainAsPublished } from './subscription-options.ts';
import { TakeOvers } from './take-overs.ts';

/** One is enough: a message is written whole before the next is looked at. */
const sent = new SentProperties();
const noBytes = Buffer.alloc(0);
const noView = new DataView(noBytes.buffer, noBytes.byteOffset, 0);
/** The longest topic that gets an alias, since those are kept as long as the connection. */
const maxAliasedLength = 1_024;

/** How messages of one topic go out to one client. */
export interface Plan {
  readonly topic: Buffer;
  readonly topicView: DataView;
  /** The highest that its matching subscriptions grant [MQTT-3.3.4-2]. */
  readonly qos: Qos;
  readonly retainAsPublished: boolean;
  /** Subscription identifiers, as they are sent. */
  readonly identifiers: Buffer;
  /** 0: it has none yet; below: it gets none, since it is made for a few messages. */
  alias: number;
  /** The client knows what the alias stands for. */
  aliasIsKnown: boolean;
  /** Of the messages that it is found for by their envelope; empty: it is found by its topic alone. */
  envelope: Buffer;
}

export class Deliveries implements LiveSink {
  readonly window = new OutboundWindow();
  readonly #connection: Connection;
  readonly #output: Output;
  readonly #budget: OutputBudget;
  readonly #version: ProtocolVersion;
  readonly #maxPacketBytes: number;
  #plans = new Map<string, Plan>();
  /** Of those, what counts. */
  #planCount = 0;
  #planLength = 0;
  /** Those by the hashes of their envelopes: the latest of each. */
  readonly #plansByEnvelope = new Map<number, Plan>();
  #lastRoute: Route | null = null;
  #lastPlan: Plan | null = null;
  #lastEnvelope = -1;
  #lastEnvelopePlan: Plan | null = null;
  /** It stands for a retained message that a new subscription has found. */
  #lastIsRetained = false;
  #aliases: number;
  #nextAlias = 1;
  #mailbox: MailboxConsumer | null = null;
  readonly #groups = new Map<SharedGroup, MailboxConsumer>();
  /** Consumers that wait for the output to drain. */
  #stopped: MailboxConsumer[] = [];
  /** What else waits for that, or for room among all. */
  #forRoom: Waiting | null = null;
  readonly #takeOvers: TakeOvers;
  /** Delivery tags of messages that nobody acknowledges, to be settled at the end of the turn. */
  #done: number[] = [];
  #doneDue = false;
  #hasPrefetch = false;
  #ended = false;
  /** Messages of QoS 0 that were dropped because the client took none. */
  dropped = 0;

  constructor(connection: Connection) {
    const { agreed, recipient, settings, output } = connection;
    this.#connection = connection;
    this.#output = output;
    this.#budget = connection.server.outputBudget;
    this.#takeOvers = new TakeOvers(connection, () => this.window.count);
    this.#version = connection.version as ProtocolVersion;
    this.#maxPacketBytes = recipient.maxPacketBytes;
    this.#aliases = Math.min(agreed.connect.properties.topicAliasMaximum ?? 0, settings.maxTopicAliasesOut);
  }

  /** After CONNACK: what was left unfinished is taken up, and what waits is sent. */
  begin(): void {
    const { session } = this.#connection;
    for (const id of session.packets.released) {
      this.window.release(id, null);
      this.#connection.acknowledge(packetType.pubrel, id, reasonCode.success);
    }
    this.follow(session.subscriber.subscriptions.values());
  }

  /** The subscriptions have changed: these are new, some may be gone. A client with many of them makes one after the other. */
  follow(added: Iterable<Subscription> = []): void {
    const { subscriber } = this.#connection.session;
    this.#forgetPlans();
    subscriber.sink = this;
    const hasRoom = this.#room > 0;
    if (hasRoom && subscriber.queue !== null && this.#mailbox === null) this.#mailbox = this.#consume(null);
    for (const subscription of hasRoom ? added : []) {
      const { group, name } = subscription;
      if (group === null || this.#groups.has(group) || subscriber.subscriptions.get(name) !== subscription) continue;
      this.#groups.set(group, this.#consume(group));
    }
    for (const [group, consumer] of this.#groups) {
      if (consumer.own?.group === group) continue;
      this.#groups.delete(group);
      consumer.end();
    }
  }

  /** How many messages of this connection may be in flight; none, or less: as long as PUBCOMPs of connections before are missing. */
  get #room(): number {
    return this.#connection.session.receiveMaximum - this.window.left;
  }

  /** PUBCOMP came for what a connection before has left. */
  #madeRoom(): void {
    const room = this.#room;
    if (this.#ended || room <= 0) return;
    const { brokerSession, session } = this.#connection;
    if (this.#hasPrefetch) brokerSession.setPrefetch(room, true);
    else if (room === 1) this.follow(session.subscriber.subscriptions.values());
  }

  #consume(group: SharedGroup | null): MailboxConsumer {
    if (!this.#hasPrefetch) this.#connection.brokerSession.setPrefetch(this.#room, true);
    this.#hasPrefetch = true;
    const consumer = new MailboxConsumer(this.#connection, this, group);
    consumer.begin();
    return consumer;
  }

  // Sending

  /** Hot. A delivery of the client's own mailbox (`group` null) or of a shared one's. False: no more for now. */
  deliver(tag: number, delivery: DeliveryView, consumer: MailboxConsumer): boolean {
    if (this.#ended) return false;
    sent.read(delivery.head, delivery.propertiesStart, delivery.propertiesEnd);
    if (delivery.envelopeId !== this.#lastEnvelope) this.#takeEnvelope(delivery);
    const plan = consumer.group === null ? this.#lastEnvelopePlan! : this.#planOfGroup(delivery, consumer);
    const qos = Math.min(sent.qos, plan.qos) as Qos;
    if (qos === 2 && consumer.group !== null) {
      const goesOn = this.#takeOvers.take(tag, delivery, consumer);
      if (this.#mailbox === null) this.follow();
      return goesOn;
    }
    if (consumer.group === null) this.#takeOvers.cameBack();
    const retain = this.#lastIsRetained || (sent.retain && plan.retainAsPublished);
    if (this.#lastIsRetained && !delivery.redelivered) {
      this.#connection.session.retained?.sent(delivery.bodyEnd - delivery.bodyStart);
    }
    if (qos === 0) {
      // It may have been sent before a crash, and is sent once at most.
      if (!delivery.redelivered) this.#write(delivery, plan, 0, false, retain, 0);
      this.#settleLater(tag);
    } else {
      const packetId = this.window.add(consumer.group === null ? delivery.number : 0, tag);
      if (!this.#write(delivery, plan, qos, delivery.redelivered, retain, packetId)) {
        this.window.take(packetId);
        this.#settleLater(tag);
      }
    }
    const output = this.#output;
    if (output.unsent < output.limit) return true;
    this.#stopped.push(consumer);
    return false;
  }

  /** Hot. A message as it is published. Dropped where the client does not take what it is sent [THREATS: frozen subscriber]. */
  take(message: MessageView, route: Route, topic: string): void {
    if (!this.hasRoom(message.bodyEnd - message.bodyStart)) {
      this.dropped++;
      this.#connection.server.traffic.dropped++;
      return;
    }
    if (route !== this.#lastRoute) {
      this.#lastRoute = route;
      this.#lastPlan = this.#planOf(topic);
    }
    const plan = this.#lastPlan!;
    sent.read(message.head, message.propertiesStart, message.propertiesEnd);
    this.#write(message, plan, 0, false, sent.retain && plan.retainAsPublished, 0);
  }

  /** Whether the client takes more now. A large message is more than a limit, whoever gets it: all of those together have one. */
  hasRoom(bodyBytes: number): boolean {
    const output = this.#output;
    if (output.unsent >= output.limit) return false;
    return bodyBytes <= LARGE_BODY_BYTES || this.#budget.hasRoom(bodyBytes);
  }

  /** Calls it once there is room, if there ever is, or the connection ends. One may wait. */
  whenRoom(bytes: number, task: () => void): void {
    if (this.#ended) {
      setImmediate(task);
      return;
    }
    const waiting = { bytes, proceed: () => this.#proceed(waiting, task) };
    this.#forRoom = waiting;
    if (this.#output.unsent < this.#output.limit) this.#budget.wait(waiting);
  }

  #proceed(waiting: Waiting, task: () => void): void {
    if (this.#forRoom !== waiting) return;
    this.#forRoom = null;
    this.#budget.forget(waiting);
    task();
  }

  /** A retained message of QoS 0, for one subscription that is new or made again. */
  takeRetained(message: MessageView, topic: string, subscription: Subscription): void {
    sent.read(message.head, message.propertiesStart, message.propertiesEnd);
    this.#write(message, this.#planFor(topic, [subscription]), 0, false, true, 0);
  }

  /** False: the client takes no packet of this size, so it is as if the message had been sent [MQTT-3.1.2-25]. */
  #write(message: MessageView, plan: Plan, qos: Qos, dup: boolean, retain: boolean, packetId: number): boolean {
    const version = this.#version;
    const payloadBytes = message.bodyEnd - message.bodyStart;
    let { topic, topicView } = plan;
    let propertiesBytes = 0;
    let alias = 0;
    if (version === 5) {
      sent.encode(message.expiresAt, message.expiresAt === 0 ? 0 : this.#connection.broker.context.clock.now());
      propertiesBytes = sent.length + plan.identifiers.length;
      if (this.#aliases > 0) {
        alias = this.#aliasOf(plan);
        if (alias > 0) {
          propertiesBytes += topicAliasBytes;
          if (plan.aliasIsKnown) {
            topic = noBytes;
            topicView = noView;
          }
        }
      }
    }
    const size = publishBytes(topic.length, qos, version, propertiesBytes, payloadBytes);
    if (size > this.#maxPacketBytes) return false;
    const output = this.#output;
    const isSmall = size <= Output.maxReserve;
    const headBytes = size - payloadBytes;
    if (!isSmall && headBytes > Output.maxReserve) {
      this.#writeLong(message, plan, topic, topicView, qos, dup, retain, packetId, propertiesBytes, alias);
      return true;
    }
    output.reserve(isSmall ? size : headBytes);
    const { bytes, view } = output;
    let at = this.#writeHead(
      bytes,
      view,
      output.at,
      topic,
      topicView,
      plan,
      qos,
      dup,
      retain,
      packetId,
      propertiesBytes,
      payloadBytes,
      alias,
    );
    if (isSmall) {
      at = copyBytes(message.body, message.bodyStart, message.bodyEnd, bytes, view, at);
      output.at = at;
    } else {
      output.at = at;
      output.write(message.body, message.bodyStart, message.bodyEnd);
    }
    if (alias > 0) plan.aliasIsKnown = true;
    this.#connection.server.traffic.messagesSent++;
    return true;
  }

  #writeHead(
    bytes: Buffer,
    view: DataView,
    at: number,
    topic: Buffer,
    topicView: DataView,
    plan: Plan,
    qos: Qos,
    dup: boolean,
    retain: boolean,
    packetId: number,
    propertiesBytes: number,
    payloadBytes: number,
    alias: number,
  ): number {
    at = writePublishHead(
      bytes,
      view,
      at,
      topic,
      topicView,
      qos,
      dup,
      retain,
      packetId,
      this.#version,
      propertiesBytes,
      payloadBytes,
    );
    if (propertiesBytes === 0) return at;
    if (alias > 0) at = writeTopicAlias(bytes, at, alias);
    at = copyBytes(plan.identifiers, 0, plan.identifiers.length, bytes, view, at);
    return copyBytes(sent.bytes, 0, sent.length, bytes, view, at);
  }

  /** Properties that alone are more than a chunk. */
  #writeLong(
    message: MessageView,
    plan: Plan,
    topic: Buffer,
    topicView: DataView,
    qos: Qos,
    dup: boolean,
    retain: boolean,
    packetId: number,
    propertiesBytes: number,
    alias: number,
  ): void {
    const payloadBytes = message.bodyEnd - message.bodyStart;
    const head = Buffer.allocUnsafe(16 + topic.length + propertiesBytes);
    const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
    const end = this.#writeHead(
      head,
      view,
      0,
      topic,
      topicView,
      plan,
      qos,
      dup,
      retain,
      packetId,
      propertiesBytes,
      payloadBytes,
      alias,
    );
    this.#output.write(head, 0, end);
    this.#output.write(message.body, message.bodyStart, message.bodyEnd);
    if (alias > 0) plan.aliasIsKnown = true;
    this.#connection.server.traffic.messagesSent++;
  }

  #aliasOf(plan: Plan): number {
    if (plan.alias === 0 && this.#nextAlias <= this.#aliases) plan.alias = this.#nextAlias++;
    return Math.max(0, plan.alias);
  }

  // Plans

  #takeEnvelope(delivery: DeliveryView): void {
    const { head, envelopeStart: start, envelopeEnd: end } = delivery;
    this.#lastEnvelope = delivery.envelopeId;
    // No route of the default exchange leads to a mailbox.
    this.#lastIsRetained = head[start] === 0;
    const hash = hashOf(head, start, end);
    const known = this.#plansByEnvelope.get(hash);
    if (known !== undefined && isEqual(known.envelope, head, start, end)) {
      this.#lastEnvelopePlan = known;
      return;
    }
    const plan = this.#planOf(sent.topic(start));
    this.#lastEnvelopePlan = plan;
    // A shortened key does not say the topic. Several exchanges may bring one topic: one of them is enough.
    if (plan.envelope.length > 0 || isShortened(readEnvelope(head, start).routingKey)) return;
    plan.envelope = Buffer.from(head.subarray(start, end));
    this.#plansByEnvelope.set(hash, plan);
  }

  #planOf(topic: string): Plan {
    const known = this.#plans.get(topic);
    if (known !== undefined) return known;
    const plan = this.#planFor(topic, this.#connection.session.subscriber.matching(topic));
    if (topic.length <= maxAliasedLength) plan.alias = 0;
    const { plans } = this.#connection.server;
    if (!plans.admits(this.#planCount, this.#planLength, topic.length)) this.#dropPlans();
    this.#plans.set(topic, plan);
    this.#planCount += 1;
    this.#planLength += topic.length;
    plans.take(topic.length);
    return plan;
  }

  #planOfGroup(delivery: DeliveryView, consumer: MailboxConsumer): Plan {
    if (consumer.plan !== null && consumer.envelopeId === delivery.envelopeId) return consumer.plan;
    const { own } = consumer;
    consumer.envelopeId = delivery.envelopeId;
    consumer.plan = this.#planFor(sent.topic(delivery.envelopeStart), own === null ? [] : [own]);
    return consumer.plan;
  }

  /** Without a subscription it is a message of one that is gone since [MQTT-3.10.4-2]: it goes out as it was published. */
  #planFor(topic: string, subscriptions: readonly Subscription[]): Plan {
    let qos: Qos = subscriptions.length === 0 ? 2 : 0;
    let isAsPublished = false;
    const identifiers: number[] = [];
    for (const { options, identifier } of subscriptions) {
      qos = Math.max(qos, qosOf(options)) as Qos;
      isAsPublished ||= retainAsPublished(options);
      if (identifier > 0 && !identifiers.includes(identifier)) identifiers.push(identifier);
    }
    const topicBytes = Buffer.from(topic);
    return {
      topic: topicBytes,
      topicView: new DataView(topicBytes.buffer, topicBytes.byteOffset, topicBytes.byteLength),
      qos,
      retainAsPublished: isAsPublished,
      identifiers: this.#version === 5 ? identifierBytes(identifiers) : noBytes,
      alias: -1,
      aliasIsKnown: false,
      envelope: noBytes,
    };
  }

  /** Plans with aliases stay, since the client remembers these. */
  #dropPlans(): void {
    const kept = new Map<string, Plan>();
    for (const [topic, plan] of this.#plans) {
      if (plan.alias <= 0) continue;
      plan.envelope = noBytes;
      kept.set(topic, plan);
    }
    this.#plans = kept;
    this.#discountPlans();
  }

  #discountPlans(): void {
    this.#connection.server.plans.giveBack(this.#planCount, this.#planLength);
    this.#planCount = 0;
    this.#planLength = 0;
    this.#plansByEnvelope.clear();
  }

  #forgetPlans(): void {
    this.#lastRoute = null;
    this.#lastPlan = null;
    this.#lastEnvelope = -1;
    this.#lastEnvelopePlan = null;
    for (const consumer of this.#groups.values()) consumer.plan = null;
    const before = this.#plans;
    this.#plans = new Map();
    this.#discountPlans();
    for (const [topic, { alias, aliasIsKnown }] of before) {
      if (alias <= 0) continue;
      const plan = this.#planOf(topic);
      plan.alias = alias;
      plan.aliasIsKnown = aliasIsKnown;
    }
  }

  // What the client says of them

  /** PUBACK. One that nobody waits for says nothing. */
  acknowledged(packetId: number): void {
    const tag = this.window.take(packetId);
    if (tag > 0) this.#settle(tag);
    this.#takeOvers.goOn();
  }

  /** PUBREC. */
  received(packetId: number, reason: number): void {
    const connection = this.#connection;
    if (this.window.isReleased(packetId)) {
      connection.answer(packetType.pubrel, packetId, noItem, reasonCode.success);
      return;
    }
    const tag = this.window.take(packetId);
    if (reason >= reasonCode.unspecifiedError) {
      if (tag > 0) this.#settle(tag);
      return;
    }
    if (tag === 0) {
      connection.answer(packetType.pubrel, packetId, noItem, reasonCode.packetIdentifierNotFound);
      return;
    }
    const claim = connection.brokerSession.claim(tag);
    const batch = connection.batch ?? connection.beginBatch();
    // A crash must not leave a message that is gone without a PUBREL that is to come.
    batch.together();
    claim?.settle(batch, 'ack');
    this.window.release(packetId, claim);
    connection.session.packets.release(packetId);
    connection.answer(packetType.pubrel, packetId, noItem, reasonCode.success);
  }

  /** PUBCOMP. */
  completed(packetId: number): void {
    const { left } = this.window;
    this.window.complete(packetId);
    this.#connection.session.packets.complete(packetId);
    if (this.window.left < left) this.#madeRoom();
    this.#takeOvers.goOn();
  }

  #settle(tag: number): void {
    const connection = this.#connection;
    connection.brokerSession.ack(connection.batch ?? connection.beginBatch(), tag, false);
  }

  /** Deliveries come between batches: what needs no acknowledgement is settled in one batch behind them. */
  #settleLater(tag: number): void {
    this.#done.push(tag);
    if (this.#doneDue) return;
    this.#doneDue = true;
    setImmediate(() => {
      this.#doneDue = false;
      if (this.#ended) return;
      this.#settleDone();
      this.#connection.commitBatch();
    });
  }

  #settleDone(): void {
    const tags = this.#done;
    this.#done = [];
    for (const tag of tags) this.#settle(tag);
  }

  // Its consumers

  resume(): void {
    this.#forRoom?.proceed();
    if (this.#stopped.length === 0) return;
    const stopped = this.#stopped;
    this.#stopped = [];
    for (const consumer of stopped) consumer.resume();
  }

  /** A consumer has waited for something else. */
  goOn(consumer: MailboxConsumer): void {
    const output = this.#output;
    if (output.unsent < output.limit) consumer.resume();
    else this.#stopped.push(consumer);
  }

  /** The connection ends, and sends no message any more [MQTT-3.14.4-1]; its broker session gives back what is unacknowledged. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#discountPlans();
    // What was sent once at most must not be sent again.
    this.#settleDone();
    const { subscriber } = this.#connection.session;
    if (subscriber.sink === this) subscriber.sink = null;
    this.#mailbox?.gone();
    for (const consumer of this.#groups.values()) consumer.gone();
    this.#stopped = [];
    this.#takeOvers.end();
    const forRoom = this.#forRoom;
    // Its connection does not run any more then, and has no batch open.
    if (forRoom !== null) setImmediate(() => forRoom.proceed());
  }
}

function hashOf(bytes: Buffer, from: number, to: number): number {
  let hash = to - from;
  for (let at = from; at < to; at++) hash = (Math.imul(hash, 31) + bytes[at]!) | 0;
  // What Node's maps keep without an object of its own.
  return hash & 0x3fff_ffff;
}

function isEqual(known: Buffer, bytes: Buffer, from: number, to: number): boolean {
  if (known.length !== to - from) return false;
  for (let at = 0; at < known.length; at++) if (known[at] !== bytes[from + at]) return false;
  return true;
}

function identifierBytes(identifiers: readonly number[]): Buffer {
  if (identifiers.length === 0) return noBytes;
  const bytes = Buffer.allocUnsafe(identifiers.reduce((sum, each) => sum + subscriptionIdentifierBytes(each), 0));
  let at = 0;
  for (const identifier of identifiers) at = writeSubscriptionIdentifier(bytes, at, identifier);
  return bytes;
}
