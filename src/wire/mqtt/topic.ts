/** Topic names and topic filters (5.0 §4.7), shared subscriptions (§4.8.2). */
import { MqttError } from './mqtt-error.ts';
import { reasonCode } from './reason-code.ts';

/** What `checkTopicFilter` and the packets that hold filters allow by default. */
export const defaultMaxLevels = 200;

export function topicNameInvalid(message: string): MqttError {
  return new MqttError(reasonCode.topicNameInvalid, message);
}

function topicFilterInvalid(message: string): MqttError {
  return new MqttError(reasonCode.topicFilterInvalid, message);
}

/** @throws MqttError when a message can't have this topic: it is empty, too deep, or holds a wildcard or U+0000 */
export function checkTopicName(topic: string, maxLevels = defaultMaxLevels): void {
  if (topic === '') throw topicNameInvalid('the topic name is empty'); // [MQTT-4.7.3-1]
  if (topic.includes('+') || topic.includes('#')) throw topicNameInvalid('the topic name holds a wildcard'); // [MQTT-4.7.0-1]
  if (topic.includes('\0')) throw topicNameInvalid('the topic name holds U+0000'); // [MQTT-4.7.3-2]
  if (levelsOf(topic) > maxLevels) throw topicNameInvalid(`the topic name has more than ${maxLevels} levels`);
}

/** @throws MqttError when nothing can be subscribed to by this filter. A shared one is checked by what `parseSharedFilter` makes of it. */
export function checkTopicFilter(filter: string, maxLevels = defaultMaxLevels): void {
  if (filter === '') throw topicFilterInvalid('the topic filter is empty'); // [MQTT-4.7.3-1]
  if (filter.includes('\0')) throw topicFilterInvalid('the topic filter holds U+0000'); // [MQTT-4.7.3-2]
  if (levelsOf(filter) > maxLevels) throw topicFilterInvalid(`the topic filter has more than ${maxLevels} levels`);
  for (let at = 0; at < filter.length; at++) {
    const character = filter[at];
    if (character !== '+' && character !== '#') continue;
    const alone = (at === 0 || filter[at - 1] === '/') && (at + 1 === filter.length || filter[at + 1] === '/');
    if (!alone) throw topicFilterInvalid(`'${character}' must be a whole level of the topic filter`); // [MQTT-4.7.1-2]
    if (character === '#' && at + 1 < filter.length)
      throw topicFilterInvalid("'#' must be the last level of the topic filter"); // [MQTT-4.7.1-1]
  }
}

/** Not `split`: a topic may be 64 KiB of slashes. */
function levelsOf(topic: string): number {
  let levels = 1;
  for (let at = topic.indexOf('/'); at !== -1; at = topic.indexOf('/', at + 1)) levels++;
  return levels;
}

export interface SharedFilter {
  /** Members of one name and filter share the messages. */
  readonly name: string;
  readonly filter: string;
}

const sharePrefix = '$share/';

/**
 * "$share/workers/a/+" is the filter "a/+" shared under the name "workers"; null for a filter that isn't shared.
 *
 * @throws MqttError when the name is missing or holds a wildcard [MQTT-4.8.2-1] [MQTT-4.8.2-2], or no filter follows
 */
export function parseSharedFilter(filter: string): SharedFilter | null {
  if (!filter.startsWith(sharePrefix)) return null;
  const nameEnd = filter.indexOf('/', sharePrefix.length);
  if (nameEnd === -1) throw topicFilterInvalid('a shared subscription is "$share/<name>/<filter>"');
  const name = filter.slice(sharePrefix.length, nameEnd);
  if (name === '') throw topicFilterInvalid('the name of the shared subscription is empty');
  if (name.includes('+') || name.includes('#'))
    throw topicFilterInvalid('the name of the shared subscription holds a wildcard');
  return { name, filter: filter.slice(nameEnd + 1) };
}

/** Whether a checked filter, not a shared one, matches a topic; compared character by character [MQTT-4.7.3-4]. */
export function filterMatches(filter: string, topic: string): boolean {
  // [MQTT-4.7.2-1]
  if (topic.startsWith('$') && (filter.startsWith('#') || filter.startsWith('+'))) return false;
  let at = 0;
  let topicAt = 0;
  for (;;) {
    if (filter[at] === '#') return true;
    const levelEnd = endOfLevel(filter, at);
    const topicLevelEnd = endOfLevel(topic, topicAt);
    const any = filter[at] === '+' && levelEnd === at + 1;
    if (!any) {
      if (levelEnd - at !== topicLevelEnd - topicAt) return false;
      for (let offset = 0; at + offset < levelEnd; offset++) {
        if (filter.charCodeAt(at + offset) !== topic.charCodeAt(topicAt + offset)) return false;
      }
    }
    if (topicLevelEnd === topic.length) {
      // "a/#" matches its parent "a" too (§4.7.1.2).
      return levelEnd === filter.length || (filter[levelEnd + 1] === '#' && levelEnd + 2 === filter.length);
    }
    if (levelEnd === filter.length) return false;
    at = levelEnd + 1;
    topicAt = topicLevelEnd + 1;
  }
}

function endOfLevel(text: string, at: number): number {
  const slash = text.indexOf('/', at);
  return slash === -1 ? text.length : slash;
}
