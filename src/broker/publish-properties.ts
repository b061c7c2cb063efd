/** Hot where it says so: what publishing reads of a message's properties. */
import { findProperty, propertyFlag, propertyFlags, readStringProperty } from '../format/basic-properties.ts';
import type { FieldTable, FieldValue } from '../format/field-table.ts';
import { BrokerError } from './broker-error.ts';
import { fieldType } from './field-type.ts';

/** The longest time that RabbitMQ takes: ten years. */
const longestMs = 315_360_000_000;

/**
 * Hot. Whether headers may hold CC or BCC (sender-selected distribution): false is sure, true wants a proper look. Headers are
 * searched for the bytes of the names, which costs less than taking the table apart.
 */
export function mayNameRoutes(bytes: Buffer, start: number, end: number): boolean {
  const flags = propertyFlags(bytes, start);
  let at = start + 2;
  if ((flags & propertyFlag.contentType) !== 0) at += 1 + bytes[at]!;
  if ((flags & propertyFlag.contentEncoding) !== 0) at += 1 + bytes[at]!;
  if (at + 4 > end) return false;
  const tableBytes = ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
  const tableEnd = Math.min(end, at + 4 + tableBytes);
  for (let i = at + 5; i + 1 < tableEnd; i++) {
    if (bytes[i] !== 0x43 || bytes[i + 1] !== 0x43) continue;
    const before = bytes[i - 1];
    if (before === 2 || (before === 0x42 && bytes[i - 2] === 3)) return true;
  }
  return false;
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

/** @throws BrokerError PRECONDITION_FAILED when the message names another user than who published it */
export function requireUser(bytes: Buffer, start: number, end: number, user: string): void {
  const given = readStringProperty(bytes, start, end, 'userId');
  if (given === undefined || given === user) return;
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
