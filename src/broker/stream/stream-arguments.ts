/** What streams are declared and consumed with, and what is refused of it in RabbitMQ's words. */
import type { StreamStart } from '../../engine/engine.ts';
import { type FieldTable, FieldTimestamp, type FieldValue } from '../../format/field-table.ts';
import { ArgumentReader } from '../argument-reader.ts';
import { BrokerError } from '../broker-error.ts';
import { fieldText, fieldType } from '../field-type.ts';

/** Of queue arguments, those that a stream may have; names that nobody knows go through everywhere. */
export const streamArguments: ReadonlySet<string> = new Set([
  'x-max-length-bytes',
  'x-queue-type',
  'x-max-age',
  'x-stream-max-segment-size-bytes',
  'x-stream-filter-size-bytes',
  'x-initial-cluster-size',
  'x-queue-leader-locator',
]);

/** Those that nothing but a stream may have. */
export const argumentsOfStreamsAlone: readonly string[] = [
  'x-max-age',
  'x-stream-max-segment-size-bytes',
  'x-stream-filter-size-bytes',
  'x-initial-cluster-size',
];

const consumerArguments: readonly string[] = ['x-stream-offset', 'x-stream-filter', 'x-stream-match-unfiltered'];

const mostSegmentBytes = 3_000_000_000;
const hourMs = 3_600_000;
const unitMs: Readonly<Record<string, number>> = {
  Y: 365 * 24 * hourMs,
  M: 30 * 24 * hourMs,
  D: 24 * hourMs,
  h: hourMs,
  m: 60_000,
  s: 1_000,
};

/** `7D`, `12h`, ...; null: it is none. */
export function periodMs(text: string): number | null {
  const [, count, unit] = /^([0-9]+)(.*)$/s.exec(text) ?? [];
  const each = unitMs[unit ?? ''];
  return each === undefined || Number(count) === 0 ? null : Number(count) * each;
}

export function readMaxAge(argument: ArgumentReader): number {
  const ms = periodMs(argument.string());
  if (ms === null) throw argument.invalid('invalid_max_age');
  return ms;
}

export function readSegmentBytes(argument: ArgumentReader): number {
  const bytes = argument.count();
  if (bytes > mostSegmentBytes) throw new BrokerError('PRECONDITION_FAILED', `Exceeded max value for ${argument.name}`);
  return bytes;
}

export function checkFilterBytes(argument: ArgumentReader): void {
  const bytes = argument.count();
  if (bytes < 16 || bytes > 255) throw new BrokerError('PRECONDITION_FAILED', `Invalid value for ${argument.name}`);
}

/** @throws BrokerError PRECONDITION_FAILED */
export function requireStreamTraits(
  declaration: { readonly durable: boolean; readonly exclusive: boolean; readonly autoDelete: boolean },
  resource: string,
): void {
  const wrong = declaration.autoDelete
    ? 'auto-delete'
    : declaration.exclusive
      ? 'exclusive-owner'
      : declaration.durable
        ? null
        : 'non-durable';
  if (wrong !== null) throw new BrokerError('PRECONDITION_FAILED', `invalid property '${wrong}' for ${resource}`);
}

/** @throws BrokerError PRECONDITION_FAILED, where a consumer of what is no stream asks for what streams alone have */
export function refuseStreamArguments(given: FieldTable, type: string, resource: string): void {
  for (const name of consumerArguments) if (given[name] !== undefined) throw notOfType(name, type, resource);
}

/** What a consumer of a stream must be, and where it begins. @throws BrokerError PRECONDITION_FAILED, NOT_IMPLEMENTED */
export function streamStart(
  given: FieldTable,
  consumer: { readonly noAck: boolean; readonly prefetch: number; readonly sharedPrefetch: number },
  resource: string,
  now: number,
): StreamStart {
  const start = readOffset(given['x-stream-offset'], resource, now);
  if (given['x-priority'] !== undefined) throw notOfType('x-priority', 'stream', resource);
  if (consumer.prefetch === 0) {
    throw new BrokerError('PRECONDITION_FAILED', `consumer prefetch count is not set for stream ${resource}`);
  }
  if (consumer.noAck) {
    throw new BrokerError('NOT_IMPLEMENTED', `automatic acknowledgement not supported by stream ${resource}`);
  }
  if (consumer.sharedPrefetch > 0) throw new BrokerError('NOT_IMPLEMENTED', `${resource} does not support global qos`);
  return start;
}

function readOffset(value: FieldValue | undefined, resource: string, now: number): StreamStart {
  if (value === undefined) return 'next';
  if (value === 'first' || value === 'last' || value === 'next') return value;
  if (value instanceof FieldTimestamp) return { storedAt: value.seconds * 1000 };
  if (typeof value === 'string') {
    const ms = periodMs(value);
    if (ms === null) throw invalidOffset(value, resource);
    return { storedAt: now - ms };
  }
  const offset = typeof value === 'bigint' ? Number(value) : value;
  if (typeof offset !== 'number' || !Number.isInteger(offset) || offset < 0) throw invalidOffset(value, resource);
  // Offsets count from 0, the engine's numbers from 1.
  return { number: offset + 1 };
}

function invalidOffset(value: FieldValue, resource: string): BrokerError {
  const shown = typeof value === 'string' ? `<<"${value}">>` : fieldText(value);
  const reason = `{invalid_stream_offset_arg,{${fieldType(value)},${shown}}}`;
  return new ArgumentReader('x-stream-offset', value, resource).invalid(reason);
}

function notOfType(name: string, type: string, resource: string): BrokerError {
  return new BrokerError(
    'PRECONDITION_FAILED',
    `invalid arg '${name}' for ${resource} of queue type rabbit_${type}_queue`,
  );
}
