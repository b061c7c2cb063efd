/** Topics and the filters that subscriptions name them with: levels between `/`; `+` stands for one level, `#` at the end for any number of them, none too. */
import { BrokerError } from '../broker-error.ts';

/** A filter of a shared subscription is told apart by this, as clients write it. */
const sharePrefix = '$share/';

/** @throws BrokerError COMMAND_INVALID: it is none; PRECONDITION_FAILED: it has more levels than anybody may ask for */
export function requireFilter(filter: string, share: string | null, maxLevels: number): void {
  if (!isFilter(filter) || (share === null ? filter.startsWith(sharePrefix) : !isShareName(share))) {
    throw new BrokerError('COMMAND_INVALID', `'${subscriptionName(share, filter)}' is no topic filter`);
  }
  if (levelCount(filter) <= maxLevels) return;
  throw new BrokerError('PRECONDITION_FAILED', `a topic filter has more than ${maxLevels} levels`);
}

export function isFilter(filter: string): boolean {
  if (filter === '' || filter.includes('\0')) return false;
  if (!hasWildcard(filter)) return true;
  const levels = filter.split('/');
  return levels.every((level, at) => {
    if (level === '#') return at === levels.length - 1;
    return level === '+' || !hasWildcard(level);
  });
}

/** Of a publish: without wildcards. */
export function isTopic(topic: string): boolean {
  return topic !== '' && !topic.includes('\0') && !hasWildcard(topic);
}

export function hasWildcard(text: string): boolean {
  return text.includes('+') || text.includes('#');
}

/** What tells a client's subscriptions apart. */
export function subscriptionName(share: string | null, filter: string): string {
  return share === null ? filter : `${sharePrefix}${share}/${filter}`;
}

/** The filter as a pattern of a topic exchange, however long; of a topic: its routing key, not shortened. */
export function bindingKeyOf(filter: string): string {
  return filter
    .split('/')
    .map((level) => (level === '+' ? '*' : level.replace(/[.*%]/g, escaped)))
    .join('.');
}

function escaped(character: string): string {
  return character === '.' ? '/' : character === '*' ? '%2A' : '%25';
}

function isShareName(share: string): boolean {
  return share !== '' && !share.includes('/') && !share.includes('\0') && !hasWildcard(share);
}

function levelCount(filter: string): number {
  let count = 1;
  for (let at = filter.indexOf('/'); at >= 0; at = filter.indexOf('/', at + 1)) count += 1;
  return count;
}
