/** The engine's contract in its plainest form, for tests of the broker: arrays of messages, everything durable at once. */
import type {
  Batch,
  CommitReceiver,
  ConsumeOptions,
  DeliveryView,
  Engine,
  EngineConsumer,
  EngineListener,
  EngineQueue,
  ItemOutcome,
  Lease,
  MessageView,
  QueueSpec,
  RemovalReason,
  RemovalSink,
  Settlement,
  Sink,
  Targets,
  Topology,
  TopologyChange,
  TopologyEntry,
} from '../../src/engine/engine.ts';
import { EngineError } from '../../src/engine/errors.ts';

interface StoredMessage {
  number: number;
  head: Buffer;
  envelopeEnd: number;
  body: Buffer;
  expiresAt: number;
  priority: number;
  deliveries: number;
}

class FakeQueue implements EngineQueue {
  readonly key: string;
  readonly durable: boolean;
  readonly spec: QueueSpec;
  deleted = false;
  readonly damage = null;
  next = 1;
  ready: StoredMessage[] = [];
  held = new Map<number, { message: StoredMessage; lease: Lease }>();
  consumers: FakeConsumer[] = [];

  constructor(spec: QueueSpec) {
    this.key = spec.key;
    this.durable = spec.durable;
    this.spec = spec;
  }
}

class FakeConsumer implements EngineConsumer {
  readonly queue: FakeQueue;
  readonly lease: Lease;
  readonly options: ConsumeOptions;
  readonly sink: Sink;
  readonly #engine: FakeEngine;
  credit: number;
  stopped = false;
  /** Calls of addCredit, for tests that count them. */
  creditCalls = 0;

  constructor(engine: FakeEngine, queue: FakeQueue, lease: Lease, options: ConsumeOptions, sink: Sink) {
    this.#engine = engine;
    this.queue = queue;
    this.lease = lease;
    this.options = options;
    this.sink = sink;
    this.credit = options.credit;
  }

  addCredit(count: number): void {
    this.credit += count;
    this.creditCalls += 1;
    this.#engine.wake();
  }

  setCredit(count: number): void {
    this.credit = count;
    this.#engine.wake();
  }

  resume(): void {
    this.stopped = false;
    this.#engine.wake();
  }

  cancel(): void {
    this.queue.consumers = this.queue.consumers.filter((consumer) => consumer !== this);
    this.#engine.wake();
  }
}

type Item =
  | { op: 'append'; targets: Targets; message: StoredMessage }
  | { op: 'settle'; lease: Lease; queue: FakeQueue; first: number; count: number; settlement: Settlement };

export interface Settled {
  readonly queue: string;
  readonly first: number;
  readonly count: number;
  readonly settlement: Settlement;
}

export class FakeEngine implements Engine {
  readonly capabilities = {
    atomic: 'required',
    durable: true,
    priorities: true,
    delayed: true,
    producers: false,
    messageIds: false,
    groups: false,
    streams: false,
    requeueInPlace: true,
    readyLimits: true,
    consumerPriorities: true,
  } as const;
  readonly queues = new Map<string, FakeQueue>();
  readonly entries = new Map<string, TopologyEntry>();
  /** Every settlement that was done. */
  readonly settled: Settled[] = [];
  targetsMade = 0;
  commits = 0;
  /** Its disk has no space for appends. */
  full = false;
  listener: EngineListener | null = null;
  #removal: { lease: Lease; sink: RemovalSink } | null = null;
  #waking = false;
  #open = false;
  #leases = 0;

  async open(listener: EngineListener): Promise<Topology> {
    this.listener = listener;
    const queues = Array.from(this.queues.values(), (queue) => queue.spec);
    return { revision: 1, entries: Array.from(this.entries.values()), queues };
  }

  async close(): Promise<void> {}

