/** The headers that Postrider writes into messages that are tried again or given up, so that anybody's consumer can read them. */
import type { BasicProperties } from '../format/basic-properties.ts';
import type { FieldTable, FieldValue } from '../format/field-table.ts';
import { delayPrefix } from './names.ts';

export const header = {
  /** Attempts so far, of a message that is tried again. */
  attempt: 'x-attempt',
  /** What it was published to, as a routing key, before it was tried again or given up. */
  topic: 'x-topic',
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

/** Written by the broker. */
const brokersMark = /^x-(?:death$|first-death-|last-death-|delivery-count$)/;
const longestError = 4_096;
/** Routing keys beside a message's own: they were followed when it was published first, and must not be again. */
const alsoRouted = ['CC', 'BCC'];

export function deadLetterHeaders(
  properties: BasicProperties,
  letter: { queue: string; topic: string; reason: DeadLetterReason; error: Error; attempts: number; atMs: number },
): FieldTable {
  return {
    ...without(properties.headers, [header.attempt, ...alsoRouted]),
    ...topicHeader(letter.topic, letter.queue),
    [header.queue]: letter.queue,
    [header.reason]: letter.reason,
    [header.error]: letter.error.message.slice(0, longestError),
    [header.attempts]: letter.attempts,
    [header.at]: BigInt(letter.atMs),
  };
}

/** How a message came into a dead-letter queue. */
export interface Death {
  /** The queue that it comes from. */
  readonly queue: string;
  /** See `DeadLetterReason`; other brokers may say something else. */
  readonly reason: string;
  /** The error of its last handler; empty where there was none. */
  readonly error: string;
}

/** Of a message that is tried again. */
export function retryHeaders(message: {
  readonly headers: FieldTable;
  readonly routingKey: string;
  readonly queue: string;
  readonly attempt: number;
}): FieldTable {
  const { headers, routingKey: topic, queue, attempt } = message;
  const kept = without(headers, ['x-delivery-count', ...alsoRouted]);
  return { ...kept, ...topicHeader(topic, queue), [header.attempt]: attempt + 1 };
}

/** It is published to its queue by name now, and would forget what it was published to at first. */
function topicHeader(topic: string, queue: string): FieldTable {
  return topic === queue ? {} : { [header.topic]: topic };
}

/** As it was before it failed: what redriving publishes. */
export function revivedHeaders(headers: FieldTable | undefined): FieldTable {
  const ours: readonly string[] = [...Object.values(header).filter((name) => name !== header.topic), ...alsoRouted];
  const kept = Object.entries(headers ?? {}).filter(([name]) => !ours.includes(name) && !brokersMark.test(name));
  return Object.fromEntries(kept);
}

/** Of a new message, whatever headers it was given: nothing has happened to it yet. */
export function unmarkedHeaders(headers: FieldTable): FieldTable {
  const names = Object.keys(headers);
  return names.some(isMark) ? without(headers, names.filter(isMark)) : headers;
}

const marks: ReadonlySet<string> = new Set(Object.values(header));

function isMark(name: string): boolean {
  return marks.has(name) || brokersMark.test(name);
}

export function without(headers: FieldTable | undefined, names: readonly string[]): FieldTable {
  return Object.fromEntries(Object.entries(headers ?? {}).filter(([name]) => !names.includes(name)));
}

/** Why the message is dead, in whichever way it became so; null: it isn't. */
export function deathOf(headers: FieldTable | undefined): Death | null {
  if (headers === undefined) return null;
  const text = (value: FieldValue | undefined): string => (typeof value === 'string' ? value : '');
  if (headers[header.queue] !== undefined) {
    return {
      queue: text(headers[header.queue]),
      reason: text(headers[header.reason]),
      error: text(headers[header.error]),
    };
  }
  const deaths = withoutDelays(headers);
  const queue = text(deaths['x-first-death-queue']);
  if (queue === '') return null;
  const reason = text(deaths['x-first-death-reason']);
  return { queue, reason: reasons[reason] ?? reason, error: '' };
}

/** A message that waited over AMQP died in the queue where it waited: nobody else has to know. */
export function withoutDelays(headers: FieldTable): FieldTable {
  const deaths = headers['x-death'];
  if (!Array.isArray(deaths)) return headers;
  const real = (deaths as FieldTable[]).filter(({ queue }) => !isDelayQueue(queue));
  if (real.length === deaths.length) return headers;
  const kept = Object.entries(headers).filter(([name]) => !/^x-(?:death$|(?:first|last)-death-)/.test(name));
  const cleaned = Object.fromEntries(kept);
  // The newest is the first of the list.
  const [last, first] = [real[0], real.at(-1)];
  if (last === undefined || first === undefined) return cleaned;
  cleaned['x-death'] = real;
  for (const [which, death] of Object.entries({ first, last })) {
    for (const name of ['queue', 'reason', 'exchange']) cleaned[`x-${which}-death-${name}`] = death[name] ?? '';
  }
  return cleaned;
}

function isDelayQueue(name: FieldValue | undefined): boolean {
  return typeof name === 'string' && name.startsWith(delayPrefix);
}

const reasons: Readonly<Record<string, DeadLetterReason>> = {
  delivery_limit: 'delivery-limit',
  expired: 'expired',
  maxlen: 'max-length',
  rejected: 'rejected',
};
