/**
 * Hot: resolve, publish, ack, reject and the consumers' deliveries make no object, promise or closure a message.
 *
 * One AMQP channel or MQTT session: its lease, its consumers, its unacknowledged deliveries. Credit that acknowledgements free
 * goes back to the engine's consumers once a turn of the event loop, not once a message.
 */
import { randomBytes } from 'node:crypto';
import type { Batch, ConsumeOptions, Lease, MessageView, Settlement } from '../engine/engine.ts';
import { propertyFlag, propertyFlags, readHeaders } from '../format/basic-properties.ts';
import { EngineError } from '../engine/errors.ts';
import { ArgumentReader } from './argument-reader.ts';
import type { Broker } from './broker.ts';
import { BrokerError } from './broker-error.ts';
import type { ConnectionScope } from './connection-scope.ts';
import { Consumer, type ConsumerTraits } from './consumer.ts';
import type { Claim, ConsumeRequest, ConsumerSink, GetSink, MailboxRequest, SessionConsumer } from './consuming.ts';
import { brokerError } from './context.ts';
import type { Holder } from './holder.ts';
import { identityOf } from './deduplication.ts';
import { Holders } from './holders.ts';
import { countsDeliveries, withDeliveryCount } from './delivery-count.ts';
import { routeByHeaders } from './header-routing.ts';
import { Ledger, type RunTaker } from './ledger.ts';
import { OldestDeliveries } from './oldest-deliveries.ts';
import { requirePermission } from './permission.ts';
import type { Principal } from './principal.ts';
import { mayNameRoutes, readExpiration, readPriority, requireUser } from './publish-properties.ts';
import type { Queue } from './queue.ts';
import { Rejected } from './rejected.ts';
import type { Route } from './route.ts';
import { handToLive } from './subscription/live.ts';
import type { Mailbox } from './subscription/mailbox.ts';
import type { Subscriber } from './subscription/subscriber.ts';
import { Transaction } from './transaction/transaction.ts';
import { refuseStreamArguments, streamStart } from './stream/stream-arguments.ts';
import { StreamFilter } from './stream/stream-filter.ts';
import type { Actor, Vhost } from './vhost.ts';

const checkedFlags = propertyFlag.expiration | propertyFlag.userId | propertyFlag.priority;

export class Session implements Actor, RunTaker {
  readonly broker: Broker;
  readonly vhost: Vhost;
  readonly principal: Principal;
  readonly connection: ConnectionScope;
  /** For its consumers. */
  readonly ledger = new Ledger();
  /** Who publishes with it; null: nobody who subscribes to topics. The server's to set. */
  subscriber: Subscriber | null = null;
  /** Null: what is published and settled stands for itself. Else both go to it. */
  transaction: Transaction | null = null;
  /** How long deliveries may stay unacknowledged, by what queues and consumers of this session said; Infinity: none said it. */
  shortestTimeoutMs = Infinity;
  #hasOwnTimeouts = false;
  readonly #oldest = new OldestDeliveries();
  /** The prefetch that all consumers share is used up. */
  starved = false;
  #lease: Lease | null = null;
  readonly #consumers = new Map<string, Consumer>();
  readonly #holders = new Holders();
  /** For consumers to come. */
  #prefetch = 0;
  /** Shared by all consumers; 0: no limit. */
  #sharedPrefetch = 0;
  /** Unacknowledged deliveries of consumers. */
  #consumed = 0;
  #owed: Consumer[] = [];
  #flushDue = false;
  readonly #flush = () => this.#flushTurn();
  /** Of the settlement that `takeRun` is part of. */
  #batch: Batch | null = null;
  #settlement: Settlement = 'ack';
  /** Dead-lettered after this turn's batch. */
  readonly #rejected: Rejected;
  #closed = false;

  constructor(broker: Broker, vhost: Vhost, principal: Principal, connection: ConnectionScope) {
    this.broker = broker;
    this.vhost = vhost;
    this.principal = principal;
    this.connection = connection;
    this.#rejected = new Rejected(broker.deadLetters, () => this.#lease);
  }

