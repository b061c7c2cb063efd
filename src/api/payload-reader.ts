/** Hot: reads the payloads of one consumer's messages, at once or when a schema answers. */
import { asError, PostriderError } from './errors.ts';
import type { Message } from './message.ts';
import type { DeadLetterReason } from './message-headers.ts';
import type { BodyTexts, PayloadCodec } from './payload-codec.ts';
import { Places } from './places.ts';
import type { TimeLimit } from './time-limit.ts';

export interface ReaderOwner {
  unreadable(message: Message, error: Error, reason: DeadLetterReason): void;
  /** A schema that took its time has answered, in whichever way. */
  answered(): void;
}

export class PayloadReader<Payload> {
  /** Of messages whose schema has not answered. */
  readonly pending: Places;
  readonly #codec: PayloadCodec<Payload, never>;
  readonly #texts: BodyTexts;
  readonly #limit: TimeLimit;
  readonly #owner: ReaderOwner;

  constructor(codec: PayloadCodec<Payload, never>, texts: BodyTexts, limit: TimeLimit, owner: ReaderOwner) {
    this.#codec = codec;
    this.#texts = texts;
    this.#limit = limit;
    this.#owner = owner;
    this.pending = new Places({
      fulfilled: (message) => {
        this.pending.leave(message);
        owner.answered();
      },
      rejected: (message, thrown) => {
        this.pending.leave(message);
        owner.unreadable(message, asError(thrown), 'schema-mismatch');
        owner.answered();
      },
    });
  }

  /** False: there is nothing to handle (its owner was told why), or not yet. */
  read(message: Message<Payload>): boolean {
    if (message.decoding || message.settled) return false;
    try {
      const payload = this.#codec.decode(message, this.#texts);
      if (payload instanceof Promise) {
        this.#readLater(message, payload);
        return false;
      }
      message.decode(payload);
      return true;
    } catch (thrown) {
      const mismatch = thrown instanceof PostriderError && thrown.code === 'SCHEMA_MISMATCH';
      this.#owner.unreadable(message, asError(thrown), mismatch ? 'schema-mismatch' : 'undecodable');
      return false;
    }
  }

  #readLater(message: Message<Payload>, payload: Promise<Payload>): void {
    message.decoding = true;
    const read = payload.then((value) => message.decode(value));
    this.pending.take(message, read, this.#limit.period);
  }
}
