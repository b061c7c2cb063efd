/**
 * AMQP field tables (0-9-1 §4.2.5.5, with the type letters that RabbitMQ gave them).
 *
 *   table := length:u32 (name:shortstr letter:u8 value)*
 *   array := length:u32 (letter:u8 value)*
 *
 *   t bool   b i8   B u8   s i16   u u16   I i32   i u32   l i64   L u64   f f32   d f64   D scale:u8 value:i32
 *   S longstr   x longstr of bytes   T u64 seconds   A array   F table   V nothing
 *
 * Invariants: nothing is allocated for a declared length before that length is known to lie within the given bytes; nesting
 * is refused beyond `maxTableDepth`, so no table makes a reader recurse deeply. Every refusal is a `FormatError`.
 */
import { ByteWriter } from './byte-writer.ts';
import { FormatError } from './format-error.ts';

/** Tables and arrays within each other. RabbitMQ has no limit, and clients overflow their stacks at a few thousand. */
export const maxTableDepth = 64;

/** Integers beyond 2^53 are `bigint`. A long string that is not UTF-8, and a byte array, is a `Buffer`. */
export type FieldValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | FieldTimestamp
  | FieldDecimal
  | readonly FieldValue[]
  | FieldTable;

/** Tables that were decoded have no prototype, so `__proto__` is a name like any other. */
export interface FieldTable {
  [name: string]: FieldValue;
}

/** Seconds since the epoch. A class, so that it is not taken for a table. */
export class FieldTimestamp {
  readonly seconds: number;

  constructor(seconds: number) {
    this.seconds = seconds;
  }
}

/** `value / 10 ** scale`. */
export class FieldDecimal {
  readonly scale: number;
  readonly value: number;

  constructor(scale: number, value: number) {
    this.scale = scale;
    this.value = value;
  }
}

/** Where the table that starts at `start` ends. @throws FormatError when that lies beyond `limit` */
export function fieldTableEnd(bytes: Buffer, start: number, limit: number): number {
  return blockEnd(bytes, start, limit);
}

/** Reads the table that starts (with its length) at `start`. @throws FormatError */
export function decodeFieldTable(bytes: Buffer, start: number, limit: number): FieldTable {
  return readTable(bytes, start, limit, 0);
}

/** Checks all of a table without making values of it; answers its end. @throws FormatError */
export function checkFieldTable(bytes: Buffer, start: number, limit: number): number {
  return skipTable(bytes, start, limit, 0);
}

/** The bytes of a table, length included. */
export function encodeFieldTable(table: FieldTable): Buffer {
  const writer = new ByteWriter();
  writeFieldTable(writer, table);
  return writer.bytes();
}

export function writeFieldTable(writer: ByteWriter, table: FieldTable): void {
  writeTable(writer, table, 0);
}

/**
 * The table with some fields set (appended) or removed (`undefined`), every other field copied as the bytes that it was: a
 * header keeps the type that its publisher gave it. `start < 0`: no table yet.
 * @throws FormatError
 */
export function replaceFields(
  bytes: Buffer,
  start: number,
  limit: number,
  changes: Readonly<Record<string, FieldValue | undefined>>,
): Buffer {
  const writer = new ByteWriter();
  const mark = writer.beginBlock();
  if (start >= 0) {
    const end = blockEnd(bytes, start, limit);
    let at = start + 4;
    while (at < end) {
      const valueAt = shortStringEnd(bytes, at, end);
      const next = skipValue(bytes, valueAt, end, 0);
      if (!Object.hasOwn(changes, bytes.toString('utf8', at + 1, valueAt))) writer.raw(bytes.subarray(at, next));
      at = next;
    }
  }
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) continue;
    writer.shortString(name);
    writeValue(writer, value, 0);
  }
  writer.endBlock(mark);
  return writer.bytes();
}

/** Where the value of a field begins (at its type letter), or -1. @throws FormatError */
export function findField(bytes: Buffer, start: number, limit: number, name: string): number {
  const end = blockEnd(bytes, start, limit);
  let at = start + 4;
  while (at < end) {
    const valueAt = shortStringEnd(bytes, at, end);
    if (bytes.toString('utf8', at + 1, valueAt) === name) return valueAt;
    at = skipValue(bytes, valueAt, end, 0);
  }
  return -1;
}

