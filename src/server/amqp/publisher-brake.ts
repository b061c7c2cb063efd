import type { Pressure } from '../../broker/index.ts';
import { connectionBlocked, connectionUnblocked } from '../../wire/amqp/connection-methods.ts';
import type { Connection } from './connection.ts';
import type { ReadPauses } from '../socket/read-pauses.ts';

/** Stops reading from a publisher while the broker can't take more, and tells it why where that may last. */
export class PublisherBrake {
  readonly #connection: Connection;
  readonly #pauses: ReadPauses;
  #told = false;

  constructor(connection: Connection, pauses: ReadPauses) {
    this.#connection = connection;
    this.#pauses = pauses;
  }

  follow({ blocked, behind }: Pressure): void {
    this.#pauses.set('blocked', blocked !== null);
    this.#pauses.set('behind', behind);
    // Told once, whatever else goes wrong meanwhile.
    if (this.#told === (blocked !== null)) return;
    this.#told = blocked !== null;
    const { client, output } = this.#connection;
    if (!client.connectionBlocked) return;
    output.writeFrame(
      blocked === null ? connectionUnblocked.frame(0, {}) : connectionBlocked.frame(0, { reason: blocked }),
    );
  }
}
