/** The API on a broker in this process. */
import { Broker, ConnectionScope, type Engine, Session } from '../../broker/index.ts';
import { guest } from '../../broker/principal.ts';
import { closedError, PostriderError } from '../errors.ts';
import type {
  Address,
  ConsumeTraits,
  Delivery,
  DeliverySink,
  Link,
  LinkConsumer,
  LinkEvents,
  Outgoing,
  QueueCounts,
  QueueTraits,
} from '../link.ts';
import { brokerFailure } from './broker-failure.ts';
import { EmbeddedConsumer } from './embedded-consumer.ts';
import { MessageReader } from './message-reader.ts';
import { Outbox } from './outbox.ts';

export class EmbeddedLink implements Link {
  readonly kind = 'embedded';
  readonly broker: Broker;
  readonly #scope: ConnectionScope;
  /** Publishes, and asks for changes. */
  readonly #session: Session;
  readonly #outbox: Outbox;
  readonly #consumers = new Set<EmbeddedConsumer>();
  readonly #stopPressure: () => void;
  #failure: PostriderError | null = null;

  /** @throws PostriderError DATA_LOCKED, DATA_FOREIGN, DATA_NEWER, DATA_CORRUPT, DATA_UNWRITABLE */
  static async open(engine: Engine, events: LinkEvents, log: (line: string) => void): Promise<EmbeddedLink> {
    const broker = new Broker({ engine, log });
    try {
      await broker.open();
    } catch (error) {
      throw brokerFailure(error);
    }
    return new EmbeddedLink(broker, events);
  }

  constructor(broker: Broker, events: LinkEvents) {
    this.broker = broker;
    const vhost = broker.vhost('/')!;
    this.#scope = new ConnectionScope(vhost, 'embedded');
    this.#session = new Session(broker, vhost, guest, this.#scope);
    this.#outbox = new Outbox(broker, this.#session);
    this.#stopPressure = broker.pressure.subscribe({
      blocked: (reason) => events.blocked(reason),
      unblocked: () => {
        this.#outbox.resume();
        events.unblocked();
      },
      behind: () => undefined,
      caughtUp: () => this.#outbox.resume(),
    });
    broker.onFailed((error) => {
      this.#failure = new PostriderError(
        'ENGINE_FAILED',
        `the engine failed, nothing more is stored: ${error.message}`,
        {
          cause: error,
        },
      );
      this.#outbox.fail(this.#failure);
      events.failed(this.#failure);
    });
  }

  async declareQueue(traits: QueueTraits): Promise<string> {
    const { name } = await this.#ask(() => this.#scope.vhost.declareQueue(this.#session, traits));
    return name;
  }

  async checkQueue(name: string): Promise<QueueCounts> {
    return this.#ask(async () => {
      const queue = this.#scope.vhost.queues.require(name);
      queue.requireAccess(this.#scope);
      await queue.created;
      const { ready, unacked, delayed, consumers } = await this.broker.engine.stats(queue.handle!);
      return { ready, unacked, delayed, consumers };
    });
  }

  deleteQueue(name: string): Promise<number> {
    return this.#ask(() => this.#scope.vhost.deleteQueue(this.#session, name, { ifUnused: false, ifEmpty: false }));
  }

  purgeQueue(name: string): Promise<number> {
    return this.#ask(() => this.#scope.vhost.purgeQueue(this.#session, name));
  }

  declareExchange(name: string, type: string): Promise<void> {
    const declaration = { name, type, durable: true, autoDelete: false, internal: false, arguments: {} };
    return this.#ask(() => this.#scope.vhost.declareExchange(this.#session, declaration));
  }

  bindQueue(queue: string, exchange: string, routingKey: string): Promise<void> {
    const request = { queue, exchange, routingKey, arguments: {} };
    return this.#ask(() => this.#scope.vhost.bindQueue(this.#session, request));
  }

  unbindQueue(queue: string, exchange: string, routingKey: string): Promise<void> {
    const request = { queue, exchange, routingKey, arguments: {} };
    return this.#ask(() => this.#scope.vhost.unbindQueue(this.#session, request));
  }

  publish(to: Address, message: Outgoing, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => this.#outbox.publish({ to, message, resolve, reject, signal }));
  }

  async consume(queue: string, traits: ConsumeTraits, sink: DeliverySink): Promise<LinkConsumer> {
    const session = new Session(this.broker, this.#scope.vhost, guest, this.#scope);
    const consumer = new EmbeddedConsumer(this.broker, session, this.#outbox, queue, sink, (closed) =>
      this.#consumers.delete(closed),
    );
    const { noAck, exclusive, prefetch, priority } = traits;
    consumer.registered = await this.#ask(() =>
      session.consume(
        queue,
        { consumerTag: '', noAck, exclusive, prefetch, arguments: priority === 0 ? {} : { 'x-priority': priority } },
        consumer,
      ),
    );
    this.#consumers.add(consumer);
    return consumer;
  }

  async peek(name: string, limit: number, each: (delivery: Delivery) => void): Promise<void> {
    const messages = await this.#ask(async () => {
      const queue = this.#scope.vhost.queues.require(name);
      queue.requireAccess(this.#scope);
      await queue.created;
      const found = queue.stopped() === null ? await this.broker.engine.browse(queue.handle!, 0, limit) : [];
      // Reading finds it out, and gives what lies before the damage.
      const stopped = queue.stopped();
      if (stopped !== null) throw stopped;
      return { queue, found };
    });
    const reader = new MessageReader();
    for (const [index, { envelope, properties, body, number, redelivered, storedAt }] of messages.found.entries()) {
      const delivery = reader.read({
        head: Buffer.concat([envelope, properties]),
        envelopeStart: 0,
        envelopeEnd: envelope.length,
        propertiesStart: envelope.length,
        propertiesEnd: envelope.length + properties.length,
        body,
        bodyStart: 0,
        bodyEnd: body.length,
        expiresAt: 0,
        priority: 0,
        dueAt: 0,
        identity: null,
        queue: messages.queue.handle!,
        number,
        redelivered,
        deliveryCount: 0,
        storedAt,
        envelopeId: index,
      });
      each(delivery);
    }
  }

  async close(): Promise<void> {
    await this.#outbox.close();
    this.#stopPressure();
    for (const consumer of this.#consumers) await consumer.close().catch(() => undefined);
    await this.#session.close();
    try {
      await this.#scope.close();
      await this.broker.close();
    } catch (error) {
      // What failed has been told already; its files and its lock are released all the same.
      if (this.#failure === null) throw brokerFailure(error);
    }
    this.#failure ??= closedError('it');
  }

  async #ask<T>(question: () => Promise<T>): Promise<T> {
    if (this.#failure !== null) throw this.#failure;
    try {
      return await question();
    } catch (error) {
      throw brokerFailure(error);
    }
  }
}
