/**
 * What is delayed and would go to subscribers past every queue waits for them in one of the engine's, transient and without a name. When it is due, whoever
 * subscribes by then without a queue gets it; its other queues have it themselves. It is made with the first such message of its vhost.
 */
import type { DeliveryView, Sink, TopologyChange } from '../../engine/engine.ts';
import type { BrokerContext } from '../context.ts';
import { HeldMessage } from '../delayed/held-message.ts';
import type { Route } from '../route.ts';
import type { Routes } from '../routes.ts';
import type { TopologyGraph } from '../topology-graph.ts';
import { handToLive } from './live.ts';
import { Mailbox } from './mailbox.ts';

export class DelayedLive implements Sink {
  readonly #graph: TopologyGraph;
  readonly #routes: Routes;
  readonly #context: BrokerContext;
  #queue: Mailbox | null = null;

  constructor(graph: TopologyGraph, routes: Routes, context: BrokerContext) {
    this.#graph = graph;
    this.#routes = routes;
    this.#context = context;
  }

  /** The route of a message that is delayed, where one that is not would go to live subscribers. */
  routeOf(route: Route): Route {
    this.#queue ??= this.#make();
    return this.#queue.takes ? this.#routes.delayedLive(route, this.#queue) : route;
  }

  /** The vhost is deleted. */
  remove(changes: TopologyChange[]): void {
    if (this.#queue === null || this.#queue.deleted) return;
    this.#queue.deleted = true;
    changes.push({ op: 'delete-queue', key: this.#queue.key });
  }

  deliver(delivery: DeliveryView): boolean {
    try {
      const message = new HeldMessage(delivery);
      const exchange = this.#graph.exchanges.get(message.exchange);
      if (exchange === undefined) return true;
      const view = message.view(this.#context.clock.now());
      const found = this.#routes.find(exchange, message.routingKeys, message.headers, view);
      if (found.live !== null) handToLive(this.#routes.routeFound(exchange, message.routingKeys, found), view, null);
    } catch (error) {
      // It was looked at when it was published.
      this.#context.log(`a delayed message can't be read: ${String(error)}`);
    }
    return true;
  }

  cancelled(): void {
    // With its vhost.
  }

  #make(): Mailbox {
    const { engine, log } = this.#context;
    const queue = new Mailbox(this.#graph.vhost, { kind: 'delayed' }, false);
    const made = engine.change([{ op: 'put-queue', queue: { ...queue.spec(this.#context.settings), limits: {} } }]);
    queue.handle = engine.queue(queue.key) ?? null;
    made
      .then(async () => {
        queue.handle ??= engine.queue(queue.key) ?? null;
        if (queue.handle === null || queue.deleted) return;
        await engine.consume(queue.handle, engine.lease(), { credit: Infinity, noAck: true }, this);
      })
      .catch((error: unknown) => log(`delayed messages don't reach those who subscribe: ${String(error)}`));
    return queue;
  }
}