  get closed(): boolean {
    return this.#closed;
  }

  get unackedCount(): number {
    return this.ledger.count;
  }

  get consumers(): IterableIterator<SessionConsumer> {
    return this.#consumers.values();
  }

  /**
   * Hot. Readies a message whose properties are there: sets its `expiresAt` and `priority`, and answers its route: the one
   * given, or another where headers decide (headers exchanges, CC and BCC, `x-delay`, which sets its `dueAt`); its `identity` where repeats are looked for. Null `targets`: the message
   * is unroutable. To take BCC out it may point the message's `head` to other bytes.
   * @throws BrokerError PRECONDITION_FAILED for a property that can't be; FormatError for properties that are damaged
   */
  resolve(route: Route, message: MessageView): Route {
    const { head, propertiesStart: start, propertiesEnd: end } = message;
    message.expiresAt = 0;
    message.priority = 0;
    message.identity = null;
    let flags = propertyFlags(head, start);
    let resolved = route;
    if (route.byHeaders || ((flags & propertyFlag.headers) !== 0 && mayNameRoutes(head, start, end))) {
      const { dueAt } = message;
      const { clock } = this.broker.context;
      resolved = routeByHeaders(this, route, message, clock);
      if (message.dueAt !== dueAt && (flags & propertyFlag.expiration) !== 0) {
        // Its time to live begins when it is due; in an exchange that holds it, when it is routed.
        const ttlMs = readExpiration(head, start, end);
        flags &= ~propertyFlag.expiration;
        if (!resolved.held) message.expiresAt = message.dueAt + ttlMs;
      }
    }
    if (resolved.live !== null && message.dueAt > 0) resolved = this.vhost.delayedLive.routeOf(resolved);
    if (resolved.guards !== null && (flags & propertyFlag.headers) !== 0) {
      message.identity = identityOf(resolved.guards, readHeaders(head, start, end) ?? null);
    }
    if ((flags & checkedFlags) === 0) return resolved;
    if ((flags & propertyFlag.expiration) !== 0) {
      message.expiresAt = this.broker.context.clock.now() + readExpiration(head, start, end);
    }
    if ((flags & propertyFlag.userId) !== 0) requireUser(head, start, end, this.principal);
    if ((flags & propertyFlag.priority) !== 0 && resolved.prioritised) {
      message.priority = readPriority(head, start, end);
    }
    return resolved;
  }

  /**
   * Hot. Appends to the batch a message that `resolve` has readied, with the route that it answered, and hands it to subscribers that no queue
   * keeps it for. False: nobody gets it.
   */
  publish(batch: Batch, route: Route, message: MessageView): boolean {
    if (route.subscribed) return this.#publishSubscribed(batch, route, message);
    if (route.targets === null) return false;
    batch.append(route.targets, message);
    return true;
  }

  /** Hot. The same for a route without targets, which needs no batch. */
  publishLive(route: Route, message: MessageView): boolean {
    return route.subscribed && this.#publishSubscribed(null, route, message);
  }

