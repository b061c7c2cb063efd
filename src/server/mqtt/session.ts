import type { Batch, Principal, Subscriber, Vhost } from '../../broker/index.ts';
import type { Connection } from './connection.ts';
import type { PacketState } from './packet-state.ts';
import { encodeRecord, neverExpires } from './session-record.ts';
import type { RetainedSender } from './retained.ts';
import type { Will } from './will.ts';

/** Names of what is stored of a durable session. */
export const stateName = { record: 'session', packets: 'packets', retained: 'retained' } as const;

/** What a client and the server share beyond one connection (5.0 §4.1): subscriptions, messages on their way, packet ids, a will. */
export class MqttSession {
  readonly key: string;
  readonly clientId: string;
  readonly vhost: Vhost;
  /** Null: the user is gone that it belonged to, before this start of the broker. */
  principal: Principal | null;
  /** Who the broker knows as having subscribed. */
  readonly subscriber: Subscriber;
  readonly packets: PacketState;
  /** Seconds that it lives on without a connection. */
  expirySeconds = 0;
  will: Will | null = null;
  /** Null: nothing of what is retained is still to come. */
  retained: RetainedSender | null = null;
  connection: Connection | null = null;
  /** When its connection ended, in milliseconds since the epoch; 0: it has one. */
  offlineAt = 0;
  ended = false;
  /** Messages of QoS 1 and 2 that the connected client may have on their way to it. */
  receiveMaximum = 0;
  /** Publishes the will, unless the client is back before. */
  willTimer: NodeJS.Timeout | null = null;

  constructor(
    key: string,
    clientId: string,
    vhost: Vhost,
    principal: Principal | null,
    subscriber: Subscriber,
    packets: PacketState,
  ) {
    this.key = key;
    this.clientId = clientId;
    this.vhost = vhost;
    this.principal = principal;
    this.subscriber = subscriber;
    this.packets = packets;
  }

  /** When it ends, in milliseconds since the epoch; `Infinity` while it is connected, and where it never does. */
  get endsAt(): number {
    if (this.connection !== null || this.offlineAt === 0 || this.expirySeconds === neverExpires) return Infinity;
    return this.offlineAt + this.expirySeconds * 1000;
  }

  /** The client may be sent what waits for it. */
  begin(connection: Connection): void {
    this.connection = connection;
    if (this.packets.released.size > 0 || this.subscriber.queue !== null || this.subscriber.subscriptions.size > 0) {
      connection.deliveries.begin();
    }
    this.retained?.begin();
  }

  /** Writes the ids of QoS 2 in a batch, where they have to outlive the broker. */
  storePackets(batch: Batch): void {
    this.packets.changed = false;
    if (!this.subscriber.keepsMessages || this.subscriber.removed) return;
    batch.put(this.subscriber.stateKey(stateName.packets), this.packets.isEmpty ? null : this.packets.encode());
  }

  /** Writes in the batch of its will that there is none any more: after a crash it would be published once more. */
  storeRecord(batch: Batch): void {
    if (!this.subscriber.durable || this.subscriber.removed) return;
    batch.together();
    batch.put(this.subscriber.stateKey(stateName.record), this.record());
  }

  record(): Buffer {
    const { expirySeconds, offlineAt, will } = this;
    return encodeRecord({ expirySeconds, offlineAt, will });
  }
}
