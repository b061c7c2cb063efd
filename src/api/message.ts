import type { FieldTable } from '../format/field-table.ts';
import { asError, PostriderError } from './errors.ts';
import type { BasicProperties } from '../format/basic-properties.ts';
import type { Delivery } from './link.ts';
import { type DeadLetterReason, type Death, deathOf, header } from './message-headers.ts';
import { checkOptions, type Checks, milliseconds } from './option-check.ts';
import type { Place } from './places.ts';
import { type TopicNotation, writtenTopic } from './topic-name.ts';

/** Headers of a message: a flat or nested table of plain values. */
export type Headers = Readonly<FieldTable>;

/** What a message asks of whoever consumes it. */
export interface MessageHolder {
  /** Its messages were settled before they came. */
  readonly atMostOnce: boolean;
  ack(message: Message): Promise<void>;
  retry(message: Message, error: Error, delayMs: number | undefined): Promise<void>;
  deadLetter(message: Message, error: Error, reason: DeadLetterReason): Promise<void>;
  requeue(message: Message): Promise<void>;
}

/** One delivery of a message. */
export class Message<Payload = unknown> {
  /** What was published, as the serializer and the schema give it. */
  readonly payload: Payload;
  /** The queue that it was consumed from. */
  readonly queue: string;
  /** From 1: which attempt of its handler this is. Attempts that ended with their process are counted by `deliveryCount`. */
  readonly attempt: number;
  /** It may have been delivered before. */
  readonly redelivered: boolean;
  /** Earlier deliveries that ended without an answer, where that is known. */
  readonly deliveryCount: number;
  /** @internal */
  readonly tag: number;
  /** @internal What it was published to, whatever became of it since. */
  readonly routingKey: string;
  /** @internal AMQP's properties. */
  readonly properties: BasicProperties;
  /** @internal Among the handlers that run. */
  place: Place | null = null;
  /** @internal Holds its bytes, from `bodyStart` to `bodyEnd`, while they may be needed again. */
  body: Buffer = noBytes;
  /** @internal */
  bodyStart = 0;
  /** @internal */
  bodyEnd = 0;
  /** @internal Its payload was read. */
  decoded = false;
  /** @internal Its payload is being read. */
  decoding = false;
  readonly #notation: TopicNotation;
  #holder: MessageHolder | null;
  #abort: AbortController | null = null;

  /** @internal */
  constructor(
    holder: MessageHolder | null,
    queue: string,
    payload: Payload,
    from: Pick<Delivery, 'tag' | 'properties' | 'exchange' | 'routingKey' | 'redelivered' | 'deliveryCount'>,
    notation: TopicNotation,
  ) {
    this.#holder = holder;
    this.queue = queue;
    this.payload = payload;
    this.tag = from.tag;
    this.properties = from.properties;
    const topic = from.properties.headers?.[header.topic];
    this.routingKey = typeof topic === 'string' ? topic : from.routingKey;
    // Published to the queue itself, by its name.
    this.#notation = typeof topic !== 'string' && from.exchange === '' ? 'words' : notation;
    this.redelivered = from.redelivered;
    this.deliveryCount = from.deliveryCount;
    const attempt = from.properties.headers?.[header.attempt];
    this.attempt = typeof attempt === 'number' && attempt > 0 ? attempt : 1;
  }

