/** Options as users give them, plain JavaScript included: an unknown or wrong one is an error that says what was meant. */
import { nearest } from '../nearest.ts';
import { PostriderError } from './errors.ts';

type Check = (value: unknown) => string | null;
export type Checks<Options> = { readonly [Name in keyof Required<Options>]: Check };

/** `where`: "consume()", say. @throws PostriderError INVALID_OPTION */
export function checkOptions<Options extends object>(where: string, options: Options, checks: Checks<Options>): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new PostriderError('INVALID_OPTION', `${where}: its options must be an object, not ${describe(options)}`);
  }
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(checks, name)) {
      const known = Object.keys(checks);
      const meant = nearest(name, known);
      const advice = meant === undefined ? `it knows ${known.join(', ')}` : `did you mean '${meant}'?`;
      throw new PostriderError('INVALID_OPTION', `${where} has no option '${name}'; ${advice}`);
    }
    if (value === undefined) continue;
    const wanted = checks[name as keyof Options](value);
    if (wanted !== null) {
      throw new PostriderError('INVALID_OPTION', `${where}: ${name} must be ${wanted}, not ${describe(value)}`);
    }
  }
}

export function integer(least: number, most = Number.MAX_SAFE_INTEGER): Check {
  const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  return (value) =>
    Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most
      ? null
      : `a whole number ${range}`;
}

/** Milliseconds; `Infinity` where there need be no end. */
export function milliseconds(least: number, endless = false): Check {
  const plain = integer(least, 315_360_000_000);
  return (value) =>
    endless && value === Infinity
      ? null
      : plain(value) === null
        ? null
        : `milliseconds, ${least} or more${endless ? ' (Infinity: no limit)' : ''}`;
}

/** Milliseconds that a timer takes: 24 days, as Node's timers end at once beyond that. */
export function waitMs(least: number, endless = false): Check {
  const plain = integer(least, 2_147_483_647);
  const range = `milliseconds, ${least} to 2147483647`;
  return (value) =>
    (endless && value === Infinity) || plain(value) === null
      ? null
      : `${range}${endless ? ' (Infinity: no limit)' : ''}`;
}

/** How `close()` of whatever ends. */
export const closeChecks: Checks<{ readonly graceMs?: number }> = { graceMs: waitMs(0, true) };

export function number(least: number, most: number): Check {
  return (value) =>
    typeof value === 'number' && value >= least && value <= most ? null : `a number from ${least} to ${most}`;
}

export const boolean: Check = (value) => (typeof value === 'boolean' ? null : 'true or false');
export const text: Check = (value) => (typeof value === 'string' ? null : 'a text');
export const object: Check = (value) => (typeof value === 'object' && value !== null ? null : 'an object');
export const callable: Check = (value) => (typeof value === 'function' ? null : 'a function');
export const signal: Check = (value) => (value instanceof AbortSignal ? null : 'an AbortSignal');

export function oneOf(...choices: readonly unknown[]): Check {
  const list = choices.map((choice) => (typeof choice === 'string' ? `'${choice}'` : String(choice))).join(' or ');
  return (value) => (choices.includes(value) ? null : list);
}

export function either(first: Check, second: Check): Check {
  return (value) => {
    const wanted = first(value);
    if (wanted === null) return null;
    const other = second(value);
    return other === null ? null : `${wanted}, or ${other}`;
  };
}

export function describe(value: unknown): string {
  if (typeof value === 'string') return value.length > 80 ? `'${value.slice(0, 80)}...'` : `'${value}'`;
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object';
  return String(value);
}
