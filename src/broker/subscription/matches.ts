import type { Mailbox } from './mailbox.ts';
import type { SharedGroup } from './shared-group.ts';
import type { Subscriber } from './subscriber.ts';
import type { Subscription } from './subscription.ts';
import type { MatchTaker, Subscriptions } from './subscriptions.ts';

const live = 1;
const queued = 2;
const noLocal = 4;

/** What of an exchange's subscriptions a message matches. Each subscriber is there once, whichever of its subscriptions match. */
export class Matches implements MatchTaker {
  /** A topic and another that CC names may lead to one of a group both: then it is there twice. */
  readonly mailboxes: Mailbox[] = [];
  readonly live: Subscriber[] = [];
  /** Subscribers that may not want it because they published it themselves. */
  readonly noLocal: Subscriber[] = [];
  readonly #how = new Map<Subscriber, number>();

  constructor(subscriptions: Subscriptions, topics: Iterable<string>) {
    for (const topic of topics) subscriptions.match(topic, this);
    for (const [subscriber, how] of this.#how) this.#place(subscriber, how);
  }

  get isEmpty(): boolean {
    return this.mailboxes.length === 0 && this.live.length === 0;
  }

  subscription(subscription: Subscription): void {
    const { subscriber } = subscription;
    this.#how.set(subscriber, (this.#how.get(subscriber) ?? 0) | howOf(subscription));
  }

  group({ queue }: SharedGroup): void {
    if (queue.takes) this.mailboxes.push(queue);
  }

  #place(subscriber: Subscriber, how: number): void {
    if ((how & noLocal) !== 0) this.noLocal.push(subscriber);
    if ((how & queued) === 0) this.live.push(subscriber);
    else if (subscriber.queue?.takes === true) this.mailboxes.push(subscriber.queue);
  }
}

/** How a subscriber gets what it publishes to a topic itself. */
export function ownWay(subscriber: Subscriber, topic: string): 'live' | 'queued' | null {
  const others = subscriber.matching(topic).filter((subscription) => !subscription.noLocal);
  if (others.length === 0) return null;
  return others.some((subscription) => subscription.queued) ? 'queued' : 'live';
}

function howOf(subscription: Subscription): number {
  return (subscription.queued ? queued : live) | (subscription.noLocal ? noLocal : 0);
}
