import { type ConsumeOptions, consumeSettings } from './consume-options.ts';
import type { Consumer } from './consumer.ts';
import type { Message } from './message.ts';
import type { MqCore } from './mq-core.ts';
import type { PayloadCodec } from './payload-codec.ts';

export type StreamOptions = Pick<ConsumeOptions, 'prefetch' | 'retry' | 'exclusive' | 'priority' | 'signal'>;

/** A queue's messages, one at a time, as `for await (const message of queue.messages())`. */
export class MessageStream<Payload> implements AsyncIterable<Message<Payload>> {
  readonly #core: MqCore;
  readonly #queue: string;
  readonly #codec: PayloadCodec<Payload, never>;
  readonly #options: StreamOptions;
  readonly #deadLetterQueue: string | null;

  /** Use `queue.messages()`. */
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

  async *[Symbol.asyncIterator](): AsyncGenerator<Message<Payload>, void, undefined> {
    const where = `messages() of queue '${this.#queue}'`;
    const settings = consumeSettings(
      where,
      { ...this.#options, ack: 'manual', timeoutMs: Infinity },
      this.#deadLetterQueue,
    );
    let arrived: Message<Payload> | null = null;
    let wake: (() => void) | null = null;
    let ended: { error: unknown } | null = null;
    const take = (_payload: Payload, message: Message<Payload>): void => {
      arrived = message;
      wake?.();
    };
    const consumer: Consumer<Payload> = await this.#core.consume(
      this.#queue,
      this.#codec,
      take,
      settings,
      this.#options.signal,
    );
    const end = (error: unknown): void => {
      ended = { error };
      wake?.();
    };
    consumer.closed.then(() => end(undefined), end);
    let current: Message<Payload> | null = null;
    try {
      for (;;) {
        while (arrived === null && ended === null) await new Promise<void>((resolve) => (wake = resolve));
        if (arrived === null) break;
        current = arrived;
        arrived = null;
        yield current;
        if (!current.settled) await current.ack();
        current = null;
      }
    } finally {
      // Both the one in hand and one that arrived meanwhile go back.
      for (const message of [current, arrived] as (Message<Payload> | null)[]) {
        if (message !== null && !message.settled) await message.requeue().catch(() => undefined);
      }
      await consumer.close({ graceMs: 0 });
    }
    const { error } = ended as unknown as { error: unknown };
    if (error !== undefined) throw error as Error;
  }
}
