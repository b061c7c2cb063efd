/**
 * Which topics of an exchange a user may publish to and subscribe to: two patterns over routing keys, in which `{username}`, `{vhost}` and
 * `{client_id}` stand for who asks.
 *
 * An MQTT client chooses its id, so an id must not get further than its letters say. It is a literal, never part of the expression. One with
 * a `/` would be more than one level of a topic, one with a wildcard would be a filter for the topics of others: both match nothing.
 */
import type { TopicAccess } from '../principal.ts';
import { routingKeyOf } from '../subscription/topic-key.ts';
import { Pattern } from './pattern.ts';

/** As they are asked for and told. */
export interface TopicTexts {
  readonly write: string;
  readonly read: string;
}

/** Who asks. */
export interface TopicNames {
  readonly username: string;
  readonly vhost: string;
  /** Null: not over MQTT. */
  readonly clientId: string | null;
}

/** What a routing key holds at most. */
const mostNameBytes = 255;
/** Of different clients, that are remembered. */
const mostExpanded = 256;

export class TopicPermission {
  readonly texts: TopicTexts;
  readonly #write: TopicPattern;
  readonly #read: TopicPattern;

  /** @throws BrokerError PRECONDITION_FAILED */
  constructor({ write, read }: TopicTexts) {
    this.texts = { write, read };
    this.#write = new TopicPattern(write);
    this.#read = new TopicPattern(read);
  }

  allows(access: TopicAccess, routingKey: string, names: TopicNames): boolean {
    return (access === 'write' ? this.#write : this.#read).matches(routingKey, names);
  }
}

class TopicPattern {
  readonly #source: string;
  /** Null: it depends on who asks. */
  readonly #fixed: Pattern | null;
  /** By client id; one user and vhost alone ask. Null: no topic at all. */
  readonly #expanded = new Map<string | null, Pattern | null>();

  constructor(source: string) {
    this.#source = source;
    const anybody = new Pattern(source, { username: 'x', vhost: 'x', client_id: 'x' });
    this.#fixed = /\{(?:username|vhost|client_id)\}/.test(source) ? null : anybody;
  }

  matches(routingKey: string, names: TopicNames): boolean {
    return (this.#fixed ?? this.#expandedFor(names))?.matches(routingKey) === true;
  }

  #expandedFor(names: TopicNames): Pattern | null {
    const known = this.#expanded.get(names.clientId);
    if (known !== undefined) return known;
    const expanded = expand(this.#source, names);
    if ((names.clientId?.length ?? 0) > mostNameBytes) return expanded;
    if (this.#expanded.size >= mostExpanded) this.#expanded.clear();
    this.#expanded.set(names.clientId, expanded);
    return expanded;
  }
}

/** Null: with names that long the pattern is too large. */
function expand(source: string, { username, vhost, clientId }: TopicNames): Pattern | null {
  const overMqtt = clientId !== null;
  const names = {
    username: literal(username, overMqtt),
    vhost: literal(vhost, overMqtt),
    client_id: clientId === null || clientId.includes('/') ? null : literal(clientId, true),
  };
  try {
    return new Pattern(source, names);
  } catch {
    return null;
  }
}

/** As a part of routing keys; over MQTT it is part of a topic. Null: nothing matches it. */
function literal(name: string, overMqtt: boolean): string | null {
  if (name === '' || /[*#\0]/.test(name) || (overMqtt && name.includes('+'))) return null;
  const text = overMqtt ? routingKeyOf(name) : name;
  return Buffer.byteLength(name) > mostNameBytes || Buffer.byteLength(text) > mostNameBytes ? null : text;
}
