/**
 * The API over AMQP 0-9-1, to a Postrider or a RabbitMQ. Two connections: one for what is published, and one for everything else
 * (see `Publisher`). Both are made again when they are lost; what was unanswered then is told as such and never sent again.
 */
import { randomUUID } from 'node:crypto';
import type { Channel, SyncMessage } from 'rabbitmq-client';
import { abortable, throwIfAborted } from '../abort.ts';
import type { ConnectOptions } from '../connect.ts';
import { PostriderError } from '../errors.ts';
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
import { deliveryLimitAdvice } from '../broker-words.ts';
import { amqpAddress, type AmqpAddress } from './amqp-url.ts';
import { Control } from './control.ts';
import { DelayQueues } from './delay-queues.ts';
import { Publisher } from './publisher.ts';
import { type ConnectionWatch, RemoteConnection } from './remote-connection.ts';
import { RemoteConsumer } from './remote-consumer.ts';
import { remoteFailure } from './remote-failure.ts';
import { emptyDelivery, readDelivery } from './remote-message.ts';
import { declaration, Topology } from './topology.ts';

const defaultTimeoutMs = 10_000;
/** Before it quorum queues have no time to live, and dead-letter at most once. */
const oldestRabbit = [3, 10] as const;

export class RemoteLink implements Link {
  readonly kind = 'remote';
  readonly #connection: RemoteConnection;
  readonly #patienceMs: number;
  readonly #control: Control;
  readonly #topology: Topology;
  readonly #delays: DelayQueues;
  readonly #publisher: Publisher;
  readonly #consumers = new Set<RemoteConsumer>();
  readonly #events: LinkEvents;
  /** Connections that are lost at present. */
  #down = 0;
  #closed = false;

