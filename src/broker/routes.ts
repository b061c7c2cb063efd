/**
 * Finds where messages go, and remembers it by exchange and routing key. A remembered route holds while none of the exchanges
 * that it was found through has changed; the vhost's version only says when that has to be looked at again. So a change
 * somewhere costs a route that it doesn't concern a few comparisons, and nothing at all while the version stands.
 */
import type { Engine, MessageView, Targets } from '../engine/engine.ts';
import type { FieldTable } from '../format/field-table.ts';
import { type Destination, joinKey } from './binding.ts';
import type { BrokerSettings } from './broker-settings.ts';
import type { Guard } from './deduplication.ts';
import { encodeEnvelope } from './envelope.ts';
import type { Exchange } from './exchange/exchange.ts';
import type { Principal } from './principal.ts';
import type { Queue } from './queue.ts';
import { Guards } from './guards.ts';
import type { Route } from './route.ts';
import type { TopologyGraph } from './topology-graph.ts';

/** Of a route to no queue at all. */
const baseBytes = 512;

export class CachedRoute implements Route {
  version: number;
  readonly exchange: string;
  readonly routingKey: string;
  readonly targets: Targets | null;
  readonly byHeaders: boolean;
  readonly holds: boolean;
  readonly held: boolean;
  readonly guards: readonly Guard[] | null;
  readonly prioritised: boolean;
  readonly deadLettersRefused: boolean;
  readonly queues: readonly Queue[];
  readonly seen: readonly Exchange[];
  readonly seenVersions: readonly number[];
  readonly exchangesVersion: number;
  /** About what it takes in memory. */
  readonly bytes: number;
  /** Who last was permitted its topic, and the version of the permissions that said so. */
  #writer: Principal | null = null;
  #writerClientId: string | null = null;
  #writerPermissions = -1;

  constructor(graph: TopologyGraph, exchange: string, routingKey: string, found: Found, targets: Targets | null) {
    this.version = graph.version;
    this.exchange = exchange;
    this.routingKey = routingKey;
    this.targets = targets;
    this.byHeaders = found.byHeaders;
    this.queues = found.queues;
    this.holds = found.seen.some((exchange) => exchange.holding !== null);
    this.held = found.queues.length > 0 && found.queues.every((queue) => queue.holds);
    this.guards = found.guards;
    this.prioritised = found.queues.some((queue) => queue.settings.maxPriority !== null);
    this.deadLettersRefused = found.queues.some((queue) => queue.deadLettersRefused);
    this.seen = found.seen;
    this.seenVersions = found.seen.map((exchange) => exchange.version);
    this.exchangesVersion = graph.exchangesVersion;
    this.bytes = baseBytes + 4 * routingKey.length + 32 * found.queues.length + 16 * found.seen.length;
  }

  isPermittedTo(principal: Principal, clientId: string | null): boolean {
    return (
      this.#writer === principal &&
      this.#writerPermissions === principal.permissions &&
      this.#writerClientId === clientId
    );
  }

  permit(principal: Principal, clientId: string | null): void {
    this.#writer = principal;
    this.#writerClientId = clientId;
    this.#writerPermissions = principal.permissions;
  }
}

/** What a search came upon. */
export interface Found {
  readonly queues: readonly Queue[];
  /** The exchanges on the way, those without a match too. */
  readonly seen: readonly Exchange[];
  readonly byHeaders: boolean;
  readonly guards: readonly Guard[] | null;
}

export class Routes {
  readonly #graph: TopologyGraph;
  readonly #engine: Engine;
  readonly #settings: BrokerSettings;
  /** Routes that headers decided, by the queues they lead to. All are of one version of the graph. */
  readonly #byQueues = new Map<string, CachedRoute>();
  #byQueuesBytes = 0;
  #byQueuesVersion = 0;

  constructor(graph: TopologyGraph, engine: Engine, settings: BrokerSettings) {
    this.#graph = graph;
    this.#engine = engine;
    this.#settings = settings;
  }

  get cachedCount(): number {
    return this.#graph.cachedRoutes + this.#byQueues.size;
  }

