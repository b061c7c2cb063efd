/** What the cases stand on: an engine that was opened, with each of its calls as something that can be awaited and looked at. */
import assert from 'node:assert/strict';
import type {
  Batch,
  BrowsedMessage,
  ChangeResult,
  CommitReceiver,
  ConsumeOptions,
  DeliveryView,
  Engine,
  EngineConsumer,
  EngineListener,
  EngineQueue,
  GroupKeys,
  Identity,
  ItemOutcome,
  Lease,
  MessageView,
  QueueLimits,
  QueueStats,
  RemovalReason,
  RemovalSink,
  Settlement,
  Sink,
  Topology,
  TopologyChange,
} from '../../src/engine/engine.ts';
import type { EngineError } from '../../src/engine/errors.ts';

/** An engine to judge, and what can be done to it from outside. */
export interface Opened {
  /** Made, not opened yet. */
  readonly engine: Engine;
  /** After `close`: another engine over the same store. Absent: nothing outlives the engine. */
  reopen?(): Promise<Engine>;
  /** An engine over what the store would hold had the process died now. The old one is not called again. */
  crash?(): Promise<Engine>;
  /** Lets the engine's time pass. Absent: real time. */
  advance?(ms: number): Promise<void>;
  /** The engine's time. Absent: `Date.now`. */
  now?(): number;
  cleanup(): Promise<void>;
}

export interface MessageSpec {
  readonly body?: string | Buffer;
  readonly properties?: Buffer;
  readonly expiresAt?: number;
  readonly priority?: number;
  readonly dueAt?: number;
  readonly identity?: Identity;
}

/** A delivery, copied out of the flyweight. */
export interface Delivery {
  readonly queue: EngineQueue;
  readonly number: number;
  readonly body: Buffer;
  readonly text: string;
  readonly properties: Buffer;
  readonly envelope: Buffer;
  readonly envelopeId: number;
  readonly redelivered: boolean;
  readonly deliveryCount: number;
  readonly storedAt: number;
  readonly expiresAt: number;
  readonly priority: number;
}

/** How long anything that must come may take. */
const usualPatienceMs = 60_000;
let patienceMs = usualPatienceMs;
export function setPatience(ms = usualPatienceMs): void {
  patienceMs = ms;
}

/** In these tests properties that begin with a k are a key. */
export const groupKeys: GroupKeys = {
  reader: () => (bytes, start, end) => {
    if (bytes[start] !== 0x6b) return 0;
    let key = 7;
    for (let at = start + 1; at < end; at++) key = (31 * key + bytes[at]!) % 0xffff_fffb;
    return key;
  },
};

const padding = 7;

/** The bytes lie in the middle of larger buffers, so that an engine that forgets the offsets is found out. */
export function messageOf(spec: MessageSpec = {}): MessageView {
  const body = typeof spec.body === 'string' ? Buffer.from(spec.body) : (spec.body ?? Buffer.alloc(0));
  const properties = spec.properties ?? Buffer.from('p');
  const head = Buffer.alloc(properties.length + 2 * padding, 0xaa);
  properties.copy(head, padding);
  const around = Buffer.alloc(body.length + 2 * padding, 0xbb);
  body.copy(around, padding);
  return {
    head,
    envelopeStart: 0,
    envelopeEnd: 0,
    propertiesStart: padding,
    propertiesEnd: padding + properties.length,
    body: around,
    bodyStart: padding,
    bodyEnd: padding + body.length,
    expiresAt: spec.expiresAt ?? 0,
    priority: spec.priority ?? 0,
    dueAt: spec.dueAt ?? 0,
    identity: spec.identity ?? null,
  };
}

export function copyOf(view: DeliveryView): Delivery {
  const body = Buffer.from(view.body.subarray(view.bodyStart, view.bodyEnd));
  return {
    queue: view.queue,
    number: view.number,
    body,
    text: body.length <= 64 ? body.toString() : `${body.length} bytes`,
    properties: Buffer.from(view.head.subarray(view.propertiesStart, view.propertiesEnd)),
    envelope: Buffer.from(view.head.subarray(view.envelopeStart, view.envelopeEnd)),
    envelopeId: view.envelopeId,
    redelivered: view.redelivered,
    deliveryCount: view.deliveryCount,
    storedAt: view.storedAt,
    expiresAt: view.expiresAt,
    priority: view.priority,
  };
}

/** Keeps a copy of what it is given. */
export class Collector implements Sink {
  readonly deliveries: Delivery[] = [];
  readonly cancellations: string[] = [];
  /** False until `consume` resolved: nothing may come before. */
  open = true;
  /** Decides what `deliver` answers; absent: true. */
  onDeliver: ((delivery: Delivery) => boolean) | null = null;
  /** What it was asked for. */
  readonly asked: number[] = [];
  /** What `hasRoom` answers. */
  room = true;
  readonly #fixture: Fixture;

