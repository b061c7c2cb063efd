import { FieldDecimal, type FieldTable, FieldTimestamp, type FieldValue } from '../format/field-table.ts';

/** The type of a field as RabbitMQ's texts call it. The width that a client gave an integer isn't kept, so that is the narrowest of I and l. */
export function fieldType(value: FieldValue): string {
  switch (typeof value) {
    case 'string':
      return 'longstr';
    case 'boolean':
      return 'bool';
    case 'bigint':
      return 'long';
    case 'number':
      if (!Number.isInteger(value)) return 'double';
      return value >= -0x8000_0000 && value <= 0x7fff_ffff ? 'signedint' : 'long';
    default:
      if (value === null) return 'void';
      if (value instanceof Uint8Array) return 'binary';
      if (value instanceof FieldTimestamp) return 'timestamp';
      if (value instanceof FieldDecimal) return 'decimal';
      return Array.isArray(value) ? 'array' : 'table';
  }
}

/** Equal in type and value; integers of any width are of one type. */
export function equalFields(one: FieldValue, other: FieldValue): boolean {
  if (one === other) return true;
  if (one === null || other === null || typeof one !== 'object' || typeof other !== 'object') return false;
  if (one instanceof Uint8Array) return other instanceof Uint8Array && Buffer.compare(one, other) === 0;
  if (one instanceof FieldTimestamp) return other instanceof FieldTimestamp && one.seconds === other.seconds;
  if (one instanceof FieldDecimal) {
    return other instanceof FieldDecimal && one.scale === other.scale && one.value === other.value;
  }
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const left = Object.entries(one as FieldTable);
  const right = other as FieldTable;
  return (
    left.length === Object.keys(other).length &&
    left.every(([name, value]) => Object.hasOwn(right, name) && equalFields(value, right[name]!))
  );
}

export function fieldText(value: FieldValue): string {
  if (typeof value === 'object' && value !== null) return fieldType(value);
  return String(value);
}
