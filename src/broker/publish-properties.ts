/** Hot where it says so: what publishing reads of a message's properties. */
import { findProperty, propertyFlag, propertyFlags, readStringProperty } from '../format/basic-properties.ts';
import type { FieldTable, FieldValue } from '../format/field-table.ts';
import { BrokerError } from './broker-error.ts';
import { fieldType } from './field-type.ts';
import { impersonatorTag, type Principal } from './principal.ts';

/** The longest time that RabbitMQ takes: ten years. */
const longestMs = 315_360_000_000;

/** In `valueBytes`: the value begins with its length. */
const lengthFirst = 255;
/** How many bytes the value of a field takes, by its letter. */
const valueBytes = new Uint8Array(256);
for (const [letters, size] of [
  ['V', 0],
  ['tbB', 1],
  ['su', 2],
  ['Iif', 4],
  ['D', 5],
  ['lLdT', 8],
  ['SxAF', lengthFirst],
] as const) {
  for (const letter of letters) valueBytes[letter.charCodeAt(0)] = size;
}

/**
 * Hot. Whether headers may hold CC or BCC (sender-selected distribution) or `x-delay`: false is sure, true wants a proper look. It
 * steps from name to name and takes nothing apart. The properties were checked.
 */
export function mayNameRoutes(bytes: Buffer, start: number, end: number): boolean {
  const flags = propertyFlags(bytes, start);
  let at = start + 2;
  if ((flags & propertyFlag.contentType) !== 0) at += 1 + bytes[at]!;
  if ((flags & propertyFlag.contentEncoding) !== 0) at += 1 + bytes[at]!;
  if (at + 4 > end) return false;
  const tableEnd = Math.min(end, at + 4 + lengthAt(bytes, at));
  at += 4;
  while (at < tableEnd) {
    const length = bytes[at]!;
    if (length === 2) {
      if (bytes[at + 1] === 0x43 && bytes[at + 2] === 0x43) return true;
    } else if (length === 3) {
      if (bytes[at + 1] === 0x42 && bytes[at + 2] === 0x43 && bytes[at + 3] === 0x43) return true;
    } else if (length === 7 && bytes[at + 1] === 0x78 && bytes[at + 2] === 0x2d && bytes[at + 7] === 0x79) {
      // x-....y
      return true;
    }
    at += 1 + length;
    const bytesOfValue = valueBytes[bytes[at]!]!;
    at += 1 + (bytesOfValue === lengthFirst ? 4 + lengthAt(bytes, at + 1) : bytesOfValue);
  }
  return false;
}

/**
 * Hot. Where the value of `x-delay` lies when it is a whole number of 32 or 64 bits, and no header names routes: its letter, then its bytes.
 * -1: the headers want a proper look. The properties were checked.
 */
export function delayAt(bytes: Buffer, start: number, end: number): number {
  const flags = propertyFlags(bytes, start);
  let at = start + 2;
  if ((flags & propertyFlag.contentType) !== 0) at += 1 + bytes[at]!;
  if ((flags & propertyFlag.contentEncoding) !== 0) at += 1 + bytes[at]!;
  const tableEnd = Math.min(end, at + 4 + lengthAt(bytes, at));
  at += 4;
  let found = -1;
  while (at < tableEnd) {
    const length = bytes[at]!;
    // CC, BCC
    if ((length === 2 || length === 3) && bytes[at + length] === 0x43) return -1;
    const letter = bytes[at + 1 + length]!;
    if (length === 7 && bytes.toString('latin1', at + 1, at + 8) === 'x-delay') {
      if (found >= 0 || (letter !== 0x49 && letter !== 0x6c)) return -1;
      found = at + 8;
    }
    at += 1 + length;
    const bytesOfValue = valueBytes[letter]!;
    at += 1 + (bytesOfValue === lengthFirst ? 4 + lengthAt(bytes, at + 1) : bytesOfValue);
  }
  return found;
}

function lengthAt(bytes: Buffer, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** The routing keys that headers name beside the message's own. @throws BrokerError PRECONDITION_FAILED */
export function senderRoutes(headers: FieldTable | null): string[] {
  const routes: string[] = [];
  for (const name of ['CC', 'BCC']) {
    const value: FieldValue | undefined = headers?.[name];
    if (value === undefined) continue;
    if (!Array.isArray(value)) {
      throw new BrokerError(
        'PRECONDITION_FAILED',
        `invalid message: {unacceptable_type_in_header,"${name}",${fieldType(value)}}`,
      );
    }
    for (const route of value as readonly FieldValue[]) if (typeof route === 'string') routes.push(route);
  }
  return routes;
}

/** Hot. The message's time to live in milliseconds; it must have one. @throws BrokerError PRECONDITION_FAILED */
export function readExpiration(bytes: Buffer, start: number, end: number): number {
  const at = findProperty(bytes, start, end, 'expiration');
  const length = bytes[at]!;
  if (length === 0 || length > 11) return parseExpiration(bytes, start, end);
  let value = 0;
  for (let i = at + 1; i <= at + length; i++) {
    const digit = bytes[i]! - 0x30;
    if (digit < 0 || digit > 9) return parseExpiration(bytes, start, end);
    value = value * 10 + digit;
  }
  return value;
}

/** Hot. */
export function readPriority(bytes: Buffer, start: number, end: number): number {
  const at = findProperty(bytes, start, end, 'priority');
  return at < 0 ? 0 : bytes[at]!;
}

/** @throws BrokerError PRECONDITION_FAILED when the message names another user than who published it, and may not */
export function requireUser(bytes: Buffer, start: number, end: number, { user, tags }: Principal): void {
  const given = readStringProperty(bytes, start, end, 'userId');
  if (given === undefined || given === user || tags.includes(impersonatorTag)) return;
  throw new BrokerError(
    'PRECONDITION_FAILED',
    `user_id property set to '${given}' but authenticated user was '${user}'`,
  );
}

function parseExpiration(bytes: Buffer, start: number, end: number): number {
  const text = readStringProperty(bytes, start, end, 'expiration') ?? '';
  const parts = /^([+-]?\d+)(.*)$/s.exec(text);
  const value = Number(parts?.[1]);
  if (parts === null) throw invalidExpiration(text, 'no_integer');
  if (parts[2] !== '') throw invalidExpiration(text, `{leftover_string,"${parts[2]}"}`);
  if (value < 0) throw invalidExpiration(text, `{value_negative,${value}}`);
  if (value > longestMs) throw invalidExpiration(text, `{value_too_large,${value}}`);
  return value;
}

function invalidExpiration(text: string, reason: string): BrokerError {
  return new BrokerError('PRECONDITION_FAILED', `invalid expiration '${text}': ${reason}`);
}