/** Hot. Where the value ends whose type letter is at `at`; what is in a table or an array is not looked at. @throws FormatError */
export function fieldValueEnd(bytes: Buffer, at: number, limit: number): number {
  return skipShallow(bytes, at, limit);
}

/** Reads the value whose type letter is at `at`. @throws FormatError */
export function decodeFieldValue(bytes: Buffer, at: number, limit: number): FieldValue {
  return readValue(bytes, at, limit, 0);
}

function readTable(bytes: Buffer, start: number, limit: number, depth: number): FieldTable {
  checkDepth(depth);
  const end = blockEnd(bytes, start, limit);
  const table = Object.create(null) as FieldTable;
  let at = start + 4;
  while (at < end) {
    const valueAt = shortStringEnd(bytes, at, end);
    table[bytes.toString('utf8', at + 1, valueAt)] = readValue(bytes, valueAt, end, depth);
    at = skipShallow(bytes, valueAt, end);
  }
  return table;
}

function readArray(bytes: Buffer, start: number, limit: number, depth: number): FieldValue[] {
  checkDepth(depth);
  const end = blockEnd(bytes, start, limit);
  const values: FieldValue[] = [];
  let at = start + 4;
  while (at < end) {
    values.push(readValue(bytes, at, end, depth));
    at = skipShallow(bytes, at, end);
  }
  return values;
}

function readValue(bytes: Buffer, letterAt: number, limit: number, depth: number): FieldValue {
  const end = skipShallow(bytes, letterAt, limit);
  const at = letterAt + 1;
  switch (bytes[letterAt]) {
    case 0x74: // t
      return bytes[at] !== 0;
    case 0x62: // b
      return bytes.readInt8(at);
    case 0x42: // B
      return bytes.readUInt8(at);
    case 0x73: // s
      return bytes.readInt16BE(at);
    case 0x75: // u
      return bytes.readUInt16BE(at);
    case 0x49: // I
      return bytes.readInt32BE(at);
    case 0x69: // i
      return bytes.readUInt32BE(at);
    case 0x6c: // l
      return narrow(bytes.readBigInt64BE(at));
    case 0x4c: // L
      return narrow(bytes.readBigUInt64BE(at));
    case 0x66: // f
      return bytes.readFloatBE(at);
    case 0x64: // d
      return bytes.readDoubleBE(at);
    case 0x44: // D
      return new FieldDecimal(bytes.readUInt8(at), bytes.readInt32BE(at + 1));
    case 0x53: // S
      return longString(bytes.subarray(at + 4, end));
    case 0x78: // x
      return Buffer.from(bytes.subarray(at + 4, end));
    case 0x54: // T
      return new FieldTimestamp(Number(bytes.readBigUInt64BE(at)));
    case 0x41: // A
      return readArray(bytes, at, end, depth + 1);
    case 0x46: // F
      return readTable(bytes, at, end, depth + 1);
    default:
      return null;
  }
}

function longString(content: Buffer): string | Buffer {
  const text = content.toString('utf8');
  // What is not UTF-8 stays bytes: replacement characters would be wrong bytes.
  return text.includes('\ufffd') && !Buffer.from(text, 'utf8').equals(content) ? Buffer.from(content) : text;
}

function narrow(value: bigint): number | bigint {
  const small = Number(value);
  return Number.isSafeInteger(small) ? small : value;
}

function skipTable(bytes: Buffer, start: number, limit: number, depth: number): number {
  checkDepth(depth);
  const end = blockEnd(bytes, start, limit);
  let at = start + 4;
  while (at < end) at = skipValue(bytes, shortStringEnd(bytes, at, end), end, depth);
  return end;
}

/** The end of a value, whose inner tables and arrays are checked as well. */
function skipValue(bytes: Buffer, letterAt: number, limit: number, depth: number): number {
  const letter = bytes[letterAt];
  if (letter === 0x46) return skipTable(bytes, letterAt + 1, limit, depth + 1);
  const end = skipShallow(bytes, letterAt, limit);
  if (letter !== 0x41) return end;
  checkDepth(depth + 1);
  let at = letterAt + 5;
  while (at < end) at = skipValue(bytes, at, end, depth + 1);
  return end;
}

