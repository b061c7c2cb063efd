import {
  BrokerError,
  type ConsumerSink,
  type DeliveryView,
  type SessionConsumer,
  type SharedGroup,
  type Subscription,
  subscriptionName,
} from '../../broker/index.ts';
import type { Waiting } from '../socket/output-budget.ts';
import type { Connection } from './connection.ts';
import type { Deliveries, Plan } from './deliveries.ts';

/** What a client gets out of its session's mailbox, or out of that of a shared subscription. */
export class MailboxConsumer implements ConsumerSink {
  /** Null: its own mailbox. */
  readonly group: SharedGroup | null;
  /** How messages of one envelope go out, of a shared subscription. */
  plan: Plan | null = null;
  envelopeId = -1;
  readonly #connection: Connection;
  readonly #deliveries: Deliveries;
  #registered: SessionConsumer | null = null;
  #ended = false;
  /** For room among all. */
  #waiting: Waiting | null = null;

  constructor(connection: Connection, deliveries: Deliveries, group: SharedGroup | null) {
    this.#connection = connection;
    this.#deliveries = deliveries;
    this.group = group;
  }

  begin(): void {
    const { brokerSession, session } = this.#connection;
    const { subscriber } = session;
    const { group } = this;
    const consumerTag = group === null ? '' : `${group.name}/${group.filter}`;
    // A durable session's packet ids follow from numbers, which are good for that once they are on disk.
    const afterSync = group === null && subscriber.keepsMessages;
    brokerSession
      .consumeMailbox(group ?? subscriber, { consumerTag, noAck: false, afterSync, prefetch: 0 }, this)
      .then((registered) => {
        this.#registered = registered;
        if (this.#ended) this.#cancel(registered);
      })
      .catch((error: unknown) => {
        if (error instanceof BrokerError && this.#connection.state !== 'running') return;
        this.#connection.ending.fail(error);
      });
  }

  /** What the client shares with others; null: nothing any more, or it is its own mailbox. */
  get own(): Subscription | null {
    const { group } = this;
    if (group === null) return null;
    return this.#connection.session.subscriber.subscriptions.get(subscriptionName(group.name, group.filter)) ?? null;
  }

  deliver(tag: number, delivery: DeliveryView): boolean {
    return this.#deliveries.deliver(tag, delivery, this);
  }

  /** A large message is more than a client's limit, whoever gets it: all of those together have one. It is delivered at once where this is true. */
  hasRoom(bodyBytes: number): boolean {
    const { outputBudget } = this.#connection.server;
    if (outputBudget.hasRoom(bodyBytes)) return true;
    this.#waiting = { bytes: bodyBytes, proceed: () => this.#proceed() };
    outputBudget.wait(this.#waiting);
    return false;
  }

  /** There is some among all; perhaps not for this client. */
  #proceed(): void {
    this.#waiting = null;
    this.#deliveries.goOn(this);
  }

  /** The connection ends, and its consumers with it. */
  gone(): void {
    this.#ended = true;
    if (this.#waiting !== null) this.#connection.server.outputBudget.forget(this.#waiting);
    this.#waiting = null;
  }

  /** The mailbox is gone, or was stopped by damage. */
  cancelled(): void {
    if (!this.#ended) this.#connection.log('its session gives no more messages');
  }

  resume(): void {
    this.#registered?.resume();
  }

  /** The client has left the shared subscription. */
  end(): void {
    this.gone();
    if (this.#registered !== null) this.#cancel(this.#registered);
  }

  #cancel({ consumerTag }: SessionConsumer): void {
    this.#connection.brokerSession.cancel(consumerTag).catch((error: unknown) => this.#connection.logBug(error));
  }
}
