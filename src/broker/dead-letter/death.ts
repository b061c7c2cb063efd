/**
 * What a message carries of its deaths: RabbitMQ's `x-death` (an array of tables, the latest first; one for each queue and
 * reason, counted) and `x-first-death-*`.
 */
import { type FieldTable, FieldTimestamp, type FieldValue } from '../../format/field-table.ts';

export type DeathReason = 'rejected' | 'expired' | 'maxlen' | 'delivery_limit';

export interface Death {
  readonly reason: DeathReason;
  readonly queue: string;
  readonly timeMs: number;
  /** How the message had been published to that queue. */
  readonly exchange: string;
  readonly routingKeys: readonly string[];
  /** Its own time to live, which it loses. */
  readonly expiration: string | undefined;
}

/** The header fields to set for one more death. */
export function deathHeaders(headers: FieldTable | null, death: Death): Record<string, FieldValue> {
  const before = headers?.['x-death'];
  if (before === undefined) {
    return {
      'x-death': [entryOf(death)],
      'x-first-death-reason': death.reason,
      'x-first-death-queue': death.queue,
      'x-first-death-exchange': death.exchange,
    };
  }
  // Something else under this name is a client's: it makes way, but the first death is not known.
  if (!Array.isArray(before)) return { 'x-death': [entryOf(death)] };
  const deaths = (before as readonly FieldValue[]).map(withWideCount);
  const same = deaths.findIndex((entry) => isTable(entry) && isOf(entry, death));
  if (same < 0) return { 'x-death': [entryOf(death), ...deaths] };
  const entry = deaths[same] as FieldTable;
  const counted = { ...entry, count: countOf(entry) + 1n };
  return { 'x-death': [counted, ...deaths.slice(0, same), ...deaths.slice(same + 1)] };
}

/**
 * Whether a message with these deaths would come to a queue once more with no client having rejected it since it was there:
 * then it would go round for ever, and is dropped.
 */
export function isAutomaticCycle(queue: string, deaths: FieldValue | undefined): boolean {
  if (!Array.isArray(deaths)) return false;
  const entries = deaths as readonly FieldValue[];
  const before = entries.findIndex((entry) => isTable(entry) && entry['queue'] === queue);
  if (before < 0) return false;
  return entries.slice(0, before + 1).every((entry) => isTable(entry) && entry['reason'] !== 'rejected');
}

function entryOf(death: Death): FieldTable {
  return {
    count: 1n,
    reason: death.reason,
    queue: death.queue,
    time: new FieldTimestamp(Math.floor(death.timeMs / 1000)),
    exchange: death.exchange,
    'routing-keys': [...death.routingKeys],
    ...(death.expiration === undefined ? {} : { 'original-expiration': death.expiration }),
  };
}

function isOf(entry: FieldTable, death: Death): boolean {
  return entry['queue'] === death.queue && entry['reason'] === death.reason;
}

/** Counts are written as RabbitMQ writes them, 64 bits wide, which a number that was read doesn't tell. */
function withWideCount(entry: FieldValue): FieldValue {
  return isTable(entry) && entry['count'] !== undefined ? { ...entry, count: countOf(entry) } : entry;
}

function countOf(entry: FieldTable): bigint {
  const { count } = entry;
  if (typeof count === 'bigint') return count;
  return typeof count === 'number' && Number.isInteger(count) ? BigInt(count) : 0n;
}

function isTable(value: FieldValue): value is FieldTable {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    (Object.getPrototypeOf(value) === null || Object.getPrototypeOf(value) === Object.prototype)
  );
}
