/** The ids that messages of a batch will be remembered by once it is applied, and those that they push out of their scopes, for judging the messages behind them. */
import type { EngineQueue, GuardingId } from '../engine.ts';
import type { IdWindow } from './id-window.ts';

/** What the batch will have done to a scope. */
interface Scope {
  /** Oldest first. */
  readonly ids: Set<string>;
  /** Of ids that are remembered now, and the oldest of those that will be then. */
  readonly before: IterableIterator<string>;
  readonly forgotten: Set<string>;
  size: number;
}

export class EarlierIds {
  readonly #windowOf: (owner: EngineQueue) => IdWindow | undefined;
  readonly #hash: (id: string) => string;
  readonly #scopes = new Map<EngineQueue, Scope>();

  constructor(windowOf: (owner: EngineQueue) => IdWindow | undefined, hash: (id: string) => string) {
    this.#windowOf = windowOf;
    this.#hash = hash;
  }

  has({ owner, id }: GuardingId): boolean {
    return this.#scopes.get(owner)?.ids.has(this.#hash(id)) === true;
  }

  /** Whether an id that is remembered now will not be by then. */
  hasPushedOut({ owner, id }: GuardingId): boolean {
    return this.#scopes.get(owner)?.forgotten.has(this.#hash(id)) === true;
  }

  /** These queues are to get a message with these ids. */
  add(queues: readonly EngineQueue[], guards: readonly GuardingId[]): void {
    for (const { id, owner, queues: guarded, windowMs, windowCount } of guards) {
      if (!guarded.some((queue) => queues.includes(queue))) continue;
      const hash = this.#hash(id);
      const window = this.#windowOf(owner);
      let scope = this.#scopes.get(owner);
      if (scope === undefined) {
        const before = window?.hashes() ?? [].values();
        scope = { ids: new Set(), before, forgotten: new Set(), size: window?.size ?? 0 };
        this.#scopes.set(owner, scope);
      }
      const { ids, forgotten } = scope;
      // One whose time is over is remembered again, as the newest.
      const isThere = ids.delete(hash) || (window?.rememberedAt(hash) !== undefined && !forgotten.has(hash));
      ids.add(hash);
      if (!isThere) scope.size++;
      if (windowMs !== 'resident') for (; scope.size > windowCount; scope.size--) forgetOldest(scope);
    }
  }
}

function forgetOldest({ ids, before, forgotten }: Scope): void {
  for (let next = before.next(); next.done !== true; next = before.next()) {
    // What was remembered again is no longer where it was.
    if (ids.has(next.value)) continue;
    forgotten.add(next.value);
    return;
  }
  for (const oldest of ids) {
    ids.delete(oldest);
    return;
  }
}