  constructor(fixture: Fixture) {
    this.#fixture = fixture;
  }

  hasRoom(bodyBytes: number): boolean {
    this.#fixture.assertOutside('Sink.hasRoom');
    this.asked.push(bodyBytes);
    return this.room;
  }

  get texts(): string[] {
    return this.deliveries.map((delivery) => delivery.text);
  }

  deliver(view: DeliveryView): boolean {
    this.#fixture.assertOutside('Sink.deliver');
    assert.ok(this.open, 'Sink.deliver was called before consume resolved');
    const delivery = copyOf(view);
    this.deliveries.push(delivery);
    return this.onDeliver === null ? true : this.onDeliver(delivery);
  }

  cancelled(reason: 'deleted' | 'damaged'): void {
    this.#fixture.assertOutside('Sink.cancelled');
    this.cancellations.push(reason);
  }
}

/** A consumer with its sink and its lease. */
export interface Consuming {
  readonly sink: Collector;
  readonly consumer: EngineConsumer;
  readonly lease: Lease;
}

export interface Removed extends Delivery {
  readonly reason: RemovalReason;
}

/** Keeps a copy of what the engine removed; `dropAll` ends it the way a broker does. */
export class RemovalCollector implements RemovalSink {
  readonly removed: Removed[] = [];
  flushes = 0;
  unflushed = 0;
  readonly #fixture: Fixture;

  constructor(fixture: Fixture) {
    this.#fixture = fixture;
  }

  get texts(): string[] {
    return this.removed.map((delivery) => delivery.text);
  }

  remove(view: DeliveryView, reason: RemovalReason): void {
    this.#fixture.assertOutside('RemovalSink.remove');
    this.unflushed++;
    this.removed.push({ ...copyOf(view), reason });
  }

  flush(): void {
    this.#fixture.assertOutside('RemovalSink.flush');
    this.flushes++;
    this.unflushed = 0;
  }
}

/** What the engine told its broker. */
export class ListenerLog implements EngineListener {
  readonly lines: string[] = [];

  failed(error: EngineError): void {
    this.lines.push(`failed ${error.code} ${error.message}`);
  }
  blocked(reason: string): void {
    this.lines.push(`blocked ${reason}`);
  }
  unblocked(): void {
    this.lines.push('unblocked');
  }
  behind(): void {
    this.lines.push('behind');
  }
  caughtUp(): void {
    this.lines.push('caughtUp');
  }
  damaged(queue: EngineQueue, error: EngineError): void {
    this.lines.push(`damaged ${queue.key} ${error.message}`);
  }
  leaseLost(lease: Lease): void {
    this.lines.push(`leaseLost ${lease.id}`);
  }
  notice(line: string): void {
    this.lines.push(`notice ${line}`);
  }
}

