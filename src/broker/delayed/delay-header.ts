/** The header `x-delay`, as the plugin rabbitmq-delayed-message-exchange reads it. */
import type { FieldTable, FieldValue } from '../../format/field-table.ts';

export const delayHeader = 'x-delay';

/**
 * For how many milliseconds a message is to be delayed: an integer, a float whose fraction is dropped, or text of digits. Anything else delays
 * nothing, and so does what is not above 0: a message that was delayed carries its delay as a negative number, and is not delayed again.
 */
export function delayOf(headers: FieldTable | null): number {
  const delayMs = asNumber(headers?.[delayHeader]);
  return delayMs >= 1 ? Math.min(Math.trunc(delayMs), Number.MAX_SAFE_INTEGER) : 0;
}

function asNumber(value: FieldValue | undefined): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  const text = value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value;
  return typeof text === 'string' && /^[+-]?\d+$/.test(text) ? Number(text) : 0;
}
