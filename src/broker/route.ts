import type { Targets } from '../engine/engine.ts';
import type { Queue } from './queue.ts';
import type { Guard } from './deduplication.ts';
import type { Subscriber } from './subscription/subscriber.ts';

/** Where messages of one exchange and routing key go. Made once, used for every message while `version` is its vhost's. */
export interface Route {
  /** Equal to the vhost's `version` while it holds. */
  readonly version: number;
  readonly exchange: string;
  readonly routingKey: string;
  /** Null: to no queue. */
  readonly targets: Targets | null;
  /** A headers exchange lies on the way: `Session.resolve` finds each message's own route. */
  readonly byHeaders: boolean;
  /** An exchange on the way holds what is delayed: `Session.resolve` finds the route of such a message. */
  readonly holds: boolean;
  /** Its targets are such exchanges alone: the message is routed on when it is due. */
  readonly held: boolean;
  /** What may keep a repeat of a message from some of its targets, by an id in its headers; null: nothing. */
  readonly guards: readonly Guard[] | null;
  /** A target keeps priorities apart, so the message's priority has to be read. */
  readonly prioritised: boolean;
  /** A target dead-letters what it refuses: whoever publishes keeps the message until it is stored. */
  readonly deadLettersRefused: boolean;
  /** The queues of `targets`. */
  readonly queues: readonly Queue[];
  /** Subscribers who get it at once, past every queue (`handToLive`); null: none. */
  readonly live: readonly Subscriber[] | null;
  /** Subscribers who may not want what they publish themselves; null: none. */
  readonly noLocal: readonly Subscriber[] | null;
  /** `live` or `noLocal` is there. */
  readonly subscribed: boolean;
  /** Of its first routing key, where an exchange on the way has subscriptions. */
  readonly topic: string | null;
  /** Nobody gets the message, unless headers decide. */
  readonly unroutable: boolean;
}
