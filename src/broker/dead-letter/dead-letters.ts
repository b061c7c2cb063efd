/**
 * Takes messages from their queue to its dead-letter exchange: rejected ones, and those that the engine removes (expired,
 * beyond a limit). Leaving one queue and arriving in others is one atomic commit, so a crash finds the message in the one or
 * in the others, never in neither.
 *
 * Dead-lettering is at-most-once as RabbitMQ's is: where nobody takes the message (no such exchange, no route, an automatic
 * cycle, a target that is full and refuses) it is dropped. A full disk is no such reason: the message stays held until there is space.
 * Nor is any where the queue's dead-letter strategy is at-least-once: then the message stays held until somebody takes it.
 */
import type { Timer } from '../../engine/clock.ts';
import type {
  CommitReceiver,
  DeliveryView,
  EngineQueue,
  ItemOutcome,
  Lease,
  MessageView,
  RemovalReason,
  RemovalSink,
  Targets,
} from '../../engine/engine.ts';
import type { BrokerContext } from '../context.ts';
import type { Queue } from '../queue.ts';
import { identityOf } from '../deduplication.ts';
import type { Route } from '../route.ts';
import { handToLive } from '../subscription/live.ts';
import { Mailbox } from '../subscription/mailbox.ts';
import { resourceName } from '../resource-name.ts';
import { readQueueKey } from '../topology-entry.ts';
import type { Vhost } from '../vhost.ts';
import { DeadMessage } from './dead-message.ts';
import { type DeathReason, isAutomaticCycle } from './death.ts';
import { WaitingList } from './waiting-letters.ts';

const reasons: Readonly<Record<RemovalReason, DeathReason>> = {
  expired: 'expired',
  'max-length': 'maxlen',
  'delivery-limit': 'delivery_limit',
};

/** Messages committed at once; one refusal has each of them tried alone. */
const maxRunLength = 256;
/** Bytes of them, but for one message more. */
const maxRunBytes = 1024 * 1024;
/** What a full disk has no space for, and what must not be dropped, is tried again after so long. */
const retryMs = 1000;

/** Messages in one commit. */
interface Run {
  readonly messages: readonly DeadMessage[];
  /** `drop`: nothing more is tried but to take the message out of its queue. */
  readonly attempt: 'together' | 'alone' | 'drop';
  readonly tally: Tally;
  readonly done: () => void;
  /** What subscribers get of it that no queue keeps it for. */
  readonly live: { readonly route: Route; readonly view: MessageView }[];
}

/** What became of letters that were tried. */
interface Tally {
  /** A full disk refused some. */
  refused: boolean;
  /** So many must not be dropped, and found nobody who takes them. */
  kept: number;
}

/** A dead letter as it goes on. */
export interface NextLetter {
  /** Null: to no queue. */
  readonly targets: Targets | null;
  /** Where it leads to subscribers that no queue keeps it for: to be handed to them once it has left its queue. Null: to none. */
  readonly route: Route | null;
  readonly view: MessageView;
}

export class DeadLetters implements RemovalSink, CommitReceiver<Run> {
  readonly #context: BrokerContext;
  readonly #vhosts: ReadonlyMap<string, Vhost>;
  #lease: Lease | null = null;
  #removed: DeadMessage[] = [];
  /** For space on a full disk, or to be tried at all. */
  readonly #waiting: WaitingList;
  /** For somebody who takes them: tried last, or those behind them would never be. */
  readonly #unwanted: WaitingList;
  #timer: Timer | null = null;
  #retrying = false;
  /** How often a full disk refused some. */
  #refusals = 0;
  #stopped = false;

  constructor(context: BrokerContext, vhosts: ReadonlyMap<string, Vhost>) {
    this.#context = context;
    this.#vhosts = vhosts;
    this.#waiting = new WaitingList(context.lettersUnderWay);
    this.#unwanted = new WaitingList(context.lettersUnderWay);
  }