  /** What is left after a stop: the same engine without its transient part. */
  restarted(): FakeEngine {
    const next = new FakeEngine();
    for (const [key, entry] of this.entries) if (entry.durable) next.entries.set(key, entry);
    for (const [key, queue] of this.queues) {
      if (!queue.durable) continue;
      const kept = new FakeQueue(queue.spec);
      kept.ready = [...Array.from(queue.held.values(), (held) => held.message), ...queue.ready];
      kept.next = queue.next;
      next.queues.set(key, kept);
    }
    return next;
  }

  async change(changes: readonly TopologyChange[]) {
    let removed = 0;
    for (const change of changes) {
      if (change.op === 'delete-queue') {
        const queue = this.queues.get(change.key);
        if (change.ifUnused === true && (queue?.consumers.length ?? 0) > 0) throw new EngineError('IN_USE', 'in use');
        if (change.ifEmpty === true && (queue?.ready.length ?? 0) > 0) throw new EngineError('NOT_EMPTY', 'not empty');
      }
    }
    for (const change of changes) {
      if (change.op === 'put') this.entries.set(`${change.entry.kind} ${change.entry.key}`, change.entry);
      else if (change.op === 'delete') this.entries.delete(`${change.kind} ${change.key}`);
      else if (change.op === 'put-queue') this.queues.set(change.queue.key, new FakeQueue(change.queue));
      else removed += this.#deleteQueue(change.key);
    }
    return { revision: 1, removed };
  }

  watch(): () => void {
    return () => undefined;
  }

  queue(key: string): EngineQueue | undefined {
    return this.queues.get(key);
  }

  targets(queues: readonly EngineQueue[], envelope: Buffer): Targets {
    this.targetsMade += 1;
    return { queues, envelope };
  }

