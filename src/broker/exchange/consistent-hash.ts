/**
 * Consistent hash: each message goes to one destination, chosen by the hash of its routing key, a header or a property; a binding's routing
 * key is its weight. Every destination draws a number from the message's hash and its own name, the weight bends it, and the lowest
 * wins (rendezvous hashing). So a destination that comes or goes moves no message but those that it gets or had, and nothing depends
 * on the order in which bindings were made.
 */
import { findProperty, readStringProperty } from '../../format/basic-properties.ts';
import { plainValue } from '../../format/field-json.ts';
import type { FieldTable, FieldValue } from '../../format/field-table.ts';
import type { MessageView } from '../../engine/engine.ts';
import type { Binding, Destination } from '../binding.ts';
import { BrokerError } from '../broker-error.ts';
import { fieldType } from '../field-type.ts';
import type { Matcher } from './matcher.ts';

/** The most that the plugin takes. */
const maxWeight = 10_000;
const properties = ['correlation_id', 'message_id', 'timestamp'];

interface Bucket {
  readonly destination: Destination;
  readonly hash: number;
  readonly bindings: Set<Binding>;
  /** How many of them have each weight. */
  readonly counts: Map<number, number>;
  /** The largest of them: bound twice, a destination has no more. */
  weight: number;
}

export class ConsistentHashMatcher implements Matcher {
  readonly byHeaders: boolean;
  readonly #header: string | null;
  readonly #property: string | null;
  readonly #buckets = new Map<Destination, Bucket>();

  /** @throws BrokerError PRECONDITION_FAILED */
  constructor(given: FieldTable) {
    this.#header = textOf(given, 'hash-header');
    this.#property = textOf(given, 'hash-property');
    if (this.#header !== null && this.#property !== null) {
      throw refused('hash-header and hash-property are mutually exclusive');
    }
    if (this.#property !== null && !properties.includes(this.#property)) {
      throw refused(`Unsupported property: ${this.#property}`);
    }
    this.byHeaders = this.#header !== null || this.#property !== null;
  }

  check(routingKey: string): void {
    if (!/^[+-]?\d+$/.test(routingKey)) throw refused(`The binding key must be an integer: <<"${routingKey}">>`);
    const weight = Number(routingKey);
    if (weight < 1) throw refused('The binding key must be greater than 0');
    if (weight > maxWeight) throw refused(`The binding key must not exceed ${maxWeight}`);
  }

  add(binding: Binding): void {
    const { destination } = binding;
    let bucket = this.#buckets.get(destination);
    if (bucket === undefined) {
      const hash = hashOf(`${destination.kind}:${destination.name}`);
      bucket = { destination, hash, bindings: new Set(), counts: new Map(), weight: 0 };
      this.#buckets.set(destination, bucket);
    }
    if (bucket.bindings.has(binding)) return;
    bucket.bindings.add(binding);
    const weight = Number(binding.routingKey);
    bucket.counts.set(weight, (bucket.counts.get(weight) ?? 0) + 1);
    bucket.weight = Math.max(bucket.weight, weight);
  }

  remove(binding: Binding): void {
    const bucket = this.#buckets.get(binding.destination);
    if (bucket?.bindings.delete(binding) !== true) return;
    if (bucket.bindings.size === 0) {
      this.#buckets.delete(binding.destination);
      return;
    }
    const weight = Number(binding.routingKey);
    const left = bucket.counts.get(weight)! - 1;
    if (left > 0) {
      bucket.counts.set(weight, left);
      return;
    }
    bucket.counts.delete(weight);
    // There are at most as many as there are weights.
    if (weight === bucket.weight) bucket.weight = Math.max(...bucket.counts.keys());
  }

  match(
    routingKey: string,
    headers: FieldTable | null,
    found: Set<Destination>,
    message: MessageView | null = null,
  ): void {
    // Of several routing keys (CC) the first counts.
    if (found.size > 0) return;
    const key = hashOf(this.#keyOf(routingKey, headers, message));
    let lowest = Infinity;
    let chosen: Destination | null = null;
    for (const { destination, hash, weight } of this.#buckets.values()) {
      const drawn = -Math.log((mix(key ^ hash) + 0.5) / 0x1_0000_0000) / weight;
      if (drawn >= lowest) continue;
      lowest = drawn;
      chosen = destination;
    }
    if (chosen !== null) found.add(chosen);
  }

  /** What all messages that lack the header or the property have in common is that they lack it. */
  #keyOf(routingKey: string, headers: FieldTable | null, message: MessageView | null): string {
    if (this.#header !== null) {
      const value = headers?.[this.#header];
      return value === undefined ? '' : keyOfValue(value);
    }
    if (this.#property === null) return routingKey;
    return message === null ? '' : propertyOf(message, this.#property);
  }
}

function propertyOf({ head, propertiesStart, propertiesEnd }: MessageView, name: string): string {
  if (name === 'timestamp') {
    const at = findProperty(head, propertiesStart, propertiesEnd, 'timestamp');
    return at < 0 ? '' : String(head.readBigUInt64BE(at));
  }
  const property = name === 'message_id' ? 'messageId' : 'correlationId';
  return readStringProperty(head, propertiesStart, propertiesEnd, property) ?? '';
}

function keyOfValue(value: FieldValue): string {
  return typeof value === 'string' ? value : JSON.stringify(plainValue(value));
}

function textOf(given: FieldTable, name: string): string | null {
  const value = given[name];
  if (value === undefined) return null;
  if (typeof value !== 'string') throw refused(`Invalid argument '${name}': expected longstr, got ${fieldType(value)}`);
  return value;
}

function refused(text: string): BrokerError {
  return new BrokerError('PRECONDITION_FAILED', text);
}

/** FNV-1a over UTF-16 units, mixed. It must never change: restarts and brokers agree on it. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    hash = Math.imul(hash ^ (unit & 0xff), 0x01000193);
    hash = Math.imul(hash ^ (unit >>> 8), 0x01000193);
  }
  return mix(hash);
}

/** The end of MurmurHash3: each bit of the input changes half of the output. */
function mix(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
