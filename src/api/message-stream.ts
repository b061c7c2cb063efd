import { type ConsumeOptions, consumeSettings } from './consume-options.ts';
import { asError } from './errors.ts';
import type { Message } from './message.ts';
import type { MqCore } from './mq-core.ts';
import type { PayloadCodec } from './payload-codec.ts';

/** How `queue.messages()` consumes: see `ConsumeOptions`. */
export type StreamOptions = Pick<ConsumeOptions, 'prefetch' | 'retry' | 'exclusive' | 'priority' | 'signal'>;

/** A queue's messages, one at a time, as `for await (const message of queue.messages())`. */
export class MessageStream<Payload> implements AsyncIterable<Message<Payload>> {
  readonly #core: MqCore;
  readonly #queue: string;
  readonly #codec: PayloadCodec<Payload, never>;
  readonly #options: StreamOptions;
  readonly #deadLetterQueue: string | null;

  /** @internal Use `queue.messages()`. */
  constructor(
    core: MqCore,
    queue: string,
    codec: PayloadCodec<Payload, never>,
    options: StreamOptions,
    deadLetterQueue: string | null,
  ) {
    this.#core = core;
    this.#queue = queue;
    this.#codec = codec;
    this.#options = options;
    this.#deadLetterQueue = deadLetterQueue;
  }

  /** Begins to consume; leaving the loop ends it. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Message<Payload>, void, undefined> {
    const where = `messages() of queue '${this.#queue}'`;
    const settings = consumeSettings(
      where,
      { ...this.#options, ack: 'manual', timeoutMs: Infinity },
      this.#deadLetterQueue,
    );
    const mailbox = new Mailbox<Message<Payload>>();
    const take = (_payload: Payload, message: Message<Payload>): void => mailbox.put(message);
    const { signal } = this.#options;
    const consumer = await this.#core.consume(this.#queue, this.#codec, take, settings, signal);
    consumer.closed.then(
      () => mailbox.end(null),
      (error: unknown) => mailbox.end(asError(error)),
    );
    let current: Message<Payload> | null = null;
    try {
      while ((current = await mailbox.take()) !== null) {
        yield current;
        if (!current.settled) await current.ack();
      }
    } finally {
      // The one in hand goes back, and one that came after it was settled early.
      for (const message of [current, mailbox.held]) {
        if (message?.settled === false) await message.requeue().catch(() => undefined);
      }
      await consumer.close({ graceMs: 0 });
    }
    if (mailbox.error !== null) throw mailbox.error;
  }
}

/** Holds at most one, as a consumer without concurrency gives no more. */
class Mailbox<T> {
  held: T | null = null;
  error: Error | null = null;
  #ended = false;
  #wake: (() => void) | null = null;

  put(message: T): void {
    this.held = message;
    this.#wake?.();
  }

  end(error: Error | null): void {
    this.error = error;
    this.#ended = true;
    this.#wake?.();
  }

  /** Null: no more come. */
  async take(): Promise<T | null> {
    while (this.held === null && !this.#ended) await new Promise<void>((resolve) => (this.#wake = resolve));
    const message = this.held;
    this.held = null;
    return message;
  }
}