  begin(atomic?: 'required' | 'idempotent'): Batch {
    if (this.#open) throw new Error('a batch is open');
    this.#open = true;
    const items: Item[] = [];
    return {
      append: (targets, message) => items.push({ op: 'append', targets, message: copy(targets.envelope, message) }),
      settle: (lease, queue, first, count, settlement) =>
        items.push({ op: 'settle', lease, queue: own(queue), first, count, settlement }),
      put: () => undefined,
      together: () => undefined,
      commit: <T>(receiver: CommitReceiver<T>, token: T) => {
        this.#open = false;
        this.commits += 1;
        const outcomes = this.#apply(items, atomic !== undefined);
        setImmediate(() => receiver.committed(token, outcomes.length === 0 ? null : outcomes));
        this.wake();
      },
    };
  }

  lease(): Lease {
    this.#leases += 1;
    return { id: this.#leases, lost: false };
  }

  async release(lease: Lease): Promise<void> {
    for (const queue of this.queues.values()) {
      queue.consumers = queue.consumers.filter((consumer) => consumer.lease !== lease);
      for (const [number, held] of queue.held) {
        if (held.lease === lease) this.#settle(queue, number, 'requeue');
      }
    }
    this.wake();
  }

  async extend(): Promise<boolean> {
    return true;
  }

  async consume(queue: EngineQueue, lease: Lease, options: ConsumeOptions, sink: Sink): Promise<EngineConsumer> {
    const consumer = new FakeConsumer(this, own(queue), lease, options, sink);
    consumer.queue.consumers.push(consumer);
    // Higher priority first; equal ones in the order in which they came.
    consumer.queue.consumers.sort((a, b) => (b.options.priority ?? 0) - (a.options.priority ?? 0));
    this.wake();
    return consumer;
  }

  async take(queue: EngineQueue, lease: Lease, noAck: boolean, sink: Sink): Promise<boolean> {
    await Promise.resolve();
    const from = own(queue);
    this.#expire(from);
    const message = from.ready.shift();
    if (message === undefined) return false;
    this.#deliver(from, message, lease, noAck, sink);
    return true;
  }

  async load(queue: EngineQueue, lease: Lease, numbers: readonly number[], sink: Sink): Promise<void> {
    await Promise.resolve();
    for (const number of numbers) {
      const held = own(queue).held.get(number);
      if (held?.lease === lease && !sink.deliver(view(own(queue), held.message))) break;
    }
  }

  useGroupKeys(): void {}

  onRemoval(lease: Lease, sink: RemovalSink): void {
    this.#removal = { lease, sink };
  }

  async purge(queue: EngineQueue): Promise<number> {
    const { length } = own(queue).ready;
    own(queue).ready = [];
    return length;
  }

  async browse(): Promise<never[]> {
    return [];
  }

  async waiting(): Promise<never[]> {
    return [];
  }

  async cancel(): Promise<boolean> {
    return false;
  }

  async stats(queue: EngineQueue) {
    const { ready, held, consumers } = own(queue);
    return { ready: ready.length, unacked: held.size, readyBytes: 0, consumers: consumers.length, delayed: 0 };
  }

  async producer(): Promise<never> {
    throw new EngineError('UNSUPPORTED', 'no producers');
  }

  async state(): Promise<never[]> {
    return [];
  }

  async read(): Promise<never> {
    throw new EngineError('UNSUPPORTED', 'no streams');
  }

  /** Delivers, in a later turn of the event loop. */
  wake(): void {
    if (this.#waking) return;
    this.#waking = true;
    setImmediate(() => {
      this.#waking = false;
      for (const queue of this.queues.values()) this.#serve(queue);
      this.#removal?.sink.flush();
    });
  }

  #deleteQueue(key: string): number {
    const queue = this.queues.get(key);
    if (queue === undefined) return 0;
    this.queues.delete(key);
    queue.deleted = true;
    setImmediate(() => {
      for (const consumer of queue.consumers) consumer.sink.cancelled('deleted');
    });
    return queue.ready.length;
  }

  #apply(items: readonly Item[], atomic: boolean): ItemOutcome[] {
    const outcomes: ItemOutcome[] = [];
    items.forEach((item, index) => {
      const outcome = this.#refusal(item);
      if (outcome !== null) outcomes.push({ ...outcome, item: index });
    });
    if (atomic && outcomes.length > 0) return outcomes;
    const refused = new Set(outcomes.map((outcome) => outcome.item));
    items.forEach((item, index) => {
      if (!refused.has(index)) this.#do(item);
    });
    return outcomes;
  }

  #refusal(item: Item): ItemOutcome | null {
    const stale = { item: 0, outcome: 'stale', reason: null } as const;
    if (item.op === 'settle') {
      for (let number = item.first; number < item.first + item.count; number++) {
        if (item.queue.held.get(number)?.lease !== item.lease) return stale;
      }
      return null;
    }
    if (this.full) return { item: 0, outcome: 'refused', reason: 'full' };
    for (const queue of item.targets.queues.map(own)) {
      const { maxLength, overflow } = queue.spec.limits;
      if (queue.deleted) return { item: 0, outcome: 'refused', reason: 'gone' };
      if (overflow === 'reject' && maxLength !== undefined && queue.ready.length >= maxLength) {
        return { item: 0, outcome: 'refused', reason: 'max-length' };
      }
    }
    return null;
  }

