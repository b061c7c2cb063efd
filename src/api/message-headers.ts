/** The headers that Postrider writes into messages that are tried again or given up, so that anybody's consumer can read them. */
import type { BasicProperties } from '../format/basic-properties.ts';
import type { FieldTable, FieldValue } from '../format/field-table.ts';

export const header = {
  /** Attempts so far, of a message that is tried again. */
  attempt: 'x-attempt',
  /** The queue that a dead letter comes from. */
  queue: 'x-dead-letter-queue',
  reason: 'x-dead-letter-reason',
  /** The error's text. */
  error: 'x-dead-letter-error',
  attempts: 'x-dead-letter-attempts',
  /** Milliseconds since the epoch. */
  at: 'x-dead-letter-at',
  /** An answer that is an error: its text. */
  requestError: 'x-request-error',
} as const;

/** Why a message is in a dead-letter queue. */
export type DeadLetterReason =
  /** Its handler failed at the last attempt. */
  | 'failed'
  /** Its payload can't be read. */
  | 'undecodable'
  /** Its payload does not fit the schema. */
  | 'schema-mismatch'
  /** Its handler asked for it. */
  | 'rejected'
  /** It was delivered too often without an answer: perhaps it ends the process that handles it. */
  | 'delivery-limit'
  | 'expired'
  | 'max-length';

const longestError = 4_096;

export function deadLetterHeaders(
  properties: BasicProperties,
  letter: { queue: string; reason: DeadLetterReason; error: Error; attempts: number; atMs: number },
): FieldTable {
  return {
    ...without(properties.headers, [header.attempt]),
    [header.queue]: letter.queue,
    [header.reason]: letter.reason,
    [header.error]: letter.error.message.slice(0, longestError),
    [header.attempts]: letter.attempts,
    [header.at]: BigInt(letter.atMs),
  };
}

/** As it was before it failed: what redriving publishes. */
export function revivedHeaders(headers: FieldTable | undefined): FieldTable {
  const ours: readonly string[] = Object.values(header);
  const kept = Object.entries(headers ?? {}).filter(
    ([name]) => !ours.includes(name) && !/^x-(?:death$|first-death-|last-death-|delivery-count$)/.test(name),
  );
  return Object.fromEntries(kept);
}

export function without(headers: FieldTable | undefined, names: readonly string[]): FieldTable {
  return Object.fromEntries(Object.entries(headers ?? {}).filter(([name]) => !names.includes(name)));
}

/** Why the message is dead, in whichever way it became so; null: it isn't. */
export function deathOf(headers: FieldTable | undefined): { queue: string; reason: string; error: string } | null {
  if (headers === undefined) return null;
  const text = (value: FieldValue | undefined): string => (typeof value === 'string' ? value : '');
  if (headers[header.queue] !== undefined) {
    return {
      queue: text(headers[header.queue]),
      reason: text(headers[header.reason]),
      error: text(headers[header.error]),
    };
  }
  const queue = text(headers['x-first-death-queue']);
  if (queue === '') return null;
  const reason = text(headers['x-first-death-reason']);
  return { queue, reason: reasons[reason] ?? reason, error: '' };
}

const reasons: Readonly<Record<string, DeadLetterReason>> = {
  delivery_limit: 'delivery-limit',
  expired: 'expired',
  maxlen: 'max-length',
  rejected: 'rejected',
};
