import type { Targets } from '../engine.ts';
import type { LocalQueue } from './queue.ts';

/** Where an append goes, with what the hot path asks first. */
export class LocalTargets implements Targets {
  readonly queues: readonly LocalQueue[];
  readonly envelope: Buffer;
  /** Some queue is durable. */
  readonly durable: boolean;
  /** No queue can refuse an append: none is gone, damaged or refuses at a limit. */
  plain = false;
  /** Of the topology for which `plain` was found. */
  version = 0;

  constructor(queues: readonly LocalQueue[], envelope: Buffer) {
    this.queues = queues;
    this.envelope = envelope;
    this.durable = queues.some((queue) => queue.durable);
  }

  check(version: number): void {
    this.version = version;
    this.plain =
      this.queues.length > 0 &&
      !this.queues.some((queue) => queue.deleted || queue.damage !== null || queue.refusesAtLimit);
  }
}
