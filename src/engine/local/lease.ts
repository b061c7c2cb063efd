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

  constructor(id: number) {
    this.id = id;
  }
}
