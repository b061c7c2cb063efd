/** What is retained, for whoever has subscribed. */
import type { Batch, CommitReceiver, RetainedMessage, Subscription } from '../../broker/index.ts';
import type { Connection } from './connection.ts';
import { qosOf } from './subscription-options.ts';

/** A subscription that is new or made again, and what is retained for it. */
interface Sending {
  readonly subscription: Subscription;
  readonly sinceMs: number;
  readonly found: Iterator<RetainedMessage | null>;
  /** Found, and not sent yet. */
  next: RetainedMessage | null;
}

/**
 * Sends one client what is retained, one of its subscriptions after the other. One filter may match more than a client takes at once, or make
 * for a long search, and one subscribes with a few bytes: messages are found as it takes them, in turns (retained-turns.ts). What is to be
 * acknowledged goes through the session's mailbox, so that it is kept, bounded and sent again like any other message.
 */
export class RetainedSender implements CommitReceiver<null> {
  readonly #connection: Connection;
  /** By name: one that is made again stands for the one before. The first is under way. */
  readonly #due = new Map<string, Sending>();
  #isWaiting = false;
  readonly #goOn = (): void => this.#run();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  send(subscription: Subscription): void {
    const { broker, agreed, deliveries, server } = this.#connection;
    server.sys.sendTo(deliveries, subscription);
    const { name, filter } = subscription;
    this.#due.delete(name);
    const found = agreed.vhost.retained.search(filter);
    this.#due.set(name, { subscription, sinceMs: broker.context.clock.now(), found, next: null });
    if (!this.#isWaiting) this.#run();
  }

  committed(): void {
    // It is delivered when it is.
  }

  failed(): void {
    // The engine has ended, and so will the connection.
  }

  #run(): void {
    this.#isWaiting = false;
    const { broker, server } = this.#connection;
    const turns = server.retainedTurns;
    let batch: Batch | null = null;
    // What is made again meanwhile comes last.
    for (const [name, sending] of this.#due) {
      while (this.#isWanted(sending) && this.#find(sending)) {
        if (!turns.take()) {
          this.#isWaiting = true;
          turns.wait(this.#goOn);
          break;
        }
        if (sending.next === null) continue;
        if (this.#isAtMostOnce(sending)) {
          if (this.#waitsForRoom(sending.next)) break;
          this.#sendNow(sending);
        } else if (!turns.hasDisk) {
          this.#isWaiting = true;
          turns.waitForDisk(this.#goOn);
          break;
        } else {
          batch ??= broker.begin(undefined, false);
          this.#deposit(batch, sending);
        }
      }
      if (this.#isWaiting) break;
      if (this.#due.get(name) === sending) this.#due.delete(name);
    }
    batch?.commit(this, null);
  }

  /** It may not be subscribed to any more; and who is gone gets nothing that is sent once at most. */
  #isWanted({ subscription }: Sending): boolean {
    if (subscription.subscriber.subscriptions.get(subscription.name) !== subscription) return false;
    return this.#connection.isRunning || qosOf(subscription.options) > 0;
  }

  /** Goes on with the search. False: it has ended. */
  #find(sending: Sending): boolean {
    const { retained } = this.#connection.agreed.vhost;
    // What waited may have been replaced.
    if (sending.next !== null && retained.get(sending.next.topic) === sending.next) return true;
    const found = sending.found.next();
    if (found.done === true) return false;
    sending.next = found.value !== null && isBefore(sending, found.value) ? found.value : null;
    return true;
  }

  #isAtMostOnce({ next, subscription }: Sending): boolean {
    return Math.min(next!.qos, qosOf(subscription.options)) === 0;
  }

  /** Nothing of this is acknowledged: a client that goes on asking and takes nothing gets nothing. */
  #waitsForRoom({ bytes }: RetainedMessage): boolean {
    const { isRunning, deliveries } = this.#connection;
    if (!isRunning || deliveries.hasRoom(bytes.length)) return false;
    this.#isWaiting = true;
    deliveries.whenRoom(bytes.length, () => this.#run());
    return true;
  }

  #sendNow(sending: Sending): void {
    const { message, topic } = sending.next!;
    sending.next = null;
    const { isRunning, deliveries } = this.#connection;
    if (isRunning) deliveries.takeRetained(message, topic, sending.subscription);
  }

  #deposit(batch: Batch, sending: Sending): void {
    const { message, topic } = sending.next!;
    sending.next = null;
    const { subscribers } = this.#connection.agreed.vhost;
    subscribers.deposit(batch, sending.subscription.subscriber, topic, message);
  }
}

/** What came later was published to the subscription itself; and who wants nothing of its own gets none here either. */
function isBefore({ subscription, sinceMs }: Sending, { storedAt, user, clientId }: RetainedMessage): boolean {
  const { subscriber, noLocal } = subscription;
  if (storedAt > sinceMs) return false;
  return !noLocal || user !== subscriber.user || clientId !== subscriber.clientId;
}
