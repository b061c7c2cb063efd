/**
 * The subscribers of one vhost: what they subscribe to, their mailboxes, and what is remembered of them. What is asked for is there when the call
 * returns, and durable when its promise resolves.
 *
 * Keyed state, of durable subscribers alone (vhost, user and client id are joined so that no names imitate others):
 *
 *   subscriber/<vhost, user, client id>/                          it exists
 *   subscriber/<vhost, user, client id>/<name>                    a record of the server's
 *   subscription/<vhost, user, client id, share or '', filter>    JSON: queued, noLocal, options, identifier
 *
 * The state of a durable subscriber's subscription is written with or after its mailbox: a start makes what a crash left without its
 * other half whole, or has it go (restore.ts).
 */
import type { Batch, DeliveryView, MessageView, TopologyChange } from '../../engine/engine.ts';
import { BrokerError } from '../broker-error.ts';
import { brokerError, type BrokerContext } from '../context.ts';
import { encodeEnvelope } from '../envelope.ts';
import { requirePermission, requireTopic } from '../permission.ts';
import type { Principal } from '../principal.ts';
import type { TopologyGraph } from '../topology-graph.ts';
import { KeyedWrites } from './keyed-writes.ts';
import { Mailbox } from './mailbox.ts';
import { SharedGroup } from './shared-group.ts';
import { Subscriber, type SubscriberOptions } from './subscriber.ts';
import type { Subscription, SubscriptionRequest } from './subscription.ts';
import { subscriptionBytes, subscriptionKey, subscriptionValue } from './subscription-state.ts';
import { bindingKeyOf, requireFilter, subscriptionName } from './topic-filter.ts';
import { routingKeyOf } from './topic-key.ts';

/** What became of one request. */
export type Subscribed = { readonly subscription: Subscription; readonly isNew: boolean } | BrokerError;

/** Which subscription. */
export interface SubscriptionAddress {
  readonly filter: string;
  readonly share: string | null;
}

const exists = Buffer.alloc(0);

export class Subscribers {
  readonly #graph: TopologyGraph;
  readonly #context: BrokerContext;
  readonly #byUser = new Map<string, Map<string, Subscriber>>();
  readonly #writes: KeyedWrites;
  #nextId = 1;
  /** About how much memory subscriptions take. */
  #bytes = 0;

  constructor(graph: TopologyGraph, context: BrokerContext) {
    this.#graph = graph;
    this.#context = context;
    this.#writes = new KeyedWrites(context.engine);
  }

