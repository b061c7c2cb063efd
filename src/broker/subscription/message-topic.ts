import type { FieldTable } from '../../format/field-table.ts';
import { isShortened, routingKeyOf, topicHeader, topicOf } from './topic-key.ts';

/** The topic of a message: of its routing key, or in its headers where that was shortened. A header that the key is not made of means nothing. */
export function messageTopic(routingKey: string, headers: FieldTable | null): string {
  if (!isShortened(routingKey)) return topicOf(routingKey);
  const given = headers?.[topicHeader];
  return typeof given === 'string' && routingKeyOf(given) === routingKey ? given : topicOf(routingKey);
}
