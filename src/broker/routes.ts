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
import { Matches, ownWay } from './subscription/matches.ts';
import { messageTopic } from './subscription/message-topic.ts';
import type { Subscriber } from './subscription/subscriber.ts';
import { isReserved, isShortened, routingKeyOf } from './subscription/topic-key.ts';
import type { TopologyGraph } from './topology-graph.ts';

/** Of a route to no queue at all. */
const baseBytes = 512;
/** Routes of those who don't want their own, kept with the one of all others: each takes as much as that. */
const maxWithoutLocal = 16;
/** In front of a topic whose key says too little to remember its route by: longer than any key. */
const topicMark = ' '.repeat(256);

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
  readonly live: readonly Subscriber[] | null;
  readonly noLocal: readonly Subscriber[] | null;
  readonly subscribed: boolean;
  readonly topic: string | null;
  readonly unroutable: boolean;
  readonly seen: readonly Exchange[];
  readonly seenVersions: readonly number[];
  readonly exchangesVersion: number;
  /** What its exchange remembers it by. */
  readonly rememberedBy: string;
  /** The routes of subscribers who don't want what they publish themselves. */
  readonly withoutLocal = new Map<Subscriber, CachedRoute>();
  /** The route of what is delayed; null: none was yet. */
  delayedLive: CachedRoute | null = null;
  /** About what it takes in memory. */
  readonly bytes: number;
  /** Who last was permitted its topic, and the version of the permissions that said so. */
  #writer: Principal | null = null;
  #writerClientId: string | null = null;
  #writerPermissions = -1;

  constructor(
    graph: TopologyGraph,
    exchange: string,
    routingKey: string,
    found: Found,
    targets: Targets | null,
    rememberedBy = routingKey,
  ) {
    this.version = graph.version;
    this.rememberedBy = rememberedBy;
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
    this.live = found.live;
    this.noLocal = found.noLocal;
    this.subscribed = found.live !== null || found.noLocal !== null;
    this.topic = found.topic;
    this.unroutable = targets === null && found.live === null;
    this.seen = found.seen;
    this.seenVersions = found.seen.map(versionOf);
    this.exchangesVersion = graph.exchangesVersion;
    const receiversBytes = 32 * found.queues.length + 8 * (found.live?.length ?? 0);
    const copies = Math.min(found.noLocal?.length ?? 0, maxWithoutLocal);
    this.bytes =
      baseBytes +
      4 * rememberedBy.length +
      16 * found.seen.length +
      2 * (found.topic?.length ?? 0) +
      receiversBytes +
      copies * (baseBytes + receiversBytes);
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
  readonly live: readonly Subscriber[] | null;
  readonly noLocal: readonly Subscriber[] | null;
  readonly topic: string | null;
}

export class Routes {
  readonly #graph: TopologyGraph;
  readonly #engine: Engine;
  readonly #settings: BrokerSettings;
  /** Routes that headers decided, by the queues they lead to. All are of one version of the graph. */
  readonly #byQueues = new Map<string, CachedRoute>();
  #byQueuesBytes = 0;
  #byQueuesVersion = 0;
  #tookLong = false;

  constructor(graph: TopologyGraph, engine: Engine, settings: BrokerSettings) {
    this.#graph = graph;
    this.#engine = engine;
    this.#settings = settings;
  }

  get cachedCount(): number {
    return this.#graph.cachedRoutes + this.#byQueues.size;
  }

