/**
 * How topics are written, and what that is on a topic exchange. A name with a `/` is MQTT's: levels parted by `/`, in patterns `+` for one and a
 * last `#` for any number. Every other name is AMQP's, a routing key: words parted by dots, `*` for one, `#` for any number. Both
 * say the same of the same messages: `site/7/temperature` is `site.7.temperature`.
 */
import { messageTopic } from '../broker/subscription/message-topic.ts';
import { isReserved, routingKeyOf } from '../broker/subscription/topic-key.ts';
import type { FieldTable } from '../format/field-table.ts';
import { PostriderError } from './errors.ts';
import { checkTopic, mostBytes, short } from './names.ts';

/** `levels` as MQTT writes topics, `words` as routing keys are. */
export type TopicNotation = 'levels' | 'words';

export interface TopicName {
  /** What is published with, or bound. */
  readonly routingKey: string;
  readonly notation: TopicNotation;
  readonly isPattern: boolean;
}

/** @throws PostriderError INVALID_NAME */
export function topicName(name: unknown): TopicName {
  checkTopic(name);
  if (!name.includes('/') && name !== '+') {
    const isPattern = name.split('.').some((word) => word === '*' || word === '#');
    return { routingKey: name, notation: 'words', isPattern };
  }
  const levels = name.split('/');
  checkLevels(name, levels);
  // Each of these takes three bytes in a routing key, and a key that is too long would be shortened.
  const bytes = Buffer.byteLength(name) + 2 * (name.match(/[*%]/g)?.length ?? 0);
  if (bytes > mostBytes) throw invalid(short(name), `has ${bytes} bytes as a routing key; it may have ${mostBytes}`);
  return { routingKey: levels.map(wordOf).join('.'), notation: 'levels', isPattern: levels.some(isWildcard) };
}

/** A message's topic, in the words of whoever subscribed to it. */
export function writtenTopic(notation: TopicNotation, routingKey: string, headers: FieldTable | undefined): string {
  return notation === 'words' ? routingKey : messageTopic(routingKey, headers ?? null);
}

function wordOf(level: string): string {
  if (level === '+') return '*';
  return level === '#' ? '#' : routingKeyOf(level);
}

function isWildcard(level: string): boolean {
  return level === '+' || level === '#';
}

/** What MQTT does not allow, and what would quietly get nothing. */
function checkLevels(name: string, levels: readonly string[]): void {
  if (levels[0] === '$share') {
    throw invalid(name, "is MQTT's way to share a subscription; here consumers of the same subscription share it");
  }
  if (isReserved(name)) throw invalid(name, "is the server's own: what it tells there goes to MQTT's clients alone");
  for (const [index, level] of levels.entries()) {
    if (level === '*')
      throw invalid(name, "has the wildcard of topics with dots; where levels are parted by '/' write + for any one");
    if (isWildcard(level)) {
      if (level === '+' || index === levels.length - 1) continue;
      throw invalid(name, 'has a # before its end, where MQTT allows none');
    }
    if (/[+#]/.test(level)) throw invalid(name, `has a wildcard beside other characters: '${level}'`);
  }
}

function invalid(name: string, why: string): PostriderError {
  return new PostriderError('INVALID_NAME', `the topic '${name}' ${why}`);
}
