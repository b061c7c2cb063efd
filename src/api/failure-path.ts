/** What becomes of a message whose handler failed: another attempt after a wait, then the dead-letter queue with the reason. */
import type { ConsumeSettings } from './consume-options.ts';
import type { Address, LinkConsumer } from './link.ts';
import type { Message } from './message.ts';
import { deadLetterHeaders, type DeadLetterReason, retryHeaders } from './message-headers.ts';
import { retryDelayMs } from './retry-policy.ts';

export class FailurePath {
  readonly #settings: ConsumeSettings;
  readonly #queue: string;
  readonly #back: Address;
  readonly #dead: Address | null;

  constructor(queue: string, settings: ConsumeSettings) {
    this.#queue = queue;
    this.#settings = settings;
    this.#back = { exchange: '', routingKey: queue, mandatory: true };
    const { deadLetterQueue } = settings;
    this.#dead = deadLetterQueue === null ? null : { exchange: '', routingKey: deadLetterQueue, mandatory: true };
  }

  /** Milliseconds until the next attempt; null: that was the last. */
  againAfterMs(message: Message, asked: number | undefined): number | null {
    const { retry } = this.#settings;
    if (message.attempt >= retry.attempts) return null;
    return asked ?? retryDelayMs(retry, message.attempt, Math.random());
  }

  async retry(link: LinkConsumer, message: Message, delayMs: number): Promise<void> {
    // It was delivered in time; from its second attempt on it would only be dead without its handler's error.
    const { expiration: _expires, ...properties } = message.properties;
    const headers = retryHeaders(message);
    await link.replace(message.tag, this.#back, {
      body: message.bytes,
      properties: { ...properties, headers },
      delayMs,
    });
  }

  async deadLetter(link: LinkConsumer, message: Message, error: Error, reason: DeadLetterReason): Promise<void> {
    if (this.#dead === null) return link.acked(message.tag);
    const { expiration: _expires, ...properties } = message.properties;
    const { routingKey: topic, attempt } = message;
    const letter = { queue: this.#queue, topic, reason, error, attempts: attempt, atMs: Date.now() };
    await link.replace(message.tag, this.#dead, {
      body: message.bytes,
      properties: { ...properties, headers: deadLetterHeaders(properties, letter) },
      delayMs: 0,
    });
  }
}
