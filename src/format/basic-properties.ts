/**
 * The properties of AMQP's basic class, as a content header carries them from its flags on (0-9-1 §4.2.6.1), which is also
 * how messages store them.
 *
 *   flags:u16   then, for each flag that is set, from the highest to the lowest:
 *   15 content-type shortstr   14 content-encoding shortstr   13 headers table      12 delivery-mode u8   11 priority u8
 *   10 correlation-id shortstr  9 reply-to shortstr            8 expiration shortstr  7 message-id shortstr  6 timestamp u64
 *    5 type shortstr            4 user-id shortstr             3 app-id shortstr      2 cluster-id shortstr  1, 0 must be 0
 */
import { ByteWriter } from './byte-writer.ts';
import { checkFieldTable, decodeFieldTable, fieldTableEnd, replaceFields, writeFieldTable } from './field-table.ts';
import type { FieldTable, FieldValue } from './field-table.ts';
import { FormatError } from './format-error.ts';

export const propertyFlag = {
  contentType: 0x8000,
  contentEncoding: 0x4000,
  headers: 0x2000,
  deliveryMode: 0x1000,
  priority: 0x0800,
  correlationId: 0x0400,
  replyTo: 0x0200,
  expiration: 0x0100,
  messageId: 0x0080,
  timestamp: 0x0040,
  type: 0x0020,
  userId: 0x0010,
  appId: 0x0008,
  clusterId: 0x0004,
} as const;

export type PropertyName = keyof typeof propertyFlag;

export interface BasicProperties {
  contentType?: string;
  contentEncoding?: string;
  headers?: FieldTable;
  /** 1: transient, 2: persistent. */
  deliveryMode?: number;
  priority?: number;
  correlationId?: string;
  replyTo?: string;
  /** Milliseconds, as digits. */
  expiration?: string;
  messageId?: string;
  /** Seconds since the epoch. */
  timestamp?: number;
  type?: string;
  userId?: string;
  appId?: string;
  clusterId?: string;
}

/** Changes to stored properties: `undefined` removes. Everything else stays as the bytes that it was. */
export interface PropertyChanges {
  readonly headers?: Readonly<Record<string, FieldValue | undefined>>;
  readonly remove?: readonly PropertyName[];
  readonly replyTo?: string;
}

const names = Object.keys(propertyFlag) as PropertyName[];
const unusedFlags = 0x0003;

/** The flags alone: one 16-bit read tells whether a property is there. `end - start` must be at least 2. */
export function propertyFlags(bytes: Buffer, start: number): number {
  return ((bytes[start] ?? 0) << 8) | (bytes[start + 1] ?? 0);
}

/** Hot: checks that the properties fill `start..end` exactly; makes nothing of them. @throws FormatError */
export function checkProperties(bytes: Buffer, start: number, end: number): void {
  if (end - start < 2) throw new FormatError('a content header has no property flags');
  const flags = propertyFlags(bytes, start);
  if ((flags & unusedFlags) !== 0) throw new FormatError('a content header has unknown property flags');
  let at = start + 2;
  for (let flag = 0x8000; flag >= propertyFlag.clusterId; flag >>= 1) {
    if ((flags & flag) === 0) continue;
    at = flag === propertyFlag.headers ? checkFieldTable(bytes, at, end) : valueEnd(bytes, flag, at, end);
  }
  if (at !== end) throw new FormatError('a content header is longer than its properties');
}

/** Where a property's value begins, or -1 when it is absent. @throws FormatError */
export function findProperty(bytes: Buffer, start: number, end: number, name: PropertyName): number {
  const flags = propertyFlags(bytes, start);
  const wanted = propertyFlag[name];
  if ((flags & wanted) === 0) return -1;
  let at = start + 2;
  for (let flag = 0x8000; flag > wanted; flag >>= 1) {
    if ((flags & flag) !== 0) at = valueEnd(bytes, flag, at, end);
  }
  valueEnd(bytes, wanted, at, end);
  return at;
}

