import type { Pressure } from '../../broker/index.ts';
import type { Connection } from './connection.ts';
import type { OutputBudget } from './output-budget.ts';
import { chunkBytes } from './output.ts';
import type { AmqpSettings } from './settings.ts';

/** Who takes less between two looks, and has as much, counts as one that takes nothing. */
const leastProgressBytes = chunkBytes;

/**
 * Ends clients that take nothing, or next to nothing, of what waits for them, while memory is short or all outputs together are full. Each alone is bounded;
 * many of them together would keep what the others wait for, for as long as they like.
 */
export class FrozenClients {
  readonly #connections: ReadonlySet<Connection>;
  readonly #settings: AmqpSettings;
  readonly #pressure: Pressure;
  readonly #budget: OutputBudget;
  #timer: NodeJS.Timeout | null = null;
  /** Those that were full when last looked at, and what they had taken until then. */
  #full = new Map<Connection, number>();

  constructor(connections: ReadonlySet<Connection>, settings: AmqpSettings, pressure: Pressure, budget: OutputBudget) {
    this.#connections = connections;
    this.#settings = settings;
    this.#pressure = pressure;
    this.#budget = budget;
  }

  start(): void {
    this.#timer ??= setInterval(() => this.#look(), this.#settings.frozenAfterMs).unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#full.clear();
  }

  #look(): void {
    const before = this.#full;
    this.#full = new Map();
    const { limit, isNarrow } = this.#budget;
    const { lowOnMemory } = this.#pressure;
    if (!lowOnMemory && !isNarrow) return;
    // Their chunks come back once their sockets are closed.
    let freedBytes = 0;
    for (const connection of this.#connections) {
      const { unsent, taken } = connection.output;
      if (unsent < limit) continue;
      const takenBefore = before.get(connection);
      const progress = takenBefore === undefined ? Infinity : taken - takenBefore;
      const isFrozen = progress < Math.min(unsent, leastProgressBytes);
      if (isFrozen && (lowOnMemory || !this.#budget.isWideWithout(freedBytes))) {
        const seconds = this.#settings.frozenAfterMs / 1000;
        const why = isNarrow ? 'others wait for room' : 'memory is short';
        connection.log(
          `took ${progress === 0 ? 'nothing' : progress} of ${unsent} bytes for ${seconds} s while ${why}`,
        );
        freedBytes += unsent;
        connection.ending.destroy();
      } else {
        this.#full.set(connection, taken);
      }
    }
  }
}