  /** Whether a search for a publish took long since this was asked: who had it should let others go first. */
  tookLong(): boolean {
    if (!this.#tookLong) return false;
    this.#tookLong = false;
    return true;
  }

  #timed(search: () => Found): Found {
    const startedMs = performance.now();
    const found = search();
    if (performance.now() - startedMs > this.#settings.longSearchMs) this.#tookLong = true;
    return found;
  }

  /** The route by routing key alone; where headers decide, it has no targets. */
  route(exchange: Exchange, routingKey: string): CachedRoute {
    const known = exchange.routes.get(routingKey);
    if (known !== undefined && (known.version === this.#graph.version || this.#refresh(exchange, known))) return known;
    const found = this.#timed(() => this.find(exchange, [routingKey], null, null));
    const targets = found.byHeaders ? null : this.targets(found.queues, exchange.name, routingKey);
    const route = new CachedRoute(this.#graph, exchange.name, routingKey, found, targets);
    this.#remember(exchange, route, known);
    return route;
  }

  /** The route of a topic, however long. */
  routeOfTopic(exchange: Exchange, topic: string): CachedRoute {
    const routingKey = routingKeyOf(topic);
    if (!isShortened(routingKey)) return this.route(exchange, routingKey);
    const rememberedBy = topicMark + topic;
    const known = exchange.routes.get(rememberedBy);
    if (known !== undefined && (known.version === this.#graph.version || this.#refresh(exchange, known))) return known;
    const found = this.find(exchange, [routingKey], null, null, false, topic);
    const targets = found.byHeaders ? null : this.targets(found.queues, exchange.name, routingKey);
    const route = new CachedRoute(this.#graph, exchange.name, routingKey, found, targets, rememberedBy);
    this.#remember(exchange, route, known);
    return route;
  }

  /** The route of what this subscriber publishes itself, where `noLocal` names it. */
  withoutLocal(given: Route, publisher: Subscriber): CachedRoute {
    // There are no others.
    const route = given as CachedRoute;
    const known = route.withoutLocal.get(publisher);
    if (known !== undefined) return known;
    const way = ownWay(publisher, route.topic ?? '');
    const queues = route.queues.filter((queue) => queue !== publisher.queue || way === 'queued');
    const others = route.live?.filter((subscriber) => subscriber !== publisher) ?? [];
    const live = way === 'live' ? [...others, publisher] : others;
    const guards = route.guards?.map((guard) => ({
      ...guard,
      queues: guard.queues.filter((queue) => queues.includes(queue)),
    }));
    const found: Found = {
      queues,
      seen: route.seen,
      byHeaders: false,
      guards: guards ?? null,
      live: live.length === 0 ? null : live,
      noLocal: null,
      topic: route.topic,
    };
    const targets = this.targets(queues, route.exchange, route.routingKey);
    const without = new CachedRoute(this.#graph, route.exchange, route.routingKey, found, targets);
    if (route.withoutLocal.size >= maxWithoutLocal) route.withoutLocal.clear();
    route.withoutLocal.set(publisher, without);
    return without;
  }

  /** The route of what is delayed, whose live subscribers are found when it is due: until then it waits in this queue. */
  delayedLive(given: Route, waitsIn: Queue): CachedRoute {
    const route = given as CachedRoute;
    if (route.delayedLive !== null) return route.delayedLive;
    const queues = [...route.queues, waitsIn];
    const { seen, byHeaders, guards, topic } = route;
    const found: Found = { queues, seen, byHeaders, guards, topic, live: null, noLocal: null };
    const targets = this.targets(queues, route.exchange, route.routingKey);
    route.delayedLive = new CachedRoute(this.#graph, route.exchange, route.routingKey, found, targets);
    return route.delayedLive;
  }

  /** The route of one message whose headers count. The first routing key is the one that it is published with. */
  routeWith(
    exchange: Exchange,
    routingKeys: readonly string[],
    headers: FieldTable | null,
    message: MessageView | null = null,
    delayed = false,
  ): CachedRoute {
    const found = this.#timed(() => this.find(exchange, routingKeys, headers, message, delayed));
    return this.routeFound(exchange, routingKeys, found);
  }

  /** The route that leads to what was found. */
  routeFound(exchange: Exchange, routingKeys: readonly string[], found: Found): CachedRoute {
    const routingKey = routingKeys[0] ?? '';
    const guarded = (found.guards ?? []).flatMap(({ owner, queues }) => [
      '',
      owner.key,
      ...queues.map(({ key }) => key),
    ]);
    const subscribed =
      found.topic === null ? [] : [' ', found.topic, ...idsOf(found.live), ' ', ...idsOf(found.noLocal)];
    const queues = found.queues.map((queue) => queue.key);
    const key = joinKey([exchange.name, routingKey, ...queues, ...guarded, ...subscribed]);
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
   * further than to an exchange that holds it. `topic`: what the one routing key stands for, where that says too little.
   */
  find(
    start: Exchange,
    routingKeys: readonly string[],
    headers: FieldTable | null,
    message: MessageView | null = null,
    delayed = false,
    topic: string | null = null,
  ): Found {
    const live: Subscriber[] = [];
    const noLocal: Subscriber[] = [];
    let foundTopic: string | null = null;
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
      const { subscriptions } = exchange;
      let isSubscribed = false;
      if (subscriptions !== null) {
        byHeaders ||= topic === null && routingKeys.some(isShortened);
        const topics = topic === null ? routingKeys.map((key) => messageTopic(key, headers)) : [topic];
        foundTopic = topics[0] ?? null;
        const matches = new Matches(
          subscriptions,
          topics.filter((each) => !isReserved(each)),
        );
        isSubscribed = !matches.isEmpty;
        for (const mailbox of matches.mailboxes) guards.add(queues, exchange, mailbox);
        live.push(...matches.live);
        noLocal.push(...matches.noLocal);
      }
      if (found.size === 0 && !isSubscribed && exchange.alternate !== null) {
        const alternate = this.#graph.exchanges.get(exchange.alternate);
        if (alternate !== undefined) guards.follow(seen, exchange, alternate);
      }
      for (const destination of found) {
        if (destination.kind === 'exchange') guards.follow(seen, exchange, destination);
        else if (destination.handle !== null) guards.add(queues, exchange, destination);
      }
    }
    return {
      queues: Array.from(queues),
      seen: Array.from(seen),
      byHeaders,
      guards: guards.found(),
      live: live.length === 0 ? null : live,
      noLocal: noLocal.length === 0 ? null : noLocal,
      topic: foundTopic,
    };
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
        if (versionOf(route.seen[i]!, i) !== route.seenVersions[i]) return false;
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
    exchange.routes.set(route.rememberedBy, route);
    graph.cachedRoutes += 1;
    graph.cachedRouteBytes += route.bytes;
  }
}

/** An exchange forgets itself the routes of its own that a subscription changes. */
function versionOf(exchange: Exchange, at: number): number {
  return at === 0 ? exchange.version : exchange.version + exchange.subscriptionsVersion;
}

function idsOf(subscribers: readonly Subscriber[] | null): string[] {
  return subscribers?.map(({ id }) => String(id)) ?? [];
}
