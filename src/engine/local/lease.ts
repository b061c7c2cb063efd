import type { Lease } from '../engine.ts';
import type { LocalConsumer } from './consumer.ts';
import type { LocalQueue } from './queue.ts';

/** A holder of deliveries. Lasts as long as the process unless it is released. */
export class LocalLease implements Lease {
  readonly id: number;
  lost = false;
  readonly consumers = new Set<LocalConsumer>();
  /** Queues of which it may hold something. */
  readonly queues = new Set<LocalQueue>();
  #latest: LocalQueue | null = null;

  constructor(id: number) {
    this.id = id;
  }

  /** It may hold something of the queue from now on, until the queue is deleted or the lease is released. */
  mayHold(queue: LocalQueue): void {
    if (this.#latest === queue) return;
    this.#latest = queue;
    this.queues.add(queue);
    queue.leases.add(this);
  }

  /** The queue is deleted. */
  forget(queue: LocalQueue): void {
    if (this.#latest === queue) this.#latest = null;
    this.queues.delete(queue);
  }

  /** Nothing is held any more. */
  end(): void {
    for (const queue of this.queues) queue.leases.delete(this);
    this.queues.clear();
    this.#latest = null;
  }
}
