import type { TopologyChange } from '../engine/engine.ts';
import type { FieldTable } from '../format/field-table.ts';
import { requireArgumentRoom } from './argument-bytes.ts';
import { ArgumentReader } from './argument-reader.ts';
import type { Destination } from './binding.ts';
import { BrokerError } from './broker-error.ts';
import { brokerError, type BrokerContext } from './context.ts';
import { exchangeDeduplication } from './deduplication.ts';
import { requireEqual, requireEqualArguments } from './equivalence.ts';
import { Exchange, type ExchangeTraits } from './exchange/exchange.ts';
import { delayedType, newMatcher, requireType } from './exchange/exchange-type.ts';
import { requirePermission, requireTopic } from './permission.ts';
import type { Principal } from './principal.ts';
import { Queue } from './queue.ts';
import { effectiveQueueSettings } from './queue-settings.ts';
import { resourceName } from './resource-name.ts';
import type { Routes } from './routes.ts';
import { ownedKey } from './topology-entry.ts';
import type { TopologyGraph } from './topology-graph.ts';
import type { Actor, ExchangeBindingRequest, ExchangeDeclaration, QueueBindingRequest } from './vhost.ts';

const alternateArgument = 'alternate-exchange';
const reservedPrefix = 'amq.';

/** Exchanges that every vhost has from its beginning (0-9-1 §3.1.3, and RabbitMQ's own). */
const builtIn: readonly (readonly [name: string, type: string])[] = [
  ['amq.direct', 'direct'],
  ['amq.fanout', 'fanout'],
  ['amq.headers', 'headers'],
  ['amq.match', 'headers'],
  ['amq.topic', 'topic'],
];

/**
 * Declares, deletes and binds the exchanges of one vhost. What is declared or bound is there when the call returns, and durable when its
 * promise resolves; what is refused is refused by the call.
 */
export class Exchanges {
  readonly #graph: TopologyGraph;
  readonly #context: BrokerContext;
  readonly #routes: Routes;
  #latest: Promise<unknown> = Promise.resolve();

