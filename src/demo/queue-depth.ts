/** How many orders wait in each queue, asked of the broker again and again; while it is gone, the last answer stands. */
import type { Connection } from 'rabbitmq-client';
import { queueOf, services, type Service } from './store.ts';

export class QueueDepth {
  readonly waiting: Record<Service, number> = { inventory: 0, payment: 0, shipping: 0 };
  readonly #connection: Connection;
  readonly #prefix: string;
  readonly #timer: NodeJS.Timeout;
  #asking = false;

  constructor(connection: Connection, prefix: string, everyMs: number) {
    this.#connection = connection;
    this.#prefix = prefix;
    this.#timer = setInterval(() => void this.#ask(), everyMs);
  }

  get total(): number {
    return services.reduce((sum, service) => sum + this.waiting[service], 0);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #ask(): Promise<void> {
    if (this.#asking || !this.#connection.ready) return;
    this.#asking = true;
    try {
      for (const service of services) {
        const answer = await this.#connection.queueDeclare({ queue: queueOf(this.#prefix, service), passive: true });
        this.waiting[service] = answer.messageCount;
      }
    } catch {
      // The broker went away in between; asked again once it is back.
    } finally {
      this.#asking = false;
    }
  }
}
