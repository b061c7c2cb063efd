import { abortable, throwIfAborted } from './abort.ts';
import { type ConsumeOptions, consumeSettings } from './consume-options.ts';
import type { Consumer, Handler } from './consumer.ts';
import { asError, PostriderError } from './errors.ts';
import type { Address, Delivery, Outgoing } from './link.ts';
import { Message } from './message.ts';
import { MessageStream, type StreamOptions } from './message-stream.ts';
import type { MqCore } from './mq-core.ts';
import { describe } from './option-check.ts';
import type { PayloadCodec } from './payload-codec.ts';
import { plainProperties, publishProperties, type PublishOptions } from './publish-options.ts';
import { redrive, type RedriveOptions } from './redrive.ts';
import { request, type RequestOptions } from './request.ts';
import type { TopicNotation } from './topic-name.ts';

/** What `queue.stats()` counts. */
export interface QueueStats {
  /** Messages that wait to be consumed. */
  readonly ready: number;
  /** Messages that consumers have and did not settle; null where the broker doesn't tell (RabbitMQ over AMQP). */
  readonly unacked: number | null;
  /** Messages that are not due yet: delayed, or waiting for their next attempt. Null where the broker doesn't tell (over AMQP they wait in queues of their own). */
  readonly delayed: number | null;
  /** Consumers of the queue, everybody's. */
  readonly consumers: number;
}

/** A queue, as `mq.queue()` gives it. `Out` is what consumers get; `In` is what is published, which a schema may make something else. */
export class Queue<Out = unknown, In = Out> {
  /** As given to `mq.queue()`. */
  readonly name: string;
  /** Where its messages go that can't be handled; null: nowhere, see `QueueOptions.deadLetter`. */
  readonly deadLetters: Queue | null;
  readonly #core: MqCore;
  readonly #codec: PayloadCodec<Out, In>;
  readonly #address: Address;
  /** Of its messages' topics. */
  readonly #notation: TopicNotation;
  /** For errors. */
  readonly #where: string;

  /** @internal Use `mq.queue()`. */
  constructor(
    core: MqCore,
    name: string,
    codec: PayloadCodec<Out, In>,
    deadLetters: Queue | null,
    notation: TopicNotation = 'words',
  ) {
    this.#core = core;
    this.name = name;
    this.#codec = codec;
    this.deadLetters = deadLetters;
    this.#address = { exchange: '', routingKey: name, mandatory: true };
    this.#notation = notation;
    this.#where = `queue '${name}'`;
  }