  constructor(graph: TopologyGraph, context: BrokerContext, routes: Routes) {
    this.#graph = graph;
    this.#context = context;
    this.#routes = routes;
    for (const [name, type] of builtIn) {
      const traits = { name, type, durable: true, autoDelete: false, internal: false, arguments: {} };
      graph.addExchange(this.#newExchange(traits, null), []);
    }
  }

  restore(traits: ExchangeTraits): void {
    const alternate = traits.arguments[alternateArgument];
    const exchange = this.#newExchange(traits, typeof alternate === 'string' ? alternate : null);
    this.#graph.addExchange(exchange, []);
    this.#own(exchange);
  }

  /** One that the broker's settings name, where it is not there. Adds to `changes` what makes it durable. */
  ensure(name: string, type: string, changes: TopologyChange[]): void {
    if (this.#graph.exchanges.has(name)) return;
    const traits = { name, type, durable: true, autoDelete: false, internal: false, arguments: {} };
    this.#graph.addExchange(this.#newExchange(traits, null), changes);
  }

  declare(actor: Actor, declaration: ExchangeDeclaration): Promise<void> {
    const { vhost } = this.#graph;
    const traits: ExchangeTraits = { ...declaration, name: oneLine(declaration.name) };
    const { name } = traits;
    const resource = resourceName('exchange', name, vhost);
    requireType(traits.type);
    refuseDefault(name);
    requirePermission(actor.principal, vhost, 'configure', 'exchange', name);
    const known = this.#graph.exchanges.get(name);
    if (known !== undefined) {
      requireEquivalent(known, traits, resource);
      return this.#change([], resource);
    }
    refuseReserved(name);
    const alternate = this.#alternate(actor.principal, traits, resource);
    const { maxExchanges, maxArgumentBytes } = this.#context.settings;
    if (this.#graph.exchanges.size >= maxExchanges) {
      const text = `cannot declare exchange '${name}': exchange limit in vhost '${vhost}' (${maxExchanges}) is reached`;
      throw new BrokerError('PRECONDITION_FAILED', text);
    }
    requireArgumentRoom(this.#graph, traits.arguments, maxArgumentBytes, `declare exchange '${name}'`);
    const exchange = this.#newExchange(traits, alternate);
    const changes: TopologyChange[] = [];
    this.#graph.addExchange(exchange, changes);
    const durable = this.#change(changes, resource);
    this.#own(exchange);
    return durable.catch((error: unknown) => {
      this.#graph.removeExchange(exchange, []);
      throw error;
    });
  }

  check(name: string): void {
    refuseDefault(oneLine(name));
    this.require(oneLine(name));
  }

  async delete(actor: Actor, given: string, options: { readonly ifUnused: boolean }): Promise<void> {
    const { vhost } = this.#graph;
    const name = oneLine(given);
    const resource = resourceName('exchange', name, vhost);
    refuseDefault(name);
    if (name.startsWith(reservedPrefix)) {
      throw new BrokerError('ACCESS_REFUSED', `deletion of system ${resource} not allowed`);
    }
    requirePermission(actor.principal, vhost, 'configure', 'exchange', name);
    const exchange = this.#graph.exchanges.get(name);
    if (exchange === undefined) return;
    if (options.ifUnused && exchange.bindings.size > 0) {
      throw new BrokerError('PRECONDITION_FAILED', `${resource} in use`);
    }
    const changes: TopologyChange[] = [];
    this.#graph.removeExchange(exchange, changes);
    await this.#change(changes, resource);
  }

  bindQueue(actor: Actor, request: QueueBindingRequest): Promise<void> {
    const source = this.#source(actor, request.exchange, 'queue', request.queue, request.routingKey);
    const queue = this.#queue(request.queue);
    queue.requireAccess(actor.connection);
    return this.#bind(source, queue, request.routingKey, request.arguments);
  }

  bindExchange(actor: Actor, request: ExchangeBindingRequest): Promise<void> {
    refuseDefault(oneLine(request.destination));
    const source = this.#source(actor, request.source, 'exchange', request.destination, request.routingKey);
    return this.#bind(source, this.require(oneLine(request.destination)), request.routingKey, request.arguments);
  }

  /** What is not bound is no error. */
  async unbindQueue(actor: Actor, request: QueueBindingRequest): Promise<void> {
    const source = oneLine(request.exchange);
    this.#requireBindPermission(actor.principal, source, 'queue', oneLine(request.queue), request.routingKey);
    const queue = this.#graph.queues.get(oneLine(request.queue));
    if (queue !== undefined) await this.#unbind(request.exchange, queue, request.routingKey, request.arguments, actor);
  }

  async unbindExchange(actor: Actor, request: ExchangeBindingRequest): Promise<void> {
    const destination = oneLine(request.destination);
    refuseDefault(destination);
    const source = oneLine(request.source);
    this.#requireBindPermission(actor.principal, source, 'exchange', destination, request.routingKey);
    const exchange = this.#graph.exchanges.get(destination);
    if (exchange !== undefined) {
      await this.#unbind(request.source, exchange, request.routingKey, request.arguments, actor);
    }
  }

  /** @throws BrokerError NOT_FOUND */
  require(name: string): Exchange {
    const exchange = this.#graph.exchanges.get(name);
    if (exchange !== undefined) return exchange;
    throw new BrokerError('NOT_FOUND', `no ${resourceName('exchange', name, this.#graph.vhost)}`);
  }

  #bind(source: Exchange, destination: Destination, routingKey: string, given: FieldTable): Promise<void> {
    source.matcher.check?.(routingKey, given);
    this.#requireBindingRoom(source, destination, routingKey, given);
    const changes: TopologyChange[] = [];
    this.#graph.addBinding(source, destination, routingKey, given, changes);
    return this.#change(changes, resourceName('exchange', source.name, this.#graph.vhost));
  }

  /** What is bound already stays bound. @throws BrokerError PRECONDITION_FAILED */
  #requireBindingRoom(source: Exchange, destination: Destination, routingKey: string, given: FieldTable): void {
    if (this.#graph.findBinding(source, destination, routingKey, given) !== undefined) return;
    const { maxBindings, maxArgumentBytes } = this.#context.settings;
    const what = `bind to ${resourceName('exchange', source.name, this.#graph.vhost)}`;
    if (this.#graph.bindingCount >= maxBindings) {
      throw new BrokerError('PRECONDITION_FAILED', `cannot ${what}: binding limit (${maxBindings}) is reached`);
    }
    requireArgumentRoom(this.#graph, given, maxArgumentBytes, what);
  }

  async #unbind(
    sourceName: string,
    destination: Destination,
    routingKey: string,
    given: FieldTable,
    actor: Actor,
  ): Promise<void> {
    const source = this.#graph.exchanges.get(oneLine(sourceName));
    if (source === undefined) return;
    const binding = this.#graph.findBinding(source, destination, routingKey, given);
    if (binding === undefined) return;
    if (destination.kind === 'queue') destination.requireAccess(actor.connection);
    const changes: TopologyChange[] = [];
    this.#graph.removeBinding(binding, changes);
    await this.#change(changes, resourceName('exchange', source.name, this.#graph.vhost));
  }

  #source(
    actor: Actor,
    exchange: string,
    kind: 'queue' | 'exchange',
    destination: string,
    routingKey: string,
  ): Exchange {
    const name = oneLine(exchange);
    this.#requireBindPermission(actor.principal, name, kind, oneLine(destination), routingKey);
    return this.require(name);
  }

  #requireBindPermission(
    principal: Principal,
    source: string,
    kind: 'queue' | 'exchange',
    destination: string,
    routingKey: string,
  ): void {
    const { vhost } = this.#graph;
    requirePermission(principal, vhost, 'write', kind, destination);
    refuseDefault(source);
    requirePermission(principal, vhost, 'read', 'exchange', source);
    const { byTopic = false } = this.#graph.exchanges.get(source) ?? {};
    if (byTopic) requireTopic(principal, vhost, source, 'read', routingKey, null);
  }

