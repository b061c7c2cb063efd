/** One event <-> one line of a history file. The format stands at the head of history.ts. */
import { HistoryError } from './history.ts';
import type { FaultProof, HistoryEvent, PublishAnswerEvent, RemovalReason, SettleEvent, SettleHow } from './history.ts';

export const HISTORY_VERSION = 1;

const PUBLISH_ANSWER = { 'p+': 'publish-ok', 'p-': 'publish-rejected', 'p?': 'publish-unknown' } as const;
const SETTLE = { s: 'settle', 's+': 'settle-ok', 's-': 'settle-refused', 's?': 'settle-unknown' } as const;
const HOW: readonly string[] = ['ack', 'drop', 'requeue'] satisfies SettleHow[];
const REASON: readonly string[] = ['expired', 'overflow', 'dead-letter', 'purged', 'deleted'] satisfies RemovalReason[];

const KEY_OF = {
  'publish-ok': 'p+',
  'publish-rejected': 'p-',
  'publish-unknown': 'p?',
  settle: 's',
  'settle-ok': 's+',
  'settle-refused': 's-',
  'settle-unknown': 's?',
} as const satisfies Record<PublishAnswerEvent['type'] | SettleEvent['type'], string>;

export function encodeOrigin(name: string, pid: number, at: number): string {
  return `${JSON.stringify({ t: at, k: 'o', v: HISTORY_VERSION, n: name, p: pid })}\n`;
}

/** The line of an event, newline included. Keys that are undefined are left out by JSON. */
export function encodeLine(event: HistoryEvent): string {
  return `${JSON.stringify(fieldsOf(event))}\n`;
}

function fieldsOf(event: HistoryEvent): object {
  const t = event.at;
  switch (event.type) {
    case 'publish':
      return { t, k: 'p', i: event.id, a: event.attempt, h: event.hash, r: event.route, u: flag(event.unordered) };
    case 'publish-ok':
    case 'publish-rejected':
    case 'publish-unknown':
      return { t, k: KEY_OF[event.type], i: event.id, a: event.attempt };
    case 'subscribe':
      return { t, k: 'c', q: event.queue, c: event.consumer };
    case 'deliver':
      return { t, k: 'd', q: event.queue, c: event.consumer, i: event.id, h: event.hash, d: flag(event.redelivered) };
    case 'settle':
    case 'settle-ok':
    case 'settle-refused':
    case 'settle-unknown':
      return { t, k: KEY_OF[event.type], q: event.queue, c: event.consumer, i: event.id, w: event.how };
    case 'effect':
      return { t, k: 'e', q: event.queue, i: event.id, h: event.hash };
    case 'removed':
      return { t, k: 'x', q: event.queue, i: event.id, w: event.reason, to: event.to, m: flag(event.maybe) };
    case 'fault':
      return { t, k: 'f', n: event.name, w: event.what, b: event.proof && proofFields(event.proof) };
    case 'fault-proof':
      return { t, k: 'f+', n: event.name, b: proofFields(event.proof) };
  }
}

function flag(value: boolean | undefined): 1 | undefined {
  return value === true ? 1 : undefined;
}

function proofFields(proof: FaultProof): object {
  switch (proof.kind) {
    case 'pid':
      return { pid: [proof.before, proof.after] };
    case 'lost-bytes':
      return { lostBytes: proof.bytes };
    case 'counter':
      return { counter: proof.name, rose: [proof.before, proof.after] };
  }
}

