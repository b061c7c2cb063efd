/** Dead letters that wait: for space on a full disk, or for somebody who takes them. Numbers alone: it may be a whole backlog. */
import type { EngineQueue, Lease } from '../../engine/engine.ts';
import type { DeathReason } from './death.ts';
import type { LettersUnderWay } from './letters-under-way.ts';

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
  readonly #underWay: LettersUnderWay;

  constructor(underWay: LettersUnderWay) {
    this.#underWay = underWay;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Empties the list. Each is under way until it is said that it is not. */
  take(): WaitingLetters[] {
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    return entries;
  }

  add(queue: EngineQueue, lease: Lease, reason: DeathReason, numbers: readonly number[]): void {
    const key = `${lease.id} ${reason} ${queue.key}`;
    const entry = this.#entries.get(key);
    // Numbers of a queue that is deleted mean nothing to one of the same name.
    if (entry === undefined || entry.queue.deleted) {
      if (entry !== undefined) this.#underWay.end(entry.queue);
      // It may be a whole backlog, put back each second.
      this.#entries.set(key, { queue, lease, reason, numbers: numbers.slice() });
      this.#underWay.begin(queue);
      return;
    }
    for (const number of numbers) entry.numbers.push(number);
  }

  /** Of what was taken. */
  putBack(entries: Iterable<WaitingLetters>): void {
    for (const { queue, lease, reason, numbers } of entries) {
      this.add(queue, lease, reason, numbers);
      this.#underWay.end(queue);
    }
  }
}
