import type { MessageView } from '../../engine/engine.ts';
import { joinKey } from '../binding.ts';
import type { Route } from '../route.ts';
import type { Mailbox } from './mailbox.ts';
import type { Subscription } from './subscription.ts';
import type { Subscriptions } from './subscriptions.ts';

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
  /** By `Subscription.name`. */
  readonly subscriptions = new Map<string, Subscription>();
  /** The server's own, as of the start or the last `setRecord`. Null: none. */
  readonly records = new Map<string, Uint8Array>();
  readonly #topics: Subscriptions;
  readonly #keyPrefix: string;
  readonly #names = new Set<string>();

  constructor(
    topics: Subscriptions,
    vhost: string,
    user: string,
    clientId: string,
    { durable, keepsMessages = durable }: SubscriberOptions,
    id: number,
  ) {
    this.#topics = topics;
    this.user = user;
    this.clientId = clientId;
    this.durable = durable;
    this.keepsMessages = durable && keepsMessages;
    this.id = id;
    this.#keyPrefix = `${subscriberPrefix}${joinKey([vhost, user, clientId])}/`;
  }

  /** Those of its subscriptions that a topic matches, without shared ones. */
  matching(topic: string): Subscription[] {
    return this.#topics.matchingOf(this, topic);
  }

  /** The key of a record, for `Batch.put`. It goes with the subscriber. */
  stateKey(name: string): string {
    this.#names.add(name);
    return this.#keyPrefix + name;
  }

  /** Broker's own: all that it has. */
  get stateKeys(): string[] {
    return Array.from(this.#names, (name) => this.#keyPrefix + name);
  }
}

/** Of keyed state: `subscriber/` vhost, user and client id `/` name. */
export const subscriberPrefix = 'subscriber/';