  #do(item: Item): void {
    if (item.op === 'append') {
      for (const queue of item.targets.queues.map(own)) this.#append(queue, { ...item.message });
      return;
    }
    const { first, count, settlement } = item;
    this.settled.push({ queue: item.queue.key, first, count, settlement });
    for (let number = first; number < first + count; number++) this.#settle(item.queue, number, settlement);
  }

  #append(queue: FakeQueue, message: StoredMessage): void {
    const { messageTtlMs, maxLength, maxPriority } = queue.spec.limits;
    message.number = queue.next++;
    message.priority = maxPriority === undefined ? 0 : Math.min(message.priority, maxPriority);
    if (messageTtlMs !== undefined) {
      message.expiresAt = Math.min(message.expiresAt || Infinity, Date.now() + messageTtlMs);
    }
    queue.ready.push(message);
    queue.ready.sort((a, b) => b.priority - a.priority || a.number - b.number);
    if (maxLength !== undefined && queue.ready.length > maxLength) {
      this.#remove(queue, queue.ready.shift()!, 'max-length');
    }
    if (message.expiresAt > 0) setTimeout(() => this.wake(), Math.max(0, message.expiresAt - Date.now()) + 2).unref();
  }

  #settle(queue: FakeQueue, number: number, settlement: Settlement): void {
    const held = queue.held.get(number);
    if (held === undefined) return;
    queue.held.delete(number);
    if (settlement !== 'requeue') return;
    const limit = queue.spec.limits.deliveryLimit;
    if (limit !== undefined && held.message.deliveries >= limit) {
      this.#remove(queue, held.message, 'delivery-limit');
      return;
    }
    queue.ready.push(held.message);
    queue.ready.sort((a, b) => b.priority - a.priority || a.number - b.number);
  }

  #remove(queue: FakeQueue, message: StoredMessage, reason: RemovalReason): void {
    if (queue.spec.limits.handOverRemoved !== true || this.#removal === null) return;
    queue.held.set(message.number, { message, lease: this.#removal.lease });
    this.#removal.sink.remove(view(queue, message), reason);
    this.wake();
  }

  #expire(queue: FakeQueue): void {
    const now = Date.now();
    const expired = queue.ready.filter((message) => message.expiresAt > 0 && message.expiresAt <= now);
    queue.ready = queue.ready.filter((message) => !expired.includes(message));
    for (const message of expired) this.#remove(queue, message, 'expired');
  }

  #serve(queue: FakeQueue): void {
    this.#expire(queue);
    for (;;) {
      const single = queue.spec.limits.singleActiveConsumer === true;
      const serving = single ? queue.consumers.slice(0, 1) : queue.consumers;
      const consumer = serving.find((candidate) => candidate.credit > 0 && !candidate.stopped);
      if (consumer === undefined || queue.ready.length === 0) return;
      consumer.credit -= 1;
      const { lease, options, sink } = consumer;
      // The next of equal priority has its turn after this one.
      if (!single) {
        queue.consumers = [...queue.consumers.filter((other) => other !== consumer), consumer];
        queue.consumers.sort((a, b) => (b.options.priority ?? 0) - (a.options.priority ?? 0));
      }
      if (!this.#deliver(queue, queue.ready.shift()!, lease, options.noAck, sink)) consumer.stopped = true;
    }
  }

  #deliver(queue: FakeQueue, message: StoredMessage, lease: Lease, noAck: boolean, sink: Sink): boolean {
    if (!noAck) queue.held.set(message.number, { message, lease });
    const delivery = view(queue, message);
    message.deliveries += 1;
    return sink.deliver(delivery);
  }
}

/** The engine's own side of a handle. */
function own(queue: EngineQueue): FakeQueue {
  if (queue instanceof FakeQueue) return queue;
  throw new Error('a queue of another engine');
}

function copy(envelope: Buffer, message: MessageView): StoredMessage {
  const properties = message.head.subarray(message.propertiesStart, message.propertiesEnd);
  return {
    number: 0,
    head: Buffer.concat([envelope, properties]),
    envelopeEnd: envelope.length,
    body: Buffer.from(message.body.subarray(message.bodyStart, message.bodyEnd)),
    expiresAt: message.expiresAt,
    priority: message.priority,
    deliveries: 0,
  };
}

function view(queue: FakeQueue, message: StoredMessage): DeliveryView {
  return {
    queue,
    number: message.number,
    redelivered: message.deliveries > 0,
    deliveryCount: message.deliveries,
    storedAt: 0,
    envelopeId: 0,
    head: message.head,
    envelopeStart: 0,
    envelopeEnd: message.envelopeEnd,
    propertiesStart: message.envelopeEnd,
    propertiesEnd: message.head.length,
    body: message.body,
    bodyStart: 0,
    bodyEnd: message.body.length,
    expiresAt: message.expiresAt,
    priority: message.priority,
    dueAt: 0,
    identity: null,
  };
}
