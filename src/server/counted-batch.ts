/** Hot path. */
import type { Batch, EngineQueue, MessageView, Targets } from '../broker/index.ts';
import type { CommitReceiver, Lease, Settlement } from '../engine/engine.ts';

/** An engine's batch that counts its items, because the outcomes of a commit name them by number. */
export class CountedBatch implements Batch {
  items = 0;
  #batch: Batch | null = null;

  begin(batch: Batch): void {
    this.#batch = batch;
    this.items = 0;
  }

  append(targets: Targets, message: MessageView): void {
    this.items++;
    this.#batch!.append(targets, message);
  }

  settle(lease: Lease, queue: EngineQueue, first: number, count: number, settlement: Settlement): void {
    this.items++;
    this.#batch!.settle(lease, queue, first, count, settlement);
  }

  put(key: string, value: Uint8Array | null, expectedRevision?: number): void {
    this.items++;
    this.#batch!.put(key, value, expectedRevision);
  }

  together(): void {
    this.#batch!.together();
  }

  commit<T>(receiver: CommitReceiver<T>, token: T): void {
    this.#batch!.commit(receiver, token);
  }
}
