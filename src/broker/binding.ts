import { encodeFieldTable, type FieldTable } from '../format/field-table.ts';
import type { Exchange } from './exchange/exchange.ts';
import type { Queue } from './queue.ts';

export type Destination = Queue | Exchange;

export interface Binding {
  readonly source: Exchange;
  readonly destination: Destination;
  readonly routingKey: string;
  readonly arguments: FieldTable;
  /** Identifies the binding among those of its source. */
  readonly key: string;
  /** Durable as both of its ends are. */
  readonly durable: boolean;
}

export function bindingKey(destination: Destination, routingKey: string, given: FieldTable): string {
  const names = Object.keys(given).sort();
  let key = `${destination.kind}:${joinKey([destination.name, routingKey])}`;
  if (names.length > 0) {
    // Arguments in another order are the same binding.
    key += encodeFieldTable(Object.fromEntries(names.map((name) => [name, given[name]!]))).toString('base64');
  }
  return key;
}

/** Names joined so that no two lists give the same key, whatever characters are in them. */
export function joinKey(parts: readonly string[]): string {
  return parts.map((part) => `${part.length}:${part}`).join('');
}
