/**
 * One vhost's exchanges, queues and bindings in memory. Each mutation is whole: it keeps both ends of every binding, deletes
 * exchanges whose last binding is gone, bumps the versions that cached routes depend on, and adds to `changes` what makes it
 * durable. Its cost doesn't depend on how many others there are: each route that it forgets was found by a publish before.
 */
import type { TopologyChange } from '../engine/engine.ts';
import type { FieldTable } from '../format/field-table.ts';
import { argumentBytes } from './argument-bytes.ts';
import { type Binding, bindingKey, type Destination } from './binding.ts';
import { DefaultMatcher } from './exchange/default.ts';
import { Exchange } from './exchange/exchange.ts';
import type { Queue } from './queue.ts';
import { Subscriptions } from './subscription/subscriptions.ts';
import { isShortened, routingKeyOf } from './subscription/topic-key.ts';
import { hasWildcard } from './subscription/topic-filter.ts';
import { bindingEntry, bindingEntryKey, entryKind, exchangeEntry, exchangeKey, queueSpec } from './topology-entry.ts';

/** So many queues that are gone may still be remembered by routes of other exchanges than those that they were bound to. */
const mostGoneQueues = 1_000;

export class TopologyGraph {
  readonly vhost: string;
  readonly exchanges = new Map<string, Exchange>();
  readonly queues = new Map<string, Queue>();
  /** Grows with each change that can alter any route. */
  version = 1;
  /** Grows when exchanges come or go. */
  exchangesVersion = 1;
  /** How many routes the exchanges remember, and about how much memory they take. */
  cachedRoutes = 0;
  cachedRouteBytes = 0;
  bindingCount = 0;
  /** About how much memory the arguments of queues, exchanges and bindings take. */
  argumentBytes = 0;
  /** Bound queues and subscriptions that have gone since routes through several exchanges were last forgotten. */
  #goneQueues = 0;
  readonly defaultExchange: Exchange;
  /** Of the exchange with this name, once it is there. */
  readonly subscriptions = new Subscriptions();
  readonly #subscribedExchange: string;

  constructor(vhost: string, subscribedExchange: string) {
    this.vhost = vhost;
    this.#subscribedExchange = subscribedExchange;
    this.defaultExchange = new Exchange(
      { name: '', type: 'direct', durable: true, autoDelete: false, internal: false, arguments: {} },
      new DefaultMatcher(this.queues),
      null,
    );
    this.exchanges.set('', this.defaultExchange);
  }

