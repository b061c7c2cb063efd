import { performance } from 'node:perf_hooks';
import type { Connection } from './connection.ts';

/** Whoever is at its handshake for less is let go on: it may be one of many that come back after a restart. */
const graceMs = 1_000;

/**
 * Connections that have not logged in. They are few, and give way: neither to wait without a word nor to come in numbers keeps
 * clients out.
 */
export class Entrance {
  readonly #most: number;
  /** The one that waits longest first. */
  readonly #since = new Map<Connection, number>();

  constructor(most: number) {
    this.#most = most;
  }

  get isFull(): boolean {
    return this.#since.size >= this.#most;
  }

  add(connection: Connection): void {
    this.#since.set(connection, performance.now());
  }

  /** It is open, or gone. */
  remove(connection: Connection): void {
    this.#since.delete(connection);
  }

  /** Cuts the one that waits longest. False: none has waited for long. */
  makeRoom(): boolean {
    for (const [connection, since] of this.#since) {
      if (performance.now() - since < graceMs) return false;
      this.#since.delete(connection);
      connection.ending.destroy();
      return true;
    }
    return false;
  }
}
