import type { Pressure } from '../../broker/index.ts';
import type { Connection } from './connection.ts';
import type { AmqpSettings } from './settings.ts';

/**
 * Ends clients that take nothing of what waits for them, while memory is short. Each alone is bounded; many of them together
 * would keep the memory that the publishers are blocked for, for as long as they like.
 */
export class FrozenClients {
  readonly #connections: ReadonlySet<Connection>;
  readonly #settings: AmqpSettings;
  #timer: NodeJS.Timeout | null = null;
  /** Those that were full when last looked at, and what they had taken until then. */
  #full = new Map<Connection, number>();

  constructor(connections: ReadonlySet<Connection>, settings: AmqpSettings) {
    this.#connections = connections;
    this.#settings = settings;
  }

  follow({ lowOnMemory }: Pressure): void {
    if (!lowOnMemory) this.stop();
    else this.#timer ??= setInterval(() => this.#look(), this.#settings.frozenAfterMs).unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#full.clear();
  }

  #look(): void {
    const { maxUnsentBytes, frozenAfterMs } = this.#settings;
    const before = this.#full;
    this.#full = new Map();
    for (const connection of this.#connections) {
      const { unsent, taken } = connection.output;
      if (unsent < maxUnsentBytes) continue;
      if (before.get(connection) === taken) {
        connection.log(`took nothing of ${unsent} bytes for ${frozenAfterMs / 1000} s while memory is short`);
        connection.ending.destroy();
      } else {
        this.#full.set(connection, taken);
      }
    }
  }
}
