/** What is retained, for whoever has subscribed. */
import type { Batch, CommitReceiver, ItemOutcome, RetainedMessage, Subscription } from '../../broker/index.ts';
import { Deposits } from './deposits.ts';
import { RetainedRecord } from './retained-record.ts';
import type { MqttServer } from './server.ts';
import type { MqttSession } from './session.ts';
import { qosOf } from './subscription-options.ts';

/** How often somebody looks whether what a mailbox had is gone without having been sent. */
const lookMs = 10_000;

/** A subscription that is new or made again, and what is retained for it. */
interface Sending {
  readonly subscription: Subscription;
  readonly sinceMs: number;
  readonly found: Iterator<RetainedMessage | null>;
  /** Found, and not sent yet. */
  next: RetainedMessage | null;
  /** For which the disk had no room: they are found again. */
  readonly refused: RetainedMessage[];
}

/** What an item of a batch is. */
interface Deposit {
  readonly sending: Sending;
  readonly retained: RetainedMessage;
}

/**
 * Sends one client what is retained, one of its subscriptions after the other. One filter may match more than a client takes at once, or make
 * for a long search, and one subscribes with a few bytes: messages are found as it takes them, in turns (retained-turns.ts). What is to be
 * acknowledged goes through the session's mailbox, so that it is kept and sent again like any other message, and no faster than it is taken
 * there (deposits.ts); what is still to come waits with the session for its client, over a restart, too.
 */
export class RetainedSender implements CommitReceiver<readonly Deposit[]> {
  readonly #server: MqttServer;
  readonly #session: MqttSession;
  readonly #deposits = new Deposits();
  /** By name: one that is made again stands for the one before. The first is under way. */
  readonly #due = new Map<string, Sending>();
  #isWaiting = false;
  /** For the client to take what its mailbox has. */
  #waitsForClient = false;
  #looking: NodeJS.Timeout | null = null;
  readonly #record: RetainedRecord;
  readonly #goOn = (): void => this.#run();