  /** The route by routing key alone; where headers decide, it has no targets. */
  route(exchange: Exchange, routingKey: string): CachedRoute {
    const known = exchange.routes.get(routingKey);
    if (known !== undefined && (known.version === this.#graph.version || this.#refresh(exchange, known))) return known;
    const found = this.find(exchange, [routingKey], null, null);
    const targets = found.byHeaders ? null : this.targets(found.queues, exchange.name, routingKey);
    const route = new CachedRoute(this.#graph, exchange.name, routingKey, found, targets);
    this.#remember(exchange, route, known);
    return route;
  }

  /** The route of one message whose headers count. The first routing key is the one that it is published with. */
  routeWith(
    exchange: Exchange,
    routingKeys: readonly string[],
    headers: FieldTable | null,
    message: MessageView | null = null,
    delayed = false,
  ): CachedRoute {
    const found = this.find(exchange, routingKeys, headers, message, delayed);
    const routingKey = routingKeys[0] ?? '';
    const guarded = (found.guards ?? []).flatMap(({ owner, queues }) => [
      '',
      owner.key,
      ...queues.map(({ key }) => key),
    ]);
    const key = joinKey([exchange.name, routingKey, ...found.queues.map((queue) => queue.key), ...guarded]);
    if (this.#byQueuesVersion !== this.#graph.version) this.#forgetByQueues();
    const known = this.#byQueues.get(key);
    if (known !== undefined) return known;
    const targets = this.targets(found.queues, exchange.name, routingKey);
    const route = new CachedRoute(this.#graph, exchange.name, routingKey, found, targets);
    const { maxCachedRoutes, maxCachedRouteBytes } = this.#settings;
    const bytes = route.bytes + 2 * key.length;
    if (this.#byQueues.size >= maxCachedRoutes || this.#byQueuesBytes + bytes > maxCachedRouteBytes) {
      this.#forgetByQueues();
    }
    this.#byQueues.set(key, route);
    this.#byQueuesBytes += bytes;
    return route;
  }

  #forgetByQueues(): void {
    this.#byQueues.clear();
    this.#byQueuesBytes = 0;
    this.#byQueuesVersion = this.#graph.version;
  }

  /**
   * Follows bindings to exchanges and alternate exchanges, each exchange once, so that cycles end. A message that is `delayed` goes no
   * further than to an exchange that holds it.
   */
  find(
    start: Exchange,
    routingKeys: readonly string[],
    headers: FieldTable | null,
    message: MessageView | null = null,
    delayed = false,
  ): Found {
    const queues = new Set<Queue>();
    const seen = new Set<Exchange>([start]);
    const guards = new Guards();
    let byHeaders = false;
    // A set's iteration goes on with what is added meanwhile.
    for (const exchange of seen) {
      if (delayed && exchange.holding !== null) {
        if (exchange.holding.handle !== null) guards.add(queues, exchange, exchange.holding);
        continue;
      }
      const found = new Set<Destination>();
      byHeaders ||= exchange.matcher.byHeaders;
      for (const routingKey of routingKeys) exchange.matcher.match(routingKey, headers, found, message);
      if (found.size === 0 && exchange.alternate !== null) {
        const alternate = this.#graph.exchanges.get(exchange.alternate);
        if (alternate !== undefined) guards.follow(seen, exchange, alternate);
      }
      for (const destination of found) {
        if (destination.kind === 'exchange') guards.follow(seen, exchange, destination);
        else if (destination.handle !== null) guards.add(queues, exchange, destination);
      }
    }
    return { queues: Array.from(queues), seen: Array.from(seen), byHeaders, guards: guards.found() };
  }

  /** Null for no queues. */
  targets(queues: readonly Queue[], exchange: string, routingKey: string): Targets | null {
    if (queues.length === 0) return null;
    return this.#engine.targets(
      queues.map((queue) => queue.handle!),
      encodeEnvelope(exchange, routingKey),
    );
  }

  /** Whether a route of an older version holds nevertheless. */
  #refresh(exchange: Exchange, route: CachedRoute): boolean {
    const graph = this.#graph;
    if (exchange === graph.defaultExchange) {
      // Its version grows with each queue that comes or goes, but only the one of this name matters.
      if (graph.queues.get(route.routingKey) !== route.queues[0]) return false;
    } else {
      if (route.exchangesVersion !== graph.exchangesVersion) return false;
      for (let i = 0; i < route.seen.length; i++) {
        if (route.seen[i]!.version !== route.seenVersions[i]) return false;
      }
    }
    route.version = graph.version;
    return true;
  }

  #remember(exchange: Exchange, route: CachedRoute, instead: CachedRoute | undefined): void {
    const graph = this.#graph;
    const { maxCachedRoutes, maxCachedRouteBytes } = this.#settings;
    if (instead !== undefined) {
      graph.cachedRoutes -= 1;
      graph.cachedRouteBytes -= instead.bytes;
    }
    if (graph.cachedRoutes >= maxCachedRoutes || graph.cachedRouteBytes + route.bytes > maxCachedRouteBytes) {
      for (const each of graph.exchanges.values()) each.routes.clear();
      graph.cachedRoutes = 0;
      graph.cachedRouteBytes = 0;
    }
    exchange.routes.set(route.routingKey, route);
    graph.cachedRoutes += 1;
    graph.cachedRouteBytes += route.bytes;
  }
}