  #queue(name: string) {
    const queue = this.#graph.queues.get(oneLine(name));
    if (queue !== undefined) return queue;
    throw new BrokerError('NOT_FOUND', `no ${resourceName('queue', oneLine(name), this.#graph.vhost)}`);
  }

  #alternate(principal: Principal, traits: ExchangeTraits, resource: string): string | null {
    const value = traits.arguments[alternateArgument];
    if (value === undefined) return null;
    const alternate = new ArgumentReader(alternateArgument, value, resource).exchangeName();
    requirePermission(principal, this.#graph.vhost, 'read', 'exchange', traits.name);
    requirePermission(principal, this.#graph.vhost, 'write', 'exchange', alternate);
    return alternate;
  }

  /** @throws BrokerError PRECONDITION_FAILED, COMMAND_INVALID */
  #newExchange(traits: ExchangeTraits, alternate: string | null): Exchange {
    const { vhost } = this.#graph;
    const { name, type, durable } = traits;
    const matcher = newMatcher(type, traits.arguments);
    const holds = type === delayedType;
    const resource = resourceName('exchange', name, vhost);
    const deduplication = exchangeDeduplication(type, traits.arguments, resource);
    if (!holds && deduplication === null) return new Exchange(traits, matcher, alternate);
    const owned = { name, vhost, durable, autoDelete: false, arguments: {} };
    const queue = new Queue(ownedKey(vhost, name), owned, effectiveQueueSettings({}, resource), null, holds);
    return new Exchange(traits, matcher, alternate, queue, deduplication);
  }

  /** Its queue is made, with it. */
  #own(exchange: Exchange): void {
    const { owned, holding } = exchange;
    if (owned === null) return;
    owned.handle = this.#context.engine.queue(owned.key) ?? null;
    if (holding !== null) this.#context.held.add(exchange, this.#routes);
  }

  /** Where nothing changes, what was asked for may still be on its way to the disk: so that is waited for. */
  async #change(changes: readonly TopologyChange[], what: string): Promise<void> {
    if (changes.length > 0) this.#latest = this.#context.engine.change(changes);
    try {
      await this.#latest;
    } catch (error) {
      throw brokerError(error, what);
    }
  }
}

/** RabbitMQ takes line breaks out of names. */
export function oneLine(name: string): string {
  return name.replace(/[\r\n]/g, '');
}

function requireEquivalent(known: Exchange, traits: ExchangeTraits, resource: string): void {
  requireEqual('type', resource, known.traits.type, traits.type);
  requireEqual('durable', resource, known.traits.durable, traits.durable);
  requireEqual('auto_delete', resource, known.traits.autoDelete, traits.autoDelete);
  requireEqual('internal', resource, known.traits.internal, traits.internal);
  requireEqualArguments([alternateArgument], resource, known.traits.arguments, traits.arguments);
}

function refuseDefault(name: string): void {
  if (name === '') throw new BrokerError('ACCESS_REFUSED', 'operation not permitted on the default exchange');
}

function refuseReserved(name: string): void {
  if (!name.startsWith(reservedPrefix)) return;
  throw new BrokerError('ACCESS_REFUSED', `exchange name '${name}' contains reserved prefix 'amq.*'`);
}
