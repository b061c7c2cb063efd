/**
 * Headers exchange: a binding's arguments are what a message's headers must hold. `x-match` says whether all of them or any;
 * names that begin with `x-` count only with `all-with-x` and `any-with-x`. An argument without a value (void) asks only
 * that the header is there.
 */
import type { FieldTable, FieldValue } from '../../format/field-table.ts';
import type { Binding, Destination } from '../binding.ts';
import { BrokerError } from '../broker-error.ts';
import { equalFields, fieldText, fieldType } from '../field-type.ts';
import type { Matcher } from './matcher.ts';

interface Pattern {
  readonly any: boolean;
  readonly fields: readonly (readonly [string, FieldValue])[];
  readonly destination: Destination;
}

const noHeaders = Object.create(null) as FieldTable;

export class HeadersMatcher implements Matcher {
  readonly byHeaders = true;
  readonly #patterns = new Map<Binding, Pattern>();

  check(_routingKey: string, given: FieldTable): void {
    checkHeadersBinding(given);
  }

  add(binding: Binding): void {
    const mode = binding.arguments['x-match'] ?? 'all';
    const withX = mode === 'all-with-x' || mode === 'any-with-x';
    this.#patterns.set(binding, {
      any: mode === 'any' || mode === 'any-with-x',
      fields: Object.entries(binding.arguments).filter(
        ([name]) => name !== 'x-match' && (withX || !name.startsWith('x-')),
      ),
      destination: binding.destination,
    });
  }

  remove(binding: Binding): void {
    this.#patterns.delete(binding);
  }

  match(_routingKey: string, headers: FieldTable | null, found: Set<Destination>): void {
    for (const pattern of this.#patterns.values()) {
      if (matches(pattern, headers ?? noHeaders)) found.add(pattern.destination);
    }
  }
}

/** @throws BrokerError PRECONDITION_FAILED */
export function checkHeadersBinding(given: FieldTable): void {
  const mode = given['x-match'];
  if (mode === undefined) return;
  if (typeof mode !== 'string') {
    throw new BrokerError(
      'PRECONDITION_FAILED',
      `Invalid x-match field type ${fieldType(mode)} (value ${fieldText(mode)}); expected longstr`,
    );
  }
  if (!['all', 'any', 'all-with-x', 'any-with-x'].includes(mode)) {
    throw new BrokerError(
      'PRECONDITION_FAILED',
      `Invalid x-match field value <<"${mode}">>; expected all, any, all-with-x, or any-with-x`,
    );
  }
}

function matches(pattern: Pattern, headers: FieldTable): boolean {
  for (const [name, wanted] of pattern.fields) {
    const given = headers[name];
    const equal = given !== undefined && (wanted === null || equalFields(wanted, given));
    if (equal === pattern.any) return pattern.any;
  }
  return !pattern.any;
}
