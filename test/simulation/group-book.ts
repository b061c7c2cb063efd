/** What message groups promise, of one queue in one life of the engine: one owner of a key at a time, and its order. */
import type { Copy, ModelQueue } from './model.ts';
import { groupOf } from './payload.ts';

export class GroupBook {
  /** Of each key and priority: the order of what was delivered for the first time last. */
  readonly #firsts = new Map<string, number>();
  /** Of each key of which something was given back: what was held of it beside that. */
  readonly #draining = new Map<number, readonly Copy[]>();

  /** What is wrong with this delivery; null: nothing. */
  judge(queue: ModelQueue, copy: Copy, owner: string, noAck: boolean): string | null {
    const key = groupOf(copy.messageId);
    if (queue.limits.groupBy === undefined || key === 0) return null;
    const other = heldOf(queue, key).find((held) => held.owner !== owner);
    if (other !== undefined) return `${other.owner} has its key, with append ${other.appendId}`;
    // What was given back since, and is held for its removal, waits for nobody.
    const before = this.#draining.get(key)?.find(({ holder, owner }) => holder !== null && owner !== '');
    if (before !== undefined) return `something of its key was given back, and append ${before.appendId} is still held`;
    this.#draining.delete(key);
    // At most once, the delivery comes later than the choice.
    if (noAck || copy.deliveries > 0 || copy.dueAt !== 0 || copy.displaced) return null;
    const place = `${key} ${copy.priority}`;
    const last = this.#firsts.get(place) ?? -1;
    this.#firsts.set(place, Math.max(last, copy.order));
    return copy.order < last ? 'overtaken by a later one of its key' : null;
  }

  /** These were given back for certain, and what is to be delivered again is. */
  gaveBack(queue: ModelQueue, copies: readonly Copy[]): void {
    if (queue.limits.groupBy === undefined || queue.limits.deliveryLimit !== undefined) return;
    for (const { messageId } of copies) {
      const key = groupOf(messageId);
      const held = heldOf(queue, key);
      if (key !== 0 && held.length > 0) this.#draining.set(key, held);
    }
  }

  /** The process ended. */
  forget(): void {
    this.#firsts.clear();
    this.#draining.clear();
  }
}

function heldOf(queue: ModelQueue, key: number): Copy[] {
  return [...queue.copies.values()].filter(
    (copy) => copy.holder !== null && copy.owner !== '' && groupOf(copy.messageId) === key,
  );
}
