/** What a server has seen, since it began. */
import { performance } from 'node:perf_hooks';

/** The same client's troubles are not told more often. */
const tellAgainMs = 10_000;

export class Traffic {
  bytesReceived = 0;
  /** To clients that are gone. */
  bytesSent = 0;
  messagesReceived = 0;
  messagesSent = 0;
  /** Messages of QoS 0 that clients did not take. */
  dropped = 0;
  /** Most connections at once. */
  mostConnections = 0;
  /** Connections that were let in. */
  connections = 0;
  readonly #told = new WeakMap<object, number>();

  connected(now: number): void {
    this.connections++;
    if (now > this.mostConnections) this.mostConnections = now;
  }

  mayTell(connection: object): boolean {
    const now = performance.now();
    if (now - (this.#told.get(connection) ?? -Infinity) < tellAgainMs) return false;
    this.#told.set(connection, now);
    return true;
  }
}