  /** @throws PostriderError INVALID_URL, INVALID_OPTION, UNREACHABLE, ACCESS_REFUSED, UNSUPPORTED, ABORTED */
  static async open(url: string, options: ConnectOptions, events: LinkEvents): Promise<RemoteLink> {
    const address = amqpAddress(url, options.tls);
    throwIfAborted(options.signal, 'connect()');
    const link = new RemoteLink(address, options, events);
    try {
      await abortable(link.#connection.open(link.#patienceMs), options.signal, 'connect()');
      link.#requireKnown();
    } catch (error) {
      await link.#connection.close();
      throw error;
    }
    return link;
  }

  constructor(address: AmqpAddress, options: ConnectOptions, events: LinkEvents) {
    const { connectTimeoutMs = defaultTimeoutMs, name } = options;
    this.#events = events;
    this.#patienceMs = connectTimeoutMs;
    const attemptMs = Math.min(connectTimeoutMs, defaultTimeoutMs);
    const watch = this.#watch();
    this.#connection = new RemoteConnection(address, name, attemptMs, {
      ...watch,
      up: (first) => {
        if (first) watch.up(true);
        else void this.#restore().then(() => watch.up(false));
      },
      down: (error) => {
        this.#topology.lost();
        watch.down(error);
      },
      refused: (error) => {
        watch.refused(error);
        this.#publisher.giveUpDelayed(error);
      },
    });
    this.#control = new Control(this.#connection, connectTimeoutMs);
    this.#topology = new Topology(this.#control);
    this.#delays = new DelayQueues(this.#control, () => this.#connection.server);
    const publishing = name === undefined ? undefined : `${name} (publishing)`;
    const connect = (to: ConnectionWatch): RemoteConnection => new RemoteConnection(address, publishing, attemptMs, to);
    this.#publisher = new Publisher(connect, watch, this.#connection, this.#topology, this.#delays);
  }

  /** The client names a queue that has no name, so that it has the same one after a lost connection. */
  async declareQueue(given: QueueTraits): Promise<string> {
    const traits = given.name === '' ? { ...given, name: `postrider.gen-${randomUUID()}` } : given;
    this.#requireSupported(traits);
    await this.#control.ask((channel) => channel.queueDeclare(declaration(traits)));
    this.#topology.declared(traits);
    return traits.name;
  }

  async checkQueue(queue: string): Promise<QueueCounts> {
    const found = await this.#control.ask((channel) => channel.queueDeclare({ queue, passive: true }));
    return { ready: found.messageCount, unacked: null, delayed: null, consumers: found.consumerCount };
  }

  async deleteQueue(queue: string): Promise<number> {
    this.#topology.deleted(queue);
    const { messageCount } = await this.#control.askOnce((channel) => channel.queueDelete({ queue }));
    return messageCount;
  }

  async purgeQueue(queue: string): Promise<number> {
    const { messageCount } = await this.#control.askOnce((channel) => channel.queuePurge({ queue }));
    return messageCount;
  }

  async declareExchange(exchange: string, type: string): Promise<void> {
    await this.#control.ask((channel) => channel.exchangeDeclare({ exchange, type, durable: true }));
  }

  async bindQueue(queue: string, exchange: string, routingKey: string): Promise<void> {
    await this.#control.ask((channel) => channel.queueBind({ queue, exchange, routingKey }));
    this.#topology.bound(queue, exchange, routingKey);
  }

  async unbindQueue(queue: string, exchange: string, routingKey: string): Promise<void> {
    await this.#control.ask((channel) => channel.queueUnbind({ queue, exchange, routingKey }));
    this.#topology.unbound(queue, exchange, routingKey);
  }

  publish(to: Address, message: Outgoing, signal?: AbortSignal): Promise<void> {
    const { replyTo } = message.properties;
    // The answer must find the queue that waits for it.
    const present = replyTo === undefined ? null : this.#topology.present(replyTo);
    if (present !== null) return present.then(() => this.#publisher.publish(to, message, false, signal));
    return this.#publisher.publish(to, message, false, signal);
  }

  async consume(queue: string, traits: ConsumeTraits, sink: DeliverySink): Promise<LinkConsumer> {
    if (traits.exclusive) this.#requireExclusive(queue);
    const home = {
      connection: this.#connection,
      publisher: this.#publisher,
      topology: this.#topology,
      consumerClosed: (consumer: RemoteConsumer) => this.#consumers.delete(consumer),
    };
    const consumer = new RemoteConsumer(home, queue, traits, sink);
    await consumer.open(this.#patienceMs);
    this.#consumers.add(consumer);
    return consumer;
  }

  /**
   * AMQP can't look without taking: the messages are taken and given back, which flags them as redelivered, and counts as a delivery
   * where the broker counts them (in a queue with a delivery limit, a message that is looked at too often is dead-lettered).
   */
  async peek(queue: string, limit: number, each: (delivery: Delivery) => void): Promise<void> {
    for (const message of await this.#borrow(queue, limit)) {
      const delivery = emptyDelivery();
      readDelivery(delivery, message);
      each(delivery);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#topology.close();
    await this.#publisher.close();
    for (const consumer of this.#consumers) await consumer.close().catch(() => undefined);
    if (this.#connection.up) await this.#control.close();
    await this.#connection.close();
  }

  async #borrow(queue: string, limit: number): Promise<SyncMessage[]> {
    for (;;) {
      let channel: Channel | null = null;
      try {
        channel = await this.#connection.channel(this.#patienceMs);
        const messages: SyncMessage[] = [];
        while (messages.length < limit) {
          const message = await channel.basicGet({ queue });
          if (message === undefined) break;
          messages.push(message);
        }
        const last = messages.at(-1);
        if (last !== undefined) channel.basicNack({ deliveryTag: last.deliveryTag, multiple: true, requeue: true });
        return messages;
      } catch (error) {
        const failure = remoteFailure(error);
        if (failure.code !== 'UNKNOWN_OUTCOME') throw failure;
      } finally {
        if (channel !== null) await this.#connection.closeChannel(channel);
      }
    }
  }

  #watch(): ConnectionWatch {
    /** What was told last: each attempt to come back may meet the same. */
    let told = '';
    const tell = (error: PostriderError): void => {
      if (error.message !== told) this.#events.disconnected(error);
      told = error.message;
    };
    return {
      up: (first) => {
        if (first) return;
        this.#down -= 1;
        if (this.#down > 0) return;
        told = '';
        if (!this.#closed) this.#events.reconnected();
      },
      down: (error) => {
        this.#down += 1;
        if (this.#down === 1) tell(error);
      },
      refused: tell,
      blocked: (reason) => this.#events.blocked(reason),
      unblocked: () => this.#events.unblocked(),
    };
  }

  async #restore(): Promise<void> {
    this.#delays.forget();
    await Promise.all([this.#topology.restoreAll(), ...Array.from(this.#consumers, (consumer) => consumer.back())]);
  }

  /** @throws PostriderError UNSUPPORTED */
  #requireKnown(): void {
    const { product, version } = this.#connection.server;
    if (product !== 'RabbitMQ') return;
    const [major = 0, minor = 0] = version.split('.').map(Number);
    const [least, then] = oldestRabbit;
    if (major > least || (major === least && minor >= then)) return;
    throw new PostriderError(
      'UNSUPPORTED',
      `RabbitMQ ${version} is too old: its quorum queues know no time to live; this needs ${least}.${then} or newer`,
    );
  }

  /** Before some version of it takes what it doesn't keep. @throws PostriderError UNSUPPORTED */
  #requireSupported({ name, arguments: table }: QueueTraits): void {
    const { product } = this.#connection.server;
    if (product !== 'Postrider' && table['x-group-by'] !== undefined) {
      throw new PostriderError(
        'UNSUPPORTED',
        `queue '${name}' can't have groupBy: ${product === '' ? 'this broker' : product} knows no message groups, only Postrider does`,
      );
    }
    if (this.#connection.server.product !== 'RabbitMQ' || table['x-queue-type'] === 'quorum') return;
    if (table['x-delivery-limit'] === undefined) return;
    throw new PostriderError('UNSUPPORTED', `queue '${name}' can't have a deliveryLimit: ${deliveryLimitAdvice}`);
  }

  /** Its quorum queues take no notice of it. @throws PostriderError UNSUPPORTED */
  #requireExclusive(queue: string): void {
    if (this.#connection.server.product !== 'RabbitMQ' || this.#topology.known(queue)?.quorum === false) return;
    throw new PostriderError(
      'UNSUPPORTED',
      `RabbitMQ does not keep quorum queues for one consumer: declare queue '${queue}' with singleActiveConsumer: true instead of consuming it with exclusive: true`,
    );
  }
}
