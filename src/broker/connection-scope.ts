import type { Queue } from './queue.ts';

/** What lives as long as one connection: its exclusive queues. Their owner is told by identity. */
export class ConnectionScope {
  /** For people: "127.0.0.1:50312 -> 127.0.0.1:5672". */
  readonly name: string;
  readonly exclusiveQueues = new Set<Queue>();

  constructor(name: string) {
    this.name = name;
  }

  /** Deletes the exclusive queues; sessions are closed before. */
  async close(): Promise<void> {
    await Promise.all(Array.from(this.exclusiveQueues, (queue) => queue.delete()));
  }
}
