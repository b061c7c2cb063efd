import type { TopologyChange } from '../engine/engine.ts';
import type { FieldTable } from '../format/field-table.ts';
import { BrokerError } from './broker-error.ts';
import type { ConnectionScope } from './connection-scope.ts';
import type { BrokerContext } from './context.ts';
import type { Exchange, ExchangeTraits } from './exchange/exchange.ts';
import { Exchanges } from './exchanges.ts';
import type { Principal } from './principal.ts';
import { requirePermission, requireTopic } from './permission.ts';
import { Queues } from './queues.ts';
import { resourceName } from './resource-name.ts';
import type { Route } from './route.ts';
import { type CachedRoute, Routes } from './routes.ts';
import type { BindingRecord } from './topology-entry.ts';
import { RetainedMessages } from './subscription/retained-messages.ts';
import { DelayedLive } from './subscription/delayed-live.ts';
import { Subscribers } from './subscription/subscribers.ts';
import { bindingKeyOf } from './subscription/topic-filter.ts';
import { TopologyGraph } from './topology-graph.ts';

/** Who asks for a change: a session, or a request to the management API. */
export interface Actor {
  readonly principal: Principal;
  readonly connection: ConnectionScope;
}

export type ExchangeDeclaration = ExchangeTraits;

export interface QueueDeclaration {
  /** Empty: the broker makes one (`amq.gen-...`). */
  readonly name: string;
  readonly durable: boolean;
  readonly exclusive: boolean;
  readonly autoDelete: boolean;
  readonly arguments: FieldTable;
}

export interface QueueStatus {
  readonly name: string;
  readonly messageCount: number;
  readonly consumerCount: number;
}

export interface QueueBindingRequest {
  readonly queue: string;
  readonly exchange: string;
  readonly routingKey: string;
  readonly arguments: FieldTable;
}

export interface ExchangeBindingRequest {
  readonly destination: string;
  readonly source: string;
  readonly routingKey: string;
  readonly arguments: FieldTable;
}

/** All methods throw (or reject with) `BrokerError`. A promise resolves once the change is durable. */
export class Vhost {
  readonly name: string;
  readonly graph: TopologyGraph;
  readonly exchanges: Exchanges;
  readonly queues: Queues;
  readonly routes: Routes;
  readonly subscribers: Subscribers;
  readonly delayedLive: DelayedLive;
  readonly retained: RetainedMessages;
  #deleted = false;

  constructor(name: string, context: BrokerContext) {
    this.name = name;
    this.graph = new TopologyGraph(name, context.settings.mqttExchange);
    this.subscribers = new Subscribers(this.graph, context);
    this.retained = new RetainedMessages(name, context);
    this.routes = new Routes(this.graph, context.engine, context.settings);
    this.delayedLive = new DelayedLive(this.graph, this.routes, context);
    this.exchanges = new Exchanges(this.graph, context, this.routes);
    this.queues = new Queues(this.graph, context);
  }

  /** Grows with each change that can alter a route: a `Route` holds while its `version` is this. */
  get version(): number {
    return this.graph.version;
  }

  /** False: one of its ends is gone. */
  restoreBinding(record: BindingRecord): boolean {
    const { exchanges, queues } = this.graph;
    const source = exchanges.get(record.source);
    const destination = (record.toExchange ? exchanges : queues).get(record.destination);
    if (source === undefined || destination === undefined) return false;
    return this.graph.addBinding(source, destination, record.routingKey, record.arguments, []);
  }

  /** What routes were found with, permission to write among it, is looked at again. */
  permissionsChanged(): void {
    this.graph.version += 1;
  }

  forgetWriter(principal: Principal): void {
    for (const exchange of this.graph.exchanges.values()) exchange.writers.delete(principal);
  }

  /** Adds to `changes` what makes all of it go. Nothing can be declared in it any more. */
  delete(changes: TopologyChange[]): void {
    this.#deleted = true;
    this.close();
    this.queues.removeAll(changes);
    this.subscribers.removeAll(changes);
    this.delayedLive.remove(changes);
    this.retained.removeAll();
    for (const exchange of Array.from(this.graph.exchanges.values())) this.graph.removeExchange(exchange, changes);
  }

  /** Stops its timers. */
  close(): void {
    for (const queue of this.graph.queues.values()) queue.expiry?.stop();
    this.retained.stop();
  }

