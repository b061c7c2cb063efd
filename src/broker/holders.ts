import { GetHolder, type Holder } from './holder.ts';
import type { Queue } from './queue.ts';

/** What the holder indexes of a session's ledger mean. */
export class Holders {
  readonly #byIndex: (Holder | null)[] = [];
  readonly #free: number[] = [];
  readonly #ofGets = new Map<Queue, number>();

  /** Hot. */
  at(index: number): Holder {
    return this.#byIndex[index]!;
  }

  /** The times that deliveries which are there now may stay unacknowledged: without 0, which is for ever. */
  timeouts(): Set<number | null> {
    const timeouts = new Set<number | null>();
    for (const holder of this.#byIndex) {
      if (holder !== null && holder.unacked > 0 && holder.timeoutMs !== 0) timeouts.add(holder.timeoutMs);
    }
    return timeouts;
  }

  /** An index that means nothing yet. */
  take(): number {
    return this.#free.pop() ?? this.#byIndex.push(null) - 1;
  }

  set(index: number, holder: Holder): void {
    this.#byIndex[index] = holder;
  }

  free(index: number): void {
    this.#byIndex[index] = null;
    this.#free.push(index);
  }

  /** The index of this queue's gets, which take one message more. */
  ofGet(queue: Queue): number {
    let index = this.#ofGets.get(queue);
    if (index === undefined) {
      const made = this.take();
      index = made;
      this.#byIndex[made] = new GetHolder(queue, () => {
        this.#ofGets.delete(queue);
        this.free(made);
      });
      this.#ofGets.set(queue, made);
    }
    (this.#byIndex[index] as GetHolder).took();
    return index;
  }
}
