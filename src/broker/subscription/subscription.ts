import type { SharedGroup } from './shared-group.ts';
import type { Subscriber } from './subscriber.ts';

/** What a client asks for. */
export interface SubscriptionRequest {
  readonly filter: string;
  /** The name of the group that shares the messages among its members; null: it is not shared. */
  readonly share: string | null;
  /** Messages come through the subscriber's mailbox; else only while it is connected, past every queue. A shared one is always queued. */
  readonly queued: boolean;
  /** Not what the subscriber itself publishes. Of no meaning where it is shared. */
  readonly noLocal: boolean;
  /** The server's own, kept as they are. */
  readonly options: number;
  readonly identifier: number;
}

export interface Subscription extends SubscriptionRequest {
  /** Among those of its subscriber: the filter, or `$share/NAME/FILTER`. */
  readonly name: string;
  readonly subscriber: Subscriber;
  /** Null: it is not shared. */
  readonly group: SharedGroup | null;
}
