/** Where a service works on its orders: for a moment each, recorded when it begins and before it is acknowledged. */
import { setTimeout as sleep } from 'node:timers/promises';
import { FileRecorder } from '../verify/file-recorder.ts';
import type { WorkReport } from './role.ts';
import { pace, type Order, type Service } from './store.ts';

/** An order as it was delivered. */
export interface Delivered {
  /** One life of one consumer. */
  readonly consumer: string;
  readonly id: string;
  /** Of the bytes. */
  readonly hash: string;
  readonly redelivered: boolean;
  readonly order: Order;
}

export class Workbench {
  readonly recorder: FileRecorder;
  /** The service's consumer has its queue. */
  ready = false;
  readonly #queue: string;
  readonly #workMs: number;
  #received = 0;
  #redelivered = 0;
  #open = 0;

  constructor(historyDirectory: string, service: Service, queue: string) {
    this.recorder = FileRecorder.in(historyDirectory, service);
    this.#queue = queue;
    this.#workMs = pace[service].workMs;
  }

  report(): WorkReport {
    return { received: this.#received, redelivered: this.#redelivered, open: this.#open, ready: this.ready };
  }

  async work({ consumer, id, hash, redelivered, order }: Delivered): Promise<void> {
    this.recorder.delivered(this.#queue, consumer, id, hash, redelivered);
    this.#received++;
    if (redelivered) this.#redelivered++;
    this.#open++;
    try {
      await sleep(this.#workMs * order.quantity);
      this.recorder.settle(this.#queue, consumer, id);
    } finally {
      this.#open--;
    }
  }
}
