/** The embedded engine: queue state in memory, bytes in the journal (or, for `memory:`, in memory alone). */
import type { Clock } from '../clock.ts';
import type {
  Batch,
  BrowsedMessage,
  Capabilities,
  ChangeResult,
  CommitReceiver,
  ConsumeOptions,
  DeliveryView,
  Engine,
  EngineConsumer,
  EngineListener,
  EngineQueue,
  GroupKeys,
  ItemOutcome,
  KeyedValue,
  Lease,
  ProducerState,
  QueueStats,
  RemovalSink,
  Sink,
  Targets,
  Topology,
  TopologyChange,
  WaitingMessage,
} from '../engine.ts';
import { EngineError } from '../errors.ts';
import { BacklogReader } from './backlog-reader.ts';
import { AtomicBatch, PlainBatch } from './batch.ts';
import type { BatchHost } from './batch-host.ts';
import { LocalConsumer } from './consumer.ts';
import { listDelayed } from './delayed-list.ts';
import { Dispatcher } from './dispatcher.ts';
import { DueTimes } from './due-times.ts';
import { emptyDelivery } from './empty-delivery.ts';
import { FailedBatch } from './failed-batch.ts';
import { HandOver } from './hand-over.ts';
import { Identities } from './identities.ts';
import type { Journal } from './journal/journal.ts';
import { KeyedState } from './keyed-state.ts';
import { LocalLease } from './lease.ts';
import type { LocalQueue } from './queue.ts';
import type { QueueHost } from './queue-host.ts';
import { MessageLoader } from './message-loader.ts';
import type { RunReader } from './run.ts';
import type { SegmentTable } from './segments.ts';
import type { LocalStore } from './store.ts';
import { LocalTargets } from './targets.ts';
import { LocalTopology } from './topology.ts';

export class LocalEngine implements Engine, QueueHost, BatchHost {
  readonly capabilities: Capabilities;
  readonly topology: LocalTopology;
  readonly identities: Identities;
  readonly keyed: KeyedState;
  readonly dispatcher: Dispatcher;
  readonly dueTimes: DueTimes;
  readonly handOver: HandOver;
  readonly delivery: DeliveryView;
  removal: { readonly lease: LocalLease; readonly sink: RemovalSink } | null = null;
  groupKeys: GroupKeys | null = null;
  readonly uncountedLeases = new Set<number>();

  readonly #store: LocalStore;
  readonly #clock: Clock;
  readonly #behindBytes: number;
  readonly #plain: PlainBatch;
  #listener: EngineListener | null = null;
  /** Queues that wait for space on the disk. */
  #starved = new Set<LocalQueue>();
  #nextLease = 1;
  #behind = false;
  #closed = false;
  #failure: EngineError | null = null;

  constructor(store: LocalStore, clock: Clock, behindBytes: number) {
    this.#store = store;
    this.#clock = clock;
    this.#behindBytes = behindBytes;
    this.capabilities = {
      atomic: 'required',
      durable: !store.volatile,
      priorities: true,
      delayed: true,
      producers: true,
      messageIds: true,
      groups: true,
      streams: true,
      requeueInPlace: true,
      readyLimits: true,
      consumerPriorities: true,
    };
    this.topology = new LocalTopology(this);
    this.identities = new Identities(
      () => this.journal,
      (id) => this.topology.byId.get(id),
    );
    this.keyed = new KeyedState(() => this.journal);
    this.dispatcher = new Dispatcher(
      (task) => this.#clock.defer(task),
      () => this.#flushRemoved(),
    );
    this.handOver = new HandOver(
      (done) =>
        this.journal.whenSynced((error) => {
          if (error === null) done();
        }),
      (queues) => {
        for (const queue of queues) this.dispatcher.touch(queue);
        this.dispatcher.run();
      },
    );
    this.dueTimes = new DueTimes(
      clock,
      (id) => this.topology.byId.get(id),
      (bytes) => this.journal.takesMoved(bytes),
      () => this.dispatcher.run(),
    );
    this.delivery = emptyDelivery();
    this.#plain = new PlainBatch(this);
  }

