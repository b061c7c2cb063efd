/** Hot: one consumer on the embedded broker, with a session of its own. */
import type {
  Broker,
  CommitReceiver,
  ConsumerSink,
  DeliveryView,
  ItemOutcome,
  Session,
  SessionConsumer,
} from '../../broker/index.ts';
import { PostriderError } from '../errors.ts';
import type { Address, DeliverySink, LinkConsumer, Outgoing } from '../link.ts';
import { brokerFailure, refusal } from './broker-failure.ts';
import { MessageReader } from './message-reader.ts';
import { lostDelivery, type Outbox, unroutable } from './outbox.ts';

export class EmbeddedConsumer implements ConsumerSink, LinkConsumer {
  /** Set once the broker has it; nothing is delivered before. */
  registered: SessionConsumer | null = null;
  readonly #broker: Broker;
  readonly #session: Session;
  readonly #outbox: Outbox;
  readonly #sink: DeliverySink;
  readonly #queue: string;
  readonly #reader = new MessageReader();

  constructor(broker: Broker, session: Session, outbox: Outbox, queue: string, sink: DeliverySink) {
    this.#broker = broker;
    this.#session = session;
    this.#outbox = outbox;
    this.#queue = queue;
    this.#sink = sink;
  }

  deliver(tag: number, view: DeliveryView): boolean {
    const delivery = this.#reader.read(view);
    delivery.tag = tag;
    return this.#sink.deliver(delivery);
  }

  cancelled(): void {
    this.#sink.ended(
      new PostriderError(
        'QUEUE_NOT_FOUND',
        `queue '${this.#queue}' was deleted, or stopped because its data is damaged`,
      ),
    );
  }

  setPrefetch(count: number): void {
    this.registered?.setPrefetch(count);
  }

  resume(): void {
    this.registered?.resume();
  }

  ack(tag: number): void {
    this.#outbox.settle({ session: this.#session, tag, requeue: false, done: null });
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
      const refused = await new Promise<ItemOutcome | null>((resolve, reject) => {
        const batch = this.#broker.begin('required');
        try {
          const { route, view } = this.#outbox.resolve(to, message);
          if (route.targets === null) throw unroutable(to);
          batch.append(route.targets, view);
          claim.settle(batch, 'ack');
        } catch (error) {
          // The batch has to end; this leaves the delivery where it was.
          claim.settle(batch, 'requeue');
          batch.commit(ignored, undefined);
          claim.done();
          reject(brokerFailure(error));
          return;
        }
        const receiver: CommitReceiver<undefined> = {
          committed: (_token, outcomes) => resolve(outcomes?.find(({ outcome }) => outcome === 'refused') ?? null),
          failed: (_token, error) => reject(brokerFailure(error)),
        };
        batch.commit(receiver, undefined);
      });
      if (refused === null) {
        claim.done();
        return;
      }
      if (refused.reason !== 'full') {
        const batch = this.#broker.begin();
        claim.settle(batch, 'requeue');
        batch.commit(ignored, undefined);
        claim.done();
        throw refusal(refused.reason, to.exchange === '' ? `queue '${to.routingKey}'` : `exchange '${to.exchange}'`);
      }
      await this.#outbox.space();
    }
  }

  async cancel(): Promise<void> {
    if (this.registered !== null) await this.#session.cancel(this.registered.consumerTag);
  }

  async close(): Promise<void> {
    this.#outbox.flush();
    await this.#session.close();
  }

  #settled(tag: number, requeue: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (error: PostriderError | null): void => (error === null ? resolve() : reject(error));
      this.#outbox.settle({ session: this.#session, tag, requeue, done });
    });
  }
}

const ignored: CommitReceiver<undefined> = { committed: () => undefined, failed: () => undefined };
