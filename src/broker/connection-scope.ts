import type { Queue } from './queue.ts';
import type { Vhost } from './vhost.ts';

/** What lives as long as one connection: its exclusive queues. Their owner is told by identity. */
export class ConnectionScope {
  readonly vhost: Vhost;
  /** For people: "127.0.0.1:50312 -> 127.0.0.1:5672". */
  readonly name: string;
  readonly exclusiveQueues = new Set<Queue>();

  constructor(vhost: Vhost, name: string) {
    this.vhost = vhost;
    this.name = name;
  }

  /** Deletes the exclusive queues; sessions are closed before. */
  async close(): Promise<void> {
    await this.vhost.queues.drop(this.exclusiveQueues);
  }
}
