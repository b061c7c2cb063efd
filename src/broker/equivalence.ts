/** Redeclaring something is allowed if nothing about it differs; these are RabbitMQ's checks and texts. */
import type { FieldTable } from '../format/field-table.ts';
import { BrokerError } from './broker-error.ts';
import { equalFields, fieldText, fieldType } from './field-type.ts';

/** @throws BrokerError PRECONDITION_FAILED */
export function requireEqual(
  name: string,
  resource: string,
  current: string | boolean,
  received: string | boolean,
): void {
  if (current !== received) throw inequivalent(name, resource, `'${received}'`, `'${current}'`);
}

/** Compares the named arguments only: others mean nothing. @throws BrokerError PRECONDITION_FAILED */
export function requireEqualArguments(
  names: readonly string[],
  resource: string,
  current: FieldTable,
  received: FieldTable,
): void {
  for (const name of names) {
    const before = current[name];
    const now = received[name];
    if (before === undefined && now === undefined) continue;
    if (before === undefined || now === undefined) {
      throw inequivalent(name, resource, typedText(now), typedText(before));
    }
    if (!equalFields(before, now)) {
      throw inequivalent(name, resource, `'${fieldText(now)}'`, `'${fieldText(before)}'`);
    }
  }
}

function typedText(value: FieldTable[string] | undefined): string {
  return value === undefined ? 'none' : `the value '${fieldText(value)}' of type '${fieldType(value)}'`;
}

function inequivalent(name: string, resource: string, received: string, current: string): BrokerError {
  return new BrokerError(
    'PRECONDITION_FAILED',
    `inequivalent arg '${name}' for ${resource}: received ${received} but current is ${current}`,
  );
}