  *[Symbol.iterator](): Generator<Subscriber> {
    for (const byClient of this.#byUser.values()) yield* byClient.values();
  }

  /** Those that were there before this start, with their records. To be asked before anybody connects. */
  *restored(): Generator<Subscriber> {
    for (const subscriber of this) if (subscriber.durable) yield subscriber;
  }

  find(user: string, clientId: string): Subscriber | undefined {
    return this.#byUser.get(user)?.get(clientId);
  }

  /** How many a user has. */
  countOf(user: string): number {
    return this.#byUser.get(user)?.size ?? 0;
  }

  /** In place of one with the same names, which ends. */
  create(user: string, clientId: string, options: SubscriberOptions): Subscriber {
    const before = this.find(user, clientId);
    if (before !== undefined) this.#tell(this.remove(before));
    const subscriber = this.add(user, clientId, options);
    if (options.durable) this.#tell(this.#writes.put(subscriber.stateKey(''), exists));
    return subscriber;
  }

  /**
   * Each request stands for itself. Answers in order what was subscribed, and whether it was not there before; or why it was refused:
   * COMMAND_INVALID (no filter), ACCESS_REFUSED, PRECONDITION_FAILED (over a limit, or the session has ended), INTERNAL_ERROR.
   */
  subscribe(
    principal: Principal,
    subscriber: Subscriber,
    requests: readonly SubscriptionRequest[],
  ): Promise<readonly Subscribed[]> {
    return Promise.all(requests.map((request) => this.#subscribe(principal, subscriber, request)));
  }

  /** Answers for each whether it was there. */
  async unsubscribe(subscriber: Subscriber, addresses: readonly SubscriptionAddress[]): Promise<readonly boolean[]> {
    const changes: TopologyChange[] = [];
    const writes: Promise<void>[] = [];
    const found = addresses.map(({ filter, share }) => {
      const subscription = subscriber.subscriptions.get(subscriptionName(share, filter));
      if (subscription !== undefined) writes.push(...this.#drop(subscription, changes));
      return subscription !== undefined;
    });
    await this.#durable(changes, writes);
    return found;
  }

  /** Ends those of its subscriptions that the permissions of its user allow no more. */
  async dropForbidden(principal: Principal, subscriber: Subscriber): Promise<void> {
    const forbidden = Array.from(subscriber.subscriptions.values()).filter(({ filter }) => {
      try {
        this.#requireRead(principal, subscriber, filter);
        return false;
      } catch {
        return true;
      }
    });
    await this.unsubscribe(subscriber, forbidden);
  }

  /**
   * Puts a message into the mailbox of one subscriber, past every route: what was retained before it subscribed. Its envelope names
   * the default exchange, which no route to a mailbox does. False: it has no mailbox that takes messages.
   */
  deposit(batch: Batch, { queue }: Subscriber, topic: string, message: MessageView): boolean {
    if (queue?.takes !== true) return false;
    batch.append(this.#context.engine.targets([queue.handle!], encodeEnvelope('', routingKeyOf(topic))), message);
    return true;
  }

  /**
   * Puts a message of a shared group into the mailbox of the member that it is for, as it was published. The member has a mailbox from its first
   * such message on. False: it has none that takes messages.
   */
  takeOver(batch: Batch, subscriber: Subscriber, delivery: DeliveryView): boolean {
    this.#mailbox(subscriber);
    const { queue } = subscriber;
    if (queue?.takes !== true) return false;
    const envelope = Buffer.from(delivery.head.subarray(delivery.envelopeStart, delivery.envelopeEnd));
    batch.append(this.#context.engine.targets([queue.handle!], envelope), delivery);
    return true;
  }

  /** Its session has ended: its subscriptions, its mailbox and its records go. */
  async remove(subscriber: Subscriber): Promise<void> {
    const changes: TopologyChange[] = [];
    await this.#durable(changes, this.#remove(subscriber, changes));
  }

  /** The user is gone: who has its name next gets nothing of it. */
  async removeUser(user: string): Promise<void> {
    const changes: TopologyChange[] = [];
    const gone = Array.from(this.#byUser.get(user)?.values() ?? []);
    await this.#durable(
      changes,
      gone.flatMap((subscriber) => this.#remove(subscriber, changes)),
    );
  }

  /** The vhost is deleted. Adds to `changes` what makes mailboxes go. */
  removeAll(changes: TopologyChange[]): void {
    for (const subscriber of Array.from(this)) this.#tell(Promise.all(this.#remove(subscriber, changes)));
  }

  /** A record of the server's own; null: none. Durable, where the subscriber is, when this resolves. */
  async setRecord(subscriber: Subscriber, name: string, record: Uint8Array | null): Promise<void> {
    subscriber.keepRecord(name, record);
    if (subscriber.durable && !subscriber.removed) await this.#writes.put(subscriber.stateKey(name), record);
  }

  /** Broker's own. */
  add(user: string, clientId: string, options: SubscriberOptions): Subscriber {
    const { vhost, subscriptions } = this.#graph;
    const subscriber = new Subscriber(subscriptions, vhost, user, clientId, options, this.#nextId++);
    let byClient = this.#byUser.get(user);
    if (byClient === undefined) {
      byClient = new Map();
      this.#byUser.set(user, byClient);
    }
    byClient.set(clientId, subscriber);
    return subscriber;
  }

  /** Broker's own: in place of a subscription of the same name. A mailbox that it needs is made where it is not there. */
  put(subscriber: Subscriber, request: SubscriptionRequest): Subscription {
    const { filter, share } = request;
    const group = share === null ? null : this.#group(share, filter);
    if (share === null && request.queued) this.#mailbox(subscriber);
    const name = subscriptionName(share, filter);
    const subscription: Subscription = { ...request, name, subscriber, group };
    const before = subscriber.subscriptions.get(name);
    subscriber.keep(subscription);
    if (before === undefined) this.#bytes += subscriptionBytes(request);
    if (group === null) {
      this.#graph.subscriptions.add(subscription);
    } else {
      if (before !== undefined) group.members.delete(before);
      group.members.add(subscription);
    }
    this.#graph.touchSubscriptions(filter);
    return subscription;
  }

  /** Broker's own: it has a mailbox, whatever it subscribes to. */
  adopt(subscriber: Subscriber): void {
    this.#mailbox(subscriber);
  }

  async #subscribe(principal: Principal, subscriber: Subscriber, request: SubscriptionRequest): Promise<Subscribed> {
    try {
      this.#check(principal, subscriber, request);
    } catch (error) {
      return brokerError(error, 'subscribing');
    }
    const isNew = !subscriber.subscriptions.has(subscriptionName(request.share, request.filter));
    const subscription = this.put(subscriber, request);
    const mailbox = subscription.group?.queue ?? (request.queued ? subscriber.queue : null);
    const written = subscriber.keepsMessages
      ? this.#writes.put(this.#keyOf(subscription), subscriptionValue(subscription))
      : undefined;
    try {
      await Promise.all([mailbox?.created, written]);
    } catch (error) {
      if (subscriber.subscriptions.get(subscription.name) === subscription) {
        const changes: TopologyChange[] = [];
        this.#tell(this.#durable(changes, this.#drop(subscription, changes)));
      }
      return brokerError(error, 'subscribing');
    }
    return { subscription, isNew };
  }

  /** @throws BrokerError */
  #check(principal: Principal, subscriber: Subscriber, request: SubscriptionRequest): void {
    const { filter, share } = request;
    const { settings } = this.#context;
    const { vhost, subscriptions } = this.#graph;
    requireFilter(filter, share, settings.maxTopicLevels);
    if (subscriber.removed) throw new BrokerError('PRECONDITION_FAILED', 'the session has ended');
    this.#requireRead(principal, subscriber, filter);
    if (subscriber.subscriptions.has(subscriptionName(share, filter))) return;
    const { maxSubscriptions, maxSubscriptionBytes, maxSubscriptionsEach } = settings;
    if (subscriber.subscriptions.size >= maxSubscriptionsEach) {
      const text = `the session has ${maxSubscriptionsEach} subscriptions, as many as it may have`;
      throw new BrokerError('PRECONDITION_FAILED', text);
    }
    if (subscriptions.size >= maxSubscriptions || this.#bytes + subscriptionBytes(request) > maxSubscriptionBytes) {
      throw new BrokerError('PRECONDITION_FAILED', `vhost '${vhost}' has as many subscriptions as it may have`);
    }
  }

  /** @throws BrokerError ACCESS_REFUSED */
  #requireRead(principal: Principal, { clientId }: Subscriber, filter: string): void {
    const { mqttExchange } = this.#context.settings;
    requirePermission(principal, this.#graph.vhost, 'read', 'exchange', mqttExchange);
    requireTopic(principal, this.#graph.vhost, mqttExchange, 'read', bindingKeyOf(filter), clientId);
  }

  #mailbox(subscriber: Subscriber): void {
    if (subscriber.queue !== null) return;
    const { user, clientId, keepsMessages } = subscriber;
    const mailbox = new Mailbox(this.#graph.vhost, { kind: 'client', user, clientId }, keepsMessages);
    subscriber.queue = mailbox;
    this.#create(mailbox, () => {
      if (subscriber.queue === mailbox) subscriber.queue = null;
    });
  }

  #group(share: string, filter: string): SharedGroup {
    const { subscriptions, vhost } = this.#graph;
    const known = subscriptions.group(share, filter);
    if (known !== undefined) return known;
    const group = new SharedGroup(share, filter, new Mailbox(vhost, { kind: 'group', share, filter }, true));
    subscriptions.addGroup(group);
    this.#create(group.queue, () => undefined);
    return group;
  }

  #create(mailbox: Mailbox, failed: () => void): void {
    const { engine, settings } = this.#context;
    // Restored: the engine has it.
    mailbox.handle = engine.queue(mailbox.key) ?? null;
    if (mailbox.handle !== null) return;
    const durable = engine.change([{ op: 'put-queue', queue: mailbox.spec(settings) }]);
    // The local engine has made it already.
    mailbox.handle = engine.queue(mailbox.key) ?? null;
    mailbox.created = durable
      .then(
        () => {
          if (mailbox.handle === null) this.#graph.touchSubscriptions(null);
          mailbox.handle ??= engine.queue(mailbox.key) ?? null;
        },
        (error: unknown) => {
          mailbox.handle = null;
          mailbox.deleted = true;
          failed();
          throw brokerError(error, mailbox.resource);
        },
      )
      .finally(() => (mailbox.created = null));
    // Whoever subscribes waits for it, or has gone.
    mailbox.created.catch(() => undefined);
  }

  #remove(subscriber: Subscriber, changes: TopologyChange[]): Promise<void>[] {
    if (subscriber.removed) return [];
    subscriber.removed = true;
    subscriber.sink = null;
    const byClient = this.#byUser.get(subscriber.user);
    if (byClient?.get(subscriber.clientId) === subscriber) byClient.delete(subscriber.clientId);
    if (byClient?.size === 0) this.#byUser.delete(subscriber.user);
    const writes = Array.from(subscriber.subscriptions.values()).flatMap((each) => this.#drop(each, changes));
    if (subscriber.durable) writes.push(...subscriber.stateKeys.map((key) => this.#writes.put(key, null)));
    if (subscriber.queue !== null) this.#delete(subscriber.queue, changes);
    return writes;
  }

  #drop(subscription: Subscription, changes: TopologyChange[]): Promise<void>[] {
    const { subscriber, filter, group } = subscription;
    subscriber.drop(subscription);
    this.#bytes -= subscriptionBytes(subscription);
    if (group === null) this.#graph.subscriptions.remove(subscription);
    else this.#leave(group, subscription, changes);
    this.#graph.touchSubscriptions(filter);
    return subscriber.keepsMessages ? [this.#writes.put(this.#keyOf(subscription), null)] : [];
  }

  #leave(group: SharedGroup, member: Subscription, changes: TopologyChange[]): void {
    group.members.delete(member);
    if (group.members.size > 0) return;
    this.#graph.subscriptions.removeGroup(group);
    this.#delete(group.queue, changes);
  }

  #delete(mailbox: Mailbox, changes: TopologyChange[]): void {
    if (mailbox.deleted) return;
    mailbox.deleted = true;
    changes.push({ op: 'delete-queue', key: mailbox.key });
  }

  #keyOf(subscription: Subscription): string {
    const { user, clientId } = subscription.subscriber;
    return subscriptionKey(this.#graph.vhost, user, clientId, subscription);
  }

  async #durable(changes: readonly TopologyChange[], writes: readonly Promise<void>[]): Promise<void> {
    try {
      const changed = changes.length > 0 ? this.#context.engine.change(changes) : undefined;
      await Promise.all([changed, ...writes]);
    } catch (error) {
      throw brokerError(error, 'ending a subscription');
    }
  }

  /** Nobody waits for it. */
  #tell(done: Promise<unknown>): void {
    done.catch((error: unknown) => this.#context.log(`subscriptions could not be stored: ${String(error)}`));
  }
}