  start(): void {
    this.#lease = this.#context.engine.lease();
    this.#context.engine.onRemoval(this.#lease, this);
  }

  /** What waits is held until the engine closes, and so comes back to its queue. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#waiting.take();
    this.#unwanted.take();
  }

  remove(delivery: DeliveryView, reason: RemovalReason): void {
    this.#removed.push(new DeadMessage(delivery, this.#lease!, reasons[reason]));
  }

  flush(): void {
    const removed = this.#removed;
    this.#removed = [];
    let messages: DeadMessage[] = [];
    let bytes = 0;
    for (const message of removed) {
      messages.push(message);
      bytes += message.bytes;
      if (messages.length < maxRunLength && bytes < maxRunBytes) continue;
      this.#handedOver(messages);
      messages = [];
      bytes = 0;
    }
    if (messages.length > 0) this.#handedOver(messages);
  }

  #handedOver(messages: readonly DeadMessage[]): void {
    const { lettersUnderWay } = this.#context;
    for (const { queue } of messages) lettersUnderWay.begin(queue);
    const done = (): void => {
      for (const { queue } of messages) lettersUnderWay.end(queue);
    };
    this.#commit({ messages, attempt: 'together', tally: { refused: false, kept: 0 }, done, live: [] });
  }

  /** Deliveries of a queue that a session, holding them under `lease`, has rejected. Resolves once they have left the queue, or wait for space on a full disk. */
  async rejected(queue: Queue, lease: Lease, numbers: readonly number[]): Promise<void> {
    if (queue.handle !== null) await this.#deadLetter(queue.handle, lease, 'rejected', numbers);
  }

