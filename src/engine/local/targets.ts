import type { Targets } from '../engine.ts';
import { MAX_ENVELOPE_BYTES } from '../limits.ts';
import type { LocalQueue } from './queue.ts';

/** Where an append goes, with what the hot path asks first. */
export class LocalTargets implements Targets {
  readonly queues: readonly LocalQueue[];
  readonly envelope: Buffer;
  /** Some queue is durable. */
  readonly durable: boolean;
  /** Nothing here refuses an append: no queue is gone, damaged or refuses at a limit, and the envelope is not too large. */
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
      this.envelope.length <= MAX_ENVELOPE_BYTES &&
      !this.queues.some((queue) => queue.deleted || queue.damage !== null || queue.refusesAtLimit);
  }
}
