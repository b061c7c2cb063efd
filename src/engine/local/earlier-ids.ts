/** The ids that messages of a batch will be remembered by once it is applied, for judging those behind them. */
import type { EngineQueue, GuardingId } from '../engine.ts';

export class EarlierIds {
  /** By the owner of the scope, oldest first. */
  readonly #ids = new Map<EngineQueue, Set<string>>();

  has({ owner, id }: GuardingId): boolean {
    return this.#ids.get(owner)?.has(id) === true;
  }

  /** These queues are to get a message with these ids. */
  add(queues: readonly EngineQueue[], guards: readonly GuardingId[]): void {
    for (const { id, owner, queues: guarded, windowMs, windowCount } of guards) {
      if (!guarded.some((queue) => queues.includes(queue))) continue;
      let ids = this.#ids.get(owner);
      if (ids === undefined) this.#ids.set(owner, (ids = new Set()));
      ids.add(id);
      // The scope will have forgotten the oldest by then.
      if (windowMs === 'resident' || ids.size <= windowCount) continue;
      for (const oldest of ids) {
        ids.delete(oldest);
        break;
      }
    }
  }
}
