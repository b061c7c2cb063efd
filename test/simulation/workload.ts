/** Draws what the broker does next. A seed has its own mixture of operations, queues and sizes. */
import type { QueueLimits } from '../../src/engine/engine.ts';
import { type AppendRequest, type Client, deadLetters } from './client.ts';
import type { Copy, ModelQueue } from './model.ts';
import { mostBodyBytes } from './payload.ts';
import type { Random } from './random.ts';
import type { Session } from './session.ts';

type Operation =
  | 'publish'
  | 'burst'
  | 'transaction'
  | 'settle'
  | 'settleStale'
  | 'deadLetter'
  | 'subscribe'
  | 'credit'
  | 'resume'
  | 'cancel'
  | 'withdraw'
  | 'release'
  | 'take'
  | 'purge'
  | 'queue'
  | 'entry'
  | 'put'
  | 'state'
  | 'producer'
  | 'stats'
  | 'browse'
  | 'idle';

const kinds: readonly { readonly durable: boolean; readonly limits: QueueLimits }[] = [
  { durable: true, limits: {} },
  { durable: true, limits: {} },
  { durable: true, limits: { maxPriority: 5 } },
  { durable: true, limits: { messageTtlMs: 400 } },
  { durable: true, limits: { messageTtlMs: 900, handOverRemoved: true } },
  { durable: true, limits: { maxLength: 6 } },
  { durable: true, limits: { maxLength: 5, handOverRemoved: true } },
  { durable: true, limits: { maxLength: 8, overflow: 'reject' } },
  { durable: true, limits: { maxBytes: 6000 } },
  { durable: true, limits: { deliveryLimit: 3, handOverRemoved: true } },
  { durable: true, limits: { deliveryLimit: 2 } },
  { durable: true, limits: { maxPriority: 3, messageTtlMs: 1500, handOverRemoved: true } },
  { durable: true, limits: { singleActiveConsumer: true } },
  { durable: false, limits: {} },
  { durable: false, limits: { maxLength: 10 } },
];

const idScope = 'scope';
const idWindowMs = 2000;
const idWindowCount = 50;

export class Workload {
  readonly #random: Random;
  readonly #weights: Record<Operation, number>;
  readonly #bodyScale: number;
  /** Share of the messages that are due later. */
  readonly #delays: number;
  readonly #specs: readonly { key: string; durable: boolean; limits: QueueLimits }[];
  #nextId = 0;
  operations = 0;

