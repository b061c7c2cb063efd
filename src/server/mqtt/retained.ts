/** What is retained, for whoever has subscribed. */
import type { Batch, CommitReceiver, RetainedMessage, Subscription } from '../../broker/index.ts';
import type { Connection } from './connection.ts';
import { qosOf } from './subscription-options.ts';

/** Messages that go into a session's mailbox in one turn. */
const pageLength = 500;

/** Sends what is retained for a subscription that is new, or made again. */
export function sendRetained(connection: Connection, subscription: Subscription): void {
  connection.server.sys.sendTo(connection.deliveries, subscription);
  const found = connection.agreed.vhost.retained.matching(subscription.filter);
  if (found.length > 0) new RetainedSending(connection, subscription, found).send();
}

/**
 * One filter may match more than a client takes at once, and one subscribes with a few bytes: messages are found again as it takes them, and
 * only their topics wait. What is to be acknowledged goes through the session's mailbox, so that it is kept, bounded and sent again
 * like any other message.
 */
class RetainedSending implements CommitReceiver<null> {
  readonly #connection: Connection;
  readonly #subscription: Subscription;
  readonly #topics: readonly string[];
  readonly #sinceMs: number;
  #at = 0;

  constructor(connection: Connection, subscription: Subscription, found: readonly RetainedMessage[]) {
    this.#connection = connection;
    this.#subscription = subscription;
    this.#topics = found.map(({ topic }) => topic);
    this.#sinceMs = connection.broker.context.clock.now();
  }

  /** As much as there is room for now. */
  send(): void {
    const { subscriber, name } = this.#subscription;
    // It is not subscribed to any more, or was once more.
    if (subscriber.removed || subscriber.subscriptions.get(name) !== this.#subscription) return;
    const { broker, agreed, deliveries } = this.#connection;
    const { retained, subscribers } = agreed.vhost;
    let batch: Batch | null = null;
    let deposited = 0;
    for (; this.#at < this.#topics.length; this.#at++) {
      const found = retained.get(this.#topics[this.#at]!);
      if (found === null || !this.#isWanted(found)) continue;
      if (Math.min(found.qos, qosOf(this.#subscription.options)) === 0) {
        if (!this.#connection.isRunning) continue;
        if (!deliveries.hasRoom) {
          deliveries.whenRoom(() => this.send());
          break;
        }
        deliveries.takeRetained(found.message, found.topic, this.#subscription);
      } else {
        if (deposited++ === pageLength) {
          setImmediate(() => this.send());
          break;
        }
        batch ??= broker.begin(undefined, false);
        subscribers.deposit(batch, subscriber, found.topic, found.message);
      }
    }
    batch?.commit(this, null);
  }

  committed(): void {
    // It is delivered when it is.
  }

  failed(): void {
    // The engine has ended, and so will the connection.
  }

  /** What came later was published to the subscription itself. */
  #isWanted({ storedAt, user, clientId }: RetainedMessage): boolean {
    const { subscriber, noLocal } = this.#subscription;
    if (storedAt > this.#sinceMs) return false;
    return !noLocal || user !== subscriber.user || clientId !== subscriber.clientId;
  }
}
