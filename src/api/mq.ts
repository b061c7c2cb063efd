import { EventEmitter } from 'node:events';
import { listenTo } from './abort.ts';
import type { ConsumeSettings } from './consume-options.ts';
import { type ClosableConsumer, Consumer, type ConsumerHost, type FailureEnd, type Handler } from './consumer.ts';
import { closedError, PostriderError } from './errors.ts';
import type { Link, LinkEvents, QueueTraits } from './link.ts';
import type { Message } from './message.ts';
import type { MqCore } from './mq-core.ts';
import { checkExchangeName, checkQueueName, defaultExchange } from './names.ts';
import { checkOptions, type Checks, closeChecks, text } from './option-check.ts';
import { PayloadCodec } from './payload-codec.ts';
import { Queue } from './queue.ts';
import {
  checkQueueOptions,
  deadLetterQueueOf,
  deadLetterTraits,
  isDeadLetterName,
  type QueueOptions,
  queueTraits,
} from './queue-options.ts';
import { Answers } from './request.ts';
import type { Serializer } from './serializer.ts';
import type { SchemaInput, SchemaOutput, StandardSchema, WithSchema } from './standard-schema.ts';
import { Topic } from './topic.ts';
import { topicName, type TopicNotation } from './topic-name.ts';

/** What a topic may be set to. */
export interface TopicOptions<Input = unknown, Output = Input> {
  /** Types the payload, and checks it on both sides: see `QueueOptions`. */
  readonly schema?: StandardSchema<Input, Output>;
  /** Default: JSON, and bytes as they are. */
  readonly serializer?: Serializer<Input>;
  /** The topic exchange, for systems that have one already. Default `amq.topic`, which MQTT's topics share. */
  readonly exchange?: string;
}

/** What `mq.on(name, listener)` tells of, with the arguments of each listener. */
export interface MqEvents {
  /** The broker takes no messages for now (its disk or memory is full): publishes wait. */
  blocked: [reason: string];
  /** It takes messages again: publishes that waited go on. */
  unblocked: [];
  /**
   * The connection was lost (or the one for publishing, made at the first publish, could not be made), and is being made again; publishes in
   * flight are rejected as UNKNOWN_OUTCOME. Told again when the broker does not let it in any more.
   */
  disconnected: [error: PostriderError];
  /** The connection is back, with queues, subscriptions and consumers as they were; a consumer whose queue can't be had yet is still to come. */
  reconnected: [];
  /** The embedded engine failed: nothing more is stored, and what was pending is rejected. The application lives on. */
  failed: [error: PostriderError];
  /** A consumer ended for good, by itself: its queue was deleted, or the broker refuses to let it come back. An engine's failure is `failed` alone. */
  consumerEnded: [error: PostriderError, queue: string];
  /** A handler failed; `then` says what is done with its message. */
  handlerFailed: [error: Error, message: Message, then: FailureEnd];
  /** Everything is closed. */
  closed: [];
}

/** How `mq.close()` ends. */
export interface CloseOptions {
  /**
   * How long to wait for handlers that run, in milliseconds. Default 30,000; `Infinity`: as long as it takes. Called again, `close()` can
   * only make it shorter. A broker that answers nothing is waited for some seconds more, and 30 for publishes that it has.
   */
  readonly graceMs?: number;
}

const topicChecks: Checks<TopicOptions> = { schema: () => null, serializer: () => null, exchange: text };

/** A connection to a broker, or a broker in this process: what `connect()` gives. */
export class Mq extends EventEmitter<MqEvents> {
  readonly #core: MqCore & ConsumerHost;
  readonly #consumers = new Set<ClosableConsumer>();
  /** Of queues that were used here: whether it is another's dead-letter queue. */
  readonly #deadLetterQueues = new Map<string, boolean>();
  #link: Link | null = null;
  /** Null: nobody has asked yet, or the queue for answers is gone. */
  #answers: Promise<Answers> | null = null;
  #failure: PostriderError | null = null;
  #closing: Promise<void> | null = null;
  /** At its close: no handler runs any more. */
  #drained = false;
  #alive: NodeJS.Timeout | null = null;
  /** Beside the queues: a server, say. Closed first. */
  readonly #services: (() => Promise<void>)[] = [];

