import type { StandardSchema } from '../../src/index.ts';

/** Takes texts of even numbers, and makes numbers of them. */
export function evenNumber(later: boolean): StandardSchema<string, number> {
  const check = (value: unknown): { value: number } | { issues: { message: string }[] } => {
    const number = Number(value);
    return number % 2 === 0 ? { value: number } : { issues: [{ message: `${String(value)} is not even` }] };
  };
  return {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: (value) => (later ? Promise.resolve().then(() => check(value)) : check(value)),
    },
  };
}
