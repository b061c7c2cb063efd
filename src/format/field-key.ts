/**
 * Hot. Numbers for values as messages carry them, without making values of them: equal ones have equal numbers. Integers of whatever width are
 * equal if their values are, and so are text and bytes; everything else is equal if its type and its bytes are.
 */
import { fieldTableEnd, fieldValueEnd } from './field-table.ts';

/** As `FNV-1a` has them. */
const BASIS = 0x811c_9dc5;
const PRIME = 0x0100_0193;

const INTEGER = 0x69;
const TEXT = 0x53;
const EMPTY_TEXT = 4;

/** From 1 to 2 ** 32 - 1. */
export function keyOfBytes(bytes: Buffer, start: number, end: number): number {
  return finished(hashed(seeded(TEXT), bytes, start, end));
}

/** The same of the field with this name in the table that begins at `start`; 0: there is none, or it is null or empty. @throws FormatError */
export function keyOfField(bytes: Buffer, start: number, limit: number, name: Buffer): number {
  const end = fieldTableEnd(bytes, start, limit);
  let at = start + 4;
  while (at < end) {
    const valueAt = at + 1 + bytes[at]!;
    const next = fieldValueEnd(bytes, valueAt, end);
    if (valueAt - at - 1 === name.length && isAt(bytes, at + 1, name)) return keyOfValue(bytes, valueAt, next);
    at = next;
  }
  return 0;
}

/** The value whose type letter is at `letterAt`, and which ends at `end`. */
function keyOfValue(bytes: Buffer, letterAt: number, end: number): number {
  const letter = bytes[letterAt]!;
  const at = letterAt + 1;
  switch (letter) {
    case 0x56: // V
      return 0;
    case 0x62: // b
      return keyOfInteger(bytes.readInt8(at) >> 31, bytes.readInt8(at));
    case 0x42: // B
      return keyOfInteger(0, bytes[at]!);
    case 0x73: // s
      return keyOfInteger(bytes.readInt16BE(at) >> 31, bytes.readInt16BE(at));
    case 0x75: // u
      return keyOfInteger(0, bytes.readUInt16BE(at));
    case 0x49: // I
      return keyOfInteger(bytes.readInt32BE(at) >> 31, bytes.readInt32BE(at));
    case 0x69: // i
      return keyOfInteger(0, bytes.readInt32BE(at));
    case 0x6c: // l
    case 0x4c: // L
      return keyOfInteger(bytes.readInt32BE(at), bytes.readInt32BE(at + 4));
    case 0x53: // S
    case 0x78: // x
      return end - at === EMPTY_TEXT ? 0 : keyOfBytes(bytes, at + 4, end);
    default:
      return finished(hashed(seeded(letter), bytes, at, end));
  }
}

function keyOfInteger(high: number, low: number): number {
  return finished(mixed(mixed(seeded(INTEGER), high), low));
}

function seeded(letter: number): number {
  return Math.imul(BASIS ^ letter, PRIME);
}

function hashed(seed: number, bytes: Buffer, start: number, end: number): number {
  let hash = seed;
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, PRIME);
  return hash;
}

function mixed(seed: number, word: number): number {
  let hash = seed;
  for (let shift = 0; shift < 32; shift += 8) hash = Math.imul(hash ^ ((word >>> shift) & 0xff), PRIME);
  return hash;
}

/** Spreads the bits, as MurmurHash3 ends; never 0. */
function finished(seed: number): number {
  let hash = seed ^ (seed >>> 16);
  hash = Math.imul(hash, 0x85eb_ca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0 || 1;
}

function isAt(bytes: Buffer, start: number, name: Buffer): boolean {
  for (let at = 0; at < name.length; at++) if (bytes[start + at] !== name[at]) return false;
  return true;
}