  #publishSubscribed(batch: Batch | null, given: Route, message: MessageView): boolean {
    const { subscriber, vhost } = this;
    const isLocal = subscriber !== null && given.noLocal?.includes(subscriber) === true;
    const route = isLocal ? vhost.routes.withoutLocal(given, subscriber) : given;
    if (route.targets !== null) batch!.append(route.targets, message);
    if (route.live !== null) handToLive(route, message, subscriber);
    return !route.unroutable;
  }

  /** @throws BrokerError NOT_FOUND, ACCESS_REFUSED, RESOURCE_LOCKED, NOT_ALLOWED (consumer tag in use), PRECONDITION_FAILED */
  async consume(queueName: string, request: ConsumeRequest, sink: ConsumerSink): Promise<SessionConsumer> {
    const consumerTag =
      request.consumerTag === '' ? `amq.ctag-${randomBytes(16).toString('base64url')}` : request.consumerTag;
    if (this.#consumers.has(consumerTag)) {
      throw new BrokerError('NOT_ALLOWED', `attempt to reuse consumer tag '${consumerTag}'`);
    }
    const queue = this.#readableQueue(queueName);
    const prefetch = request.prefetch ?? this.#prefetch;
    const isStream = queue.settings.type === 'stream';
    if (!isStream) refuseStreamArguments(request.arguments, queue.settings.type, queue.resource);
    const from = isStream
      ? streamStart(
          request.arguments,
          { noAck: request.noAck, prefetch, sharedPrefetch: this.#sharedPrefetch },
          queue.resource,
          this.broker.context.clock.now(),
        )
      : null;
    const priorityGiven = request.arguments['x-priority'];
    const priority =
      priorityGiven === undefined ? 0 : new ArgumentReader('x-priority', priorityGiven, queue.resource).integer();
    const timeoutGiven = request.arguments['x-consumer-timeout'];
    const timeoutMs =
      timeoutGiven === undefined
        ? queue.settings.consumerTimeoutMs
        : new ArgumentReader('x-consumer-timeout', timeoutGiven, queue.resource).timeMs();
    const options = { priority, ...(from === null ? {} : { from }) };
    const filter = isStream ? StreamFilter.of(request.arguments) : null;
    const traits = { consumerTag, noAck: request.noAck, exclusive: request.exclusive, prefetch, timeoutMs, filter };
    const mayRead = () => requirePermission(this.principal, this.vhost.name, 'read', 'queue', queue.name);
    return this.#consume(queue, traits, options, sink, mayRead);
  }

  /**
   * Consumes what waits for a subscriber, or for the members of a shared group. Who may was asked when it subscribed. Its consumer counts
   * as any other in `setPrefetch`, and one that may get anything is told so by `prefetch` 0.
   * @throws BrokerError NOT_FOUND: it has no mailbox; NOT_ALLOWED: the tag is in use; PRECONDITION_FAILED: its data is damaged
   */
  async consumeMailbox(
    { queue }: { readonly queue: Mailbox | null },
    { consumerTag, noAck, afterSync, prefetch }: MailboxRequest,
    sink: ConsumerSink,
  ): Promise<SessionConsumer> {
    if (queue === null || queue.deleted) throw new BrokerError('NOT_FOUND', 'there is no mailbox');
    if (this.#consumers.has(consumerTag)) {
      throw new BrokerError('NOT_ALLOWED', `attempt to reuse consumer tag '${consumerTag}'`);
    }
    requireRunning(queue);
    const traits = {
      consumerTag,
      noAck,
      exclusive: false,
      prefetch: prefetch ?? this.#prefetch,
      timeoutMs: 0,
      filter: null,
    };
    return this.#consume(queue, traits, { afterSync }, sink, () => undefined);
  }

  async #consume(
    queue: Queue,
    traits: ConsumerTraits,
    engineOptions: Pick<ConsumeOptions, 'priority' | 'from' | 'afterSync'>,
    sink: ConsumerSink,
    mayRead: () => void,
  ): Promise<SessionConsumer> {
    const { consumerTag, noAck, exclusive, timeoutMs } = traits;
    const alone = exclusive && (queue.consumerCount > 0 || queue.settings.singleActiveConsumer);
    if (queue.consumedExclusively || alone) {
      throw new BrokerError('ACCESS_REFUSED', `${queue.resource} in exclusive use`);
    }
    const holder = this.#holders.take();
    const consumer = new Consumer(this, queue, sink, holder, traits);
    this.#holders.set(holder, consumer);
    this.#noteTimeout(timeoutMs);
    this.#consumers.set(consumerTag, consumer);
    queue.consumerCount += 1;
    queue.consumedExclusively = exclusive;
    try {
      await queue.created;
      const options = { credit: 0, noAck, exclusive, ...engineOptions };
      const { engine } = this.broker;
      consumer.engineConsumer = await engine.consume(queue.handle!, this.#ownLease(), options, consumer);
    } catch (error) {
      this.lost(consumer);
      if (!(error instanceof EngineError)) throw error;
      if (error.code === 'IN_USE') throw new BrokerError('ACCESS_REFUSED', `${queue.resource} in exclusive use`);
      if (error.code === 'NO_QUEUE') throw notFound(queue);
      throw queue.stopped() ?? brokerError(error, `consuming from ${queue.resource}`);
    }
    // The session or the queue may have gone meanwhile, or the permission.
    if (consumer.gone) consumer.engineConsumer.cancel();
    else {
      try {
        mayRead();
      } catch (error) {
        await this.cancel(consumerTag);
        throw error;
      }
    }
    // Credit only after whoever waits for this promise had its turn, so that consume-ok comes before the first delivery.
    this.broker.context.clock.defer(() => {
      if (!consumer.gone) this.credit(consumer);
    });
    return consumer;
  }

  /** The consumer with this tag is gone when this resolves; one that is not there is no error. `sink.cancelled` is not called. */
  async cancel(consumerTag: string): Promise<void> {
    const consumer = this.#consumers.get(consumerTag);
    if (consumer === undefined) return;
    consumer.engineConsumer?.cancel();
    this.lost(consumer);
    if (consumer.queue.traits.autoDelete) {
      // What it has rejected in this turn is sent behind the turn's frames.
      await Promise.resolve();
      await this.#rejected.sent();
    }
    await this.vhost.queues.consumerGone(consumer.queue);
  }

  /** Takes one message. `sink.deliver` is called before this resolves; null: the queue is empty. */
  async get(queueName: string, noAck: boolean, sink: GetSink): Promise<{ readonly remaining: number } | null> {
    const queue = this.#readableQueue(queueName);
    if (queue.settings.type === 'stream') {
      throw new BrokerError('NOT_IMPLEMENTED', `basic.get not supported by stream queues ${queue.resource}`);
    }
    await queue.created;
    if (queue.handle === null || queue.deleted) throw notFound(queue);
    const { engine } = this.broker;
    const { ready } = await engine.stats(queue.handle);
    if (ready === 0 || queue.deleted || this.#closed) return null;
    requireRunning(queue);
    const remaining = ready - 1;
    this.#noteTimeout(queue.settings.consumerTimeoutMs);
    const taken = await engine.take(queue.handle, this.#ownLease(), noAck, {
      deliver: (delivery) => {
        const tag = noAck ? this.ledger.skip() : this.ledger.add(this.#holders.ofGet(queue), delivery.number);
        const counted = delivery.deliveryCount > 0 && countsDeliveries(queue);
        sink.deliver(tag, counted ? withDeliveryCount(delivery) : delivery, remaining);
        return true;
      },
      cancelled: () => undefined,
    });
    if (taken) return { remaining };
    requireRunning(queue);
    return null;
  }

  /** 0: no limit. `global`: shared by all consumers of the session, from now on; else for consumers to come. */
  setPrefetch(count: number, global: boolean): void {
    if (!global) {
      this.#prefetch = count;
      return;
    }
    this.#sharedPrefetch = count;
    this.starved = count > 0 && this.#consumed >= count;
    for (const consumer of this.#consumers.values()) {
      this.credit(consumer);
      consumer.resumeEngine();
    }
  }

  /** Hot. False: no such delivery is unacknowledged (`unknown delivery tag N`). Tag 0 with `multiple`: all. */
  ack(batch: Batch, tag: number, multiple: boolean): boolean {
    return this.#settle(batch, tag, multiple, 'ack');
  }

  /** As `ack`. Without `requeue` the message is dead-lettered where its queue says so, after the batch, in a commit of its own. */
  reject(batch: Batch, tag: number, multiple: boolean, requeue: boolean): boolean {
    return this.#settle(batch, tag, multiple, requeue ? 'requeue' : 'drop');
  }

  /** Takes a delivery out of the unacknowledged ones; null: it is not there. */
  claim(tag: number): Claim | null {
    const index = this.ledger.take(tag);
    if (index < 0) return null;
    const number = this.ledger.takenNumber;
    const holder = this.#holders.at(index);
    const { queue } = holder;
    return {
      settle: (batch, settlement) => {
        if (!queue.deleted && this.#lease !== null) batch.settle(this.#lease, queue.handle!, number, 1, settlement);
      },
      done: () => holder.settled(1),
    };
  }

  /** From now on one transaction follows the other. */
  transact(): Transaction {
    this.transaction ??= new Transaction(this);
    return this.transaction;
  }

  /** Gives everything unacknowledged back to its queues, to be delivered again (basic.recover with requeue). */
  recover(batch: Batch): void {
    this.#settle(batch, 0, true, 'requeue');
  }

  /** Cancels the consumers; everything unacknowledged goes back to its place. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.transaction?.end();
    const consumers = Array.from(this.#consumers.values());
    for (const consumer of consumers) {
      consumer.engineConsumer?.cancel();
      this.lost(consumer);
    }
    this.#flushTurn();
    // What is on its way to a dead-letter exchange is held under the lease until it is there.
    await this.#rejected.sent();
    if (this.#lease !== null) {
      this.broker.leases.delete(this.#lease);
      await this.broker.engine.release(this.#lease);
    }
    for (const consumer of consumers) await this.vhost.queues.consumerGone(consumer.queue);
  }

  /** Broker's own: a consumer took a delivery that is to be acknowledged. */
  took(consumer: Consumer): void {
    this.#consumed += 1;
    if (this.#sharedPrefetch === 0 || this.#consumed < this.#sharedPrefetch || this.starved) return;
    this.starved = true;
    // Whoever took the last of what they share comes last when there is some again.
    if (this.#consumers.delete(consumer.consumerTag)) this.#consumers.set(consumer.consumerTag, consumer);
    for (const consumer of this.#consumers.values()) {
      if (!consumer.noAck) consumer.engineConsumer?.setCredit(0);
    }
  }

  /** Broker's own: so many of a consumer's deliveries were settled. */
  settled(consumer: Consumer, count: number): void {
    this.#consumed -= count;
    if (consumer.gone) {
      if (consumer.unacked === 0) this.#holders.free(consumer.holder);
    } else if (consumer.prefetch > 0) {
      if (consumer.owed === 0) this.#owed.push(consumer);
      consumer.owed += count;
    }
    this.#flushLater();
  }

  /** Broker's own: gives a consumer the credit that it may have now. */
  credit(consumer: Consumer): void {
    const left = this.#sharedPrefetch === 0 ? Infinity : this.#sharedPrefetch - this.#consumed;
    consumer.owed = 0;
    consumer.engineConsumer?.setCredit(consumer.available(left));
  }

  /** Broker's own: a consumer gets nothing more. */
  lost(consumer: Consumer): void {
    if (consumer.gone) return;
    consumer.gone = true;
    this.#consumers.delete(consumer.consumerTag);
    consumer.queue.consumerCount -= 1;
    if (consumer.exclusive) consumer.queue.consumedExclusively = false;
    if (consumer.unacked === 0) this.#holders.free(consumer.holder);
  }

  /** Broker's own: the engine gave what this session held to others; its settlements are stale. */
  leaseLost(): void {
    if (this.#lease !== null) this.broker.leases.delete(this.#lease);
    this.#lease = null;
    for (const consumer of Array.from(this.#consumers.values())) consumer.cancelled();
  }

  /** Whether some delivery is not settled, or its transaction is open. */
  get holdsDeliveries(): boolean {
    return this.ledger.count > 0 || (this.transaction?.oldest ?? 0) > 0;
  }

  /**
   * The lowest delivery tag that is not settled, or whose transaction is open, for each time that deliveries may stay so: in milliseconds;
   * null: as long as the server says. Without those that may stay for ever, and those of `except`.
   */
  oldestByTimeout(except: ReadonlyMap<number, unknown> | null = null): Map<number | null, number> {
    if (this.#hasOwnTimeouts || except !== null) {
      return this.#oldest.find(this.#holders, this.ledger, this.transaction?.deliveries() ?? [], except);
    }
    const oldest = new Map<number | null, number>();
    const tags = [this.ledger.oldest, this.transaction?.oldest ?? 0].filter((tag) => tag > 0);
    if (tags.length > 0) oldest.set(null, Math.min(...tags));
    return oldest;
  }

  #noteTimeout(timeoutMs: number | null): void {
    if (timeoutMs === null) return;
    this.#hasOwnTimeouts = true;
    if (timeoutMs > 0) this.shortestTimeoutMs = Math.min(this.shortestTimeoutMs, timeoutMs);
  }

  /** Broker's own: null before anything was consumed, and once the engine gave what it held to others. */
  get lease(): Lease | null {
    return this.#lease;
  }

  /** Broker's own: what a holder index of the ledger means. */
  holderAt(index: number): Holder {
    return this.#holders.at(index);
  }

  takeRun(holderIndex: number, first: number, count: number): void {
    const holder = this.#holders.at(holderIndex);
    this.#settleRun(this.#batch!, holder, first, count, this.#settlement);
  }

  #settle(batch: Batch, tag: number, multiple: boolean, settlement: Settlement): boolean {
    if (multiple) {
      this.#batch = batch;
      this.#settlement = settlement;
      const known = this.ledger.takeThrough(tag, this);
      this.#batch = null;
      return known;
    }
    const index = this.ledger.take(tag);
    if (index < 0) return false;
    this.#settleRun(batch, this.#holders.at(index), this.ledger.takenNumber, 1, settlement);
    return true;
  }

  #settleRun(batch: Batch, holder: Holder, first: number, count: number, settlement: Settlement): void {
    const { queue } = holder;
    if (settlement === 'drop' && queue.settings.deadLetterExchange !== null) {
      this.#rejected.add(queue, first, count);
      this.#flushLater();
    } else if (!queue.deleted && this.#lease !== null) {
      batch.settle(this.#lease, queue.handle!, first, count, settlement);
    }
    holder.settled(count);
  }

  #flushLater(): void {
    if (this.#flushDue) return;
    this.#flushDue = true;
    // After this turn's frames, and so after their batch was committed.
    queueMicrotask(this.#flush);
  }

  #flushTurn(): void {
    this.#flushDue = false;
    this.#rejected.send();
    const owed = this.#owed;
    if (this.#sharedPrefetch > 0) {
      for (const consumer of owed) consumer.owed = 0;
      this.#shareCredit();
    } else {
      for (const consumer of owed) {
        const credit = consumer.owed;
        consumer.owed = 0;
        if (credit > 0 && !consumer.gone && !consumer.paused) consumer.engineConsumer?.addCredit(credit);
      }
    }
    owed.length = 0;
  }

  #shareCredit(): void {
    if (this.#consumed >= this.#sharedPrefetch) return;
    this.starved = false;
    for (const consumer of this.#consumers.values()) {
      if (consumer.noAck) continue;
      this.credit(consumer);
      consumer.resumeEngine();
    }
  }

  /** @throws BrokerError ACCESS_REFUSED, NOT_FOUND, RESOURCE_LOCKED */
  #readableQueue(name: string): Queue {
    requirePermission(this.principal, this.vhost.name, 'read', 'queue', name);
    const queue = this.vhost.queues.require(name);
    queue.requireAccess(this.connection);
    queue.expiry?.touch();
    return queue;
  }

  #ownLease(): Lease {
    if (this.#lease === null) {
      this.#lease = this.broker.engine.lease();
      this.broker.leases.set(this.#lease, this);
    }
    return this.#lease;
  }
}

/** @throws BrokerError */
function requireRunning(queue: Queue): void {
  const stopped = queue.stopped();
  if (stopped !== null) throw stopped;
}

function notFound(queue: Queue): BrokerError {
  return new BrokerError('NOT_FOUND', `no ${queue.resource}`);
}
