import type { LocalQueue } from './queue.ts';

/**
 * What is handed over for its removal and not settled durably yet. Whoever takes it over keeps each with its body until then, so that
 * a backlog which expires at once must not be handed over at once.
 */
const MOST_MESSAGES = 4096;
const MOST_BYTES = 4 * 1024 * 1024;

export class HandOver {
  readonly #whenDurable: (done: () => void) => void;
  readonly #goOn: (queues: Iterable<LocalQueue>) => void;
  #messages = 0;
  #bytes = 0;
  /** Of these, handed over since the last flush. */
  #newMessages = 0;
  #newBytes = 0;
  #waiting = new Set<LocalQueue>();

  /** `whenDurable` calls `done` once what was committed so far is durable; `goOn` dispatches queues that waited. */
  constructor(whenDurable: (done: () => void) => void, goOn: (queues: Iterable<LocalQueue>) => void) {
    this.#whenDurable = whenDurable;
    this.#goOn = goOn;
  }

  /** Whether one more may be handed over now. False: the queue is dispatched again when there is room. */
  admits(queue: LocalQueue): boolean {
    if (this.#messages < MOST_MESSAGES && this.#bytes < MOST_BYTES) return true;
    this.#waiting.add(queue);
    return false;
  }

  took(bytes: number): void {
    this.#messages++;
    this.#bytes += bytes;
    this.#newMessages++;
    this.#newBytes += bytes;
  }

  /** Whoever took them over has committed what it does with them. */
  flushed(): void {
    const messages = this.#newMessages;
    const bytes = this.#newBytes;
    this.#newMessages = 0;
    this.#newBytes = 0;
    this.#whenDurable(() => {
      this.#messages -= messages;
      this.#bytes -= bytes;
      const waiting = this.#waiting;
      this.#waiting = new Set();
      if (waiting.size > 0) this.#goOn(waiting);
    });
  }
}
