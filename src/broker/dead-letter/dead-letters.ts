/**
 * Takes messages from their queue to its dead-letter exchange: rejected ones, and those that the engine removes (expired,
 * beyond a limit). Leaving one queue and arriving in others is one atomic commit, so a crash finds the message in the one or
 * in the others, never in neither.
 *
 * Dead-lettering is at-most-once as RabbitMQ's is: where nobody takes the message (no such exchange, no route, an automatic
 * cycle, a target that is full and refuses) it is dropped. A full disk is no such reason: the message stays held until there is space.
 */
import type { Timer } from '../../engine/clock.ts';
import type {
  Batch,
  CommitReceiver,
  DeliveryView,
  ItemOutcome,
  Lease,
  MessageView,
  RemovalReason,
  RemovalSink,
  Targets,
} from '../../engine/engine.ts';
import type { BrokerContext } from '../context.ts';
import type { Queue } from '../queue.ts';
import { readQueueKey } from '../topology-entry.ts';
import type { Vhost } from '../vhost.ts';
import { DeadMessage } from './dead-message.ts';
import { type DeathReason, isAutomaticCycle } from './death.ts';

const reasons: Readonly<Record<RemovalReason, DeathReason>> = {
  expired: 'expired',
  'max-length': 'maxlen',
  'delivery-limit': 'delivery_limit',
};

/** Messages committed at once; one refusal has each of them tried alone. */
const maxRunLength = 256;
/** Bytes of rejected messages held in memory at once. */
const maxRunBytes = 1024 * 1024;
/** What a full disk has no space for is tried again after so long. */
const retryMs = 1000;

/** Messages in one commit. */
interface Run {
  readonly messages: readonly DeadMessage[];
  /** `drop`: nothing more is tried but to take the message out of its queue. */
  readonly attempt: 'together' | 'alone' | 'drop';
  readonly done: () => void;
  /** Tries all of it again; called later, and `done` at once. */
  readonly retry: () => void;
}

export class DeadLetters implements RemovalSink, CommitReceiver<Run> {
  readonly #context: BrokerContext;
  readonly #vhosts: ReadonlyMap<string, Vhost>;
  #lease: Lease | null = null;
  #removed: DeadMessage[] = [];
  /** What waits for space on a full disk. */
  #waiting: (() => void)[] = [];
  #timer: Timer | null = null;

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
    this.#timer?.cancel();
    this.#waiting = [];
  }

  remove(delivery: DeliveryView, reason: RemovalReason): void {
    this.#removed.push(new DeadMessage(delivery, this.#lease!, reasons[reason]));
  }

  flush(): void {
    const removed = this.#removed;
    this.#removed = [];
    for (let at = 0; at < removed.length; at += maxRunLength) {
      const retry = () => this.#commit(run);
      const messages = removed.slice(at, at + maxRunLength);
      const run: Run = { messages, attempt: 'together', done: () => undefined, retry };
      this.#commit(run);
    }
  }

  /** Deliveries of a queue that a session, holding them under `lease`, has rejected. Resolves once they have left the queue, or wait for space on a full disk. */
  async rejected(queue: Queue, lease: Lease, numbers: readonly number[]): Promise<void> {
    for (let at = 0; at < numbers.length; at += maxRunLength) {
      if (queue.deleted || lease.lost) return;
      try {
        await this.#load(queue, lease, numbers.slice(at, at + maxRunLength));
      } catch (error) {
        // Still held under the lease: the messages come back to their queue with it.
        this.#context.log(`could not dead-letter from ${queue.resource}: ${String(error)}`);
        return;
      }
    }
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

  async #load(queue: Queue, lease: Lease, numbers: readonly number[]): Promise<void> {
    const commits: Promise<void>[] = [];
    let messages: DeadMessage[] = [];
    let bytes = 0;
    const commit = () => {
      const run = messages;
      messages = [];
      bytes = 0;
      if (run.length === 0) return;
      // Numbers alone are kept meanwhile: a session may have rejected a whole backlog.
      const rejected = run.map(({ number }) => number);
      const retry = () => void this.rejected(queue, lease, rejected);
      commits.push(new Promise((done) => this.#commit({ messages: run, attempt: 'together', done, retry })));
    };
    await this.#context.engine.load(queue.handle!, lease, numbers, {
      deliver: (delivery) => {
        const message = new DeadMessage(delivery, lease, 'rejected');
        messages.push(message);
        bytes += message.bytes;
        if (bytes >= maxRunBytes) commit();
        return true;
      },
      cancelled: () => undefined,
    });
    commit();
    await Promise.all(commits);
  }

  #commit(run: Run): void {
    const { engine } = this.#context;
    const batch = engine.begin(engine.capabilities.atomic);
    for (const message of run.messages) {
      // The output before the settlement that it comes from: idempotent batches want that order.
      if (run.attempt !== 'drop') this.#append(batch, message);
      batch.settle(message.lease, message.queue, message.number, 1, 'drop');
    }
    batch.commit(this, run);
  }

  #append(batch: Batch, message: DeadMessage): void {
    const next = this.#next(message);
    if (next !== null) batch.append(next.targets, next.view);
  }

  /** One of the run was refused, and so nothing of it was done. */
  #again(run: Run, outcomes: readonly ItemOutcome[]): void {
    if (outcomes.some(({ reason }) => reason === 'full')) {
      this.#wait(run.retry);
      run.done();
      return;
    }
    if (run.attempt === 'together' && run.messages.length > 1) {
      let left = run.messages.length;
      const done = () => {
        left -= 1;
        if (left === 0) run.done();
      };
      for (const message of run.messages) {
        const retry = () => this.#commit({ ...alone, done: () => undefined });
        const alone: Run = { messages: [message], attempt: 'alone', done, retry };
        this.#commit(alone);
      }
      return;
    }
    // Stale: the message isn't ours any more. Else nobody takes it.
    if (run.attempt === 'drop' || outcomes.some((outcome) => outcome.outcome === 'stale')) run.done();
    else this.#commit({ ...run, attempt: 'drop' });
  }

  #wait(retry: () => void): void {
    this.#waiting.push(retry);
    this.#timer ??= this.#context.clock.after(retryMs, () => {
      this.#timer = null;
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const each of waiting) each();
    });
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
