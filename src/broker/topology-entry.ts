/** The broker's topology as the engine keeps it: entries of kind vhost, exchange and binding, and queues (access/user.ts has users and permissions). */
import type { Json, QueueSpec, TopologyEntry } from '../engine/engine.ts';
import { decodeFieldTable, encodeFieldTable, type FieldTable } from '../format/field-table.ts';
import { type Binding, bindingKey, joinKey } from './binding.ts';
import type { Exchange, ExchangeTraits } from './exchange/exchange.ts';
import type { Queue, QueueTraits } from './queue.ts';
import { queueLimits } from './queue-settings.ts';

export const entryKind = {
  vhost: 'vhost',
  exchange: 'exchange',
  binding: 'binding',
  user: 'user',
  permission: 'permission',
  topicPermission: 'topic-permission',
  /** That something was made once, which may be gone since. */
  made: 'made',
} as const;

/** A key of a queue with a name begins with a digit. */
const ownedPrefix = 'exchange:';
const mailboxPrefix = 'mailbox:';

export interface BindingRecord {
  readonly vhost: string;
  readonly source: string;
  readonly toExchange: boolean;
  readonly destination: string;
  readonly routingKey: string;
  readonly arguments: FieldTable;
}

export function vhostEntry(name: string): TopologyEntry {
  return { kind: entryKind.vhost, key: name, durable: true, value: { name } };
}

export function exchangeKey(vhost: string, name: string): string {
  return joinKey([vhost, name]);
}

export function exchangeEntry(vhost: string, exchange: Exchange): TopologyEntry {
  const { name, type, durable, autoDelete, internal } = exchange.traits;
  const value = { vhost, name, type, durable, autoDelete, internal, arguments: tableToJson(exchange.traits.arguments) };
  return { kind: entryKind.exchange, key: exchangeKey(vhost, name), durable, value };
}

export function readExchange(value: Json): ExchangeTraits & { readonly vhost: string } {
  const record = fields(value);
  return {
    vhost: text(record['vhost']),
    name: text(record['name']),
    type: text(record['type']),
    durable: record['durable'] === true,
    autoDelete: record['autoDelete'] === true,
    internal: record['internal'] === true,
    arguments: tableFromJson(record['arguments']),
  };
}

export function bindingEntryKey(vhost: string, binding: Binding): string {
  return joinKey([vhost, binding.source.name]) + bindingKey(binding.destination, binding.routingKey, binding.arguments);
}

export function bindingEntry(vhost: string, binding: Binding): TopologyEntry {
  const value = {
    vhost,
    source: binding.source.name,
    toExchange: binding.destination.kind === 'exchange',
    destination: binding.destination.name,
    routingKey: binding.routingKey,
    arguments: tableToJson(binding.arguments),
  };
  return { kind: entryKind.binding, key: bindingEntryKey(vhost, binding), durable: binding.durable, value };
}

export function readBinding(value: Json): BindingRecord {
  const record = fields(value);
  return {
    vhost: text(record['vhost']),
    source: text(record['source']),
    toExchange: record['toExchange'] === true,
    destination: text(record['destination']),
    routingKey: text(record['routingKey']),
    arguments: tableFromJson(record['arguments']),
  };
}

export function queueKey(vhost: string, name: string): string {
  return joinKey([vhost, name]);
}

/** Of the queue that an exchange owns. */
export function ownedKey(vhost: string, exchange: string): string {
  return ownedPrefix + joinKey([vhost, exchange]);
}

/** Of a subscriber's or a shared group's queue. */
export function mailboxKey(vhost: string, name: string): string {
  return mailboxPrefix + joinKey([vhost, name]);
}

/** `owned`: the queue that the exchange with this name owns. `mailbox`: the name is no queue's, but that of a mailbox (subscription/mailbox.ts). */
export function readQueueKey(given: string): { vhost: string; name: string; owned: boolean; mailbox: boolean } {
  const owned = given.startsWith(ownedPrefix);
  const mailbox = given.startsWith(mailboxPrefix);
  const key = owned || mailbox ? given.slice(given.indexOf(':') + 1) : given;
  const vhostAt = key.indexOf(':') + 1;
  const vhostEnd = vhostAt + Number(key.slice(0, vhostAt - 1));
  return { vhost: key.slice(vhostAt, vhostEnd), name: key.slice(key.indexOf(':', vhostEnd) + 1), owned, mailbox };
}

export function queueSpec(queue: Queue): QueueSpec {
  const { vhost, name, durable, autoDelete } = queue.traits;
  const value = { vhost, name, durable, autoDelete, arguments: tableToJson(queue.traits.arguments) };
  return { key: queue.key, durable, limits: queueLimits(queue.settings), value };
}

export function readQueue(value: Json): QueueTraits {
  const record = fields(value);
  return {
    vhost: text(record['vhost']),
    name: text(record['name']),
    durable: record['durable'] === true,
    autoDelete: record['autoDelete'] === true,
    arguments: tableFromJson(record['arguments']),
  };
}

/** A table's own encoding, because JSON has not its types. */
function tableToJson(table: FieldTable): string {
  return Object.keys(table).length === 0 ? '' : encodeFieldTable(table).toString('base64');
}

function tableFromJson(value: Json | undefined): FieldTable {
  const encoded = text(value);
  if (encoded === '') return {};
  const bytes = Buffer.from(encoded, 'base64');
  return decodeFieldTable(bytes, 0, bytes.length);
}

function fields(value: Json): Readonly<Record<string, Json>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error('a topology entry is no record');
  return value as Readonly<Record<string, Json>>;
}

function text(value: Json | undefined): string {
  if (typeof value !== 'string') throw new Error('a topology entry lacks a name');
  return value;
}
