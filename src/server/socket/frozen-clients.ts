import type { Pressure } from '../../broker/index.ts';
import type { OutputBudget } from './output-budget.ts';
import { chunkBytes, type Output } from './output.ts';

/** A connection, as far as what it takes is concerned. */
export interface Recipient {
  readonly output: Pick<Output, 'unsent' | 'taken'>;
  log(line: string): void;
  /** Ends it without a word. */
  cut(): void;
}

/** Who takes less between two looks, and has as much, counts as one that takes nothing. */
const leastProgressBytes = chunkBytes;

/**
 * Ends clients that take nothing, or next to nothing, of what waits for them, while memory is short or all outputs together are full. Each alone is bounded;
 * many of them together would keep what the others wait for, for as long as they like.
 */
export class FrozenClients {
  readonly #connections: ReadonlySet<Recipient>;
  readonly #frozenAfterMs: number;
  readonly #pressure: Pressure;
  readonly #budget: OutputBudget;
  #timer: NodeJS.Timeout | null = null;
  /** Those that were full when last looked at, and what they had taken until then. */
  #full = new Map<Recipient, number>();

  constructor(
    connections: ReadonlySet<Recipient>,
    settings: { readonly frozenAfterMs: number },
    pressure: Pressure,
    budget: OutputBudget,
  ) {
    this.#connections = connections;
    this.#frozenAfterMs = settings.frozenAfterMs;
    this.#pressure = pressure;
    this.#budget = budget;
  }

  start(): void {
    this.#timer ??= setInterval(() => this.#look(), this.#frozenAfterMs).unref();
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
        const seconds = this.#frozenAfterMs / 1000;
        const why = isNarrow ? 'others wait for room' : 'memory is short';
        connection.log(
          `took ${progress === 0 ? 'nothing' : progress} of ${unsent} bytes for ${seconds} s while ${why}`,
        );
        freedBytes += unsent;
        connection.cut();
      } else {
        this.#full.set(connection, taken);
      }
    }
  }
}
