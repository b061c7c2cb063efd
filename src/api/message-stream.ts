import { consumeChecks, type ConsumeOptions, type ConsumeSettings, consumeSettings } from './consume-options.ts';
import { asError, PostriderError } from './errors.ts';
import type { Message } from './message.ts';
import type { MqCore } from './mq-core.ts';
import { checkOptions, type Checks, waitMs } from './option-check.ts';
import type { PayloadCodec } from './payload-codec.ts';
import type { TopicNotation } from './topic-name.ts';

/** How `queue.messages()` consumes: see `ConsumeOptions`. */
export interface StreamOptions extends Pick<
  ConsumeOptions,
  'prefetch' | 'retry' | 'exclusive' | 'priority' | 'signal'
> {
  /**
   * Ends the loop when no message has come for so long, in milliseconds; 0: when the queue is empty. What others have in hand, or what
   * waits for its next attempt, is not waited for. Default `Infinity`: it goes on.
   */
  readonly idleMs?: number;
}

const { prefetch, retry, exclusive, priority, signal } = consumeChecks;
const checks: Checks<StreamOptions> = {
  prefetch,
  retry,
  exclusive,
  priority,
  signal,
  idleMs: waitMs(0, true),
};
/** Messages that are on their way come within so long, in milliseconds. */
const quietMs = 25;

/** A queue's messages, one at a time, as `for await (const message of queue.messages())`. */
export class MessageStream<Payload> implements AsyncIterable<Message<Payload>> {
  readonly #core: MqCore;
  readonly #queue: string;
  readonly #codec: PayloadCodec<Payload, never>;
  readonly #settings: ConsumeSettings;
  readonly #signal: AbortSignal | undefined;
  readonly #idleMs: number;

  /** @internal Use `queue.messages()`. */
  constructor(
    core: MqCore,
    queue: string,
    codec: PayloadCodec<Payload, never>,
    options: StreamOptions,
    deadLetterQueue: string | null,
    notation: TopicNotation,
  ) {
    const where = `messages() of queue '${queue}'`;
    checkOptions(where, options, checks);
    const { idleMs = Infinity, ...others } = options;
    this.#core = core;
    this.#queue = queue;
    this.#codec = codec;
    this.#settings = consumeSettings(
      where,
      { ...others, ack: 'manual', timeoutMs: Infinity },
      deadLetterQueue,
      notation,
    );
    this.#signal = options.signal;
    this.#idleMs = idleMs;
  }

  /** Begins to consume; leaving the loop ends it. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Message<Payload>, void, undefined> {
    const mailbox = new Mailbox<Message<Payload>>();
    const take = (_payload: Payload, message: Message<Payload>): void => mailbox.put(message);
    const consumer = await this.#core.consume(this.#queue, this.#codec, take, this.#settings, this.#signal);
    consumer.closed.then(
      () => mailbox.end(null),
      (error: unknown) => mailbox.end(asError(error)),
    );
    let current: Message<Payload> | null = null;
    let acked: Promise<void> | null = null;
    try {
      while ((current = await this.#next(mailbox)) !== null) {
        yield current;
        // Not waited for: many are settled at once.
        if (!current.settled) acked = current.ack().catch((error: unknown) => mailbox.fail(error));
      }
    } finally {
      await acked;
      // The one in hand goes back, and one that came after it was settled early.
      for (const message of [current, mailbox.held]) {
        if (message?.settled === false) await message.requeue().catch(() => undefined);
      }
      await consumer.close({ graceMs: 0 });
    }
    if (mailbox.error !== null) throw mailbox.error;
  }

  /** Null: no more come, or none has come for long enough. */
  async #next(mailbox: Mailbox<Message<Payload>>): Promise<Message<Payload> | null> {
    if (this.#idleMs === Infinity) return mailbox.take(Infinity);
    const patienceMs = Math.max(this.#idleMs, quietMs);
    let isEmpty = this.#idleMs > 0;
    for (;;) {
      const message = await mailbox.take(patienceMs);
      if (message !== null || mailbox.ended || isEmpty) return message;
      // Looked at while nothing came, and once more waited: what was delivered before the answer is here then.
      isEmpty = (await this.#core.link.checkQueue(this.#queue)).ready === 0;
    }
  }
}

/** Holds at most one, as a consumer without concurrency gives no more. */
class Mailbox<T> {
  held: T | null = null;
  error: Error | null = null;
  ended = false;
  #wake: (() => void) | null = null;

  put(message: T): void {
    this.held = message;
    this.#wake?.();
  }

  end(error: Error | null): void {
    this.error ??= error;
    this.ended = true;
    this.#wake?.();
  }

  /** An acknowledgement failed. One whose connection died is of a message that comes again. */
  fail(error: unknown): void {
    if (!(error instanceof PostriderError && error.code === 'DELIVERY_LOST')) this.end(asError(error));
  }

  /** Null: no more come, or none came within so long. */
  async take(patienceMs: number): Promise<T | null> {
    if (this.held === null && !this.ended) await this.#woken(patienceMs);
    const message = this.held;
    this.held = null;
    return message;
  }

  async #woken(patienceMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      if (patienceMs !== Infinity) timer = setTimeout(resolve, patienceMs);
    });
    clearTimeout(timer);
  }
}
