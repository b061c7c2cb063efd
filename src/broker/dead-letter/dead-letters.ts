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
  Batch,
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
import { resourceName } from '../resource-name.ts';
import { readQueueKey } from '../topology-entry.ts';
import type { Vhost } from '../vhost.ts';
import { DeadMessage } from './dead-message.ts';
import { type DeathReason, isAutomaticCycle } from './death.ts';
import { WaitingList, type WaitingLetters } from './waiting-letters.ts';

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
  readonly done: () => void;
}

export class DeadLetters implements RemovalSink, CommitReceiver<Run> {
  readonly #context: BrokerContext;
  readonly #vhosts: ReadonlyMap<string, Vhost>;
  #lease: Lease | null = null;
  #removed: DeadMessage[] = [];
  /** For space on a full disk, or to be tried at all. */
  #waiting = new WaitingList();
  /** For somebody who takes them: tried last, or those behind them would never be. */
  #unwanted = new WaitingList();
  #timer: Timer | null = null;
  #retrying = false;
  /** How often a full disk refused some. */
  #refusals = 0;
  /** How often some that must not be dropped found nobody who takes them. */
  #kept = 0;
  #stopped = false;

  constructor(context: BrokerContext, vhosts: ReadonlyMap<string, Vhost>) {
    this.#context = context;
    this.#vhosts = vhosts;
  }

  start(): void {
    this.#lease = this.#context.engine.lease();
    this.#context.engine.onRemoval(this.#lease, this);
  }

  /** What waits is held until the engine closes, and so comes back to its queue. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#waiting = new WaitingList();
    this.#unwanted = new WaitingList();
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
      this.#commit({ messages, attempt: 'together', done: ignore });
      messages = [];
      bytes = 0;
    }
    if (messages.length > 0) this.#commit({ messages, attempt: 'together', done: ignore });
  }

  /** Deliveries of a queue that a session, holding them under `lease`, has rejected. Resolves once they have left the queue, or wait for space on a full disk. */
  async rejected(queue: Queue, lease: Lease, numbers: readonly number[]): Promise<void> {
    if (queue.handle !== null) await this.#deadLetter(queue.handle, lease, 'rejected', numbers);
  }

  committed(run: Run, outcomes: readonly ItemOutcome[] | null): void {
    if (outcomes === null || outcomes.length === 0) {
      run.done();
      return;
    }
    // Outside of the engine's own work, since it begins another batch.
    this.#context.clock.defer(() => this.#again(run, outcomes));
  }

  failed(run: Run): void {
    run.done();
  }

