/** A vhost as people and their tools look at it: plain values that are JSON as they stand. */
import { plainTable, type PlainValue } from '../format/field-json.ts';
import type { Broker } from './broker.ts';
import type { Exchange } from './exchange/exchange.ts';
import { requirePermission } from './permission.ts';
import type { Principal } from './principal.ts';
import { type Queue, whatIsDamaged } from './queue.ts';
import type { Vhost } from './vhost.ts';

export interface ExchangeDescription {
  /** Empty: the default exchange. */
  readonly name: string;
  readonly type: string;
  readonly durable: boolean;
  readonly autoDelete: boolean;
  readonly internal: boolean;
  readonly arguments: Readonly<Record<string, PlainValue>>;
  /** Messages that it holds until they are due; absent: it is of a type that holds none. */
  readonly delayed?: number;
  /** Messages that its deduplication kept from queues since the start; absent: it has none. */
  readonly duplicates?: number;
}

export interface QueueDescription {
  readonly name: string;
  readonly durable: boolean;
  readonly exclusive: boolean;
  readonly autoDelete: boolean;
  readonly arguments: Readonly<Record<string, PlainValue>>;
  readonly ready: number;
  readonly unacked: number;
  /** Not due yet. */
  readonly delayed: number;
  /** Of the payloads that are ready. */
  readonly readyBytes: number;
  readonly consumers: number;
  /** As an exchange's. */
  readonly duplicates?: number;
  /** Why it stopped; absent: it did not. */
  readonly damage?: string;
}

export interface BindingDescription {
  readonly source: string;
  readonly destination: string;
  readonly destinationType: 'queue' | 'exchange';
  readonly routingKey: string;
  readonly arguments: Readonly<Record<string, PlainValue>>;
}

export interface VhostDescription {
  readonly vhost: string;
  readonly exchanges: readonly ExchangeDescription[];
  readonly queues: readonly QueueDescription[];
  /** Without those that every queue has with the default exchange. */
  readonly bindings: readonly BindingDescription[];
}

/** By name each. Counts are of one moment for each queue, not for all. */
export async function describe(broker: Broker, vhost: Vhost): Promise<VhostDescription> {
  const exchanges = byName(vhost.graph.exchanges.values());
  const described = {
    vhost: vhost.name,
    exchanges: await Promise.all(exchanges.map((exchange) => describeExchange(broker, exchange))),
    bindings: exchanges.flatMap(describeBindings),
  };
  const queues: QueueDescription[] = [];
  for (const queue of byName(vhost.graph.queues.values())) {
    await queue.created;
    // Deleted while the ones before were asked for.
    if (queue.deleted || queue.handle === null) continue;
    const { ready, unacked, delayed, readyBytes, consumers, repeats = 0 } = await broker.engine.stats(queue.handle);
    const { damage } = queue.handle;
    const counted = queue.settings.deduplication === null ? {} : { duplicates: repeats };
    const stopped = damage === null ? {} : { damage: whatIsDamaged(damage) };
    queues.push({ ...describeQueue(queue), ready, unacked, delayed, readyBytes, consumers, ...stopped, ...counted });
  }
  return { ...described, queues };
}

/** Whoever looks at a whole vhost must be allowed to read all that is in it. @throws BrokerError ACCESS_REFUSED */
export function requireReadAll(principal: Principal, vhost: Vhost): void {
  for (const kind of ['exchange', 'queue'] as const) {
    const names = (kind === 'exchange' ? vhost.graph.exchanges : vhost.graph.queues).keys();
    for (const name of names) requirePermission(principal, vhost.name, 'read', kind, name);
  }
}

async function describeExchange(
  broker: Broker,
  { traits, owned, holding, deduplication }: Exchange,
): Promise<ExchangeDescription> {
  const { name, type, durable, autoDelete, internal } = traits;
  const described = { name, type, durable, autoDelete, internal, arguments: plainTable(traits.arguments) };
  if (owned === null || owned.handle === null || owned.deleted) return described;
  // What is due and on its way is still there.
  const { delayed, ready, unacked, repeats = 0 } = await broker.engine.stats(owned.handle);
  const counted = deduplication === null ? {} : { duplicates: repeats };
  return { ...described, ...(holding === null ? {} : { delayed: delayed + ready + unacked }), ...counted };
}

function describeBindings({ bindings }: Exchange): BindingDescription[] {
  return Array.from(bindings.values(), ({ source, destination, routingKey, arguments: given }) => ({
    source: source.name,
    destination: destination.name,
    destinationType: destination.kind,
    routingKey,
    arguments: plainTable(given),
  }));
}

function describeQueue({ name, traits, owner }: Queue) {
  const { durable, autoDelete } = traits;
  return { name, durable, exclusive: owner !== null, autoDelete, arguments: plainTable(traits.arguments) };
}

function byName<T extends { readonly name: string }>(things: Iterable<T>): T[] {
  return Array.from(things).sort((a, b) => (a.name < b.name ? -1 : 1));
}
