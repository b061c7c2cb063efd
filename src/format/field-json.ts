/** Field tables as JSON, for people and their tools: what JSON has no type for becomes what is nearest. */
import { FieldDecimal, FieldTimestamp, type FieldTable, type FieldValue } from './field-table.ts';

export type PlainValue = null | boolean | number | string | readonly PlainValue[] | { [name: string]: PlainValue };

/** Bytes become base64, times ISO 8601, integers beyond 2^53 and what is no number their digits. */
export function plainValue(value: FieldValue): PlainValue {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (value instanceof FieldTimestamp) return isoTime(value.seconds);
  if (value instanceof FieldDecimal) return value.value / 10 ** value.scale;
  if (Array.isArray(value)) return (value as readonly FieldValue[]).map(plainValue);
  return plainTable(value as FieldTable);
}

export function plainTable(table: FieldTable): { [name: string]: PlainValue } {
  // By entries, so that a field `__proto__` is a field.
  return Object.fromEntries(Object.entries(table).map(([name, value]) => [name, plainValue(value)]));
}

/** A time that no calendar has stays a number. */
function isoTime(seconds: number): PlainValue {
  const time = new Date(seconds * 1000);
  return Number.isNaN(time.getTime()) ? seconds : time.toISOString();
}
