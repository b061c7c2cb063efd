import { FieldDecimal, FieldTimestamp, type FieldTable, type FieldValue } from '../format/field-table.ts';
import { BrokerError } from './broker-error.ts';
import type { TopologyGraph } from './topology-graph.ts';

/** What a field takes besides the bytes of its name and its value, about. */
const fieldBytes = 64;

/** About how much memory the arguments of a declaration or a binding take. Many empty fields in a frame take far more than the frame. */
export function argumentBytes(given: FieldTable): number {
  let bytes = 0;
  for (const name in given) bytes += fieldBytes + name.length + valueBytes(given[name]!);
  return bytes;
}

function valueBytes(value: FieldValue): number {
  if (typeof value === 'string' || value instanceof Uint8Array) return value.length;
  if (typeof value !== 'object' || value === null) return 0;
  if (value instanceof FieldTimestamp || value instanceof FieldDecimal) return fieldBytes;
  if (Array.isArray(value))
    return (value as FieldValue[]).reduce<number>((sum, each) => sum + fieldBytes + valueBytes(each), 0);
  return fieldBytes + argumentBytes(value as FieldTable);
}

/** Of all queues, exchanges and bindings together, before one more is made. @throws BrokerError PRECONDITION_FAILED */
export function requireArgumentRoom(graph: TopologyGraph, given: FieldTable, mostBytes: number, what: string): void {
  const bytes = argumentBytes(given);
  if (bytes === 0 || graph.argumentBytes + bytes <= mostBytes) return;
  const text = `cannot ${what}: argument limit in vhost '${graph.vhost}' (${mostBytes} bytes) is reached: its arguments take ${bytes}`;
  throw new BrokerError('PRECONDITION_FAILED', text);
}
