/**
 * Hot: a batch that is begun with its first item, as one that was begun must be committed, and that knows how many items it has:
 * outcomes are told by their numbers, and a settlement whose delivery is gone may never become one.
 */
import type { Batch, Broker, CommitReceiver, EngineQueue, MessageView, Targets } from '../../broker/index.ts';
import type { Lease, Settlement } from '../../engine/engine.ts';

export class CountedBatch implements Batch {
  items = 0;
  readonly #broker: Broker;
  readonly #atomic: 'required' | undefined;
  #batch: Batch | null = null;

  constructor(broker: Broker, atomic?: 'required') {
    this.#broker = broker;
    this.#atomic = atomic;
  }

  append(targets: Targets, message: MessageView): void {
    this.items += 1;
    this.#begun().append(targets, message);
  }

  settle(lease: Lease, queue: EngineQueue, first: number, count: number, settlement: Settlement): void {
    this.items += 1;
    this.#begun().settle(lease, queue, first, count, settlement);
  }

  put(key: string, value: Uint8Array | null, expectedRevision?: number): void {
    this.items += 1;
    this.#begun().put(key, value, expectedRevision);
  }

  together(): void {
    this.#begun().together();
  }

  /** Of nothing it is none, and nobody is told. It may be filled anew then. */
  commit<T>(receiver: CommitReceiver<T>, token: T): void {
    const batch = this.#batch;
    this.#batch = null;
    this.items = 0;
    batch?.commit(receiver, token);
  }

  #begun(): Batch {
    this.#batch ??= this.#broker.begin(this.#atomic);
    return this.#batch;
  }
}
