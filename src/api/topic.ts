import type { Address } from './link.ts';
import type { MqCore } from './mq-core.ts';
import { PostriderError } from './errors.ts';
import { checkQueueName } from './names.ts';
import type { PayloadCodec } from './payload-codec.ts';
import type { PublishOptions } from './publish-options.ts';
import { publishAllTo, publishTo, type Queue } from './queue.ts';
import type { QueueOptions } from './queue-options.ts';
import type { TopicName } from './topic-name.ts';

/** What a subscription's queue may be set to: the payload is the topic's affair. */
export type SubscriptionOptions = Omit<QueueOptions, 'schema' | 'serializer' | 'declare'>;

/** Makes the queue of a subscription. */
export type Subscribe<Out, In> = (name: string, options: SubscriptionOptions) => Promise<Queue<Out, In>>;

/**
 * A topic, as `mq.topic()` gives it: what is published to it goes to every subscription, and to nobody where there is none. A
 * pattern (`orders.*`, `orders.#`; `site/+/temperature`, `site/#`) can only be subscribed to.
 */
export class Topic<Out = unknown, In = Out> {
  /** As given to `mq.topic()`: a topic, or a pattern. */
  readonly name: string;
  readonly #core: MqCore;
  readonly #codec: PayloadCodec<Out, In>;
  readonly #address: Address;
  readonly #isPattern: boolean;
  /** For errors. */
  readonly #where: string;
  readonly #subscribe: Subscribe<Out, In>;

  /** @internal Use `mq.topic()`. */
  constructor(
    core: MqCore,
    name: string,
    { routingKey, isPattern }: TopicName,
    exchange: string,
    codec: PayloadCodec<Out, In>,
    subscribe: Subscribe<Out, In>,
  ) {
    this.#core = core;
    this.name = name;
    this.#codec = codec;
    this.#subscribe = subscribe;
    this.#address = { exchange, routingKey, mandatory: false };
    this.#isPattern = isPattern;
    this.#where = `topic '${name}'`;
  }

  /** Sends a message to every subscription. Resolves once it is on disk in all of them. @throws PostriderError as `Queue.publish` */
  publish(payload: In, options?: PublishOptions): Promise<void> {
    const pattern = this.#pattern();
    if (pattern !== null) return Promise.reject(pattern);
    return publishTo(this.#core, this.#address, this.#codec, payload, options, this.#where);
  }

  /** Sends many; see `Queue.publishAll`. @throws PostriderError as `Queue.publishAll` */
  async publishAll(payloads: Iterable<In>, options?: PublishOptions): Promise<void> {
    const pattern = this.#pattern();
    if (pattern !== null) throw pattern;
    await publishAllTo(this.#core, this.#address, this.#codec, payloads, options, this.#where);
  }

  /**
   * A queue of this name that gets all that is published to the topic from now on, whether somebody consumes it or not. The
   * same name again, here or elsewhere, is the same queue: its consumers share the messages.
   * @throws PostriderError INVALID_NAME, INVALID_OPTION, QUEUE_DIFFERS
   */
  subscribe(name: string, options: SubscriptionOptions = {}): Promise<Queue<Out, In>> {
    return this.#subscribe(name, options);
  }

  /** The subscription gets nothing more from this topic; its queue stays, with what is in it. @throws PostriderError INVALID_NAME, CLOSED */
  async unsubscribe(name: string): Promise<void> {
    this.#core.requireOpen('unsubscribe');
    checkQueueName(name, 'subscription');
    await this.#core.link.unbindQueue(name, this.#address.exchange, this.#address.routingKey);
  }

  #pattern(): PostriderError | null {
    if (!this.#isPattern) return null;
    return new PostriderError(
      'INVALID_NAME',
      `'${this.name}' is a pattern: it can be subscribed to, but not published to`,
    );
  }
}