/** Gives up loudly instead of hanging. */
export async function within<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing happened for ${patienceMs} ms`)), patienceMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Waits for something that the engine does by itself. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const start = Date.now();
  while (!condition()) {
    if (Date.now() - start > patienceMs) assert.fail(`waited ${patienceMs} ms in vain: ${what}`);
    await turn();
  }
}

/** An outcome without the fields that say nothing. */
export interface Outcome {
  readonly item: number;
  readonly outcome: string;
  readonly reason?: string;
  readonly revision?: number;
  readonly numbers?: readonly number[];
}

class PromiseReceiver implements CommitReceiver<number> {
  readonly settled: Promise<readonly Outcome[]>;
  told = false;
  #resolve!: (outcomes: readonly Outcome[]) => void;
  #reject!: (error: Error) => void;
  readonly #token: number;

  constructor(token: number) {
    this.#token = token;
    this.settled = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  committed(token: number, outcomes: readonly ItemOutcome[] | null): void {
    assert.equal(token, this.#token);
    assert.equal(this.told, false, 'a commit was reported twice');
    this.told = true;
    this.#resolve((outcomes ?? []).map(plain));
  }

  failed(token: number, error: EngineError): void {
    assert.equal(token, this.#token);
    this.told = true;
    this.#reject(error);
  }
}

function plain({ item, outcome, reason, revision, numbers }: ItemOutcome): Outcome {
  return {
    item,
    outcome,
    ...(reason === null ? {} : { reason }),
    ...(revision === undefined ? {} : { revision }),
    ...(numbers === undefined ? {} : { numbers: [...numbers] }),
  };
}

export const refused = (item: number, reason: string): Outcome => ({ item, outcome: 'refused', reason });
export const stale = (item: number): Outcome => ({ item, outcome: 'stale' });
export const conflict = (item: number): Outcome => ({ item, outcome: 'conflict' });
export const duplicate = (item: number): Outcome => ({ item, outcome: 'duplicate' });

const defaultEnvelope = Buffer.from('\u0001x\u0003key');

export class Fixture {
  engine: Engine;
  topology: Topology;
  readonly listener = new ListenerLog();
  readonly #opened: Opened;
  #keys = 0;
  #tokens = 0;
  /** Above 0 while a call is under way from which no sink may be called. */
  #inside = 0;

  constructor(opened: Opened, topology: Topology) {
    this.#opened = opened;
    this.engine = opened.engine;
    this.topology = topology;
  }

  static async open(opened: Opened): Promise<Fixture> {
    const fixture = new Fixture(opened, { revision: 0, entries: [], queues: [] });
    opened.engine.useGroupKeys(groupKeys);
    fixture.topology = await within('open', opened.engine.open(fixture.listener));
    return fixture;
  }

  get canReopen(): boolean {
    return this.#opened.reopen !== undefined;
  }

  get canCrash(): boolean {
    return this.#opened.crash !== undefined;
  }

  /** Closes the engine in order and opens another over the same store, `downMs` later. */
  async reopen(downMs = 0): Promise<void> {
    assert.ok(this.#opened.reopen, 'this store can be reopened');
    await within('close', this.engine.close());
    if (downMs > 0) await this.advance(downMs);
    this.engine = await this.#opened.reopen();
    this.engine.useGroupKeys(groupKeys);
    this.topology = await within('open', this.engine.open(this.listener));
  }

  /** Opens what a dead process would have left. */
  async crash(): Promise<void> {
    assert.ok(this.#opened.crash, 'this store can crash');
    this.engine = await this.#opened.crash();
    this.engine.useGroupKeys(groupKeys);
    this.topology = await within('open', this.engine.open(this.listener));
  }

  async advance(ms: number): Promise<void> {
    if (this.#opened.advance) await this.#opened.advance(ms);
    else await new Promise((resolve) => setTimeout(resolve, ms));
  }

  now(): number {
    return this.#opened.now ? this.#opened.now() : Date.now();
  }

  assertOutside(call: string): void {
    assert.equal(this.#inside, 0, `${call} was called from within a call into the engine or while a batch is open`);
  }

  #within<T>(call: () => T): T {
    this.#inside++;
    try {
      return call();
    } finally {
      this.#inside--;
    }
  }

  change(...changes: TopologyChange[]): Promise<ChangeResult> {
    return within('change', this.engine.change(changes));
  }

  async declare(limits: QueueLimits = {}, options: { durable?: boolean; key?: string } = {}): Promise<EngineQueue> {
    const key = options.key ?? `queue-${++this.#keys}`;
    await this.change({ op: 'put-queue', queue: { key, durable: options.durable ?? true, limits, value: { key } } });
    return this.queue(key);
  }

  /** The handle of a queue that must exist. */
  queue(key: string): EngineQueue {
    const queue = this.engine.queue(key);
    assert.ok(queue, `no queue ${key}`);
    return queue;
  }

  /** Builds a batch and waits for its report. */
  commit(fill: (batch: Batch) => void, atomic?: 'required' | 'idempotent'): Promise<readonly Outcome[]> {
    const token = ++this.#tokens;
    const receiver = new PromiseReceiver(token);
    this.#within(() => {
      const batch = atomic === undefined ? this.engine.begin() : this.engine.begin(atomic);
      fill(batch);
      this.#inside--; // the commit itself ends the batch
      try {
        batch.commit(receiver, token);
      } finally {
        this.#inside++;
      }
    });
    assert.equal(receiver.told, false, 'the commit was reported before it returned');
    return within('commit', receiver.settled);
  }

  append(
    batch: Batch,
    queues: EngineQueue | readonly EngineQueue[],
    spec: MessageSpec | string,
    envelope: Buffer = defaultEnvelope,
  ): void {
    const targets = this.engine.targets(isQueue(queues) ? [queues] : queues, envelope);
    batch.append(targets, messageOf(typeof spec === 'string' ? { body: spec } : spec));
  }

  /** Appends each to all of the queues, in one batch. */
  publish(
    queues: EngineQueue | readonly EngineQueue[],
    ...specs: (MessageSpec | string)[]
  ): Promise<readonly Outcome[]> {
    return this.commit((batch) => {
      for (const spec of specs) this.append(batch, queues, spec);
    });
  }

  /** `publish`, where nothing may be refused. */
  async fill(queues: EngineQueue | readonly EngineQueue[], ...specs: (MessageSpec | string)[]): Promise<void> {
    assert.deepEqual(await this.publish(queues, ...specs), []);
  }

  async consume(
    queue: EngineQueue,
    options: Partial<ConsumeOptions> & { lease?: Lease; sink?: Collector } = {},
  ): Promise<Consuming> {
    const { lease = this.engine.lease(), sink = new Collector(this), ...rest } = options;
    sink.open = false;
    const opened = this.#within(() =>
      this.engine.consume(queue, lease, { credit: Infinity, noAck: false, ...rest }, sink),
    ).then((consumer) => {
      sink.open = true;
      return consumer;
    });
    return { sink, consumer: await within('consume', opened), lease };
  }

  /** A consumer that has got exactly `count` messages, and whether more would come is left open. */
  async held(queue: EngineQueue, count: number, lease = this.engine.lease()): Promise<Consuming> {
    const consuming = await this.consume(queue, { lease, credit: count });
    await until(`${count} deliveries`, () => consuming.sink.deliveries.length === count);
    return consuming;
  }

  /** Takes one message; null: there was none. */
  async take(queue: EngineQueue, lease: Lease, noAck = false): Promise<Delivery | null> {
    const sink = new Collector(this);
    const taken = await within(
      'take',
      this.#within(() => this.engine.take(queue, lease, noAck, sink)),
    );
    assert.equal(sink.deliveries.length, taken ? 1 : 0);
    return sink.deliveries[0] ?? null;
  }

  /** Takes all that is ready, for good. */
  async drain(queue: EngineQueue): Promise<Delivery[]> {
    const lease = this.engine.lease();
    const drained: Delivery[] = [];
    for (let next = await this.take(queue, lease, true); next !== null; next = await this.take(queue, lease, true)) {
      drained.push(next);
    }
    return drained;
  }

  async drainTexts(queue: EngineQueue): Promise<string[]> {
    return (await this.drain(queue)).map((delivery) => delivery.text);
  }

  async load(queue: EngineQueue, lease: Lease, numbers: readonly number[], most = Infinity): Promise<Delivery[]> {
    const sink = new Collector(this);
    sink.onDeliver = () => sink.deliveries.length < most;
    await within(
      'load',
      this.#within(() => this.engine.load(queue, lease, numbers, sink)),
    );
    return sink.deliveries;
  }

  /** Settles deliveries of one queue in as few ranges as their numbers allow, in one batch. */
  settle(lease: Lease, deliveries: readonly Delivery[], settlement: Settlement): Promise<readonly Outcome[]> {
    return this.commit((batch) => this.settleIn(batch, lease, deliveries, settlement));
  }

  settleIn(batch: Batch, lease: Lease, deliveries: readonly Delivery[], settlement: Settlement): void {
    for (let start = 0; start < deliveries.length;) {
      const first = deliveries[start]!;
      let count = 1;
      while (
        deliveries[start + count]?.number === first.number + count &&
        deliveries[start + count]?.queue === first.queue
      ) {
        count++;
      }
      batch.settle(lease, first.queue, first.number, count, settlement);
      start += count;
    }
  }

  release(lease: Lease): Promise<void> {
    return within('release', this.engine.release(lease));
  }

  onRemoval(lease = this.engine.lease()): { sink: RemovalCollector; lease: Lease } {
    const sink = new RemovalCollector(this);
    this.engine.onRemoval(lease, sink);
    return { sink, lease };
  }

  stats(queue: EngineQueue): Promise<QueueStats> {
    return within('stats', this.engine.stats(queue));
  }

  async expectStats(queue: EngineQueue, expected: Partial<QueueStats>): Promise<void> {
    const stats = await this.stats(queue);
    const actual = Object.fromEntries(Object.keys(expected).map((name) => [name, stats[name as keyof QueueStats]]));
    assert.deepEqual(actual, expected);
  }

  /** Until the counts are so: for what the engine does in its own time. */
  async untilStats(queue: EngineQueue, expected: Partial<QueueStats>): Promise<void> {
    const start = Date.now();
    for (;;) {
      const stats = await this.stats(queue);
      if (Object.entries(expected).every(([name, value]) => stats[name as keyof QueueStats] === value)) return;
      if (Date.now() - start > patienceMs) assert.deepEqual(stats, { ...stats, ...expected });
      await turn();
    }
  }

  browse(queue: EngineQueue, offset = 0, limit = 1_000): Promise<BrowsedMessage[]> {
    return within('browse', this.engine.browse(queue, offset, limit));
  }

  /** Long enough for anything that would still come to have come. */
  async quiet(): Promise<void> {
    for (let round = 0; round < 2; round++) {
      await this.commit(() => undefined);
      for (let turns = 0; turns < 4; turns++) await turn();
    }
  }

  async dispose(): Promise<void> {
    try {
      await within('close', this.engine.close());
    } catch {
      // the case has said already what is wrong with this engine, or closed it itself
    }
    await this.#opened.cleanup();
  }
}

function isQueue(queues: EngineQueue | readonly EngineQueue[]): queues is EngineQueue {
  return !Array.isArray(queues);
}
