import type { MessageView } from '../../engine/engine.ts';
import type { FieldTable } from '../../format/field-table.ts';
import type { Binding, Destination } from '../binding.ts';

/** What an exchange type is: which of its bindings a message matches. */
export interface Matcher {
  /** Its answer depends on headers or properties, so it can't be kept by routing key. */
  readonly byHeaders: boolean;
  /** Whether a binding can be: @throws BrokerError PRECONDITION_FAILED */
  check?(routingKey: string, given: FieldTable): void;
  add(binding: Binding): void;
  remove(binding: Binding): void;
  /** Adds the destinations of the matching bindings. `message` is null where only the routing key is known. */
  match(routingKey: string, headers: FieldTable | null, found: Set<Destination>, message: MessageView | null): void;
}
