/**
 * Routes what exchanges of the type `x-delayed-message` hold, when it is due. It waits in a queue of the engine that belongs to the
 * exchange and has no AMQP name. Leaving that queue and arriving in others is one atomic commit, so a crash finds the message in the one
 * or in the others. It is routed once: nobody bound by then, it is dropped, as by the plugin; so it is for a queue that refuses it
 * (`reject-publish`). A full disk is no refusal: it stays held until there is space.
 */
import type { Clock, Timer } from '../../engine/clock.ts';
import type {
  Batch,
  CommitReceiver,
  DeliveryView,
  Engine,
  EngineConsumer,
  EngineQueue,
  ItemOutcome,
  Lease,
  MessageView,
  Sink,
} from '../../engine/engine.ts';
import type { BrokerSettings } from '../broker-settings.ts';
import { identityOf } from '../deduplication.ts';
import type { Exchange } from '../exchange/exchange.ts';
import type { Route } from '../route.ts';
import type { Routes } from '../routes.ts';
import { handToLive } from '../subscription/live.ts';
import { HeldMessage } from './held-message.ts';

/** Most messages taken out at once. */
const mostMessages = 256;
/** Most bytes of them, but for one message more. */
const mostBytes = 1024 * 1024;
/** Routes that take long to find are so many times one such search in a turn: others wait meanwhile. */
const searchesInTurn = 5;
/** What a full disk has no space for is tried again after so long. */
const retryMs = 1000;

export interface HeldContext {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly settings: BrokerSettings;
  readonly log: (line: string) => void;
}

export class HeldMessages {
  readonly #exchanges = new Map<Exchange, Release>();
  #begin: ((release: Release) => void) | null = null;

  /** The topology is whole: what is due may be routed. */
  start(context: HeldContext): void {
    const lease = context.engine.lease();
    this.#begin = (release) => {
      release
        .begin(context, lease)
        .catch((error: unknown) => context.log(`could not route delayed messages: ${String(error)}`));
    };
    for (const release of this.#exchanges.values()) this.#begin(release);
  }

