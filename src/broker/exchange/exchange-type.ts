import type { FieldTable } from '../../format/field-table.ts';
import { BrokerError } from '../broker-error.ts';
import { deduplicationType } from '../deduplication.ts';
import { ConsistentHashMatcher } from './consistent-hash.ts';
import { DirectMatcher } from './direct.ts';
import { FanoutMatcher } from './fanout.ts';
import { HeadersMatcher } from './headers.ts';
import type { Matcher } from './matcher.ts';
import { TopicMatcher } from './topic.ts';

/** Holds what is delayed and routes it, when it is due, as another type does. */
export const delayedType = 'x-delayed-message';

const types: Readonly<Record<string, (given: FieldTable) => Matcher>> = {
  direct: () => new DirectMatcher(),
  fanout: () => new FanoutMatcher(),
  headers: () => new HeadersMatcher(),
  topic: () => new TopicMatcher(),
  'x-consistent-hash': (given) => new ConsistentHashMatcher(given),
  [deduplicationType]: () => new FanoutMatcher(),
  [delayedType]: (given) => newMatcher(innerType(given['x-delayed-type']), given),
};

/** @throws BrokerError PRECONDITION_FAILED */
export function requireType(type: string): void {
  if (!Object.hasOwn(types, type)) throw new BrokerError('PRECONDITION_FAILED', `unknown exchange type '${type}'`);
}

/** `given`: the exchange's arguments. @throws BrokerError PRECONDITION_FAILED */
export function newMatcher(type: string, given: FieldTable): Matcher {
  requireType(type);
  return types[type]!(given);
}

/** In the words of the plugin rabbitmq-delayed-message-exchange. */
function innerType(type: FieldTable[string] | undefined): string {
  const wrong =
    typeof type !== 'string'
      ? "'x-delayed-type' must be an existing exchange type"
      : type === delayedType
        ? `'${delayedType}' can't be used for 'x-delayed-type'`
        : null;
  if (wrong !== null) throw new BrokerError('PRECONDITION_FAILED', `Invalid argument, ${wrong}`);
  return type as string;
}