  async #deadLetter(queue: EngineQueue, lease: Lease, reason: DeathReason, numbers: readonly number[]): Promise<void> {
    const before = this.#refusals + this.#kept;
    let at = 0;
    while (at < numbers.length && !lease.lost && !this.#stopped) {
      if (this.#refusals + this.#kept > before) {
        this.#wait(queue, lease, reason, numbers.slice(at));
        return;
      }
      try {
        at += await this.#deadLetterSome(queue, lease, reason, numbers.slice(at, at + maxRunLength));
      } catch (error) {
        // Still held under the lease: the messages come back to their queue with it.
        const { vhost, name } = readQueueKey(queue.key);
        this.#context.log(`could not dead-letter from ${resourceName('queue', name, vhost)}: ${String(error)}`);
        return;
      }
    }
  }

  /** As many of the first as may be in memory at once. Answers how many numbers that were. */
  async #deadLetterSome(
    queue: EngineQueue,
    lease: Lease,
    reason: DeathReason,
    numbers: readonly number[],
  ): Promise<number> {
    const messages: DeadMessage[] = [];
    let bytes = 0;
    let isWhole = true;
    await this.#context.engine.load(queue, lease, numbers, {
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
    if (last === undefined) return numbers.length;
    await new Promise<void>((done) => this.#commit({ messages, attempt: 'together', done }));
    return isWhole ? numbers.length : numbers.indexOf(last.number) + 1;
  }

  #commit(run: Run): void {
    const { engine } = this.#context;
    const batch = engine.begin(engine.capabilities.atomic);
    for (const message of run.messages) {
      // The output before the settlement that it comes from: idempotent batches want that order.
      if (run.attempt !== 'drop' && !this.#append(batch, message)) continue;
      batch.settle(message.lease, message.queue, message.number, 1, 'drop');
    }
    batch.commit(this, run);
  }

  /** False: nobody takes it, and it must not be dropped. */
  #append(batch: Batch, message: DeadMessage): boolean {
    const next = this.#next(message);
    if (next !== null) batch.append(next.targets, next.view);
    else if (this.#mustKeep(message)) {
      this.#keep(message);
      return false;
    }
    return true;
  }

  #source({ queue }: DeadMessage): Queue | undefined {
    const { vhost, name } = readQueueKey(queue.key);
    return this.#vhosts.get(vhost)?.graph.queues.get(name);
  }

  #mustKeep(message: DeadMessage): boolean {
    return this.#source(message)?.settings.keepsDeadLetters === true;
  }

  #keep(message: DeadMessage): void {
    const { queue, lease, reason, number } = message;
    // It must not end (x-expires) with what it keeps.
    this.#source(message)?.expiry?.touch();
    this.#kept++;
    this.#unwanted.add(queue, lease, reason, [number]);
    this.#retryLater();
  }

  /** One of the run was refused, and so nothing of it was done. */
  #again(run: Run, outcomes: readonly ItemOutcome[]): void {
    if (outcomes.some(({ reason }) => reason === 'full')) {
      this.#refusals++;
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
      for (const message of run.messages) this.#commit({ messages: [message], attempt: 'alone', done });
      return;
    }
    // Stale: the message isn't ours any more. Else nobody takes it.
    const message = run.messages[0]!;
    if (run.attempt === 'drop' || outcomes.some((outcome) => outcome.outcome === 'stale')) run.done();
    else if (this.#mustKeep(message)) {
      this.#keep(message);
      run.done();
    } else this.#commit({ ...run, attempt: 'drop' });
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
    const waiting = [...this.#waiting.entries(), ...this.#unwanted.entries()];
    this.#waiting = new WaitingList();
    this.#unwanted = new WaitingList();
    const refusals = this.#refusals;
    let tried = 0;
    try {
      for (const { queue, lease, reason, numbers } of waiting) {
        tried++;
        await this.#deadLetter(queue, lease, reason, numbers);
        if (this.#refusals > refusals) break;
      }
    } finally {
      if (!this.#stopped) this.#waitBefore(waiting.slice(tried));
      this.#retrying = false;
      if (this.#waiting.size + this.#unwanted.size > 0) this.#retryLater();
    }
  }

  /** Those that were not tried come before those that were. */
  #waitBefore(untried: readonly WaitingLetters[]): void {
    const tried = this.#waiting;
    this.#waiting = new WaitingList();
    this.#waiting.addAll(untried);
    this.#waiting.addAll(tried.entries());
  }

  /** Where the message goes from here, and as what; null: nowhere. */
  #next(message: DeadMessage): { readonly targets: Targets; readonly view: MessageView } | null {
    const { vhost: vhostName, name } = readQueueKey(message.queue.key);
    const vhost = this.#vhosts.get(vhostName);
    const settings = vhost?.graph.queues.get(name)?.settings;
    const exchangeName = settings?.deadLetterExchange ?? null;
    if (vhost === undefined || settings === undefined || exchangeName === null) return null;
    const exchange = vhost.graph.exchanges.get(exchangeName);
    if (exchange === undefined) return null;
    try {
      const next = message.next(name, settings.deadLetterRoutingKey, this.#context.clock.now());
      const { queues } = vhost.routes.find(exchange, next.routingKeys, next.headers);
      const deaths = next.headers?.['x-death'];
      const takers =
        message.reason === 'rejected' ? queues : queues.filter((queue) => !isAutomaticCycle(queue.name, deaths));
      const targets = vhost.routes.targets(takers, exchangeName, next.routingKeys[0] ?? '');
      return targets === null ? null : { targets, view: next.view };
    } catch (error) {
      this.#context.log(`dropped a dead letter of queue '${name}' in vhost '${vhostName}': ${String(error)}`);
      return null;
    }
  }
}

function ignore(): void {
  // Nobody waits for it.
}