  /**
   * Sends a message to this queue. Resolves once it is on disk.
   * @throws PostriderError INVALID_PAYLOAD, SCHEMA_MISMATCH, INVALID_OPTION, QUEUE_FULL, TOO_LARGE, UNROUTABLE (the queue was deleted), UNKNOWN_OUTCOME, CLOSED
   */
  publish(payload: In, options?: PublishOptions): Promise<void> {
    return publishTo(this.#core, this.#address, this.#codec, payload, options, this.#where);
  }

  /**
   * Sends many; resolves once all are on disk. They are encoded and checked before the first is sent; where some are then
   * refused the others stand, and the error's `cause` lists `{ index, error }` of each that failed.
   */
  publishAll(payloads: Iterable<In>, options?: PublishOptions): Promise<void> {
    return publishAllTo(this.#core, this.#address, this.#codec, payloads, options, this.#where);
  }

  /**
   * Handles the queue's messages until the consumer is closed. A handler that ends acknowledges its message; one that throws has
   * it tried again later, and in the end dead-lettered (see `ConsumeOptions`).
   * @throws PostriderError INVALID_OPTION, QUEUE_NOT_FOUND, QUEUE_LOCKED, CLOSED
   */
  async consume(handler: Handler<Out>, options: ConsumeOptions = {}): Promise<Consumer<Out>> {
    if (typeof handler !== 'function') {
      throw new PostriderError(
        'INVALID_OPTION',
        `consume() of ${this.#where} wants a handler: a function of (payload, message)`,
      );
    }
    const deadLetterQueue = this.deadLetters?.name ?? null;
    const settings = consumeSettings(`consume() of ${this.#where}`, options, deadLetterQueue, this.#notation);
    const codec = this.#codec as PayloadCodec<Out, never>;
    const consumer = await this.#core.consume(this.name, codec, handler, settings, options.signal);
    consumer.closed.catch((error: unknown) => this.#core.consumerEnded(error as PostriderError, this.name));
    return consumer;
  }

  /**
   * The queue's messages for a `for await` loop. Going on to the next message acknowledges the one before, unless the loop has
   * settled it itself; leaving the loop gives the last one back, which counts towards the queue's `deliveryLimit`. With `idleMs: 0` it ends when the queue is empty.
   * @throws PostriderError INVALID_OPTION; the loop: QUEUE_NOT_FOUND, QUEUE_LOCKED, CLOSED
   */
  messages(options: StreamOptions = {}): MessageStream<Out> {
    return new MessageStream(
      this.#core,
      this.name,
      this.#codec as PayloadCodec<Out, never>,
      options,
      this.deadLetters?.name ?? null,
      this.#notation,
    );
  }

  /**
   * Sends a message and waits for what a handler given to `respond()` answers.
   * @throws PostriderError TIMEOUT, REQUEST_FAILED (the handler failed: its message), ABORTED and what `publish` throws
   */
  request<Answer = unknown>(payload: In, options: RequestOptions = {}): Promise<Answer> {
    return request<Answer>(
      this.#core,
      this.#address,
      this.#where,
      async (replyTo) => this.#encode(payload, { ...options.publish, ...replyTo }),
      options,
    );
  }

  /** Handles requests: what the handler returns is the answer, what it throws is the error that the requester gets. There is no second attempt. */
  async respond(
    handler: Handler<Out>,
    options: Omit<ConsumeOptions, 'ack' | 'retry' | 'delivery'> = {},
  ): Promise<Consumer<Out>> {
    const { respond } = await import('./respond.ts');
    return respond(this.#core, this, handler, options);
  }

  /**
   * The first messages that are ready, oldest first, without taking them. Default: up to 10. Payloads that can't be read are bytes.
   *
   * Over `amqp:` they are taken and given back, which flags them as redelivered, and counts towards the queue's `deliveryLimit`.
   */
  async peek(limit = 10): Promise<Message<Out>[]> {
    if (!Number.isSafeInteger(limit) || limit < 1) {
      throw new PostriderError(
        'INVALID_OPTION',
        `peek() of ${this.#where} wants how many messages, 1 or more, not ${String(limit)}`,
      );
    }
    this.#core.requireOpen('peek');
    const messages: Promise<Message<Out>>[] = [];
    await this.#core.link.peek(this.name, limit, (delivery) => messages.push(this.#peeked(delivery)));
    return Promise.all(messages);
  }

  /** Removes all ready messages; resolves with how many. */
  async purge(): Promise<number> {
    this.#core.requireOpen('purge');
    return this.#core.link.purgeQueue(this.name);
  }

  /** Deletes the queue with its messages (not its dead letters); resolves with how many went. */
  async delete(): Promise<number> {
    this.#core.requireOpen('delete a queue');
    return this.#core.link.deleteQueue(this.name);
  }

  /** How many messages wait, and who consumes. @throws PostriderError QUEUE_NOT_FOUND */
  async stats(): Promise<QueueStats> {
    this.#core.requireOpen('count');
    return this.#core.link.checkQueue(this.name);
  }

  /**
   * For a dead-letter queue: sends its messages back to the queues that they came from, as they were. Resolves with how many.
   * Only what is there at the call is looked at; what `filter` turns down stays, and so does what came from no other queue.
   * @throws PostriderError with `moved`, how many were sent back before: ABORTED, UNROUTABLE and QUEUE_FULL (of the queue that it came from), UNKNOWN_OUTCOME
   */
  redrive(options: RedriveOptions = {}): Promise<number> {
    return redrive(this.#core, this.name, options);
  }

  #encode(payload: In, options: PublishOptions): Promise<Outgoing> {
    const checked = this.#codec.check(payload);
    return outgoingOnce(checked, this.#codec, payload, options, 'request()', this.#where);
  }

  #peeked(delivery: Delivery): Promise<Message<Out>> {
    const { tag, properties, exchange, routingKey, redelivered, deliveryCount } = delivery;
    const from = { tag, properties, exchange, routingKey, redelivered, deliveryCount };
    const bytes = (): Out => Buffer.from(delivery.body.subarray(delivery.bodyStart, delivery.bodyEnd)) as Out;
    const raw = bytes();
    const made = (payload: Out): Message<Out> => new Message(null, this.name, payload, from, this.#notation);
    try {
      const payload = this.#codec.decode(delivery);
      return payload instanceof Promise ? payload.then(made, () => made(raw)) : Promise.resolve(made(payload));
    } catch {
      return Promise.resolve(made(raw));
    }
  }
}

/** @throws PostriderError INVALID_PAYLOAD, INVALID_OPTION */
export function outgoing<In>(
  codec: PayloadCodec<unknown, In>,
  payload: In,
  options: PublishOptions | undefined,
  verb: string,
  where: string,
): Outgoing {
  const { body, contentType } = codec.encode(payload);
  if (options === undefined) return { body, properties: plainProperties(contentType), delayMs: 0 };
  const properties = publishProperties(`${verb} to ${where}`, contentType, options);
  return { body, properties, delayMs: options.delayMs ?? 0 };
}

/** Encoded at once, so that what is sent is what is checked, whatever its owner does to it meanwhile. */
async function outgoingOnce<In>(
  checked: void | Promise<void>,
  ...encoded: Parameters<typeof outgoing<In>>
): Promise<Outgoing> {
  let message: Outgoing;
  try {
    message = outgoing(...encoded);
  } catch (error) {
    await checked;
    throw error;
  }
  await checked;
  return message;
}

/** Hot: without schema and options it costs one promise. */
export function publishTo<In>(
  core: MqCore,
  to: Address,
  codec: PayloadCodec<unknown, In>,
  payload: In,
  options: PublishOptions | undefined,
  where: string,
): Promise<void> {
  try {
    core.requireOpen('publish');
    throwIfAborted(options?.signal, 'the publish');
    const checked = codec.check(payload);
    if (checked instanceof Promise || options?.signal !== undefined) {
      return publishChecked(core, to, codec, payload, options, where, checked);
    }
    return core.link.publish(to, outgoing(codec, payload, options, 'publish()', where));
  } catch (error) {
    return Promise.reject(asError(error));
  }
}

async function publishChecked<In>(
  core: MqCore,
  to: Address,
  codec: PayloadCodec<unknown, In>,
  payload: In,
  options: PublishOptions | undefined,
  where: string,
  checked: void | Promise<void>,
): Promise<void> {
  const signal = options?.signal;
  const message = await outgoingOnce(checked, codec, payload, options, 'publish()', where);
  throwIfAborted(signal, 'the publish');
  await abortable(core.link.publish(to, message, signal), signal, 'the publish');
}

export async function publishAllTo<In>(
  core: MqCore,
  to: Address,
  codec: PayloadCodec<unknown, In>,
  payloads: Iterable<In>,
  options: PublishOptions | undefined,
  where: string,
): Promise<void> {
  core.requireOpen('publish');
  throwIfAborted(options?.signal, 'the publish');
  const list = listOf(payloads, where);
  const messages = await allOutgoing(codec, list, options, `publishAll() to ${where}`);
  const signal = options?.signal;
  throwIfAborted(signal, 'the publish');
  const sent = Promise.allSettled(messages.map((message) => core.link.publish(to, message, signal)));
  const results = await abortable(sent, signal, 'the publish');
  const failed = results.flatMap((result, index) =>
    result.status === 'rejected' ? [{ index, error: result.reason as PostriderError }] : [],
  );
  const first = failed[0];
  if (first === undefined) return;
  throw new PostriderError(
    first.error.code,
    `${failed.length} of ${list.length} messages to ${where} were not stored for certain; the first, number ${first.index}: ${first.error.message}`,
    { cause: failed },
  );
}

/** As `outgoingOnce`: all are encoded before the first check that takes its time has ended. */
async function allOutgoing<In>(
  codec: PayloadCodec<unknown, In>,
  payloads: readonly In[],
  options: PublishOptions | undefined,
  where: string,
): Promise<Outgoing[]> {
  const checks: Promise<void>[] = [];
  try {
    for (const payload of payloads) {
      const checked = codec.check(payload);
      if (checked instanceof Promise) checks.push(checked);
    }
    const messages = payloads.map((payload) => outgoing(codec, payload, options, 'publishAll()', where));
    await Promise.all(checks);
    return messages;
  } catch (error) {
    // What a check says goes before what the encoding says.
    await Promise.all(checks);
    throw error;
  }
}

/** A text is iterable too, but hardly meant so. @throws PostriderError INVALID_OPTION, and what the iterable throws */
function listOf<In>(payloads: Iterable<In>, where: string): In[] {
  const iterable = payloads as Partial<Iterable<In>> | null | undefined;
  if (typeof iterable !== 'string' && typeof iterable?.[Symbol.iterator] === 'function') return Array.from(payloads);
  throw new PostriderError(
    'INVALID_OPTION',
    `publishAll() to ${where} wants payloads, in an array or another iterable, not ${describe(payloads)}`,
  );
}