/** The end of a value, not looking into it. */
function skipShallow(bytes: Buffer, letterAt: number, limit: number): number {
  if (letterAt >= limit) throw new FormatError('a field has no type');
  const at = letterAt + 1;
  let end: number;
  switch (bytes[letterAt]) {
    case 0x56: // V
      end = at;
      break;
    case 0x74: // t
    case 0x62: // b
    case 0x42: // B
      end = at + 1;
      break;
    case 0x73: // s
    case 0x75: // u
      end = at + 2;
      break;
    case 0x49: // I
    case 0x69: // i
    case 0x66: // f
      end = at + 4;
      break;
    case 0x44: // D
      end = at + 5;
      break;
    case 0x6c: // l
    case 0x4c: // L
    case 0x64: // d
    case 0x54: // T
      end = at + 8;
      break;
    case 0x53: // S
    case 0x78: // x
    case 0x41: // A
    case 0x46: // F
      return blockEnd(bytes, at, limit);
    default:
      throw new FormatError(`no field type has the letter 0x${(bytes[letterAt] ?? 0).toString(16).padStart(2, '0')}`);
  }
  if (end > limit) throw new FormatError('a field ends beyond its table');
  return end;
}

function blockEnd(bytes: Buffer, start: number, limit: number): number {
  if (start + 4 > limit) throw new FormatError('a length ends beyond its table');
  const end = start + 4 + bytes.readUInt32BE(start);
  if (end > limit) throw new FormatError('a field ends beyond its table');
  return end;
}

function shortStringEnd(bytes: Buffer, start: number, limit: number): number {
  const end = start + 1 + (bytes[start] ?? 0);
  if (end > limit) throw new FormatError("a field's name ends beyond its table");
  return end;
}

function checkDepth(depth: number): void {
  if (depth > maxTableDepth) throw new FormatError(`a field table is nested deeper than ${maxTableDepth}`);
}

function writeTable(writer: ByteWriter, table: FieldTable, depth: number): void {
  checkDepth(depth);
  const mark = writer.beginBlock();
  for (const [name, value] of Object.entries(table)) {
    writer.shortString(name);
    writeValue(writer, value, depth);
  }
  writer.endBlock(mark);
}

function writeValue(writer: ByteWriter, value: FieldValue, depth: number): void {
  switch (typeof value) {
    case 'boolean':
      writer.u8(0x74);
      writer.u8(value ? 1 : 0);
      return;
    case 'number':
      writeNumber(writer, value);
      return;
    case 'bigint':
      writer.u8(value > 0x7fff_ffff_ffff_ffffn ? 0x4c : 0x6c);
      writer.u64(value);
      return;
    case 'string':
      writer.u8(0x53);
      writer.longString(value);
      return;
    default:
      writeObject(writer, value, depth);
  }
}

function writeNumber(writer: ByteWriter, value: number): void {
  if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
    writer.u8(0x64);
    writer.f64(value);
  } else if (value >= -0x8000_0000 && value <= 0x7fff_ffff) {
    writer.u8(0x49);
    writer.i32(value);
  } else {
    writer.u8(0x6c);
    writer.i64(value);
  }
}

function writeObject(
  writer: ByteWriter,
  value: Exclude<FieldValue, boolean | number | bigint | string>,
  depth: number,
): void {
  if (value === null) {
    writer.u8(0x56);
  } else if (value instanceof Uint8Array) {
    writer.u8(0x78);
    writer.longString(value);
  } else if (value instanceof FieldTimestamp) {
    writer.u8(0x54);
    writer.u64(value.seconds);
  } else if (value instanceof FieldDecimal) {
    writer.u8(0x44);
    writer.u8(value.scale);
    writer.i32(value.value);
  } else if (isArray(value)) {
    checkDepth(depth + 1);
    writer.u8(0x41);
    const mark = writer.beginBlock();
    for (const item of value) writeValue(writer, item, depth + 1);
    writer.endBlock(mark);
  } else {
    writer.u8(0x46);
    writeTable(writer, value, depth + 1);
  }
}

/** `Array.isArray` does not narrow a readonly array. */
function isArray(value: FieldTable | readonly FieldValue[]): value is readonly FieldValue[] {
  return Array.isArray(value);
}
