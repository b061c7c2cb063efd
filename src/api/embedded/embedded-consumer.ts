/** Hot: one consumer on the embedded broker, with a session of its own. */
import type {
  Batch,
  Broker,
  Claim,
  CommitReceiver,
  ConsumerSink,
  DeliveryView,
  ItemOutcome,
  Session,
  SessionConsumer,
} from '../../broker/index.ts';
import { handToLive } from '../../broker/index.ts';
import { PostriderError } from '../errors.ts';
import type { Address, DeliverySink, LinkConsumer, Outgoing } from '../link.ts';
import { lostDelivery, unroutable } from '../message-outcomes.ts';
import { Waits } from '../waits.ts';
import { brokerFailure, refusal } from './broker-failure.ts';
import { CountedBatch } from './counted-batch.ts';
import { MessageReader } from './message-reader.ts';
import type { Acknowledger, Outbox } from './outbox.ts';

export class EmbeddedConsumer implements ConsumerSink, LinkConsumer, Acknowledger {
  /** Set once the broker has it; nothing is delivered before. */
  registered: SessionConsumer | null = null;
  readonly #broker: Broker;
  readonly #session: Session;
  readonly #outbox: Outbox;
  readonly #sink: DeliverySink;
  readonly #queue: string;
  readonly #reader = new MessageReader();
  /** Tags to be acknowledged with the next batch. */
  #handled: number[] = [];
  /** Deliveries that could not be replaced, on their way back. */
  readonly #given = new Set<NodeJS.Timeout>();
  readonly #closed: (consumer: EmbeddedConsumer) => void;
  /** For the disk to have space. */
  readonly #waits = new Waits();

  constructor(
    broker: Broker,
    session: Session,
    outbox: Outbox,
    queue: string,
    sink: DeliverySink,
    closed: (consumer: EmbeddedConsumer) => void,
  ) {
    this.#broker = broker;
    this.#session = session;
    this.#outbox = outbox;
    this.#queue = queue;
    this.#sink = sink;
    this.#closed = closed;
  }

  deliver(tag: number, view: DeliveryView): boolean {
    const delivery = this.#reader.read(view);
    delivery.tag = tag;
    return this.#sink.deliver(delivery);
  }

  cancelled(): void {
    const stopped = this.#session.vhost.graph.queues.get(this.#queue)?.stopped() ?? null;
    this.#sink.ended(
      stopped === null
        ? new PostriderError('QUEUE_NOT_FOUND', `queue '${this.#queue}' was deleted`)
        : brokerFailure(stopped),
    );
  }

  setPrefetch(count: number): void {
    this.registered?.setPrefetch(count);
  }

  resume(): void {
    this.registered?.resume();
  }

  ack(tag: number): void {
    this.#handled.push(tag);
    if (this.#handled.length === 1) this.#outbox.acknowledges(this);
  }

  acknowledge(batch: Batch): void {
    const handled = this.#handled;
    this.#handled = [];
    const together = leading(handled, this.#session.ledger.oldest);
    if (together > 1) this.#session.ack(batch, handled[together - 1]!, true);
    for (let at = together > 1 ? together : 0; at < handled.length; at++) this.#session.ack(batch, handled[at]!, false);
  }

  acked(tag: number): Promise<void> {
    return this.#settled(tag, false);
  }

  requeue(tag: number): Promise<void> {
    return this.#settled(tag, true);
  }

  async replace(tag: number, to: Address | null, message: Outgoing | null): Promise<void> {
    if (to === null || message === null) return this.acked(tag);
    const claim = this.#session.claim(tag);
    if (claim === null) throw lostDelivery();
    for (;;) {
      const refused = await this.#move(claim, to, message);
      if (refused === null) {
        claim.done();
        return;
      }
      if (refused !== 'full') {
        if (refused.code === 'DELIVERY_LOST') claim.done();
        else this.#giveBack(claim);
        throw refused;
      }
      // Closed meanwhile, its lease gives the message back.
      await this.#waits.for(this.#outbox.space());
    }
  }

  async cancel(): Promise<void> {
    if (this.registered !== null) await this.#session.cancel(this.registered.consumerTag);
  }

  async close(): Promise<void> {
    this.#waits.end(lostDelivery());
    this.#outbox.flush();
    // Its lease gives back the rest.
    for (const timer of this.#given) clearTimeout(timer);
    try {
      await this.#session.close();
    } finally {
      this.#closed(this);
    }
  }

  /** Null: done. Nothing has happened else. */
  async #move(claim: Claim, to: Address, message: Outgoing): Promise<PostriderError | 'full' | null> {
    try {
      const { route, view } = this.#outbox.resolve(to, message);
      if (route.unroutable) return unroutable(to);
      const batch = new CountedBatch(this.#broker, 'required');
      claim.settle(batch, 'ack');
      if (batch.items === 0) return lostDelivery();
      if (route.targets !== null) batch.append(route.targets, view);
      const outcomes = await new Promise<readonly ItemOutcome[] | null>((resolve, reject) => {
        batch.commit(
          { committed: (_token, found) => resolve(found), failed: (_token, error) => reject(error) },
          undefined,
        );
      });
      if (outcomes?.some(({ outcome }) => outcome === 'stale') === true) return lostDelivery();
      const refused = outcomes?.find(({ outcome }) => outcome === 'refused');
      if (refused === undefined) {
        // The view was used again meanwhile.
        if (route.live !== null) handToLive(route, this.#outbox.view(message, 0), null);
        return null;
      }
      return refused.reason === 'full' ? 'full' : refusal(refused.reason, to, message, this.#session.vhost);
    } catch (error) {
      return brokerFailure(error);
    }
  }

  /** After a while, or it would come again at once, and fail again. */
  #giveBack(claim: Claim): void {
    const timer = setTimeout(() => {
      this.#given.delete(timer);
      const batch = this.#broker.begin();
      claim.settle(batch, 'requeue');
      batch.commit(ignored, undefined);
      claim.done();
    }, givenBackAfterMs);
    timer.unref();
    this.#given.add(timer);
  }

  #settled(tag: number, requeue: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (error: PostriderError | null): void => (error === null ? resolve() : reject(error));
      this.#outbox.settle({ session: this.#session, tag, requeue, done });
    });
  }
}

/** How many of these tags are neighbours from the first on, which is `oldest`: they are settled as one. */
function leading(tags: readonly number[], oldest: number): number {
  let count = 0;
  while (count < tags.length && tags[count] === oldest + count) count++;
  return count;
}

/** Milliseconds. */
const givenBackAfterMs = 1_000;
const ignored: CommitReceiver<undefined> = { committed: () => undefined, failed: () => undefined };
