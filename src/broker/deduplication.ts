/**
 * Deduplication, as the plugin rabbitmq-message-deduplication and LavinMQ spell it: exchanges of the type `x-message-deduplication`, and
 * exchanges and queues with the argument of this name. A message whose header names an id that is remembered is kept from the queue, or from
 * all that lies behind the exchange. The ids are the engine's: they belong to the queue, or to an engine queue of the exchange.
 */
import type { GuardingId, Identity } from '../engine/engine.ts';
import { plainValue } from '../format/field-json.ts';
import type { FieldTable, FieldValue } from '../format/field-table.ts';
import { ArgumentReader } from './argument-reader.ts';
import { BrokerError } from './broker-error.ts';
import type { Queue } from './queue.ts';

/** The exchange type of the plugin: a fanout exchange. */
export const deduplicationType = 'x-message-deduplication';

const enabled = 'x-message-deduplication';
const headerArgument = 'x-deduplication-header';
const sizeArgument = 'x-cache-size';
/** Of declarations, and of messages. */
const ttlArgument = 'x-cache-ttl';
const persistenceArgument = 'x-cache-persistence';

export const deduplicationArguments = [
  enabled,
  headerArgument,
  sizeArgument,
  ttlArgument,
  persistenceArgument,
] as const;

/** LavinMQ's, where none is given. */
const defaultSize = 128;
/** Some 35,000 years. */
const forever = 2 ** 50;

export interface Deduplication {
  /** The header that holds a message's id. */
  readonly header: string;
  /** `resident`: as long as the message is in the queue, which is what the plugin does. */
  readonly windowMs: number | 'resident';
  readonly windowCount: number;
}

/** What remembers the ids of messages, and which queues it keeps repeats from. */
export interface Guard {
  readonly by: Deduplication;
  readonly owner: Queue;
  readonly queues: readonly Queue[];
}

/** @throws BrokerError PRECONDITION_FAILED */
export function queueDeduplication(given: FieldTable, resource: string): Deduplication | null {
  if (!isEnabled(given, resource)) return null;
  const read = readArguments(given, resource);
  // Without a word about a cache: as the plugin, which has none.
  return given[sizeArgument] === undefined && given[ttlArgument] === undefined
    ? { ...read, windowMs: 'resident' }
    : read;
}

/** @throws BrokerError PRECONDITION_FAILED */
export function exchangeDeduplication(type: string, given: FieldTable, resource: string): Deduplication | null {
  if (type !== deduplicationType) return isEnabled(given, resource) ? readArguments(given, resource) : null;
  const persistence = given[persistenceArgument];
  const size = aboveZero(given[sizeArgument]);
  if (size === null) throw refused("Missing or invalid argument, 'x-cache-size' must be an integer greater than 0");
  const ttl = given[ttlArgument];
  const ttlMs = ttl === undefined ? forever : aboveZero(ttl);
  if (ttlMs === null) throw refused("Invalid argument, 'x-cache-ttl' must be an integer greater than 0");
  if (persistence !== undefined && persistence !== 'disk' && persistence !== 'memory') {
    throw refused("Invalid argument, 'x-cache-persistence' must be either 'disk' or 'memory'");
  }
  return { header: headerName(given, resource), windowMs: ttlMs, windowCount: size };
}

/** Who published it, for the engine; null: nothing of the message is remembered. */
export function identityOf(guards: readonly Guard[], headers: FieldTable | null): Identity | null {
  if (headers === null) return null;
  const ids: GuardingId[] = [];
  for (const { by, owner, queues } of guards) {
    const value = headers[by.header];
    if (value === undefined || value === null || owner.handle === null) continue;
    const { windowMs, windowCount } = by;
    const ownMs = windowMs === 'resident' ? null : aboveZero(headers[ttlArgument]);
    const id = {
      id: idOf(value),
      owner: owner.handle,
      queues: queues.map(({ handle }) => handle!),
      windowMs,
      windowCount,
    };
    ids.push(ownMs === null ? id : { ...id, ownMs });
  }
  return ids.length === 0 ? null : { kind: 'each', ids };
}

function isEnabled(given: FieldTable, resource: string): boolean {
  const value = given[enabled];
  return value !== undefined && new ArgumentReader(enabled, value, resource).boolean();
}

function readArguments(given: FieldTable, resource: string): Deduplication {
  const count = (name: string, otherwise: number): number => {
    const value = given[name];
    return value === undefined ? otherwise : new ArgumentReader(name, value, resource).count();
  };
  return {
    header: headerName(given, resource),
    windowMs: count(ttlArgument, forever),
    windowCount: count(sizeArgument, defaultSize),
  };
}

function headerName(given: FieldTable, resource: string): string {
  const value = given[headerArgument];
  return value === undefined ? headerArgument : new ArgumentReader(headerArgument, value, resource).string();
}

/** An integer, or text that begins with one, as the plugin takes it. */
function aboveZero(value: FieldValue | undefined): number | null {
  const number = typeof value === 'string' ? parseInt(value, 10) : Number(value);
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'bigint') return null;
  return Number.isInteger(number) && number > 0 ? Math.min(number, forever) : null;
}

/** Values of different types are different ids. */
function idOf(value: FieldValue): string {
  if (typeof value === 'string') return `s${value}`;
  if (value instanceof Uint8Array) return `x${Buffer.from(value).toString('latin1')}`;
  return `j${JSON.stringify(plainValue(value))}`;
}

function refused(text: string): BrokerError {
  return new BrokerError('PRECONDITION_FAILED', text);
}
