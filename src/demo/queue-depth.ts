/** How many messages wait in each queue, asked of the broker again and again; while it is gone, the last answer stands. */
import type { Connection } from 'rabbitmq-client';

export class QueueDepth<Name extends string> {
  readonly waiting: Record<Name, number>;
  /** The most that waited in all queues together. */
  peak = 0;
  /** How often the broker has answered for all of them. */
  answers = 0;
  readonly #connection: Connection;
  readonly #queues: readonly (readonly [Name, string])[];
  readonly #timer: NodeJS.Timeout;
  #asking = false;

  /** `queues`: their names on the broker, by what they are called here. */
  constructor(connection: Connection, queues: Readonly<Record<Name, string>>, everyMs: number) {
    this.#connection = connection;
    this.#queues = Object.entries(queues) as [Name, string][];
    this.waiting = Object.fromEntries(this.#queues.map(([name]) => [name, 0])) as Record<Name, number>;
    this.#timer = setInterval(() => void this.#ask(), everyMs);
  }

  get total(): number {
    return this.#queues.reduce((sum, [name]) => sum + this.waiting[name], 0);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #ask(): Promise<void> {
    if (this.#asking || !this.#connection.ready) return;
    this.#asking = true;
    try {
      for (const [name, queue] of this.#queues) {
        const answer = await this.#connection.queueDeclare({ queue, passive: true });
        this.waiting[name] = answer.messageCount;
      }
      this.peak = Math.max(this.peak, this.total);
      this.answers += 1;
    } catch {
      // The broker went away in between; asked again once it is back.
    } finally {
      this.#asking = false;
    }
  }
}
