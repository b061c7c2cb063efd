import { BrokerError } from '../broker-error.ts';
import { DirectMatcher } from './direct.ts';
import { FanoutMatcher } from './fanout.ts';
import { HeadersMatcher } from './headers.ts';
import type { Matcher } from './matcher.ts';
import { TopicMatcher } from './topic.ts';

const types: Readonly<Record<string, () => Matcher>> = {
  direct: () => new DirectMatcher(),
  fanout: () => new FanoutMatcher(),
  headers: () => new HeadersMatcher(),
  topic: () => new TopicMatcher(),
};

/** @throws BrokerError COMMAND_INVALID */
export function newMatcher(type: string): Matcher {
  const make = Object.hasOwn(types, type) ? types[type] : undefined;
  if (make === undefined) throw new BrokerError('COMMAND_INVALID', `unknown exchange type '${type}'`);
  return make();
}
