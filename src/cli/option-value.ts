/** Values of the verbs' options, as people write them. */
import { CommandError } from './command-error.ts';
import { exitCode } from './exit-code.ts';

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `500ms`, `30s`, `5m`, `2h`, `1d` in milliseconds; a unit must be there, as systems differ on what a bare number means. */
export function duration(option: string): (text: string) => number {
  return (text) => {
    const [, number = '', unit = ''] = /^(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h|d)$/.exec(text) ?? [];
    const ms = Math.round(Number(number) * (unitMs[unit] ?? NaN));
    if (number !== '' && Number.isSafeInteger(ms)) return ms;
    throw wrong(option, 'a time with its unit, such as 500ms, 30s, 5m, 2h or 1d', text);
  };
}

export function wholeNumber(option: string, least: number, most = 1_000_000_000): (text: string) => number {
  return (text) => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
    if (value >= least && value <= most) return value;
    throw wrong(option, `a whole number from ${least} to ${most.toLocaleString('en-US')}`, text);
  };
}

export function positiveNumber(option: string): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}(?:\.\d{1,3})?$/.test(text) ? Number(text) : NaN;
    if (value > 0) return value;
    throw wrong(option, 'a number above 0', text);
  };
}

/** `name=value`, as often as wanted. */
export function pairs(
  option: string,
): (text: string, before?: Readonly<Record<string, string>>) => Record<string, string> {
  return (text, before = {}) => {
    const at = text.indexOf('=');
    if (at < 1) throw wrong(option, 'a name and a value, such as tenant=acme', text);
    return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
  };
}

export function wrong(option: string, wanted: string, text: string): CommandError {
  return usage(`${option} must be ${wanted}, not ${JSON.stringify(text)}`);
}

export function usage(message: string): CommandError {
  return new CommandError(exitCode.usage, message);
}
