import type { Batch, CommitReceiver } from '../engine.ts';
import type { BatchHost } from './batch-host.ts';

/** What is begun once the engine failed: nothing in it is done or kept, and its commit fails. */
export class FailedBatch implements Batch {
  readonly #host: BatchHost;

  constructor(host: BatchHost) {
    this.#host = host;
  }

  append(): void {}

  settle(): void {}

  put(): void {}

  together(): void {}

  commit<T>(receiver: CommitReceiver<T>, token: T): void {
    this.#host.committed(receiver, token, null, false);
  }
}
