import { performance } from 'node:perf_hooks';

/** Whoever is at its handshake for less is let go on: it may be one of many that come back after a restart. */
const graceMs = 1_000;

/** Somebody who has not logged in: a connection, or a socket at its TLS handshake. */
export interface Entrant {
  /** Gives its place to another. */
  cut(): void;
}

/**
 * Connections that have not logged in. They are few, and give way: neither to wait without a word nor to come in numbers keeps
 * clients out.
 */
export class Entrance {
  readonly #most: number;
  /** The one that waits longest first. */
  readonly #since = new Map<Entrant, number>();

  constructor(most: number) {
    this.#most = most;
  }

  get isFull(): boolean {
    return this.#since.size >= this.#most;
  }

  add(entrant: Entrant): void {
    this.#since.set(entrant, performance.now());
  }

  /** It is open, or gone. */
  remove(entrant: Entrant): void {
    this.#since.delete(entrant);
  }

  /** Cuts the one that waits longest. False: none has waited for long. */
  makeRoom(): boolean {
    for (const [entrant, since] of this.#since) {
      if (performance.now() - since < graceMs) return false;
      this.#since.delete(entrant);
      entrant.cut();
      return true;
    }
    return false;
  }
}