  /** @internal Use `connect()`. */
  constructor() {
    super();
    const link = (): Link => this.#link!;
    this.#core = {
      get link() {
        return link();
      },
      requireOpen: (verb) => this.#requireOpen(verb),
      consume: (queue, codec, handler, settings, signal) => this.#consume(queue, codec, handler, settings, signal),
      answers: () => this.#openAnswers(),
      handlerFailed: (error, message, then) => this.#tellFailure(error, message, then),
      consumerEnded: (error, queue) => this.#tellEnd(error, queue),
      consumerClosed: (consumer) => this.#forget(consumer),
    };
  }

  /** @internal `connect`'s own. */
  async begin(open: (events: LinkEvents) => Promise<Link>): Promise<void> {
    this.#link = await open({
      blocked: (reason) => this.#tell('blocked', reason),
      unblocked: () => this.#tell('unblocked'),
      disconnected: (error) => this.#tell('disconnected', error),
      reconnected: () => this.#tell('reconnected'),
      failed: (error) => this.#failed(error),
    });
  }

  /**
   * A durable queue, made if it is not there, and with it the queue for its dead letters (`<name>.dead`).
   *
   * The type of its payloads comes from the schema, or is told: `mq.queue<Order>('orders')`.
   * @throws PostriderError INVALID_NAME, INVALID_OPTION, QUEUE_DIFFERS (it is there with other settings), UNSUPPORTED, CLOSED
   */
  queue<Schema extends StandardSchema>(
    name: string,
    options: WithSchema<QueueOptions, Schema>,
  ): Promise<Queue<SchemaOutput<Schema>, SchemaInput<Schema>>>;
  queue<Payload = unknown>(name: string, options?: QueueOptions<Payload>): Promise<Queue<Payload>>;
  async queue(name: string, options: QueueOptions = {}): Promise<Queue> {
    this.#requireOpen('use a queue');
    checkQueueName(name);
    checkQueueOptions(name, options);
    const { schema, serializer } = options;
    const dead = await this.#declare(name, options);
    const codec =
      dead === null && schema === undefined && serializer === undefined
        ? PayloadCodec.ofDeadLetters(name)
        : new PayloadCodec<unknown, unknown>(`queue '${name}'`, schema, serializer);
    return new Queue(this.#core, name, codec, dead);
  }

  /**
   * A topic: words parted by dots, `orders.placed`. As a pattern for subscriptions `*` stands for one word and `#` for any number.
   * Or, where there is a `/`, levels as MQTT writes them, `site/7/temperature`, with `+` for one and a last `#` for any number. That is
   * the same topic as `site.7.temperature`, on the same exchange as MQTT's publishers and subscribers.
   * @throws PostriderError INVALID_NAME, INVALID_OPTION, CLOSED
   */
  topic<Schema extends StandardSchema>(
    name: string,
    options: WithSchema<TopicOptions, Schema>,
  ): Topic<SchemaOutput<Schema>, SchemaInput<Schema>>;
  topic<Payload = unknown>(name: string, options?: TopicOptions<Payload>): Topic<Payload>;
  topic(name: string, options: TopicOptions = {}): Topic {
    this.#requireOpen('use a topic');
    const written = topicName(name);
    const where = `topic '${name}'`;
    checkOptions(where, options, topicChecks);
    const { schema, serializer, exchange = defaultExchange } = options;
    checkExchangeName(exchange);
    checkQueueOptions(name, {
      ...(schema === undefined ? {} : { schema }),
      ...(serializer === undefined ? {} : { serializer }),
    });
    const codec = new PayloadCodec<unknown, unknown>(where, schema, serializer);
    return new Topic(this.#core, name, written, exchange, codec, async (subscription, queueOptions) => {
      this.#requireOpen('subscribe');
      checkQueueName(subscription, 'subscription');
      checkQueueOptions(subscription, queueOptions);
      if (exchange !== defaultExchange) await this.#core.link.declareExchange(exchange, 'topic');
      const dead = await this.#declare(subscription, queueOptions, written.notation);
      await this.#core.link.bindQueue(subscription, exchange, written.routingKey);
      return new Queue(this.#core, subscription, codec, dead, written.notation);
    });
  }

  /**
   * Ends it gracefully: consumers get nothing more, handlers that run are waited for, everything published is answered. Messages
   * that nobody settled go back to their queues. Until the last handler has ended `publish`, `publishAll` and `request` go on, since handlers
   * may need them to end well; everything else is CLOSED at once.
   */
  async close(options: CloseOptions = {}): Promise<void> {
    checkOptions('close()', options, closeChecks);
    const { graceMs = 30_000 } = options;
    const consumers = Array.from(this.#consumers, (consumer) => consumer.close({ graceMs }));
    this.#closing ??= this.#close(consumers);
    await this.#closing;
  }

  /** `close()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** `close()` was called, here or by whoever shares it. */
  get closed(): boolean {
    return this.#closing !== null;
  }

  /** @internal @throws PostriderError CLOSED, ENGINE_FAILED */
  requireOpen(verb: string): void {
    this.#requireOpen(verb);
  }

  /** @internal What `listen` adds. @throws PostriderError CLOSED, ENGINE_FAILED */
  addService(close: () => Promise<void>): void {
    this.#requireOpen('listen');
    this.#services.push(close);
  }

  async #declare(name: string, options: QueueOptions, notation?: TopicNotation): Promise<Queue | null> {
    const { link } = this.#core;
    const isDead = isDeadLetterName(name) || this.#deadLetterQueues.get(name) === true;
    const deadName = deadLetterQueueOf(name, options, isDead);
    const dead = deadName === null ? null : deadLetterTraits(deadName, options.durable ?? true);
    if (options.declare === false) {
      await link.checkQueue(name);
      if (dead !== null) await this.#ensure(dead);
    } else {
      const traits = queueTraits(name, options, deadName);
      // What is there says first whether it is the same, so that a refusal leaves nothing behind. What is not there comes after its
      // dead-letter queue, so that nothing is ever dropped for want of that.
      const isNew = dead !== null && !(await this.#isThere(name));
      const madeDead = isNew && (await this.#ensure(dead));
      try {
        await link.declareQueue(traits);
      } catch (error) {
        // Where it differs somebody else has made both meanwhile.
        if (madeDead && (error as PostriderError).code !== 'QUEUE_DIFFERS') await this.#discard(dead.name);
        throw error;
      }
      if (dead !== null && !isNew) await this.#ensure(dead);
    }
    if (deadName === null) return null;
    // What each was first is what it stays.
    if (!this.#deadLetterQueues.has(name)) this.#deadLetterQueues.set(name, false);
    if (!this.#deadLetterQueues.has(deadName)) this.#deadLetterQueues.set(deadName, true);
    return new Queue(this.#core, deadName, PayloadCodec.ofDeadLetters(deadName), null, notation);
  }

  /** Unless somebody uses it by now. RabbitMQ deletes no quorum queue on condition. */
  async #discard(queue: string): Promise<void> {
    const { link } = this.#core;
    try {
      const { ready, unacked, delayed, consumers } = await link.checkQueue(queue);
      if (ready === 0 && consumers === 0 && !unacked && !delayed) await link.deleteQueue(queue);
    } catch {
      // An empty queue more does no harm.
    }
  }

  /** Whoever was first may have made it in his way. True: it was not there. */
  async #ensure(traits: QueueTraits): Promise<boolean> {
    if (await this.#isThere(traits.name)) return false;
    await this.#core.link.declareQueue(traits);
    return true;
  }

  async #isThere(queue: string): Promise<boolean> {
    try {
      await this.#core.link.checkQueue(queue);
      return true;
    } catch (error) {
      if (error instanceof PostriderError && error.code === 'QUEUE_NOT_FOUND') return false;
      throw error;
    }
  }

  /** A listener that throws ends the application as any other does, and not what was about to be done. False: nobody listens. */
  #tell<Name extends keyof MqEvents>(name: Name, ...args: MqEvents[Name]): boolean {
    try {
      return (this as EventEmitter).emit(name, ...args);
    } catch (error) {
      setImmediate(() => {
        throw error;
      });
      return true;
    }
  }

  #tellEnd(error: PostriderError, queue: string): void {
    if (error === this.#failure || this.#tell('consumerEnded', error, queue)) return;
    console.error(`postrider: the consumer of queue '${queue}' has ended: ${error.message}`);
  }

  /** Nobody listens: then the log is where it is seen. */
  #tellFailure(error: Error, message: Message, then: FailureEnd): void {
    if (this.#tell('handlerFailed', error, message, then)) return;
    const which = message.id === undefined ? 'a message' : `message '${message.id}'`;
    console.error(
      `postrider: the handler of queue '${message.queue}' failed at attempt ${message.attempt} of ${which} (${then}): ${error.message}`,
    );
  }

  async #consume<Payload>(
    queue: string,
    codec: PayloadCodec<Payload, never>,
    handler: Handler<Payload>,
    settings: ConsumeSettings,
    signal: AbortSignal | undefined,
  ): Promise<Consumer<Payload>> {
    this.#requireOpen('consume');
    const isAborted = (): boolean => signal?.aborted === true;
    if (isAborted()) {
      throw new PostriderError('ABORTED', `consume() of queue '${queue}' was aborted by its signal`, {
        cause: signal?.reason,
      });
    }
    const consumer = new Consumer(this.#core, queue, codec, handler, settings);
    const { atMostOnce: noAck, exclusive, priority } = settings;
    const link = await this.#core.link.consume(
      queue,
      { prefetch: consumer.prefetch, noAck, exclusive, priority },
      consumer,
    );
    consumer.begin(link);
    this.#consumers.add(consumer);
    // As a socket would: a process that consumes goes on until it closes.
    this.#alive ??= setInterval(() => undefined, 2 ** 30);
    const stop = (): void => void consumer.close();
    if (signal !== undefined) listenTo(signal, stop);
    const forget = (): void => signal?.removeEventListener('abort', stop);
    consumer.closed.then(forget, forget);
    // Closed, or aborted, meanwhile.
    if (this.#closing !== null || isAborted()) await consumer.close();
    return consumer;
  }

  #forget(consumer: ClosableConsumer): void {
    this.#consumers.delete(consumer);
    if (this.#consumers.size > 0 || this.#alive === null) return;
    clearInterval(this.#alive);
    this.#alive = null;
  }

  #openAnswers(): Promise<Answers> {
    if (this.#answers !== null) return this.#answers;
    const opening: Promise<Answers> = Answers.open(this.#core, () => forget()).catch((error: unknown) => {
      forget();
      throw error;
    });
    // The next request makes another.
    const forget = (): void => {
      if (this.#answers === opening) this.#answers = null;
    };
    this.#answers = opening;
    return opening;
  }

  #failed(error: PostriderError): void {
    this.#failure = error;
    if (!this.#tell('failed', error)) console.error(`postrider: ${error.message}`);
    for (const consumer of this.#consumers) consumer.ended(error);
    void this.#answers?.then((answers) => answers.ended(error)).catch(() => undefined);
    // Who connects elsewhere may find a broker that stores something.
    for (const close of this.#services) void close().catch(() => undefined);
  }

  #requireOpen(verb: string): void {
    if (this.#failure !== null) throw this.#failure;
    // What a handler may need to end well.
    if ((verb === 'publish' || verb === 'ask') && !this.#drained && this.#link !== null) return;
    if (this.#closing !== null || this.#link === null) throw closedError(`can't ${verb}: the connection`);
  }

  async #close(consumers: readonly Promise<void>[]): Promise<void> {
    if (consumers.length > 0) await Promise.all(consumers);
    this.#drained = true;
    for (const close of this.#services) await close();
    // What is still being opened ends with the link: its broker may be away.
    const answers = this.#answers?.then((opened) => opened.close()).catch(() => undefined);
    await Promise.all([answers, this.#link?.close()]);
    this.#tell('closed');
  }
}
