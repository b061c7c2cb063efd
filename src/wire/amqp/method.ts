/**
 * The grammar of method arguments: each method is a layout, from which it is read and written alike.
 *
 *   octet u8   short u16   long u32   longlong u64   shortstr length:u8 bytes   longstr length:u32 bytes   table (field-table.ts)
 *   bit: neighbouring bits share an octet, the first in its lowest bit
 */
import { ByteWriter } from '../../format/byte-writer.ts';
import { decodeFieldTable, fieldTableEnd, writeFieldTable, type FieldTable } from '../../format/field-table.ts';
import { isUtf8 } from 'node:buffer';
import { ConnectionError } from './amqp-error.ts';
import { frameEnd, frameType } from './protocol.ts';
import { undecodable } from './undecodable.ts';

interface Values {
  bit: boolean;
  octet: number;
  short: number;
  long: number;
  /** Above 2^53 the nearest double: no such tag is ever given out. */
  longlong: number;
  shortstr: string;
  longstr: Buffer;
  table: FieldTable;
}

/** Skipped when read, zero when written. */
type Reserved = 'reserved short' | 'reserved shortstr' | 'reserved bit';

export type Layout = Readonly<Record<string, keyof Values | Reserved>>;

export type Arguments<L extends Layout> = {
  -readonly [K in keyof L as L[K] extends Reserved ? never : K]: Values[L[K] & keyof Values];
};

export interface Method<L extends Layout = Layout> {
  /** Class and method in one number, as they stand in the first four bytes of a method's payload. */
  readonly id: number;
  /** "queue.declare" */
  readonly name: string;
  readonly layout: L;
  /** Reads what lies behind class and method. @throws ConnectionError FRAME_ERROR, FormatError for what is wrong within a table */
  read(bytes: Buffer, start: number, end: number): Arguments<L>;
  /** A whole frame. @throws FormatError when a short string is too long */
  frame(channel: number, args: Arguments<L>): Buffer;
}

export function method<const L extends Layout>(classId: number, methodId: number, name: string, layout: L): Method<L> {
  const id = ((classId << 16) | methodId) >>> 0;
  const fields = Object.entries(layout);
  return {
    id,
    name,
    layout,
    read: (bytes, start, end) => readArguments(fields, bytes, start, end) as Arguments<L>,
    frame: (channel, args) => {
      const writer = new ByteWriter(64);
      writer.u8(frameType.method);
      writer.u16(channel);
      const mark = writer.beginBlock();
      writer.u32(id);
      writeArguments(writer, fields, args);
      writer.endBlock(mark);
      writer.u8(frameEnd);
      return writer.bytes();
    },
  };
}

type Field = readonly [string, keyof Values | Reserved];

function readArguments(fields: readonly Field[], bytes: Buffer, start: number, end: number): object {
  const args: Record<string, Values[keyof Values]> = {};
  let at = start;
  let bits = 0;
  let bitsLeft = 0;
  const take = (size: number): number => {
    if (at + size > end) throw undecodable(bytes, start, end);
    at += size;
    return at - size;
  };
  for (const [field, type] of fields) {
    if (type === 'bit' || type === 'reserved bit') {
      if (bitsLeft === 0) {
        bits = bytes.readUInt8(take(1));
        bitsLeft = 8;
      }
      if (type === 'bit') args[field] = (bits & 1) !== 0;
      bits >>= 1;
      bitsLeft--;
      continue;
    }
    bitsLeft = 0;
    switch (type) {
      case 'octet':
        args[field] = bytes.readUInt8(take(1));
        break;
      case 'short':
        args[field] = bytes.readUInt16BE(take(2));
        break;
      case 'long':
        args[field] = bytes.readUInt32BE(take(4));
        break;
      case 'longlong':
        args[field] = Number(bytes.readBigUInt64BE(take(8)));
        break;
      case 'shortstr': {
        const size = bytes.readUInt8(take(1));
        args[field] = readText(bytes, take(size), at);
        break;
      }
      case 'longstr': {
        const size = bytes.readUInt32BE(take(4));
        args[field] = bytes.subarray(take(size), at);
        break;
      }
      case 'table': {
        const tableAt = take(4);
        if (at + bytes.readUInt32BE(tableAt) > end) throw undecodable(bytes, start, end);
        args[field] = decodeFieldTable(bytes, tableAt, end);
        at = fieldTableEnd(bytes, tableAt, end);
        break;
      }
      case 'reserved short':
        take(2);
        break;
      case 'reserved shortstr':
        take(bytes.readUInt8(take(1)));
        break;
    }
  }
  if (at !== end) throw undecodable(bytes, start, end);
  return args;
}

/** Short strings are UTF-8 (0-9-1 §4.2.5.3); replacing what is not would make one name of two. */
export function readText(bytes: Buffer, from: number, to: number): string {
  const text = bytes.toString('utf8', from, to);
  if (text.includes('\ufffd') && !isUtf8(bytes.subarray(from, to))) {
    throw new ConnectionError('FRAME_ERROR', 'Malformed UTF-8 in shortstr');
  }
  return text;
}

function writeArguments(writer: ByteWriter, fields: readonly Field[], args: Readonly<Record<string, unknown>>): void {
  let bits = 0;
  let bitCount = 0;
  for (const [field, type] of fields) {
    const value = args[field];
    if (type === 'bit' || type === 'reserved bit') {
      if (value === true) bits |= 1 << bitCount;
      bitCount++;
      continue;
    }
    if (bitCount > 0) {
      writer.u8(bits);
      bits = 0;
      bitCount = 0;
    }
    switch (type) {
      case 'octet':
        writer.u8(value as number);
        break;
      case 'short':
        writer.u16(value as number);
        break;
      case 'long':
        writer.u32(value as number);
        break;
      case 'longlong':
        writer.u64(value as number);
        break;
      case 'shortstr':
        writer.shortString(value as string);
        break;
      case 'longstr':
        writer.longString(value as Buffer);
        break;
      case 'table':
        writeFieldTable(writer, value as FieldTable);
        break;
      case 'reserved short':
        writer.u16(0);
        break;
      case 'reserved shortstr':
        writer.u8(0);
        break;
    }
  }
  if (bitCount > 0) writer.u8(bits);
}
