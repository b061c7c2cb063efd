/**
 * A shared subscription's message of QoS 2 becomes its member's own before it is sent: from then on no other member gets it, whatever becomes of the
 * connection [MQTT-4.8.2-4, MQTT-4.8.2-5]. It comes back through the session's own mailbox. No more are taken over than the client may
 * have in flight.
 */
import type { Claim, CommitReceiver, DeliveryView, ItemOutcome } from '../../broker/index.ts';
import type { Connection } from './connection.ts';
import type { MailboxConsumer } from './mailbox-consumer.ts';

/** When what could not be taken over is offered again. */
const againMs = 1_000;

export class TakeOvers implements CommitReceiver<Claim> {
  readonly #connection: Connection;
  readonly #inFlight: () => number;
  /** Messages that were taken over and have not come back yet. */
  #count = 0;
  /** Consumers that wait until less is in flight. */
  #waiting: MailboxConsumer[] = [];

  constructor(connection: Connection, inFlight: () => number) {
    this.#connection = connection;
    this.#inFlight = inFlight;
  }

  /** False: no more for now. */
  take(tag: number, delivery: DeliveryView, consumer: MailboxConsumer): boolean {
    const { broker, agreed, session, brokerSession } = this.#connection;
    const claim = brokerSession.claim(tag)!;
    // Neither may happen without the other, on a full disk, say.
    const batch = broker.begin('required', false);
    const taken = agreed.vhost.subscribers.takeOver(batch, session.subscriber, delivery);
    // A mailbox that was stopped by damage takes nothing: another member may.
    claim.settle(batch, taken ? 'ack' : 'requeue');
    batch.commit(this, claim);
    if (!taken) {
      consumer.end();
      return false;
    }
    this.#count++;
    if (this.#mayTake) return true;
    this.#waiting.push(consumer);
    return false;
  }

  /** A message of the session's own mailbox is on its way: it may be one of them. */
  cameBack(): void {
    if (this.#count > 0) this.#count--;
  }

  /** Less is in flight. */
  goOn(): void {
    // What expired in the mailbox meanwhile never comes back.
    if (this.#inFlight() === 0) this.#count = 0;
    if (this.#waiting.length === 0 || !this.#mayTake) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const consumer of waiting) consumer.resume();
  }

  end(): void {
    this.#waiting = [];
  }

  committed(claim: Claim, outcomes: readonly ItemOutcome[] | null): void {
    if (outcomes === null) claim.done();
    else setTimeout(() => this.#giveBack(claim), againMs).unref();
  }

  failed(): void {
    // The engine has ended, and so will the connection.
  }

  get #mayTake(): boolean {
    return this.#count + this.#inFlight() < this.#connection.session.receiveMaximum;
  }

  /** It was not taken over: whoever is there may try. */
  #giveBack(claim: Claim): void {
    const batch = this.#connection.broker.begin(undefined, false);
    claim.settle(batch, 'requeue');
    batch.commit(unheeded, null);
    claim.done();
    this.cameBack();
    this.goOn();
  }
}

/** Nobody waits for it. */
const unheeded = { committed: () => undefined, failed: () => undefined };
