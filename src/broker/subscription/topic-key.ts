/**
 * Topics as routing keys. A topic's levels are divided by `/`, a key's words by `.`: the two swap, and what a key may not hold as it is gets escaped.
 *
 *   topic   /   .   *     %              key   .   /   %2A   %25   #     +     NUL
 *   key     .   /   %2A   %25            topic /   .   *     %     %23   %2B   %00
 *
 * topic -> key -> topic is the identity. A key that no topic leads to (an AMQP publisher's `#`) still has a topic, which others may share.
 * A key has room for 255 bytes: that of a longer topic is cut at a word and ends in `~` and a hash, and its message carries the topic in
 * the header `x-mqtt-topic`.
 */
import { createHash } from 'node:crypto';

/** Carries the topic of a message whose key is shortened. */
export const topicHeader = 'x-mqtt-topic';

/** Topics that are the server's own: what anybody publishes to them reaches no subscriber. */
const reservedPrefix = '$SYS/';

/** What an AMQP short string holds. */
const maxKeyBytes = 255;
/** A UTF-16 unit takes three bytes of UTF-8 at most. */
const surelyShort = maxKeyBytes / 3;
const hashBytes = 16;
const hashCharacters = 22;
/** `~` and the hash. */
const markCharacters = 1 + hashCharacters;

/** Hot: one pass. A topic of 65,535 bytes is fine. */
export function routingKeyOf(topic: string): string {
  let key = '';
  let from = 0;
  for (let at = 0; at < topic.length; at++) {
    const character = topic.charCodeAt(at);
    if (character > 0x2f) continue;
    const word = escaped(character);
    if (word === null) continue;
    key += topic.slice(from, at) + word;
    from = at + 1;
  }
  if (from === 0) key = topic;
  else if (from < topic.length) key += topic.slice(from);
  return key.length <= surelyShort ? key : fitting(key, topic);
}

/** Hot. The topic of a message with this key, but for one that was shortened. Never empty: the empty key's is `%`. */
export function topicOf(routingKey: string): string {
  let topic = '';
  let from = 0;
  for (let at = 0; at < routingKey.length; at++) {
    const character = routingKey.charCodeAt(at);
    if (character > 0x2f) continue;
    const isEscape = character === 0x25;
    const level = isEscape ? unescaped(routingKey, at) : replaced(character);
    if (level === null) continue;
    topic += routingKey.slice(from, at) + level;
    if (isEscape) at += 2;
    from = at + 1;
  }
  if (from === 0) return routingKey === '' ? '%' : routingKey;
  return from < routingKey.length ? topic + routingKey.slice(from) : topic;
}

/** Whether it looks like the key of a topic that was too long. A topic may end like that by itself, so its message need not have the header. */
export function isShortened(routingKey: string): boolean {
  const markAt = routingKey.length - markCharacters;
  if (markAt < 0 || routingKey.charCodeAt(markAt) !== 0x7e) return false;
  if (markAt > 0 && routingKey.charCodeAt(markAt - 1) !== 0x2e) return false;
  for (let at = markAt + 1; at < routingKey.length; at++) if (!isOfHash(routingKey.charCodeAt(at))) return false;
  return true;
}

export function isReserved(topic: string): boolean {
  return topic.startsWith(reservedPrefix);
}

function escaped(character: number): string | null {
  switch (character) {
    case 0x2f:
      return '.';
    case 0x2e:
      return '/';
    case 0x2a:
      return '%2A';
    case 0x25:
      return '%25';
    default:
      return null;
  }
}

function replaced(character: number): string | null {
  switch (character) {
    case 0x2e:
      return '/';
    case 0x2f:
      return '.';
    case 0x23:
      return '%23';
    case 0x2b:
      return '%2B';
    case 0x00:
      return '%00';
    default:
      return null;
  }
}

function unescaped(key: string, at: number): string | null {
  if (key.charCodeAt(at + 1) !== 0x32) return null;
  const last = key.charCodeAt(at + 2);
  return last === 0x41 ? '*' : last === 0x35 ? '%' : null;
}

function fitting(key: string, topic: string): string {
  if (Buffer.byteLength(key) <= maxKeyBytes) return key;
  const bytes = Buffer.from(key);
  // The last `.` that leaves room for itself and the mark.
  const end = bytes.lastIndexOf(0x2e, maxKeyBytes - markCharacters - 1);
  const mark = `~${createHash('sha256').update(topic).digest().toString('base64url', 0, hashBytes)}`;
  return end < 0 ? mark : `${bytes.toString('utf8', 0, end)}.${mark}`;
}

function isOfHash(character: number): boolean {
  return (
    (character >= 0x61 && character <= 0x7a) ||
    (character >= 0x41 && character <= 0x5a) ||
    (character >= 0x30 && character <= 0x39) ||
    character === 0x2d ||
    character === 0x5f
  );
}
