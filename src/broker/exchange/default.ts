import type { FieldTable } from '../../format/field-table.ts';
import type { Destination } from '../binding.ts';
import type { Queue } from '../queue.ts';
import type { Matcher } from './matcher.ts';

/** The default exchange: every queue is bound to it by its name, and nothing else can be (0-9-1 §3.1.3.1). */
export class DefaultMatcher implements Matcher {
  readonly byHeaders = false;
  readonly #queues: ReadonlyMap<string, Queue>;

  constructor(queues: ReadonlyMap<string, Queue>) {
    this.#queues = queues;
  }

  add(): void {
    throw new Error('the default exchange has no bindings');
  }

  remove(): void {
    throw new Error('the default exchange has no bindings');
  }

  match(routingKey: string, _headers: FieldTable | null, found: Set<Destination>): void {
    const queue = this.#queues.get(routingKey);
    if (queue !== undefined) found.add(queue);
  }
}