  async declareExchange(actor: Actor, declaration: ExchangeDeclaration): Promise<void> {
    this.#requireAlive();
    return this.exchanges.declare(actor, declaration);
  }

  /** Passive declaration: NOT_FOUND, or nothing. */
  checkExchange(_actor: Actor, name: string): void {
    this.exchanges.check(name);
  }

  deleteExchange(actor: Actor, name: string, options: { readonly ifUnused: boolean }): Promise<void> {
    return this.exchanges.delete(actor, name, options);
  }

  async bindExchange(actor: Actor, request: ExchangeBindingRequest): Promise<void> {
    return this.exchanges.bindExchange(actor, request);
  }

  unbindExchange(actor: Actor, request: ExchangeBindingRequest): Promise<void> {
    return this.exchanges.unbindExchange(actor, request);
  }

  async declareQueue(actor: Actor, declaration: QueueDeclaration): Promise<QueueStatus> {
    this.#requireAlive();
    return this.queues.declare(actor, declaration);
  }

  /** Passive declaration. */
  async checkQueue(actor: Actor, name: string): Promise<QueueStatus> {
    return this.queues.check(actor, name);
  }

  /** Resolves with the number of messages deleted; 0 where there was no such queue. */
  deleteQueue(
    actor: Actor,
    name: string,
    options: { readonly ifUnused: boolean; readonly ifEmpty: boolean },
  ): Promise<number> {
    return this.queues.delete(actor, name, options);
  }

  async bindQueue(actor: Actor, request: QueueBindingRequest): Promise<void> {
    return this.exchanges.bindQueue(actor, request);
  }

  unbindQueue(actor: Actor, request: QueueBindingRequest): Promise<void> {
    return this.exchanges.unbindQueue(actor, request);
  }

  /** Resolves with the number of messages removed. */
  purgeQueue(actor: Actor, name: string): Promise<number> {
    return this.queues.purge(actor, name);
  }

  /**
   * The route of an exchange and routing key, from the cache where possible; permission to write is checked with it, and
   * remembered with the exchange, that for the topic with the route. `clientId`: of an MQTT client, which publishes to the topic.
   * @throws BrokerError NOT_FOUND, ACCESS_REFUSED
   */
  route(principal: Principal, exchangeName: string, routingKey: string, clientId: string | null = null): Route {
    const exchange = this.#writable(principal, exchangeName);
    const route = this.routes.route(exchange, routingKey);
    this.#requireTopic(principal, exchange, route, routingKey, clientId);
    return route;
  }

  /** As `route`, of a message that is published to a topic: where its key is shortened the message needs the topic in its headers. */
  routeTopic(principal: Principal, exchangeName: string, topic: string, clientId: string | null): Route {
    const exchange = this.#writable(principal, exchangeName);
    const route = this.routes.routeOfTopic(exchange, topic);
    this.#requireTopic(principal, exchange, route, bindingKeyOf(topic), clientId);
    return route;
  }

  /** @throws BrokerError NOT_FOUND, ACCESS_REFUSED */
  #writable(principal: Principal, exchangeName: string): Exchange {
    const known = this.graph.exchanges.get(exchangeName);
    if (known?.writers.get(principal) !== principal.permissions) {
      requirePermission(principal, this.name, 'write', 'exchange', exchangeName);
      known?.writers.set(principal, principal.permissions);
    }
    const exchange = known ?? this.exchanges.require(exchangeName);
    if (exchange.traits.internal) {
      throw new BrokerError(
        'ACCESS_REFUSED',
        `cannot publish to internal ${resourceName('exchange', exchangeName, this.name)}`,
      );
    }
    return exchange;
  }

  #requireTopic(
    principal: Principal,
    exchange: Exchange,
    route: CachedRoute,
    routingKey: string,
    clientId: string | null,
  ): void {
    if (!exchange.byTopic || !principal.limitsTopics(this.name, exchange.name)) return;
    if (route.isPermittedTo(principal, clientId)) return;
    requireTopic(principal, this.name, exchange.name, 'write', routingKey, clientId);
    route.permit(principal, clientId);
  }

  /** @throws BrokerError NOT_ALLOWED */
  #requireAlive(): void {
    if (this.#deleted) throw new BrokerError('NOT_ALLOWED', `vhost ${this.name} not found`);
  }
}