/** One property of those that are short strings. @throws FormatError */
export function readStringProperty(
  bytes: Buffer,
  start: number,
  end: number,
  name: Exclude<PropertyName, 'headers' | 'deliveryMode' | 'priority' | 'timestamp'>,
): string | undefined {
  const at = findProperty(bytes, start, end, name);
  return at < 0 ? undefined : bytes.toString('utf8', at + 1, at + 1 + (bytes[at] ?? 0));
}

/** @throws FormatError */
export function readHeaders(bytes: Buffer, start: number, end: number): FieldTable | undefined {
  const at = findProperty(bytes, start, end, 'headers');
  return at < 0 ? undefined : decodeFieldTable(bytes, at, end);
}

/** @throws FormatError */
export function decodeProperties(bytes: Buffer, start: number, end: number): BasicProperties {
  if (end - start < 2) throw new FormatError('a content header has no property flags');
  const flags = propertyFlags(bytes, start);
  if ((flags & unusedFlags) !== 0) throw new FormatError('a content header has unknown property flags');
  const properties: BasicProperties = {};
  let at = start + 2;
  for (const name of names) {
    const flag = propertyFlag[name];
    if ((flags & flag) === 0) continue;
    const next = valueEnd(bytes, flag, at, end);
    if (name === 'headers') properties.headers = decodeFieldTable(bytes, at, end);
    else if (name === 'deliveryMode' || name === 'priority') properties[name] = bytes.readUInt8(at);
    else if (name === 'timestamp') properties.timestamp = Number(bytes.readBigUInt64BE(at));
    else properties[name] = bytes.toString('utf8', at + 1, next);
    at = next;
  }
  if (at !== end) throw new FormatError('a content header is longer than its properties');
  return properties;
}

export function encodeProperties(properties: BasicProperties): Buffer {
  const writer = new ByteWriter();
  let flags = 0;
  for (const name of names) if (properties[name] !== undefined) flags |= propertyFlag[name];
  writer.u16(flags);
  for (const name of names) {
    const value = properties[name];
    if (value === undefined) continue;
    if (name === 'timestamp') writer.u64(value as number);
    else if (typeof value === 'string') writer.shortString(value);
    else if (typeof value === 'number') writer.u8(value);
    else writeFieldTable(writer, value);
  }
  return writer.bytes();
}

/** A copy with changes: what dead-lettering needs. @throws FormatError */
export function rewriteProperties(bytes: Buffer, start: number, end: number, changes: PropertyChanges): Buffer {
  const flags = propertyFlags(bytes, start);
  let kept = flags;
  for (const name of changes.remove ?? []) kept &= ~propertyFlag[name];
  if (changes.headers !== undefined) kept |= propertyFlag.headers;
  if (changes.replyTo !== undefined) kept |= propertyFlag.replyTo;
  const writer = new ByteWriter(end - start + 256);
  writer.u16(kept);
  let at = start + 2;
  for (const name of names) {
    const flag = propertyFlag[name];
    const next = (flags & flag) === 0 ? at : valueEnd(bytes, flag, at, end);
    if (name === 'headers' && changes.headers !== undefined) {
      writer.raw(replaceFields(bytes, next === at ? -1 : at, end, changes.headers));
    } else if (name === 'replyTo' && changes.replyTo !== undefined) {
      writer.shortString(changes.replyTo);
    } else if ((kept & flag) !== 0) {
      writer.raw(bytes.subarray(at, next));
    }
    at = next;
  }
  return writer.bytes();
}

/** Hot. Where the value of a property ends. */
function valueEnd(bytes: Buffer, flag: number, at: number, limit: number): number {
  let end: number;
  if (flag === propertyFlag.headers) return fieldTableEnd(bytes, at, limit);
  if (flag === propertyFlag.deliveryMode || flag === propertyFlag.priority) end = at + 1;
  else if (flag === propertyFlag.timestamp) end = at + 8;
  else end = at < limit ? at + 1 + (bytes[at] ?? 0) : limit + 1;
  if (end > limit) throw new FormatError('a property ends beyond its content header');
  return end;
}
