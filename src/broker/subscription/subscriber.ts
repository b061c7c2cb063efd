import type { MessageView } from '../../engine/engine.ts';
import { joinKey } from '../binding.ts';
import type { Route } from '../route.ts';
import type { Mailbox } from './mailbox.ts';
import type { Subscription } from './subscription.ts';
import type { Subscriptions } from './subscriptions.ts';

const noSubscriptions: ReadonlyMap<string, Subscription> = new Map();
const noRecords: ReadonlyMap<string, Uint8Array> = new Map();

/** What a server gives a subscriber while its client is connected. */
export interface LiveSink {
  /**
   * Hot. Takes a message that no queue keeps for the subscriber: whoever wants to keep it copies it. Called within an open batch, so it
   * begins none. `route` is the same object for messages of one topic as long as nothing changes; `publisher`: null where no subscriber published it.
   */
  take(message: MessageView, route: Route, topic: string, publisher: Subscriber | null): void;
}

export interface SubscriberOptions {
  readonly durable: boolean;
  /** Default: as `durable`. */
  readonly keepsMessages?: boolean;
}

/** Who subscribes: a client of a user, for as long as its session lasts. Nobody takes another user's. */
export class Subscriber {
  readonly user: string;
  readonly clientId: string;
  /** Its records outlive a restart. */
  readonly durable: boolean;
  /** It outlives its connections, with what it subscribes to and what waits for it; so it is durable as well. */
  readonly keepsMessages: boolean;
  /** Short, and no other subscriber's of this process. */
  readonly id: number;
  /** Its session has ended. */
  removed = false;
  /** What queued subscriptions match; null before there was one. */
  queue: Mailbox | null = null;
  /** Null while its client is not connected. */
  sink: LiveSink | null = null;
  readonly #topics: Subscriptions;
  readonly #vhost: string;
  // Made when they are needed: clients that do nothing are many.
  #subscriptions: Map<string, Subscription> | null = null;
  #records: Map<string, Uint8Array> | null = null;
  #keyPrefix: string | null = null;
  #names: Set<string> | null = null;

  constructor(
    topics: Subscriptions,
    vhost: string,
    user: string,
    clientId: string,
    { durable, keepsMessages = durable }: SubscriberOptions,
    id: number,
  ) {
    this.#topics = topics;
    this.#vhost = vhost;
    this.user = user;
    this.clientId = clientId;
    this.durable = durable;
    this.keepsMessages = durable && keepsMessages;
    this.id = id;
  }

  /** By `Subscription.name`. */
  get subscriptions(): ReadonlyMap<string, Subscription> {
    return this.#subscriptions ?? noSubscriptions;
  }

  /** The server's own, as of the start or the last `setRecord`. Null: none. */
  get records(): ReadonlyMap<string, Uint8Array> {
    return this.#records ?? noRecords;
  }

  /** Those of its subscriptions that a topic matches, without shared ones. */
  matching(topic: string): Subscription[] {
    return this.#topics.matchingOf(this, topic);
  }

  /** The key of a record, for `Batch.put`. It goes with the subscriber. */
  stateKey(name: string): string {
    (this.#names ??= new Set()).add(name);
    this.#keyPrefix ??= `${subscriberPrefix}${joinKey([this.#vhost, this.user, this.clientId])}/`;
    return this.#keyPrefix + name;
  }

  /** Broker's own: all that it has. */
  get stateKeys(): string[] {
    return Array.from(this.#names ?? [], (name) => this.stateKey(name));
  }

  /** Broker's own. */
  keep(subscription: Subscription): void {
    (this.#subscriptions ??= new Map()).set(subscription.name, subscription);
  }

  /** Broker's own. */
  drop(subscription: Subscription): void {
    this.#subscriptions?.delete(subscription.name);
  }

  /** Broker's own; null: none. */
  keepRecord(name: string, record: Uint8Array | null): void {
    if (record === null) this.#records?.delete(name);
    else (this.#records ??= new Map()).set(name, record);
  }
}

/** Of keyed state: `subscriber/` vhost, user and client id `/` name. */
export const subscriberPrefix = 'subscriber/';