  /** `ofGroups` says which queues are grouped. */
  constructor(random: Random, ofGroups: Random) {
    this.#random = random;
    const heavy = random.chance(0.4);
    this.#bodyScale = random.pick([40, 200, 200, 1000]);
    this.#delays = random.pick([0, 0.03, 0.08, 0.3]);
    this.#weights = {
      publish: 20,
      burst: heavy ? 14 : 6,
      transaction: 10,
      settle: heavy && random.chance(0.5) ? 8 : 22,
      settleStale: 1,
      deadLetter: 2,
      subscribe: 5,
      credit: 7,
      resume: 3,
      cancel: 1.5,
      withdraw: 1.5,
      release: 2,
      take: 5,
      purge: 0.8,
      queue: 1.2,
      entry: 1,
      put: 5,
      state: 1,
      producer: 1,
      stats: 2,
      browse: 1,
      idle: 4,
    };
    for (const operation of Object.keys(this.#weights) as Operation[]) this.#weights[operation] *= 0.5 + random.unit();
    const specs: { key: string; durable: boolean; limits: QueueLimits }[] = [
      { key: deadLetters, durable: true, limits: {} },
    ];
    const count = random.between(5, 9);
    for (let i = 0; i < count; i++) {
      const kind = i === 0 ? kinds[0]! : random.pick(kinds);
      specs.push({ key: `q${i}`, ...kind });
    }
    if (ofGroups.chance(0.4)) {
      for (const spec of specs)
        if (spec.key !== deadLetters && ofGroups.chance(0.5)) spec.limits = { ...spec.limits, groupBy: 'message' };
    }
    this.#specs = specs;
  }

  /** Declares what is missing: at the beginning, and after a restart what was not durable. */
  declare(client: Client): void {
    for (const { key, durable, limits } of this.#specs) {
      if (client.world.model.queue(key) === undefined && (key !== 'q1' || this.#random.chance(0.9)))
        client.createQueue(key, durable, limits);
    }
    client.streams?.declare();
  }

  /** One operation, now. */
  act(client: Client): void {
    const operation = this.#random.weighted(this.#weights);
    this.operations++;
    this.#act(client, operation);
    client.streams?.act();
  }

  #act(client: Client, operation: Operation): void {
    const random = this.#random;
    switch (operation) {
      case 'publish': {
        if (this.#mustWait(client)) return;
        const batch = client.begin(random.chance(0.2));
        batch.append(this.#append(client));
        batch.commit();
        return;
      }
      case 'burst': {
        if (this.#mustWait(client)) return;
        // Neighbours on one route, as a publisher's read brings them.
        const batch = client.begin(random.chance(0.3));
        const queues = this.#targets(client);
        for (let n = random.between(2, 20); n > 0; n--)
          batch.append({ ...this.#append(client, queues), identity: null });
        batch.commit();
        return;
      }
      case 'transaction':
        this.#transaction(client);
        return;
      case 'settle': {
        const run = this.#heldRun(client);
        if (run === null) return;
        const batch = client.begin(random.chance(0.3));
        batch.settle(run.session, run.queue, run.copies, random.weighted({ ack: 7, requeue: 2, drop: 1 }));
        if (random.chance(0.2)) {
          const other = this.#heldRun(client);
          if (other !== null) batch.settle(other.session, other.queue, other.copies, 'ack');
        }
        batch.commit();
        return;
      }
      case 'settleStale': {
        const run = this.#heldRun(client);
        if (run === null) return;
        const first = run.copies[0]!.number;
        // One number too many: nothing of it may happen. Or held by somebody else, or under a lease that is over.
        const tooMany = random.chance(0.5);
        const session = tooMany ? run.session : random.chance(0.5) ? client.session() : client.releasedSession();
        const batch = client.begin(random.chance(0.5));
        batch.settle(session, run.queue, run.copies, 'ack', first, run.copies.length + (tooMany ? 1_000_000 : 0), true);
        batch.commit();
        return;
      }
      case 'deadLetter': {
        const run = this.#heldRun(client);
        if (run === null || run.queue.key === deadLetters || this.#mustWait(client)) return;
        client.deadLetter(run.queue, run.session, run.copies.slice(0, 4));
        return;
      }
      case 'subscribe': {
        if (client.subscriptions.filter((one) => !one.cancelled).length > 10) return;
        const queue = random.pick(client.world.model.queues);
        const noAck = random.chance(0.08);
        client.subscribe(
          queue,
          this.#session(client),
          {
            credit: random.chance(0.1) ? Infinity : random.between(0, 12),
            noAck,
            afterSync: random.chance(0.2),
            priority: random.below(3),
          },
          () => random.chance(0.03),
        );
        return;
      }
      case 'credit': {
        const one = this.#subscription(client);
        if (one === null || one.engine === null) return;
        const count = random.between(1, 10);
        if (random.chance(0.8)) {
          one.credit += count;
          one.engine.addCredit(count);
        } else {
          one.credit = count;
          one.engine.setCredit(count);
        }
        return;
      }
      case 'resume':
        for (const one of client.subscriptions) {
          if (!one.paused || one.cancelled) continue;
          one.paused = false;
          one.engine?.resume();
        }
        return;
      case 'cancel': {
        const one = this.#subscription(client);
        if (one === null || one.engine === null) return;
        client.cancel(one);
        return;
      }
      case 'withdraw': {
        const waiting = client.world.model.queues.flatMap((queue) =>
          [...queue.copies.values()].filter((copy) => copy.delayedNumber !== null && copy.isReady),
        );
        if (waiting.length > 0) client.withdraw(random.pick(waiting));
        return;
      }
      case 'release':
        if (client.sessions.length > 1) client.release(random.pick(client.sessions));
        return;
      case 'take':
        client.take(random.pick(client.world.model.queues), this.#session(client), random.chance(0.15));
        return;
      case 'purge':
        client.purge(random.pick(client.world.model.queues));
        return;
      case 'queue': {
        const spec = random.pick(this.#specs);
        const queue = client.world.model.queue(spec.key);
        if (spec.key === deadLetters || spec.key === 'q0') return;
        if (queue === undefined) client.createQueue(spec.key, spec.durable, random.chance(0.7) ? spec.limits : {});
        else client.deleteQueue(queue);
        return;
      }
      case 'entry': {
        const entries = [...client.world.model.topology.entries.values()];
        if (entries.length > 3 && random.chance(0.5)) client.deleteEntry(random.pick(entries));
        else client.putEntry('exchange', `x${random.below(6)}`, random.chance(0.8));
        return;
      }
      case 'put': {
        const batch = client.begin(random.chance(0.5));
        this.#put(client, batch);
        batch.commit();
        return;
      }
      case 'state':
        client.readState(`key-${random.below(8)}`);
        return;
      case 'producer':
        if (client.engine.capabilities.producers) this.#openProducer(client, `producer-${random.below(2)}`);
        return;
      case 'stats':
        client.checkStats(random.pick(client.world.model.queues));
        return;
      case 'browse':
        client.browse(random.pick(client.world.model.queues), random.between(1, 50), () => {});
        return;
      case 'idle':
        if (random.chance(0.3)) client.begin(random.chance(0.5)).commit();
        return;
    }
  }

  /** How long until the next operation, in microseconds. */
  pauseUs(): number {
    const random = this.#random;
    if (random.chance(0.5)) return 0;
    if (random.chance(0.03)) return random.between(50_000, 3_000_000);
    return random.below(3000);
  }

  #mustWait(client: Client): boolean {
    return client.blockedNow && !this.#random.chance(0.05);
  }

  #session(client: Client): Session {
    if (client.sessions.length === 0 || (client.sessions.length < 5 && this.#random.chance(0.2)))
      return client.session();
    return this.#random.pick(client.sessions);
  }

  #subscription(client: Client): Client['subscriptions'][number] | null {
    const open = client.subscriptions.filter((one) => !one.cancelled);
    return open.length === 0 ? null : this.#random.pick(open);
  }

  #targets(client: Client): ModelQueue[] {
    const random = this.#random;
    const all = client.world.model.queues.filter((queue) => queue.key !== deadLetters);
    const count = random.weighted({ one: 12, two: 4, many: 2 });
    const picked = new Set<ModelQueue>();
    for (let n = count === 'one' ? 1 : count === 'two' ? 2 : random.between(3, all.length); n > 0; n--)
      picked.add(random.pick(all));
    return [...picked];
  }

  #append(client: Client, queues = this.#targets(client)): AppendRequest {
    const random = this.#random;
    const size = random.unit();
    const bodyBytes =
      size < 0.02
        ? 0
        : size > 0.997
          ? random.below(mostBodyBytes / 8)
          : size > 0.97
            ? random.below(4000)
            : random.below(this.#bodyScale);
    return {
      queues,
      streams: client.streams?.targets() ?? [],
      bodyBytes,
      priority: random.below(8),
      ttlMs: random.chance(0.05) ? random.between(1, 1000) : 0,
      dueInMs: client.engine.capabilities.delayed && random.chance(this.#delays) ? this.#delayMs() : 0,
      identity: this.#identity(client),
    };
  }

  /** Mostly so short that it passes within a few operations, or within a restart. */
  #delayMs(): number {
    const random = this.#random;
    return random.chance(0.15) ? random.between(2000, 8000) : random.between(1, random.chance(0.5) ? 60 : 2000);
  }

  #identity(client: Client): AppendRequest['identity'] {
    const random = this.#random;
    const { model } = client.world;
    if (client.engine.capabilities.producers && random.chance(0.15)) {
      const name = `producer-${random.below(2)}`;
      const producer = model.producers.get(name);
      if (producer === undefined) {
        this.#openProducer(client, name);
        return null;
      }
      if ([...client.waiting.values()].includes(`producer ${name}`)) return null;
      const next = producer.pending.reduce((last, one) => Math.max(last, one.sequence), producer.last) + 1;
      const kind = random.weighted({ next: 14, repeat: 3, gap: 1, fenced: 0.5 });
      if (kind === 'fenced' && producer.epoch > 1)
        return { kind: 'producer', producer: name, epoch: producer.epoch - 1, sequence: next };
      const sequence =
        kind === 'repeat'
          ? Math.max(1, producer.last - random.below(3))
          : kind === 'gap'
            ? next + random.between(1, 3)
            : next;
      return { kind: 'producer', producer: name, epoch: producer.epoch, sequence };
    }
    if (client.engine.capabilities.messageIds && random.chance(0.12)) {
      const repeat = this.#nextId > 0 && random.chance(0.4);
      const number = repeat ? Math.max(0, this.#nextId - 1 - random.below(20)) : this.#nextId++;
      return { kind: 'id', scope: idScope, id: `id-${number}`, windowMs: idWindowMs, windowCount: idWindowCount };
    }
    return null;
  }

  /** Only when none of its publishes is under way: the answer is then known. */
  #openProducer(client: Client, name: string): void {
    const producer = client.world.model.producers.get(name);
    if ((producer?.pending.length ?? 0) > 0 || [...client.waiting.values()].includes(`producer ${name}`)) return;
    client.openProducer(name);
  }

  /** Consume-transform-produce, with keyed state. */
  #transaction(client: Client): void {
    const random = this.#random;
    if (this.#mustWait(client)) return;
    const batch = client.begin(true);
    for (let n = random.below(4); n > 0; n--) {
      const run = this.#heldRun(client);
      if (run === null) continue;
      batch.settle(run.session, run.queue, run.copies, random.weighted({ ack: 7, requeue: 2, drop: 1 }));
    }
    for (let n = random.chance(0.1) ? random.between(5, 40) : random.between(1, 4); n > 0; n--)
      batch.append({ ...this.#append(client), ...(random.chance(0.8) ? { identity: null } : {}) });
    if (random.chance(0.4)) this.#put(client, batch);
    batch.commit();
  }

  #put(client: Client, batch: ReturnType<Client['begin']>): void {
    const random = this.#random;
    const key = `key-${random.below(8)}`;
    const state = client.world.model.key(key);
    const value = random.chance(0.15) ? null : Buffer.alloc(random.between(4, 60), random.below(256));
    value?.writeUInt32LE(client.world.nextNonce++, 0);
    let expected: number | undefined;
    if (state.pending.length === 0 && state.revision !== null && random.chance(0.4)) {
      expected = random.chance(0.75) ? state.revision : state.revision + 1000;
    }
    batch.put(key, value, expected);
  }

  /** Some neighbours that one session holds of one queue. */
  #heldRun(client: Client): { session: Session; queue: ModelQueue; copies: Copy[] } | null {
    const random = this.#random;
    const busy = client.sessions.filter((session) => session.held.size > 0);
    if (busy.length === 0) return null;
    const session = random.pick(busy);
    const start = random.pick([...session.held]);
    const { queue } = start;
    const byNumber = new Map<number, Copy>();
    for (const copy of session.held) if (copy.queue === queue) byNumber.set(copy.number, copy);
    const copies: Copy[] = [];
    let number = start.number;
    if (random.chance(0.6)) while (byNumber.has(number - 1)) number--;
    const most = random.chance(0.5) ? 1 : random.between(2, 60);
    for (let copy = byNumber.get(number); copy !== undefined && copies.length < most; copy = byNumber.get(++number))
      copies.push(copy);
    return { session, queue, copies };
  }
}
