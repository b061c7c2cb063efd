import type { Holders } from './holders.ts';
import type { Ledger } from './ledger.ts';

/**
 * Finds the oldest unacknowledged delivery for each time that deliveries may stay so. From one look to the next the oldest only
 * moves on, so a look begins where the last one ended: no delivery is passed again and again.
 */
export class OldestDeliveries {
  /** By time: no lower tag has it. */
  #from = new Map<number | null, number>();
  /** The same for a time that had no delivery at the last look. */
  #next = 0;

  find(
    holders: Holders,
    ledger: Ledger,
    inTransaction: Iterable<{ readonly tag: number; readonly holder: number }>,
    except: ReadonlyMap<number, unknown> | null,
  ): Map<number | null, number> {
    const missing = holders.timeouts();
    const lowest = new Map<number | null, number>();
    const oldest = new Map<number | null, number>();
    const note = (tag: number, holder: number): void => {
      const { timeoutMs } = holders.at(holder);
      lowest.set(timeoutMs, Math.min(tag, lowest.get(timeoutMs) ?? tag));
      if (except?.has(tag) !== true) oldest.set(timeoutMs, Math.min(tag, oldest.get(timeoutMs) ?? tag));
    };
    for (const { tag, holder } of inTransaction) if (holders.at(holder).timeoutMs !== 0) note(tag, holder);
    let from = Infinity;
    for (const timeoutMs of missing) {
      const tag = this.#from.get(timeoutMs) ?? this.#next;
      const holder = ledger.holderOf(tag);
      if (holder >= 0 && holders.at(holder).timeoutMs === timeoutMs && except?.has(tag) !== true) {
        note(tag, holder);
        missing.delete(timeoutMs);
      } else from = Math.min(from, tag);
    }
    if (missing.size > 0) {
      ledger.each((tag, holder) => {
        const { timeoutMs } = holders.at(holder);
        if (!missing.has(timeoutMs)) return true;
        note(tag, holder);
        if (except?.has(tag) !== true) missing.delete(timeoutMs);
        return missing.size > 0;
      }, from);
    }
    for (const timeoutMs of missing) if (!lowest.has(timeoutMs)) lowest.set(timeoutMs, ledger.next);
    this.#from = lowest;
    this.#next = ledger.next;
    return oldest;
  }
}