  /**
   * What it was published to: a topic, or the name of a queue. In a subscription to `site/+/temperature` topics are written with `/`, in
   * one to `orders.*` with dots, and so in a queue from `mq.queue()`.
   */
  get topic(): string {
    return writtenTopic(this.#notation, this.routingKey, this.properties.headers);
  }

  /** As given when it was published; undefined: none was. */
  get id(): string | undefined {
    return this.properties.messageId;
  }

  /** As published, and what was added on the way; empty where there are none. */
  get headers(): Headers {
    return this.properties.headers ?? noHeaders;
  }

  /** As given when it was published: what an answer belongs to. */
  get correlationId(): string | undefined {
    return this.properties.correlationId;
  }

  /** As given when it was published; 0 where none was. */
  get priority(): number {
    return this.properties.priority ?? 0;
  }

  /** What the publisher says that the payload is: `application/json`, say. */
  get contentType(): string | undefined {
    return this.properties.contentType;
  }

  /** When it was published, to the second; undefined: its publisher did not say. */
  get publishedAt(): Date | undefined {
    const { timestamp } = this.properties;
    return timestamp === undefined ? undefined : new Date(timestamp * 1000);
  }

  /** Of a dead letter: which queue it comes from, and why. Null: it is none. */
  get death(): Death | null {
    return deathOf(this.properties.headers);
  }

  /** Aborted when the handler has run too long, or the consumer gave up waiting for it at its close. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    return this.#abort.signal;
  }

  /** Acknowledged, retried, dead-lettered or given back. */
  get settled(): boolean {
    return this.#holder === null;
  }

  /**
   * It was handled, and is gone for good. Resolves once that is durable; over `amqp:`, where brokers don't confirm it, once it is sent: if the
   * connection is lost then, the message may come again. @throws PostriderError ALREADY_SETTLED, DELIVERY_LOST
   */
  async ack(): Promise<void> {
    await this.#settle().ack(this);
  }

  /**
   * It failed, and is tried again after a while, or dead-lettered after its last attempt. `delayMs`: instead of what the consumer's retry policy says.
   * @throws PostriderError ALREADY_SETTLED (always with `delivery: 'at-most-once'`), DELIVERY_LOST
   */
  async retry(error?: unknown, options: { readonly delayMs?: number } = {}): Promise<void> {
    checkOptions('retry()', options, retryChecks);
    const reason = error === undefined ? new Error('retried by its handler') : asError(error);
    await this.#settleAgain().retry(this, reason, options.delayMs);
  }

  /** It can't be handled, and another attempt wouldn't help: it goes to the dead-letter queue with the reason. @throws PostriderError as `retry` */
  async deadLetter(reason?: unknown): Promise<void> {
    const error = reason === undefined ? new Error('rejected by its handler') : asError(reason);
    await this.#settleAgain().deadLetter(this, error, 'rejected');
  }

  /** Back to its place in the queue, for whichever consumer is next. Each delivery counts towards the queue's `deliveryLimit`. @throws PostriderError as `retry` */
  async requeue(): Promise<void> {
    await this.#settleAgain().requeue(this);
  }

  /** @internal Ends it without the holder's part. False: it was settled already. */
  end(): boolean {
    if (this.#holder === null) return false;
    this.#holder = null;
    return true;
  }

  /** @internal */
  get bytes(): Buffer {
    return this.body.subarray(this.bodyStart, this.bodyEnd);
  }

  /** @internal */
  keepBody(body: Buffer, start: number, end: number): void {
    this.body = body;
    this.bodyStart = start;
    this.bodyEnd = end;
  }

  /** @internal */
  decode(payload: Payload): void {
    (this as { payload: Payload }).payload = payload;
    this.decoded = true;
    this.decoding = false;
  }

  /** @internal */
  abort(reason: Error): void {
    this.#abort ??= new AbortController();
    this.#abort.abort(reason);
  }

  /** Where it was settled before it came, nothing is left that could come again. */
  #settleAgain(): MessageHolder {
    if (this.#holder?.atMostOnce !== true) return this.#settle();
    throw new PostriderError(
      'ALREADY_SETTLED',
      `this message from queue '${this.queue}' was settled before it was handled, as delivery: 'at-most-once' says: it can't come again`,
    );
  }

  #settle(): MessageHolder {
    const holder = this.#holder;
    if (holder === null) {
      throw new PostriderError(
        'ALREADY_SETTLED',
        `this message from queue '${this.queue}' was settled before, or given back when its consumer ended; with ack: 'auto' its handler's end settles it`,
      );
    }
    this.#holder = null;
    return holder;
  }
}

const retryChecks: Checks<{ readonly delayMs?: number }> = { delayMs: milliseconds(0) };
const noHeaders: Headers = Object.freeze({});
const noBytes = Buffer.alloc(0);