  get journal(): Journal {
    return this.#store.journal;
  }

  get segments(): SegmentTable {
    return this.#store.segments;
  }

  // --- opening and closing ---

  async open(listener: EngineListener): Promise<Topology> {
    this.#listener = listener;
    await this.#store.open({
      topology: this.topology,
      identities: this.identities,
      keyed: this.keyed,
      failed: (error) => this.#fail(error),
      blocked: () => listener.blocked('disk'),
      unblocked: () => {
        listener.unblocked();
        this.#resume();
      },
      caughtUp: () => this.#relax(),
      damaged: (queue, error) => this.damaged(queue, error),
      notice: (line) => listener.notice(line),
    });
    // Ids of queues that went with the process before this one.
    this.identities.forgetOld();
    await this.dueTimes.start(this.topology.queues.values());
    // What expired or overflowed while nobody was there goes by itself.
    for (const queue of this.topology.queues.values()) if (queue.ready > 0) this.dispatcher.touch(queue);
    this.#clock.defer(() => this.dispatcher.run());
    return this.topology.snapshot();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.dueTimes.stop();
    for (const queue of this.topology.queues.values()) queue.stop();
    this.removal = null;
    await this.#store.close();
  }

  // --- topology ---

  async change(changes: readonly TopologyChange[], expectedRevision?: number): Promise<ChangeResult> {
    this.#mustServe();
    this.topology.check(changes, expectedRevision);
    const { removed, durable, gone } = this.journal.whole(() => this.topology.apply(changes));
    const { revision } = this.topology;
    if (gone.length > 0) this.#clock.defer(() => gone.forEach((queue) => queue.consumers.end('deleted')));
    this.#clock.defer(() => this.dispatcher.run());
    if (durable) await this.#durable();
    return { revision, removed };
  }

  /** Nobody else changes what this process has locked. */
  watch(): () => void {
    return () => undefined;
  }

  queue(key: string): EngineQueue | undefined {
    return this.topology.queues.get(key);
  }

  targets(queues: readonly EngineQueue[], envelope: Buffer): Targets {
    return new LocalTargets(queues as readonly LocalQueue[], envelope);
  }

  // --- committing ---

  begin(atomic?: 'required' | 'idempotent', tellsWaiting = true, waitsForSettled = true): Batch {
    this.dispatcher.held = true;
    if (this.#failure !== null) return new FailedBatch(this);
    return atomic === undefined ? this.#plain.begin(tellsWaiting, waitsForSettled) : new AtomicBatch(this);
  }

  committed(
    receiver: CommitReceiver<unknown>,
    token: unknown,
    outcomes: readonly ItemOutcome[] | null,
    durable: boolean,
  ): void {
    const { journal } = this;
    journal.commit(receiver, token, outcomes, durable);
    this.dispatcher.held = false;
    this.dispatcher.run();
    if (!this.#behind && journal.waitingBytes > this.#store.mayWait(this.#behindBytes)) {
      this.#behind = true;
      this.#clock.defer(() => {
        if (this.#behind) this.#listener?.behind();
      });
    }
  }

  #relax(): void {
    this.#resume();
    if (!this.#behind || this.journal.waitingBytes > this.#store.mayWait(this.#behindBytes) / 2) return;
    this.#behind = false;
    this.#listener?.caughtUp();
  }

  /** The disk may have space again. */
  #resume(): void {
    this.dueTimes.resume();
    if (this.#starved.size === 0 || !this.journal.takesCounts(0)) return;
    const starved = this.#starved;
    this.#starved = new Set();
    for (const queue of starved) this.dispatcher.touch(queue);
    this.dispatcher.run();
  }

  // --- holding ---

  lease(countsDeliveries = true): Lease {
    const lease = new LocalLease(this.#nextLease++);
    if (!countsDeliveries) this.uncountedLeases.add(lease.id);
    return lease;
  }

  release(lease: Lease): Promise<void> {
    const local = lease as LocalLease;
    if (!local.lost) {
      local.lost = true;
      for (const consumer of [...local.consumers]) consumer.cancel();
      for (const queue of local.queues) {
        if (!queue.deleted) for (const number of queue.held.heldBy(local.id)) queue.giveBack(number);
      }
      local.end();
      this.uncountedLeases.delete(local.id);
      if (this.removal?.lease === local) this.removal = null;
      this.dispatcher.run();
    }
    return Promise.resolve();
  }

  extend(lease: Lease): Promise<boolean> {
    return Promise.resolve(!lease.lost);
  }

  consume(queue: EngineQueue, lease: Lease, options: ConsumeOptions, sink: Sink): Promise<EngineConsumer> {
    const local = queue as LocalQueue;
    const refusal = this.#refusal(local) ?? exclusionOf(local, options) ?? streamRefusal(local, options);
    if (refusal !== null) return Promise.reject(refusal);
    const { stream } = local;
    // It is always after the sync there.
    const effective = stream === null ? options : { ...options, afterSync: false };
    const consumer = new LocalConsumer(local, lease as LocalLease, effective, sink);
    if (stream !== null) {
      this.journal.endRun();
      consumer.reader = stream.open(consumer, options.from ?? 'next');
    }
    consumer.lease.consumers.add(consumer);
    local.consumers.add(consumer);
    // Behind the caller's own continuation: it must know the consumer before its sink is called.
    void settleTurns().then(() => consumer.enter());
    return Promise.resolve(consumer);
  }

  take(queue: EngineQueue, lease: Lease, noAck: boolean, sink: Sink): Promise<boolean> {
    const local = queue as LocalQueue;
    const refusal = this.#refusal(local) ?? notOfStreams(local, 'single messages');
    if (refusal !== null) return Promise.reject(refusal);
    return new Promise((resolve) => {
      const done = (taken: boolean): void => {
        local.consumers.removeTaker(taker);
        taker.lease.consumers.delete(taker);
        // Taken out for it already, but not given to it any more.
        if (!taken) taker.settled?.giveBack();
        resolve(taken);
      };
      const taker = new LocalConsumer(
        local,
        lease as LocalLease,
        { credit: 1, noAck, priority: Infinity },
        {
          deliver: (delivery) => {
            try {
              sink.deliver(delivery);
            } finally {
              done(true);
            }
            return true;
          },
          cancelled: () => done(false),
        },
      );
      this.#clock.defer(() => {
        taker.entering = false;
        if (local.deleted || taker.lease.lost) resolve(false);
        else {
          taker.lease.consumers.add(taker);
          local.consumers.addTaker(taker, () => done(false));
        }
      });
    });
  }

  async load(queue: EngineQueue, lease: Lease, numbers: readonly number[], sink: Sink): Promise<void> {
    const local = queue as LocalQueue;
    const loader = this.#loader(local);
    await Promise.resolve();
    for (const number of numbers) {
      if (local.deleted || local.held.holder(number) !== lease.id) continue;
      if (!(await loader.seek(number)) || local.held.holder(number) !== lease.id) continue;
      if (!sink.deliver(loader.delivery(number, local.counts.get(number) ?? 0))) break;
    }
    loader.close();
  }

  onRemoval(lease: Lease, sink: RemovalSink): void {
    this.removal = { lease: lease as LocalLease, sink };
    for (const queue of this.topology.queues.values())
      if (queue.limits.handOverRemoved === true) this.dispatcher.touch(queue);
    this.#clock.defer(() => this.dispatcher.run());
  }

  useGroupKeys(keys: GroupKeys): void {
    this.groupKeys = keys;
    for (const queue of this.topology.queues.values()) if (queue.groups !== null) this.dispatcher.touch(queue);
    this.#clock.defer(() => this.dispatcher.run());
  }

  // --- looking ---

  async purge(queue: EngineQueue): Promise<number> {
    const local = queue as LocalQueue;
    this.#mustHave(local);
    const refusal = notOfStreams(local, 'purging');
    if (refusal !== null) throw refusal;
    const count = local.purge();
    // Who waits for a message is told that there is none.
    this.#clock.defer(() => this.dispatcher.pump(local));
    if (local.durable && count > 0) await this.#durable();
    return count;
  }

  async browse(queue: EngineQueue, offset: number, limit: number): Promise<BrowsedMessage[]> {
    const local = queue as LocalQueue;
    this.#mustHave(local);
    const loader = this.#loader(local);
    const messages: BrowsedMessage[] = [];
    for (const number of [...local.readyNumbers(offset, limit)]) {
      if (!(await loader.seek(number))) continue;
      // Reading took a while: it may be gone, or a consumer have it.
      if (local.held.isSettled(number) || local.held.holder(number) !== 0) continue;
      messages.push(loader.copy(number, local.mayBeRepeat(number)));
    }
    loader.close();
    return messages;
  }

  waiting(queue: EngineQueue, after: number, limit: number, maxBytes?: number): Promise<WaitingMessage[]> {
    const local = queue as LocalQueue;
    this.#mustHave(local);
    return listDelayed(local, after, limit, this.journal.window, this.#store.reader, maxBytes);
  }

  async cancel(queue: EngineQueue, number: number): Promise<boolean> {
    const local = queue as LocalQueue;
    this.#mustHave(local);
    if (!local.delayed.cancel(number)) return false;
    if (local.durable) await this.#durable();
    return true;
  }

  stats(queue: EngineQueue): Promise<QueueStats> {
    const local = queue as LocalQueue;
    const refusal = this.#refusal(local, true);
    if (refusal !== null) return Promise.reject(refusal);
    return Promise.resolve({
      ready: local.ready,
      unacked: local.unacked,
      readyBytes: local.readyBytes,
      delayed: local.delayed.messages.count,
      consumers: local.consumerCount,
      ...this.identities.statsOf(local),
    });
  }

  async producer(name: string): Promise<ProducerState> {
    this.#mustServe();
    const state = this.identities.openProducer(name);
    await this.#durable();
    return state;
  }

  state(prefix: string): Promise<KeyedValue[]> {
    return Promise.resolve(this.keyed.withPrefix(prefix));
  }

  async read(queue: EngineQueue, position: number, limit: number): Promise<BrowsedMessage[]> {
    const local = queue as LocalQueue;
    this.#mustHave(local);
    const { stream } = local;
    if (stream === null) throw new EngineError('UNSUPPORTED', `queue ${local.key} is no stream`);
    const loader = this.#loader(local);
    const messages: BrowsedMessage[] = [];
    for (let number = Math.max(position, stream.first); messages.length < limit && number < stream.end; number++) {
      if (await loader.seek(number)) {
        messages.push(loader.copy(number, false));
        continue;
      }
      if (number >= stream.first) break;
      // Retention took it meanwhile, and all before it.
      messages.length = 0;
      number = stream.first - 1;
    }
    loader.close();
    return messages;
  }

  // --- what queues ask for ---

  backlogReader(queue: LocalQueue, arrived = () => this.dispatcher.pump(queue)): BacklogReader | null {
    const { reader } = this.#store;
    if (reader === null) return null;
    return new BacklogReader(reader, arrived, (error) => this.damaged(queue, error));
  }

  damaged(queue: LocalQueue, error: EngineError): void {
    // What a read that comes too late does not find is no damage.
    if (queue.damage !== null || queue.deleted || this.#closed) return;
    queue.damage = new EngineError('CORRUPT', `queue ${queue.key} stopped: ${error.message}`, { cause: error });
    this.topology.queueVersion++;
    queue.consumers.end('damaged');
    this.#listener?.damaged(queue, queue.damage);
  }

  whenGroupSynced(consumer: LocalConsumer): void {
    const { journal } = this;
    const { sequence } = journal;
    journal.whenSynced((error) => {
      if (error !== null) return;
      consumer.settled!.synced(sequence);
      this.dispatcher.pump(consumer.queue);
    });
  }

  pumpWhenSynced(queue: LocalQueue): void {
    this.journal.whenSynced((error) => {
      if (error === null) this.dispatcher.pump(queue);
    });
  }

  pumpWhenSpace(queue: LocalQueue): void {
    this.#starved.add(queue);
  }

  appendAgain(queue: LocalQueue, reader: RunReader, expiresAt: number): void {
    const { buffer } = reader;
    this.journal.append(new LocalTargets([queue], buffer.subarray(reader.envelopeStart, reader.envelopeEnd)), {
      head: buffer,
      envelopeStart: reader.envelopeStart,
      envelopeEnd: reader.envelopeEnd,
      propertiesStart: reader.propertiesStart,
      propertiesEnd: reader.bodyStart,
      body: buffer,
      bodyStart: reader.bodyStart,
      bodyEnd: reader.bodyEnd,
      expiresAt,
      priority: reader.priority,
      dueAt: 0,
      identity: null,
    });
    this.journal.endRun();
    if (queue.durable) this.journal.mustSync();
    this.#clock.defer(() => this.dispatcher.run());
  }

  #loader(queue: LocalQueue): MessageLoader {
    return new MessageLoader(queue, this.journal.window, this.#store.reader, (error) => this.damaged(queue, error));
  }

  #flushRemoved(): void {
    try {
      this.removal?.sink.flush();
    } finally {
      this.handOver.flushed();
    }
  }

  // --- failing ---

  #fail(error: EngineError): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    this.dueTimes.stop();
    this.journal.fail(error);
    for (const queue of this.topology.queues.values()) queue.stop();
    this.#listener?.failed(error);
  }

  #durable(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.journal.whenSynced((error) => (error === null ? resolve() : reject(error)));
    });
  }

  #mustServe(): void {
    if (this.#failure !== null) throw this.#failure;
    if (this.#closed) throw new EngineError('CLOSED', 'the engine is closed: open it again');
  }

  #refusal(queue: LocalQueue, damagedToo = false): EngineError | null {
    if (this.#failure !== null) return this.#failure;
    if (this.#closed) return new EngineError('CLOSED', 'the engine is closed: open it again');
    if (queue.deleted) return new EngineError('NO_QUEUE', `queue ${queue.key} was deleted`);
    return damagedToo ? null : queue.damage;
  }

  #mustHave(queue: LocalQueue): void {
    const refusal = this.#refusal(queue);
    if (refusal !== null) throw refusal;
  }
}

async function settleTurns(): Promise<void> {
  await Promise.resolve();
  await Promise.resolve();
}

function exclusionOf(queue: LocalQueue, options: ConsumeOptions): EngineError | null {
  if (queue.consumers.hasExclusive) return new EngineError('IN_USE', `queue ${queue.key} has an exclusive consumer`);
  if (options.exclusive === true && queue.consumerCount > 0) {
    return new EngineError('IN_USE', `queue ${queue.key} has ${queue.consumerCount} consumers`);
  }
  return null;
}

function streamRefusal(queue: LocalQueue, options: ConsumeOptions): EngineError | null {
  if (options.noAck) return notOfStreams(queue, 'at-most-once consumers');
  if (options.from === undefined || queue.stream !== null) return null;
  return new EngineError('UNSUPPORTED', `queue ${queue.key} is no stream: its consumers begin at its head`);
}

function notOfStreams(queue: LocalQueue, what: string): EngineError | null {
  return queue.stream === null ? null : new EngineError('UNSUPPORTED', `stream ${queue.key} has no ${what}`);
}
