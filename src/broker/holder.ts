import type { Queue } from './queue.ts';

/** What a session's ledger says holds a delivery: one of its consumers, or its gets from one queue. */
export interface Holder {
  readonly queue: Queue;
  /** How long its deliveries may stay unacknowledged, 0: for ever; null: as long as the server says. */
  readonly timeoutMs: number | null;
  /** Its deliveries that are not settled, with those whose transaction is open. */
  readonly unacked: number;
  /** So many of its deliveries are not unacknowledged any more. */
  settled(count: number): void;
}

/** Deliveries of basic.get: nobody gets credit for them. */
export class GetHolder implements Holder {
  readonly queue: Queue;
  readonly #released: (holder: GetHolder) => void;
  unacked = 0;

  /** `released` is told when nothing is held any more. */
  constructor(queue: Queue, released: (holder: GetHolder) => void) {
    this.queue = queue;
    this.#released = released;
  }

  took(): void {
    this.unacked += 1;
  }

  get timeoutMs(): number | null {
    return this.queue.settings.consumerTimeoutMs;
  }

  settled(count: number): void {
    this.unacked -= count;
    if (this.unacked === 0) this.#released(this);
  }
}
