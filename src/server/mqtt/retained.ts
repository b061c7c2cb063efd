/** What is retained, for whoever has subscribed. */
import type { Batch, CommitReceiver, RetainedMessage, Subscription } from '../../broker/index.ts';
import type { Connection } from './connection.ts';
import { qosOf } from './subscription-options.ts';

/** Messages that go into a session's mailbox in one turn. */
const pageLength = 500;

/** Sends what is retained for a subscription that is new, or made again. */
export function sendRetained(connection: Connection, subscription: Subscription): void {
  connection.server.sys.sendTo(connection.deliveries, subscription);
  new RetainedSending(connection, subscription).send();
}

/**
 * One filter may match more than a client takes at once, and one subscribes with a few bytes: messages are found as it takes them. What is
 * to be acknowledged goes through the session's mailbox, so that it is kept, bounded and sent again like any other message.
 */
class RetainedSending implements CommitReceiver<null> {
  readonly #connection: Connection;
  readonly #subscription: Subscription;
  readonly #found: Iterator<RetainedMessage>;
  #next: RetainedMessage | null;
  readonly #sinceMs: number;

  constructor(connection: Connection, subscription: Subscription) {
    this.#connection = connection;
    this.#subscription = subscription;
    this.#sinceMs = connection.broker.context.clock.now();
    this.#found = connection.agreed.vhost.retained.matching(subscription.filter);
    this.#next = this.#step();
  }

  /** As much as there is room for now. */
  send(): void {
    const { subscriber, name } = this.#subscription;
    // It is not subscribed to any more, or was once more.
    if (subscriber.removed || subscriber.subscriptions.get(name) !== this.#subscription) return;
    const { broker, agreed, deliveries } = this.#connection;
    // It waited, and its topic may have another since.
    if (this.#next !== null && agreed.vhost.retained.get(this.#next.topic) !== this.#next) this.#next = this.#step();
    let batch: Batch | null = null;
    let deposited = 0;
    for (; this.#next !== null; this.#next = this.#step()) {
      const { topic, qos, message } = this.#next;
      if (Math.min(qos, qosOf(this.#subscription.options)) === 0) {
        if (!this.#connection.isRunning) continue;
        if (!deliveries.hasRoom) {
          // Nothing of this is acknowledged: a client that goes on asking and takes nothing gets nothing.
          deliveries.whenRoom(() => this.send());
          break;
        }
        deliveries.takeRetained(message, topic, this.#subscription);
      } else {
        if (deposited++ === pageLength) {
          setImmediate(() => this.send());
          break;
        }
        batch ??= broker.begin(undefined, false);
        agreed.vhost.subscribers.deposit(batch, subscriber, topic, message);
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

  #step(): RetainedMessage | null {
    for (;;) {
      const next = this.#found.next();
      if (next.done === true) return null;
      if (this.#isWanted(next.value)) return next.value;
    }
  }

  /** What came later was published to the subscription itself. */
  #isWanted({ storedAt, user, clientId }: RetainedMessage): boolean {
    const { subscriber, noLocal } = this.#subscription;
    if (storedAt > this.#sinceMs) return false;
    return !noLocal || user !== subscriber.user || clientId !== subscriber.clientId;
  }
}