  /** What is on its way is finished or held when the engine closes. */
  stop(): void {
    for (const release of this.#exchanges.values()) release.stop();
    this.#exchanges.clear();
  }

  /** The exchange's queue is made. */
  add(exchange: Exchange, routes: Routes): void {
    const release = new Release(exchange, routes, () => this.#exchanges.delete(exchange));
    this.#exchanges.set(exchange, release);
    this.#begin?.(release);
  }
}

/** Messages in one commit, and what each item of it is: a message on its way to one queue or all of its queues, or taken out. */
interface Run {
  readonly messages: readonly HeldMessage[];
  readonly items: { readonly message: HeldMessage; readonly to: EngineQueue | 'all' | 'out' }[];
  /** What subscribers get of it that no queue keeps it for. */
  readonly live: { readonly route: Route; readonly view: MessageView }[];
}

/** Takes out what one exchange holds. */
class Release implements Sink, CommitReceiver<Run> {
  readonly #exchange: Exchange;
  readonly #routes: Routes;
  readonly #ended: () => void;
  #context!: HeldContext;
  #lease!: Lease;
  #consumer: EngineConsumer | null = null;
  #due: HeldMessage[] = [];
  #bytes = 0;
  #timer: Timer | null = null;
  #stopped = false;
  #paused = false;

  constructor(exchange: Exchange, routes: Routes, ended: () => void) {
    this.#exchange = exchange;
    this.#routes = routes;
    this.#ended = ended;
  }

  async begin(context: HeldContext, lease: Lease): Promise<void> {
    const { handle } = this.#exchange.holding!;
    if (handle === null || handle.deleted) return;
    this.#context = context;
    this.#lease = lease;
    const options = { credit: mostMessages, noAck: false };
    this.#consumer = await context.engine.consume(handle, lease, options, this);
    if (this.#stopped) this.#consumer.cancel();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  deliver(delivery: DeliveryView): boolean {
    let message: HeldMessage;
    try {
      message = new HeldMessage(delivery);
    } catch (error) {
      // It was looked at when it was published.
      this.#context.log(`exchange '${this.#exchange.name}' holds a message that can't be read: ${String(error)}`);
      return true;
    }
    if (this.#due.length === 0) queueMicrotask(() => this.#take());
    this.#due.push(message);
    this.#bytes += message.bytes;
    this.#paused = this.#bytes >= mostBytes;
    return !this.#paused;
  }

  cancelled(): void {
    this.stop();
    this.#ended();
  }

  committed(run: Run, outcomes: readonly ItemOutcome[] | null): void {
    const failed = (outcomes ?? []).filter(({ outcome }) => outcome === 'refused' || outcome === 'stale');
    if (failed.length === 0) {
      for (const { route, view } of run.live) handToLive(route, view, null);
      this.#done(run.messages);
      return;
    }
    // Outside of the engine's own work, since it begins another batch.
    if (failed.some(({ reason }) => reason === 'full')) {
      this.#timer = this.#context.clock.after(retryMs, () => this.#commit(run.messages));
      return;
    }
    const stale = new Set<HeldMessage>();
    for (const { item } of failed) {
      const { message, to } = run.items[item]!;
      if (to === 'out') stale.add(message);
      else if (to === 'all') message.apart = true;
      else message.refused.add(to);
    }
    this.#context.clock.defer(() => this.#commit(run.messages.filter((message) => !stale.has(message))));
  }

  failed(): void {
    // The engine has ended.
  }

  #take(): void {
    const messages = this.#due;
    this.#due = [];
    this.#bytes = 0;
    this.#commit(messages);
  }

  #commit(messages: readonly HeldMessage[]): void {
    const { engine, clock, settings } = this.#context;
    const { handle } = this.#exchange.holding!;
    if (this.#stopped || handle === null || handle.deleted) return;
    const taken: HeldMessage[] = [];
    const run: Run = { messages: taken, items: [], live: [] };
    const batch = engine.begin(engine.capabilities.atomic);
    const nowMs = clock.now();
    const endMs = performance.now() + searchesInTurn * settings.longSearchMs;
    for (const message of messages) {
      this.#append(batch, run, message, nowMs);
      batch.settle(this.#lease, handle, message.number, 1, 'ack');
      run.items.push({ message, to: 'out' });
      taken.push(message);
      if (performance.now() > endMs) break;
    }
    batch.commit(this, run);
    if (taken.length < messages.length) clock.defer(() => this.#commit(messages.slice(taken.length)));
  }

  #append(batch: Batch, run: Run, message: HeldMessage, nowMs: number): void {
    const view = message.view(nowMs);
    const found = this.#routes.find(this.#exchange, message.routingKeys, message.headers, view);
    const { queues, guards } = found;
    if (found.live !== null) {
      run.live.push({ route: this.#routes.routeFound(this.#exchange, message.routingKeys, found), view });
    }
    // What the exchange itself remembers kept repeats away when it was published.
    const others = guards?.filter(({ owner }) => owner !== this.#exchange.owned) ?? [];
    if (others.length > 0) view.identity = identityOf(others, message.headers);
    const takers = queues.filter(({ handle }) => !message.refused.has(handle!));
    for (const some of message.apart ? takers.map((queue) => [queue]) : [takers]) {
      const targets = this.#routes.targets(some, message.exchange, message.routingKeys[0] ?? '');
      if (targets === null) continue;
      batch.append(targets, view);
      run.items.push({ message, to: message.apart ? targets.queues[0]! : 'all' });
    }
  }

  #done(messages: readonly HeldMessage[]): void {
    if (this.#stopped) return;
    this.#consumer?.addCredit(messages.length);
    if (this.#paused) {
      this.#paused = false;
      this.#consumer?.resume();
    }
  }
}