  addExchange(exchange: Exchange, changes: TopologyChange[]): void {
    this.exchanges.set(exchange.name, exchange);
    if (exchange.name === this.#subscribedExchange) exchange.subscriptions = this.subscriptions;
    this.argumentBytes += argumentBytes(exchange.traits.arguments);
    this.version += 1;
    this.exchangesVersion += 1;
    changes.push({ op: 'put', entry: exchangeEntry(this.vhost, exchange) });
    if (exchange.owned !== null) changes.push({ op: 'put-queue', queue: queueSpec(exchange.owned) });
  }

  removeExchange(exchange: Exchange, changes: TopologyChange[]): void {
    if (!this.exchanges.delete(exchange.name)) return;
    this.argumentBytes -= argumentBytes(exchange.traits.arguments);
    this.version += 1;
    this.exchangesVersion += 1;
    this.forgetRoutes(exchange);
    for (const binding of exchange.bindings.values()) this.removeBinding(binding, changes);
    for (const binding of exchange.incoming) this.removeBinding(binding, changes);
    changes.push({ op: 'delete', kind: entryKind.exchange, key: exchangeKey(this.vhost, exchange.name) });
    if (exchange.owned === null) return;
    exchange.owned.deleted = true;
    changes.push({ op: 'delete-queue', key: exchange.owned.key });
  }

  addQueue(queue: Queue, changes: TopologyChange[]): void {
    this.queues.set(queue.name, queue);
    this.argumentBytes += argumentBytes(queue.traits.arguments);
    this.touchQueue(queue);
    changes.push({ op: 'put-queue', queue: queueSpec(queue) });
  }

  /** Routes to this queue have to be found again. */
  touchQueue(queue: Queue): void {
    this.version += 1;
    this.defaultExchange.version += 1;
    for (const binding of queue.incoming) this.#outdate(binding.source);
  }

  removeQueue(queue: Queue, changes: TopologyChange[]): void {
    if (queue.deleted) return;
    queue.deleted = true;
    this.queues.delete(queue.name);
    this.argumentBytes -= argumentBytes(queue.traits.arguments);
    // Its name may never come again (a reply queue's), and its route would keep all that it had.
    this.#forgetRoute(this.defaultExchange, queue.name);
    this.touchQueue(queue);
    if (queue.incoming.size > 0) this.#forgetFarRoutes();
    for (const binding of queue.incoming) this.removeBinding(binding, changes);
    changes.push({ op: 'delete-queue', key: queue.key });
  }

  /**
   * A route through several exchanges is remembered by the first. It is not taken any more once one of them has changed, but keeps
   * queues that are gone until somebody asks for it: now and then all such routes are forgotten.
   */
  #forgetFarRoutes(): void {
    if (++this.#goneQueues < mostGoneQueues) return;
    this.#goneQueues = 0;
    for (const exchange of this.exchanges.values()) {
      for (const route of exchange.routes.values())
        if (route.seen.length > 1) this.#forgetRoute(exchange, route.rememberedBy);
    }
  }

  findBinding(source: Exchange, destination: Destination, routingKey: string, given: FieldTable): Binding | undefined {
    return source.bindings.get(bindingKey(destination, routingKey, given));
  }

  /** False: it was there already. */
  addBinding(
    source: Exchange,
    destination: Destination,
    routingKey: string,
    given: FieldTable,
    changes: TopologyChange[],
  ): boolean {
    const key = bindingKey(destination, routingKey, given);
    if (source.bindings.has(key)) return false;
    const durable = source.durable && destination.durable;
    const binding: Binding = { source, destination, routingKey, arguments: given, key, durable };
    source.bindings.set(key, binding);
    source.matcher.add(binding);
    destination.incoming.add(binding);
    this.bindingCount += 1;
    this.argumentBytes += argumentBytes(given);
    this.#outdate(source);
    this.version += 1;
    changes.push({ op: 'put', entry: bindingEntry(this.vhost, binding) });
    return true;
  }

  removeBinding(binding: Binding, changes: TopologyChange[]): void {
    const { source, destination } = binding;
    if (!source.bindings.delete(binding.key)) return;
    source.matcher.remove(binding);
    destination.incoming.delete(binding);
    this.bindingCount -= 1;
    this.argumentBytes -= argumentBytes(binding.arguments);
    this.#outdate(source);
    this.version += 1;
    changes.push({ op: 'delete', kind: entryKind.binding, key: bindingEntryKey(this.vhost, binding) });
    if (source.traits.autoDelete && source.bindings.size === 0) this.removeExchange(source, changes);
  }

  /** Routes of topics that the filter matches have to be found again. Null: of all. */
  touchSubscriptions(filter: string | null): void {
    this.version += 1;
    const exchange = this.exchanges.get(this.#subscribedExchange);
    if (exchange === undefined) return;
    exchange.subscriptionsVersion += 1;
    this.#forgetFarRoutes();
    // Several keys may be of one topic with these characters.
    if (filter === null || hasWildcard(filter) || /[*%]/.test(filter)) {
      this.forgetRoutes(exchange);
      return;
    }
    const routingKey = routingKeyOf(filter);
    if (isShortened(routingKey)) this.forgetRoutes(exchange);
    else this.#forgetRoute(exchange, routingKey);
  }

  forgetRoutes(exchange: Exchange): void {
    this.cachedRoutes -= exchange.routes.size;
    for (const route of exchange.routes.values()) this.cachedRouteBytes -= route.bytes;
    exchange.routes.clear();
  }

  #forgetRoute(exchange: Exchange, rememberedBy: string): void {
    const route = exchange.routes.get(rememberedBy);
    if (route === undefined) return;
    exchange.routes.delete(rememberedBy);
    this.cachedRoutes -= 1;
    this.cachedRouteBytes -= route.bytes;
  }

  /** None of its routes holds any more; remembered, they would keep queues that are gone. */
  #outdate(exchange: Exchange): void {
    exchange.version += 1;
    this.forgetRoutes(exchange);
  }
}
