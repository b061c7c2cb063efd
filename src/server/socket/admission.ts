import { performance } from 'node:perf_hooks';
import { Entrance, type Entrant } from './entrance.ts';

export interface AdmissionLimits {
  readonly maxConnections: number;
  /** Of these, how many may not have logged in; no more than a quarter of `maxConnections`. */
  readonly maxHandshakes: number;
}

/** The same is not told more often. */
const tellAgainMs = 10_000;

/** How many may be connected, and who gives way. Listeners of several protocols may share one, as they share descriptors and memory. */
export class Admission {
  readonly #maxConnections: number;
  readonly #entrance: Entrance;
  readonly #log: (line: string) => void;
  #connections = 0;
  /** When it was told last that connections are refused. */
  #toldFullAt = -Infinity;

  constructor({ maxConnections, maxHandshakes }: AdmissionLimits, log: (line: string) => void) {
    this.#maxConnections = maxConnections;
    this.#entrance = new Entrance(Math.min(maxHandshakes, Math.ceil(maxConnections / 4)));
    this.#log = log;
  }

  /** False: there is no room for one more. */
  admit(protocol: string): boolean {
    const isFull = this.#connections >= this.#maxConnections;
    if ((isFull || this.#entrance.isFull) && !this.#entrance.makeRoom()) {
      const why = isFull ? `${this.#maxConnections} are open` : 'too many are at their handshake';
      this.#tell(`${protocol}: connections are refused: ${why}`);
      return false;
    }
    return true;
  }

  /** At what comes before the protocol: TLS, HTTP. */
  entered(entrant: Entrant): void {
    this.#entrance.add(entrant);
  }

  left(entrant: Entrant): void {
    this.#entrance.remove(entrant);
  }

  connected(connection: Entrant): void {
    this.#connections += 1;
    this.#entrance.add(connection);
  }

  loggedIn(connection: Entrant): void {
    this.#entrance.remove(connection);
  }

  /** Once for each that was connected. */
  disconnected(connection: Entrant): void {
    this.#connections -= 1;
    this.#entrance.remove(connection);
  }

  #tell(line: string): void {
    const now = performance.now();
    if (now - this.#toldFullAt < tellAgainMs) return;
    this.#toldFullAt = now;
    this.#log(line);
  }
}
