import type { FieldTable } from '../../format/field-table.ts';
import type { Binding, Destination } from '../binding.ts';
import type { Matcher } from './matcher.ts';

/** Every binding, whatever the routing key. */
export class FanoutMatcher implements Matcher {
  readonly byHeaders = false;
  readonly #bindings = new Set<Binding>();

  add(binding: Binding): void {
    this.#bindings.add(binding);
  }

  remove(binding: Binding): void {
    this.#bindings.delete(binding);
  }

  match(_routingKey: string, _headers: FieldTable | null, found: Set<Destination>): void {
    for (const binding of this.#bindings) found.add(binding.destination);
  }
}
