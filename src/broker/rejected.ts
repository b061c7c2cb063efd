import type { Lease } from '../engine/engine.ts';
import type { DeadLetters } from './dead-letter/dead-letters.ts';
import type { Queue } from './queue.ts';

/**
 * Rejected deliveries of a session on their way to dead-letter exchanges: one queue's after the other's, so that dead letters keep
 * their order; what is rejected meanwhile goes together.
 */
export class Rejected {
  readonly #deadLetters: DeadLetters;
  readonly #lease: () => Lease | null;
  #numbers = new Map<Queue, number[]>();
  #sending: Promise<void> | null = null;

  /** `lease` under which they are held; null: the engine gave them to others. */
  constructor(deadLetters: DeadLetters, lease: () => Lease | null) {
    this.#deadLetters = deadLetters;
    this.#lease = lease;
  }

  add(queue: Queue, first: number, count: number): void {
    let numbers = this.#numbers.get(queue);
    if (numbers === undefined) {
      numbers = [];
      this.#numbers.set(queue, numbers);
    }
    for (let number = first; number < first + count; number++) numbers.push(number);
  }

  /** Sends what was added. The batch of the turn was committed. */
  send(): void {
    if (this.#numbers.size > 0 && this.#lease() !== null) this.#sending ??= this.#send();
  }

  /** Resolves once nothing is on its way any more. */
  async sent(): Promise<void> {
    await this.#sending;
  }

  async #send(): Promise<void> {
    while (this.#numbers.size > 0) {
      const added = this.#numbers;
      this.#numbers = new Map();
      for (const [queue, numbers] of added) {
        const lease = this.#lease();
        if (lease !== null) await this.#deadLetters.rejected(queue, lease, numbers);
      }
    }
    this.#sending = null;
  }
}
