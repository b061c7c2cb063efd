import type { LocalQueue } from './queue.ts';

/**
 * What is handed over for its removal and not settled durably yet. Whoever takes it over keeps each with its body until then, so that
 * a backlog which expires at once must not be handed over at once.
 */
const MOST_MESSAGES = 4096;
const MOST_BYTES = 4 * 1024 * 1024;
/** While others wait, a queue hands over so much and then waits behind them: what is live in theirs waits with them. */
const TURN_MESSAGES = 256;
const TURN_BYTES = 256 * 1024;

export class HandOver {
  readonly #whenDurable: (done: () => void) => void;
  readonly #goOn: (queues: readonly LocalQueue[]) => void;
  #messages = 0;
  #bytes = 0;
  /** Of these, handed over since the last flush. */
  #newMessages = 0;
  #newBytes = 0;
  /** Whose turn it is, and what it has handed over in it. */
  #turn: LocalQueue | null = null;
  #turnMessages = 0;
  #turnBytes = 0;
  /** Those whose turn it is are several, or have others behind them. */
  #shared = false;
  /** In the order of their turns. */
  readonly #waiting = new Set<LocalQueue>();

  /** `whenDurable` calls `done` once what was committed so far is durable; `goOn` dispatches queues that waited. */
  constructor(whenDurable: (done: () => void) => void, goOn: (queues: readonly LocalQueue[]) => void) {
    this.#whenDurable = whenDurable;
    this.#goOn = goOn;
  }

  /** Whether one more may be handed over now. False: the queue is dispatched again when there is room. */
  admits(queue: LocalQueue): boolean {
    if (this.#hasRoom && !this.#hadItsTurn(queue)) return true;
    this.#waiting.add(queue);
    return false;
  }

  took(queue: LocalQueue, bytes: number): void {
    if (queue !== this.#turn) {
      this.#turn = queue;
      this.#turnMessages = 0;
      this.#turnBytes = 0;
    }
    this.#turnMessages++;
    this.#turnBytes += bytes;
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
      while (this.#waiting.size > 0 && this.#hasRoom) {
        const next = this.#next();
        // Each comes behind the others if it must wait again.
        for (const queue of next) this.#waiting.delete(queue);
        this.#turn = null;
        this.#shared = next.length + this.#waiting.size > 1;
        this.#goOn(next);
        this.#shared = false;
      }
    });
  }

  /** Those for whose turns there is room. */
  #next(): LocalQueue[] {
    const room = Math.min((MOST_MESSAGES - this.#messages) / TURN_MESSAGES, (MOST_BYTES - this.#bytes) / TURN_BYTES);
    const next: LocalQueue[] = [];
    for (const queue of this.#waiting) {
      next.push(queue);
      if (next.length >= room) break;
    }
    return next;
  }

  get #hasRoom(): boolean {
    return this.#messages < MOST_MESSAGES && this.#bytes < MOST_BYTES;
  }

  #hadItsTurn(queue: LocalQueue): boolean {
    if (queue !== this.#turn || (!this.#shared && this.#waiting.size === 0)) return false;
    return this.#turnMessages >= TURN_MESSAGES || this.#turnBytes >= TURN_BYTES;
  }
}
