import type { FieldTable } from '../../format/field-table.ts';
import type { Binding, Destination } from '../binding.ts';
import type { Matcher } from './matcher.ts';

/** The routing key is the binding's. */
export class DirectMatcher implements Matcher {
  readonly byHeaders = false;
  readonly #byKey = new Map<string, Set<Binding>>();

  add(binding: Binding): void {
    const bound = this.#byKey.get(binding.routingKey);
    if (bound === undefined) this.#byKey.set(binding.routingKey, new Set([binding]));
    else bound.add(binding);
  }

  remove(binding: Binding): void {
    const bound = this.#byKey.get(binding.routingKey);
    if (bound?.delete(binding) === true && bound.size === 0) this.#byKey.delete(binding.routingKey);
  }

  match(routingKey: string, _headers: FieldTable | null, found: Set<Destination>): void {
    for (const binding of this.#byKey.get(routingKey) ?? []) found.add(binding.destination);
  }
}