/** The event of a line; undefined for an origin line, which describes the file and is no event. */
export function decodeLine(line: string): HistoryEvent | undefined {
  const fields = parseFields(line);
  const at = number(fields, 't');
  const key = text(fields, 'k');
  switch (key) {
    case 'o':
      checkVersion(fields);
      return undefined;
    case 'p': {
      const event = { type: 'publish', at, id: text(fields, 'i'), attempt: number(fields, 'a') } as const;
      const body = { hash: text(fields, 'h'), route: texts(fields, 'r') };
      return fields['u'] === 1 ? { ...event, ...body, unordered: true } : { ...event, ...body };
    }
    case 'p+':
    case 'p-':
    case 'p?':
      return { type: PUBLISH_ANSWER[key], at, id: text(fields, 'i'), attempt: number(fields, 'a') };
    case 'c':
      return { type: 'subscribe', at, queue: text(fields, 'q'), consumer: text(fields, 'c') };
    case 'd':
      return {
        type: 'deliver',
        at,
        queue: text(fields, 'q'),
        consumer: text(fields, 'c'),
        id: text(fields, 'i'),
        hash: text(fields, 'h'),
        redelivered: fields['d'] === 1,
      };
    case 's':
    case 's+':
    case 's-':
    case 's?':
      return {
        type: SETTLE[key],
        at,
        queue: text(fields, 'q'),
        consumer: text(fields, 'c'),
        id: text(fields, 'i'),
        how: oneOf(fields, 'w', HOW) as SettleHow,
      };
    case 'e': {
      const event = { type: 'effect', at, queue: text(fields, 'q'), id: text(fields, 'i') } as const;
      return fields['h'] === undefined ? event : { ...event, hash: text(fields, 'h') };
    }
    case 'x':
      return {
        type: 'removed',
        at,
        queue: text(fields, 'q'),
        reason: oneOf(fields, 'w', REASON) as RemovalReason,
        ...(fields['i'] === undefined ? {} : { id: text(fields, 'i') }),
        ...(fields['to'] === undefined ? {} : { to: texts(fields, 'to') }),
        ...(fields['m'] === 1 ? { maybe: true } : {}),
      };
    case 'f': {
      const event = { type: 'fault', at, name: text(fields, 'n'), what: text(fields, 'w') } as const;
      return fields['b'] === undefined ? event : { ...event, proof: decodeProof(fields['b']) };
    }
    case 'f+':
      return { type: 'fault-proof', at, name: text(fields, 'n'), proof: decodeProof(fields['b']) };
    default:
      throw damaged(`unknown kind of event ${JSON.stringify(key)}`);
  }
}

type Fields = Readonly<Record<string, unknown>>;

function parseFields(line: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new HistoryError('DAMAGED_LINE', 'not a JSON object', { cause });
  }
  return asFields(value);
}

function asFields(value: unknown): Fields {
  if (typeof value !== 'object' || value === null) throw damaged('not a JSON object');
  return value as Fields;
}

function checkVersion(fields: Fields): void {
  const version = number(fields, 'v');
  if (version > HISTORY_VERSION) {
    throw new HistoryError(
      'NEWER_FORMAT',
      `written in history format ${version}, but this version reads up to ${HISTORY_VERSION}: use a newer postrider`,
    );
  }
}

function decodeProof(value: unknown): FaultProof {
  const fields = asFields(value);
  if (fields['pid'] !== undefined) {
    const [before, after] = pair(fields, 'pid');
    return { kind: 'pid', before, after };
  }
  if (fields['lostBytes'] !== undefined) return { kind: 'lost-bytes', bytes: number(fields, 'lostBytes') };
  const [before, after] = pair(fields, 'rose');
  return { kind: 'counter', name: text(fields, 'counter'), before, after };
}

function text(fields: Fields, key: string): string {
  const value = fields[key];
  if (typeof value !== 'string') throw damaged(`key "${key}" is not a string`);
  return value;
}

function number(fields: Fields, key: string): number {
  const value = fields[key];
  if (typeof value !== 'number') throw damaged(`key "${key}" is not a number`);
  return value;
}

function texts(fields: Fields, key: string): string[] {
  const value = fields[key];
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
    throw damaged(`key "${key}" is not a list of strings`);
  }
  return value;
}

function pair(fields: Fields, key: string): [number, number] {
  const value: unknown = fields[key];
  if (!Array.isArray(value)) throw damaged(`key "${key}" is not a pair of numbers`);
  const [before, after] = value as unknown[];
  if (typeof before !== 'number' || typeof after !== 'number') throw damaged(`key "${key}" is not a pair of numbers`);
  return [before, after];
}

function oneOf(fields: Fields, key: string, allowed: readonly string[]): string {
  const value = text(fields, key);
  if (!allowed.includes(value)) throw damaged(`key "${key}" is none of ${allowed.join(', ')}`);
  return value;
}

function damaged(what: string): HistoryError {
  return new HistoryError('DAMAGED_LINE', what);
}