  constructor(server: MqttServer, session: MqttSession) {
    this.#server = server;
    this.#session = session;
    this.#record = new RetainedRecord(server, session);
    if (this.#record.isEmpty) return;
    // Once its client is there.
    this.#isWaiting = this.#waitsForClient = true;
    for (const [subscription, sinceMs] of this.#record.left()) this.#add(subscription, sinceMs);
  }

  send(subscription: Subscription): void {
    const { connection } = this.#session;
    if (connection !== null) this.#server.sys.sendTo(connection.deliveries, subscription);
    this.#add(subscription, this.#server.broker.context.clock.now());
    if (!this.#isWaiting) this.#run();
  }

  /** Hot. The client was sent one that its mailbox had. */
  sent(bodyBytes: number): void {
    this.#deposits.sent(bodyBytes);
    if (this.#waitsForClient && this.#deposits.isHalfEmpty) this.#resume();
  }

  /** The client is there: more may be taken than was before. */
  begin(): void {
    if (this.#waitsForClient) this.#look();
  }

  /** What is there is delivered when it is. What never comes is no room that is taken, and what the disk had none for is put there again. */
  committed(deposits: readonly Deposit[], outcomes: readonly ItemOutcome[] | null): void {
    if (outcomes === null) return;
    for (const { item, outcome, reason } of outcomes) {
      if (outcome !== 'refused') continue;
      const { sending, retained } = deposits[item]!;
      this.#deposits.sent(bodyBytesOf(retained));
      if (reason === 'full') this.#putBack(sending, retained);
    }
    if (this.#waitsForClient && this.#deposits.isHalfEmpty) this.#resume();
    this.#store();
  }

  failed(): void {
    // The engine has ended, and so will the connection.
  }

  #run(): void {
    this.#isWaiting = false;
    const { broker, retainedTurns: turns } = this.#server;
    let batch: Batch | null = null;
    const deposits: Deposit[] = [];
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
        } else if (this.#deposits.isFull) {
          this.#isWaiting = this.#waitsForClient = true;
          this.#lookLater();
          break;
        } else {
          batch ??= broker.begin(undefined, false);
          this.#deposit(batch, sending, deposits);
        }
      }
      if (this.#isWaiting) break;
      if (this.#due.get(name) === sending) this.#due.delete(name);
    }
    batch?.commit(this, deposits);
    this.#store();
  }

  #add(subscription: Subscription, sinceMs: number): void {
    const { name, filter } = subscription;
    this.#due.delete(name);
    const found = this.#session.vhost.retained.search(filter);
    this.#due.set(name, { subscription, sinceMs, found, next: null, refused: [] });
  }

  /** Unless its subscription was made again, and finds it anyway. */
  #putBack(sending: Sending, retained: RetainedMessage): void {
    const { name } = sending.subscription;
    const due = this.#due.get(name) ?? sending;
    if (due !== sending || !this.#isWanted(sending)) return;
    sending.refused.push(retained);
    this.#due.set(name, sending);
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    const turns = this.#server.retainedTurns;
    if (!turns.hasDisk) {
      turns.waitForDisk(this.#goOn);
    } else {
      // It has room again, or says so too early: no haste.
      this.#waitsForClient = true;
      this.#lookLater();
    }
  }

  #resume(): void {
    this.#waitsForClient = false;
    if (this.#looking !== null) clearTimeout(this.#looking);
    this.#looking = null;
    this.#server.retainedTurns.wait(this.#goOn);
  }

  #lookLater(): void {
    this.#looking ??= setTimeout(() => {
      this.#looking = null;
      if (this.#waitsForClient && this.#session.connection !== null) this.#look();
    }, lookMs).unref();
  }

  #look(): void {
    const handle = this.#session.subscriber.queue?.handle ?? null;
    if (handle === null) {
      this.#resume();
      return;
    }
    this.#server.broker.engine
      .stats(handle)
      .then(({ ready, readyBytes }) => {
        this.#deposits.atMost(ready, readyBytes);
        if (!this.#waitsForClient) return;
        if (this.#deposits.isHalfEmpty) this.#resume();
        else this.#lookLater();
      })
      .catch(() => {
        // The mailbox is gone, or the engine is.
        if (this.#waitsForClient && this.#session.connection !== null) this.#resume();
      });
  }

  /** What a restart must not forget. */
  #store(): void {
    if (this.#due.size === 0 && this.#record.isEmpty) return;
    const due = new Map<string, number>();
    for (const [name, sending] of this.#due) {
      if (qosOf(sending.subscription.options) > 0 && this.#isWanted(sending)) due.set(name, sending.sinceMs);
    }
    this.#record.update(due);
  }

  /** It may not be subscribed to any more; and who is gone gets nothing that is sent once at most. */
  #isWanted({ subscription }: Sending): boolean {
    if (subscription.subscriber.subscriptions.get(subscription.name) !== subscription) return false;
    return this.#session.connection?.isRunning === true || qosOf(subscription.options) > 0;
  }

  /** Goes on with the search. False: it has ended. */
  #find(sending: Sending): boolean {
    const { retained } = this.#session.vhost;
    // What waited may have been replaced.
    if (sending.next !== null && retained.get(sending.next.topic) === sending.next) return true;
    const refused = sending.refused.pop();
    if (refused !== undefined) {
      sending.next = retained.get(refused.topic) === refused ? refused : null;
      return true;
    }
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
    const { connection } = this.#session;
    if (connection?.isRunning !== true) return false;
    const { deliveries } = connection;
    if (deliveries.hasRoom(bytes.length)) return false;
    this.#isWaiting = true;
    deliveries.whenRoom(bytes.length, () => this.#run());
    return true;
  }

  #sendNow(sending: Sending): void {
    const { message, topic } = sending.next!;
    sending.next = null;
    const { connection } = this.#session;
    if (connection?.isRunning === true) connection.deliveries.takeRetained(message, topic, sending.subscription);
  }

  #deposit(batch: Batch, sending: Sending, deposits: Deposit[]): void {
    const retained = sending.next!;
    const { message, topic } = retained;
    sending.next = null;
    const { subscribers } = this.#session.vhost;
    const isPut = subscribers.deposit(batch, sending.subscription.subscriber, topic, message);
    if (!isPut) return;
    this.#deposits.put(bodyBytesOf(retained));
    deposits.push({ sending, retained });
  }
}

/** What came later was published to the subscription itself; and who wants nothing of its own gets none here either. */
function isBefore({ subscription, sinceMs }: Sending, { storedAt, user, clientId }: RetainedMessage): boolean {
  const { subscriber, noLocal } = subscription;
  if (storedAt > sinceMs) return false;
  return !noLocal || user !== subscriber.user || clientId !== subscriber.clientId;
}

function bodyBytesOf({ message }: RetainedMessage): number {
  return message.bodyEnd - message.bodyStart;
}
