/** Dead letters that wait: for space on a full disk, or for somebody who takes them. Numbers alone: it may be a whole backlog. */
import type { EngineQueue, Lease } from '../../engine/engine.ts';
import type { DeathReason } from './death.ts';

/** Of one queue, held under one lease, for one reason. */
export interface WaitingLetters {
  readonly queue: EngineQueue;
  readonly lease: Lease;
  readonly reason: DeathReason;
  readonly numbers: number[];
}

/** One entry for each queue, lease and reason, however the letters of several queues alternate. */
export class WaitingList {
  readonly #entries = new Map<string, WaitingLetters>();

  get size(): number {
    return this.#entries.size;
  }

  entries(): Iterable<WaitingLetters> {
    return this.#entries.values();
  }

  add(queue: EngineQueue, lease: Lease, reason: DeathReason, numbers: readonly number[]): void {
    const key = `${lease.id} ${reason} ${queue.key}`;
    let entry = this.#entries.get(key);
    // Numbers of a queue that is deleted mean nothing to one of the same name.
    if (entry === undefined || entry.queue.deleted) {
      entry = { queue, lease, reason, numbers: [] };
      this.#entries.set(key, entry);
    }
    for (const number of numbers) entry.numbers.push(number);
  }

  addAll(entries: Iterable<WaitingLetters>): void {
    for (const { queue, lease, reason, numbers } of entries) this.add(queue, lease, reason, numbers);
  }
}