  /**
   * Rejected deliveries, copied, for whoever takes them out of their queue in a batch of his own. What is not held any more is not
   * among them; null: `hasRoom`, which is asked of each one's bytes, said no.
   */
  async load(
    queue: EngineQueue,
    lease: Lease,
    numbers: readonly number[],
    hasRoom: (bytes: number) => boolean,
  ): Promise<DeadMessage[] | null> {
    const messages: DeadMessage[] = [];
    let fits = true;
    await this.#context.engine.load(queue, lease, numbers, {
      deliver: (delivery) => {
        const message = new DeadMessage(delivery, lease, 'rejected');
        fits = hasRoom(message.bytes);
        if (fits) messages.push(message);
        return fits;
      },
      cancelled: ignore,
    });
    return fits ? messages : null;
  }

  /** A message that no queue has: it goes to the dead-letter exchange of the one that refused it, or nowhere. */
  publish(message: DeadMessage): void {
    const next = this.next(message);
    if (next === null || this.#stopped) return;
    const batch = this.#context.engine.begin();
    if (next.targets !== null) batch.append(next.targets, next.view);
    batch.commit(dropped, undefined);
    if (next.route !== null) handToLive(next.route, next.view, null);
  }

  /** Nobody takes it: it stays held, and is tried again now and then. */
  keep({ queue, lease, reason, number }: DeadMessage): void {
    this.#unwanted.add(queue, lease, reason, [number]);
    this.#retryLater();
  }

  /** There is no space for it on the disk: it stays held until there is. */
  wait({ queue, lease, reason, number }: DeadMessage): void {
    this.#wait(queue, lease, reason, [number]);
  }

  committed(run: Run, outcomes: readonly ItemOutcome[] | null): void {
    // A repeat, where its queue keeps such away, has left the other queue all the same.
    const failed = outcomes?.filter(({ outcome }) => outcome !== 'duplicate') ?? [];
    if (failed.length === 0) {
      for (const { route, view } of run.live) handToLive(route, view, null);
      run.done();
      return;
    }
    // Outside of the engine's own work, since it begins another batch.
    this.#context.clock.defer(() => this.#again(run, failed));
  }

  failed(run: Run): void {
    run.done();
  }

  async #deadLetter(queue: EngineQueue, lease: Lease, reason: DeathReason, numbers: readonly number[]): Promise<void> {
    const { lettersUnderWay, log } = this.#context;
    lettersUnderWay.begin(queue);
    try {
      let at = 0;
      while (at < numbers.length && !lease.lost && !this.#stopped) {
        const tally: Tally = { refused: false, kept: 0 };
        const { tried, next } = await this.#deadLetterSome(queue, lease, reason, numbers, at, tally);
        at = next;
        // As long as some of them are taken it goes on at once.
        if (!tally.refused && (tally.kept === 0 || tally.kept < tried)) continue;
        if (at < numbers.length) this.#wait(queue, lease, reason, numbers.slice(at));
        return;
      }
    } catch (error) {
      // Still held under the lease: the messages come back to their queue with it.
      const { vhost, name } = readQueueKey(queue.key);
      log(`could not dead-letter from ${resourceName('queue', name, vhost)}: ${String(error)}`);
    } finally {
      lettersUnderWay.end(queue);
    }
  }

  /** As many from `at` on as may be in memory at once. */
  async #deadLetterSome(
    queue: EngineQueue,
    lease: Lease,
    reason: DeathReason,
    numbers: readonly number[],
    at: number,
    tally: Tally,
  ): Promise<{ readonly tried: number; readonly next: number }> {
    const some = numbers.slice(at, at + maxRunLength);
    const messages: DeadMessage[] = [];
    let bytes = 0;
    let isWhole = true;
    await this.#context.engine.load(queue, lease, some, {
      deliver: (delivery) => {
        const message = new DeadMessage(delivery, lease, reason);
        messages.push(message);
        bytes += message.bytes;
        isWhole = bytes < maxRunBytes;
        return isWhole;
      },
      cancelled: ignore,
    });
    const last = messages.at(-1);
    const next = at + (isWhole || last === undefined ? some.length : some.indexOf(last.number) + 1);
    if (last !== undefined) {
      await new Promise<void>((done) => this.#commit({ messages, attempt: 'together', tally, done, live: [] }));
    }
    return { tried: messages.length, next };
  }

  #commit(run: Run): void {
    const { engine } = this.#context;
    const batch = engine.begin(engine.capabilities.atomic);
    // Settled first, what takes the place of a message in its own queue is no repeat of it. Idempotent batches want the output first.
    const settlesFirst = engine.capabilities.atomic === 'required';
    for (const message of run.messages) {
      const next = run.attempt === 'drop' ? null : this.next(message);
      if (next === null && run.attempt !== 'drop' && this.mustKeep(message)) {
        this.#keep(message, run.tally);
        continue;
      }
      const targets = next?.targets ?? null;
      if (next !== null && targets !== null && !settlesFirst) batch.append(targets, next.view);
      batch.settle(message.lease, message.queue, message.number, 1, 'drop');
      if (next !== null && targets !== null && settlesFirst) batch.append(targets, next.view);
      if (next !== null && next.route !== null) run.live.push({ route: next.route, view: next.view });
    }
    batch.commit(this, run);
  }

  #source({ queue }: DeadMessage): Queue | undefined {
    const { vhost, name } = readQueueKey(queue.key);
    return this.#vhosts.get(vhost)?.graph.queues.get(name);
  }

  /** It must not be dropped, whoever takes it or not. */
  mustKeep(message: DeadMessage): boolean {
    return this.#source(message)?.settings.keepsDeadLetters === true;
  }

  #keep(message: DeadMessage, tally: Tally): void {
    tally.kept++;
    this.keep(message);
  }

  /** One of the run was refused, and so nothing of it was done. */
  #again(run: Run, outcomes: readonly ItemOutcome[]): void {
    if (outcomes.some(({ reason }) => reason === 'full')) {
      this.#refusals++;
      run.tally.refused = true;
      for (const { queue, lease, reason, number } of run.messages) this.#wait(queue, lease, reason, [number]);
      run.done();
      return;
    }
    if (run.attempt === 'together' && run.messages.length > 1) {
      let left = run.messages.length;
      const done = () => {
        left -= 1;
        if (left === 0) run.done();
      };
      for (const message of run.messages)
        this.#commit({ messages: [message], attempt: 'alone', tally: run.tally, done, live: [] });
      return;
    }
    // Stale: the message isn't ours any more. Else nobody takes it.
    const message = run.messages[0]!;
    if (run.attempt === 'drop' || outcomes.some((outcome) => outcome.outcome === 'stale')) run.done();
    else if (this.mustKeep(message)) {
      this.#keep(message, run.tally);
      run.done();
    } else this.#commit({ ...run, attempt: 'drop', live: [] });
  }

  #wait(queue: EngineQueue, lease: Lease, reason: DeathReason, numbers: readonly number[]): void {
    this.#waiting.add(queue, lease, reason, numbers);
    this.#retryLater();
  }

  #retryLater(): void {
    if (this.#stopped || this.#retrying) return;
    this.#timer ??= this.#context.clock.after(retryMs, () => {
      this.#timer = null;
      this.#retry().catch((error: unknown) => this.#context.log(`could not dead-letter: ${String(error)}`));
    });
  }

  /** One after the other, until one finds that there still is no space on the disk. */
  async #retry(): Promise<void> {
    this.#retrying = true;
    const letters = [...this.#waiting.take(), ...this.#unwanted.take()];
    const refusals = this.#refusals;
    let tried = 0;
    try {
      for (const { queue, lease, reason, numbers } of letters) {
        tried++;
        await this.#deadLetter(queue, lease, reason, numbers);
        this.#context.lettersUnderWay.end(queue);
        if (this.#refusals > refusals) break;
      }
    } finally {
      if (!this.#stopped) {
        // Those that were not tried come before those that were.
        const again = this.#waiting.take();
        this.#waiting.putBack(letters.slice(tried));
        this.#waiting.putBack(again);
      }
      this.#retrying = false;
      if (this.#waiting.size + this.#unwanted.size > 0) this.#retryLater();
    }
  }

  /** Where the message goes from here, and as what; null: nowhere. */
  next(message: DeadMessage): NextLetter | null {
    const { vhost: vhostName, name } = readQueueKey(message.queue.key);
    const vhost = this.#vhosts.get(vhostName);
    const settings = vhost?.graph.queues.get(name)?.settings;
    const exchangeName = settings?.deadLetterExchange ?? null;
    if (vhost === undefined || settings === undefined || exchangeName === null) return null;
    const exchange = vhost.graph.exchanges.get(exchangeName);
    if (exchange === undefined) return null;
    try {
      const next = message.next(name, settings.deadLetterRoutingKey, this.#context.clock.now());
      const found = vhost.routes.find(exchange, next.routingKeys, next.headers, next.view);
      const { queues, guards } = found;
      const deaths = next.headers?.['x-death'];
      const takers =
        message.reason === 'rejected'
          ? queues
          : queues.filter((queue) => queue instanceof Mailbox || !isAutomaticCycle(queue.name, deaths));
      const targets = vhost.routes.targets(takers, exchangeName, next.routingKeys[0] ?? '');
      if (guards !== null) next.view.identity = identityOf(guards, next.headers);
      const route = found.live === null ? null : vhost.routes.routeFound(exchange, next.routingKeys, found);
      return targets === null && route === null ? null : { targets, route, view: next.view };
    } catch (error) {
      this.#context.log(`dropped a dead letter of queue '${name}' in vhost '${vhostName}': ${String(error)}`);
      return null;
    }
  }
}

/** Nobody is told. */
const dropped: CommitReceiver<undefined> = { committed: ignore, failed: ignore };

function ignore(): void {
  // Nobody waits for it.
}
