/** Notes, while a route is searched, what keeps repeats of a message from its queues: each queue's own, and the exchanges on its way. */
import type { Guard } from './deduplication.ts';
import type { Exchange } from './exchange/exchange.ts';
import type { Queue } from './queue.ts';

export class Guards {
  /** The exchanges with deduplication on the way through this one, itself included. Null: there is none at all. */
  #ways: Map<Exchange, readonly Exchange[]> | null = null;
  #found: Map<Exchange | Queue, Guard & { readonly queues: Queue[] }> | null = null;

  /** The search goes on from one exchange to the next. */
  follow(seen: Set<Exchange>, from: Exchange, to: Exchange): void {
    if (seen.has(to)) return;
    seen.add(to);
    const way = this.#way(from);
    if (way.length > 0) (this.#ways ??= new Map()).set(to, to.deduplication === null ? way : [...way, to]);
  }

  /** The search found a queue through an exchange. */
  add(queues: Set<Queue>, through: Exchange, queue: Queue): void {
    if (queues.has(queue)) return;
    queues.add(queue);
    for (const exchange of this.#way(through)) this.#guard(exchange, exchange.deduplication!, exchange.owned!, queue);
    const own = queue.settings.deduplication;
    if (own !== null) this.#guard(queue, own, queue, queue);
  }

  found(): readonly Guard[] | null {
    return this.#found === null ? null : Array.from(this.#found.values());
  }

  #way(exchange: Exchange): readonly Exchange[] {
    return this.#ways?.get(exchange) ?? (exchange.deduplication === null ? [] : [exchange]);
  }

  #guard(key: Exchange | Queue, by: Guard['by'], owner: Queue, queue: Queue): void {
    this.#found ??= new Map();
    const known = this.#found.get(key);
    if (known === undefined) this.#found.set(key, { by, owner, queues: [queue] });
    else known.queues.push(queue);
  }
}
