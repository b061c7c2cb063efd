/**
 * The contract in the plainest code that keeps it: arrays and maps, nothing durable but a `ModelStore` that outlives the engine.
 * It is what the suite itself is tested with: whole, it passes; with any one of `Defect` it must not.
 */
import assert from 'node:assert/strict';
import { LARGE_BODY_BYTES } from '../../src/engine/engine.ts';
import type * as contract from '../../src/engine/engine.ts';
import type { Clock } from '../../src/engine/clock.ts';
import { EngineError } from '../../src/engine/errors.ts';
import { MAX_ATOMIC_BYTES, MAX_BODY_BYTES, MAX_ENVELOPE_BYTES, MAX_PROPERTIES_BYTES } from '../../src/engine/limits.ts';

export type Defect =
  | 'requeue-to-tail'
  | 'release-is-not-counted'
  | 'removal-is-counted'
  | 'stale-range-in-part'
  | 'any-lease-settles'
  | 'atomic-keeps-going'
  | 'refusal-leaves-other-targets'
  | 'limit-counts-held'
  | 'credit-one-too-many'
  | 'deliver-after-stop'
  | 'no-ack-is-held'
  | 'expired-behind-head'
  | 'delivery-limit-late'
  | 'purge-takes-held'
  | 'browse-counts'
  | 'old-epoch-accepted'
  | 'gap-accepted'
  | 'refused-id-remembered'
  | 'ids-forgotten-at-restart'
  | 'conflict-ignored'
  | 'revision-starts-again'
  | 'transient-stays'
  | 'held-lost-at-restart'
  | 'not-flagged-after-restart'
  | 'reports-overtake'
  | 'message-not-copied'
  | 'two-active-consumers'
  | 'priority-lost-on-return'
  | 'delayed-are-ready'
  | 'due-at-old-place'
  | 'delayed-lost-at-restart'
  | 'group-shared'
  | 'group-not-drained'
  | 'group-not-passed-over'
  | 'group-out-of-order';

interface Message {
  /** Among the delayed of its queue while it waits, then in the queue. */
  number: number;
  readonly priority: number;
  readonly envelope: Buffer;
  readonly properties: Buffer;
  readonly body: Buffer;
  readonly storedAt: number;
  readonly expiresAt: number;
  dueAt: number;
  deliveries: number;
  /** 0: nobody. */
  holder: number;
  /** Held for its removal: no delivery. */
  removed: boolean;
  /** Of those who hold it: a consumer, or a lease for which it was taken. */
  owner: object | null;
}

class ModelQueue implements contract.EngineQueue {
  readonly key: string;
  readonly durable: boolean;
  deleted = false;
  readonly damage = null;
  spec: contract.QueueSpec;
  next = 1;
  nextDelayed = 1;
  /** In the order of delivery. */
  ready: Message[] = [];
  readonly held = new Map<number, Message>();
  readonly waiting = new Map<number, Message>();
  consumers: ModelConsumer[] = [];
  /** Keys of which something was given back while more of them is held. */
  draining = new Set<number>();

  constructor(spec: contract.QueueSpec) {
    this.key = spec.key;
    this.durable = spec.durable;
    this.spec = spec;
  }

  get limits(): contract.QueueLimits {
    return this.spec.limits;
  }

  get readyBytes(): number {
    return this.ready.reduce((sum, message) => sum + message.body.length, 0);
  }

  level(message: Message): number {
    return Math.min(message.priority, this.limits.maxPriority ?? 0);
  }

  /** Puts the message at its place among the ready ones. */
  place(message: Message): void {
    const before = (other: Message): boolean => {
      const [mine, theirs] = [this.level(message), this.level(other)];
      return theirs > mine || (theirs === mine && other.number < message.number);
    };
    let at = this.ready.length;
    while (at > 0 && !before(this.ready[at - 1]!)) at--;
    this.ready.splice(at, 0, message);
  }
}

export class ModelStore {
  revision = 0;
  stateRevision = 0;
  readonly entries = new Map<string, contract.TopologyEntry>();
  readonly queues = new Map<string, ModelQueue>();
  readonly state = new Map<string, { value: Buffer; revision: number }>();
  readonly producers = new Map<string, { epoch: number; lastSequence: number }>();
  readonly ids = new Map<string, Map<string, number>>();

  /** What is left when the process is gone: durable things, nothing held. */
  restart(defects: ReadonlySet<Defect>): void {
    for (const [id, entry] of this.entries) if (!entry.durable) this.entries.delete(id);
    for (const [key, old] of this.queues) {
      if (!old.durable && !defects.has('transient-stays')) {
        this.queues.delete(key);
        continue;
      }
      const queue = new ModelQueue(old.spec);
      queue.next = old.next;
      queue.nextDelayed = old.nextDelayed;
      if (!defects.has('delayed-lost-at-restart'))
        for (const [number, message] of old.waiting) queue.waiting.set(number, message);
      queue.ready = old.ready;
      for (const message of old.held.values()) {
        message.holder = 0;
        if (!message.removed && !defects.has('not-flagged-after-restart')) message.deliveries++;
        message.removed = false;
        if (!defects.has('held-lost-at-restart')) queue.place(message);
      }
      this.queues.set(key, queue);
    }
    if (defects.has('ids-forgotten-at-restart')) this.ids.clear();
  }
}

class ModelConsumer implements contract.EngineConsumer {
  readonly queue: ModelQueue;
  readonly lease: contract.Lease;
  readonly options: contract.ConsumeOptions;
  readonly sink: contract.Sink;
  credit: number;
  stopped = false;
  readonly #changed: () => void;
  constructor(
    queue: ModelQueue,
    lease: contract.Lease,
    options: contract.ConsumeOptions,
    sink: contract.Sink,
    changed: () => void,
  ) {
    this.queue = queue;
    this.lease = lease;
    this.options = options;
    this.sink = sink;
    this.credit = options.credit;
    this.#changed = changed;
  }
  addCredit(count: number): void {
    this.setCredit(this.credit + count);
  }
  setCredit(count: number): void {
    this.credit = count;
    this.#changed();
  }
  resume(): void {
    this.stopped = false;
    this.#changed();
  }
  cancel(): void {
    this.queue.consumers = this.queue.consumers.filter((other) => other !== this);
    this.#changed();
  }
}

class ModelLease implements contract.Lease {
  readonly id: number;
  lost = false;
  constructor(id: number) {
    this.id = id;
  }
}

interface ModelTargets extends contract.Targets {
  readonly queues: readonly ModelQueue[];
}

type Refusal = Pick<contract.ItemOutcome, 'outcome' | 'reason'>;
type Item = (item: number) => contract.ItemOutcome | null;

const copy = (bytes: Buffer, start: number, end: number): Buffer => Buffer.from(bytes.subarray(start, end));
const refuse = (reason: contract.RefusalReason): Refusal => ({ outcome: 'refused', reason });
const entryId = (kind: string, key: string): string => `${kind}\0${key}`;

export class ModelEngine implements contract.Engine {
  readonly capabilities: contract.Capabilities = {
    atomic: 'required',
    durable: true,
    priorities: true,
    delayed: true,
    producers: true,
    messageIds: true,
    groups: true,
    streams: false,
    requeueInPlace: true,
    readyLimits: true,
    consumerPriorities: true,
  };
  readonly #store: ModelStore;
  readonly #clock: Clock;
  readonly #defects: ReadonlySet<Defect>;
  readonly #envelopes = new Map<string, number>();
  readonly #reports: (() => void)[] = [];
  /** When to look at all queues again. */
  readonly #wakes = new Set<number>();
  #leases = 0;
  #scheduled = false;
  #closed = false;
  #keys: contract.GroupKeys | null = null;
  #removal: { lease: contract.Lease; sink: contract.RemovalSink } | null = null;
  /** What a refused atomic batch takes back, last first. */
  #undo: (() => void)[] = [];

  constructor(store: ModelStore, clock: Clock, defects: ReadonlySet<Defect> = new Set()) {
    this.#store = store;
    this.#clock = clock;
    this.#defects = defects;
  }

  open(): Promise<contract.Topology> {
    this.#store.restart(this.#defects);
    this.#schedule();
    const { revision, entries, queues } = this.#store;
    return Promise.resolve({
      revision,
      entries: [...entries.values()],
      queues: [...queues.values()].map(({ spec }) => spec),
    });
  }

  async close(): Promise<void> {
    while (this.#reports.length > 0) await new Promise((resolve) => setImmediate(resolve));
    this.#closed = true;
  }

  /** Dies: what it was about to do never happens. */
  kill(): void {
    this.#closed = true;
    this.#reports.length = 0;
  }

  change(changes: readonly contract.TopologyChange[], expectedRevision?: number): Promise<contract.ChangeResult> {
    const store = this.#store;
    if (expectedRevision !== undefined && expectedRevision !== store.revision) {
      return Promise.reject(new EngineError('CONFLICT', 'the topology changed'));
    }
    for (const change of changes) {
      if (change.op === 'put-queue') {
        if (change.queue.limits.stream !== undefined)
          return Promise.reject(new EngineError('UNSUPPORTED', change.queue.key));
        const known = store.queues.get(change.queue.key);
        if (known !== undefined && known.limits.groupBy !== change.queue.limits.groupBy)
          return Promise.reject(new EngineError('UNSUPPORTED', change.queue.key));
      }
      if (change.op !== 'delete-queue') continue;
      const queue = store.queues.get(change.key);
      if (change.ifUnused === true && queue !== undefined && queue.consumers.length > 0) {
        return Promise.reject(new EngineError('IN_USE', change.key));
      }
      if (change.ifEmpty === true && queue !== undefined && queue.ready.length > 0) {
        return Promise.reject(new EngineError('NOT_EMPTY', change.key));
      }
    }
    let removed = 0;
    for (const change of changes) {
      if (change.op === 'put') store.entries.set(entryId(change.entry.kind, change.entry.key), change.entry);
      else if (change.op === 'delete') store.entries.delete(entryId(change.kind, change.key));
      else if (change.op === 'put-queue') {
        const known = store.queues.get(change.queue.key);
        if (known === undefined) store.queues.set(change.queue.key, new ModelQueue(change.queue));
        else known.spec = change.queue;
      } else {
        const queue = store.queues.get(change.key);
        if (queue === undefined) continue;
        removed += queue.ready.length;
        queue.deleted = true;
        store.queues.delete(change.key);
        for (const { sink } of queue.consumers.splice(0)) this.#later(() => sink.cancelled('deleted'));
      }
    }
    store.revision++;
    this.#schedule();
    return Promise.resolve({ revision: store.revision, removed });
  }

  watch(): () => void {
    return () => undefined;
  }

  queue(key: string): contract.EngineQueue | undefined {
    return this.#store.queues.get(key);
  }

  targets(queues: readonly contract.EngineQueue[], envelope: Buffer): contract.Targets {
    return { queues, envelope };
  }

  begin(atomic?: 'required' | 'idempotent'): contract.Batch {
    const items: Item[] = [];
    let taken = 0;
    return {
      // A crash of it loses nothing that it has taken.
      together: () => undefined,
      append: (targets, view) => {
        const message = this.#defects.has('message-not-copied') || isTooLarge(targets, view) ? view : copyOf(view);
        taken += message.propertiesEnd - message.propertiesStart + message.bodyEnd - message.bodyStart;
        const fits = atomic === undefined || taken <= MAX_ATOMIC_BYTES;
        items.push((item) => (fits ? this.#append(targets as ModelTargets, message, item) : tooLarge(item)));
      },
      settle: (lease, queue, first, count, settlement) => {
        items.push((item) =>
          this.#settle(lease, asModel(queue), first, count, settlement)
            ? null
            : { item, outcome: 'stale', reason: null },
        );
      },
      put: (key, value, expected) => {
        const bytes = value === null ? null : Buffer.from(value);
        const size = Buffer.byteLength(key) + (value?.length ?? 0);
        taken += size;
        const fits = size <= MAX_BODY_BYTES && (atomic === undefined || taken <= MAX_ATOMIC_BYTES);
        items.push((item) => (fits ? this.#put(item, key, bytes, expected) : tooLarge(item)));
      },
      commit: (receiver, token) => {
        let outcomes = this.#apply(items);
        const refusals = outcomes.filter(({ outcome }) => ['refused', 'stale', 'conflict'].includes(outcome));
        if (atomic !== undefined && refusals.length > 0) {
          outcomes = refusals;
          if (!this.#defects.has('atomic-keeps-going')) for (const undo of this.#undo.reverse()) undo();
        }
        this.#undo = [];
        const report = (): void => receiver.committed(token, outcomes.length === 0 ? null : outcomes);
        if (this.#defects.has('reports-overtake') && items.length === 0) this.#later(report);
        else this.#later(() => this.#later(report));
        this.#schedule();
      },
    };
  }

  #apply(items: readonly Item[]): contract.ItemOutcome[] {
    return items.map((apply, item) => apply(item)).filter((outcome) => outcome !== null);
  }

  #append(targets: ModelTargets, view: contract.MessageView, item: number): contract.ItemOutcome | null {
    if (isTooLarge(targets, view)) return tooLarge(item);
    const refusal = this.#judgeIdentity(view.identity) ?? this.#judgeRoom(targets, view);
    if (refusal !== null) {
      if (this.#defects.has('refused-id-remembered') && view.identity !== null) this.#remember(view.identity);
      if (refusal.reason === 'max-length' && this.#defects.has('refusal-leaves-other-targets')) {
        this.#store_(targets.queues.slice(0, 1), targets.envelope, view);
      }
      return { item, ...refusal };
    }
    if (view.identity !== null) this.#remember(view.identity);
    const numbers = this.#store_(targets.queues, targets.envelope, view);
    return this.#isDelayed(view) ? { item, outcome: 'waiting', reason: null, numbers } : null;
  }

  #isDelayed({ dueAt }: contract.MessageView): boolean {
    return dueAt > this.#clock.now();
  }

  #store_(queues: readonly ModelQueue[], envelope: Buffer, view: contract.MessageView): number[] {
    const bytes = Buffer.from(envelope);
    const delayed = this.#isDelayed(view) && !this.#defects.has('delayed-are-ready');
    return queues.map((queue) => {
      const message: Message = {
        number: delayed ? queue.nextDelayed++ : queue.next++,
        priority: view.priority,
        envelope: bytes,
        properties: copy(view.head, view.propertiesStart, view.propertiesEnd),
        body: copy(view.body, view.bodyStart, view.bodyEnd),
        storedAt: this.#clock.now(),
        expiresAt: view.expiresAt,
        dueAt: delayed ? view.dueAt : 0,
        deliveries: 0,
        holder: 0,
        removed: false,
        owner: null,
      };
      if (delayed) {
        queue.waiting.set(message.number, message);
        this.#wakeAt(message.dueAt);
      } else {
        queue.place(message);
      }
      this.#undo.push(() => {
        queue.waiting.delete(message.number);
        queue.ready = queue.ready.filter((other) => other !== message);
      });
      return message.number;
    });
  }

  #judgeRoom({ queues }: ModelTargets, view: contract.MessageView): Refusal | null {
    for (const queue of queues) {
      if (queue.deleted) return refuse('gone');
      const { maxLength = Infinity, maxBytes = Infinity, overflow } = queue.limits;
      if (overflow !== 'reject' || this.#isDelayed(view)) continue;
      const counted = queue.ready.length + (this.#defects.has('limit-counts-held') ? queue.held.size : 0);
      if (counted >= maxLength) return refuse('max-length');
      if (maxBytes < Infinity && queue.readyBytes + view.bodyEnd - view.bodyStart > maxBytes)
        return refuse('max-length');
    }
    return null;
  }

  #judgeIdentity(identity: contract.Identity | null): Refusal | null {
    // Cases of several ids are of the broker's tests.
    if (identity === null || identity.kind === 'each') return null;
    if (identity.kind === 'id') {
      const at = this.#store.ids.get(identity.scope)?.get(identity.id);
      const known = at !== undefined && at + identity.windowMs > this.#clock.now();
      return known ? { outcome: 'duplicate', reason: null } : null;
    }
    const known = this.#store.producers.get(identity.producer);
    if (known === undefined) return refuse('fenced');
    if (known.epoch !== identity.epoch && !this.#defects.has('old-epoch-accepted')) return refuse('fenced');
    if (identity.sequence <= known.lastSequence) return { outcome: 'duplicate', reason: null };
    if (identity.sequence > known.lastSequence + 1 && !this.#defects.has('gap-accepted')) return refuse('gap');
    return null;
  }

  #remember(identity: contract.Identity): void {
    if (identity.kind === 'each') return;
    if (identity.kind === 'producer') {
      const known = this.#store.producers.get(identity.producer);
      if (known === undefined) return;
      const { lastSequence } = known;
      this.#undo.push(() => (known.lastSequence = lastSequence));
      known.lastSequence = identity.sequence;
      return;
    }
    const seen = this.#store.ids.get(identity.scope) ?? new Map<string, number>();
    this.#store.ids.set(identity.scope, seen);
    const before = [...seen];
    this.#undo.push(() => {
      seen.clear();
      for (const [id, at] of before) seen.set(id, at);
    });
    seen.delete(identity.id);
    seen.set(identity.id, this.#clock.now());
    for (const id of seen.keys()) if (seen.size > identity.windowCount) seen.delete(id);
  }

  #settle(
    lease: contract.Lease,
    queue: ModelQueue,
    first: number,
    count: number,
    settlement: contract.Settlement,
  ): boolean {
    if (queue.deleted) return false;
    const messages: Message[] = [];
    for (let number = first; number < first + count; number++) {
      const message = queue.held.get(number);
      if (message !== undefined && (message.holder === lease.id || this.#defects.has('any-lease-settles'))) {
        messages.push(message);
      } else if (!this.#defects.has('stale-range-in-part')) {
        return false;
      }
    }
    for (const message of messages) {
      queue.held.delete(message.number);
      this.#leave(queue, message, settlement === 'requeue');
      const { holder, deliveries } = message;
      this.#undo.push(() => {
        queue.ready = queue.ready.filter((other) => other !== message);
        message.holder = holder;
        message.deliveries = deliveries;
        queue.held.set(message.number, message);
      });
      if (settlement === 'requeue') this.#giveBack(queue, message, true);
    }
    return messages.length > 0;
  }

  /** It is held no longer. What was held of its key beside it must be settled before any of it that came back goes again. */
  #leave(queue: ModelQueue, message: Message, comesBack: boolean): void {
    const key = this.#keyOf(queue, message);
    if (key === 0 || message.removed) return;
    const before = queue.draining;
    queue.draining = new Set(before);
    this.#undo.push(() => (queue.draining = before));
    const spent = message.deliveries + 1 >= (queue.limits.deliveryLimit ?? Infinity);
    if (this.#holders(queue, key).length === 0) queue.draining.delete(key);
    else if (comesBack && !spent) queue.draining.add(key);
  }

  #giveBack(queue: ModelQueue, message: Message, counted: boolean): void {
    message.holder = 0;
    if (counted && (!message.removed || this.#defects.has('removal-is-counted'))) message.deliveries++;
    message.removed = false;
    if (this.#defects.has('requeue-to-tail')) queue.ready.push(message);
    else if (this.#defects.has('priority-lost-on-return')) queue.place({ ...message, priority: 0 });
    else queue.place(message);
  }

  #put(item: number, key: string, value: Buffer | null, expected?: number): contract.ItemOutcome | null {
    const { state } = this.#store;
    const before = state.get(key);
    if (expected !== undefined && (before?.revision ?? 0) !== expected && !this.#defects.has('conflict-ignored')) {
      return { item, outcome: 'conflict', reason: null };
    }
    const revision = this.#defects.has('revision-starts-again')
      ? (before?.revision ?? 0) + 1
      : ++this.#store.stateRevision;
    if (value === null) state.delete(key);
    else state.set(key, { value, revision });
    this.#undo.push(() => {
      if (before === undefined) state.delete(key);
      else state.set(key, before);
    });
    return expected === undefined ? null : { item, outcome: 'written', reason: null, revision };
  }

  lease(): contract.Lease {
    return new ModelLease(++this.#leases);
  }

  release(lease: contract.Lease): Promise<void> {
    if (lease instanceof ModelLease) lease.lost = true;
    for (const queue of this.#store.queues.values()) {
      queue.consumers = queue.consumers.filter((consumer) => consumer.lease !== lease);
      for (const message of queue.held.values()) {
        if (message.holder !== lease.id) continue;
        queue.held.delete(message.number);
        this.#leave(queue, message, true);
        this.#giveBack(queue, message, !this.#defects.has('release-is-not-counted'));
      }
    }
    if (this.#removal?.lease === lease) this.#removal = null;
    this.#schedule();
    return Promise.resolve();
  }

  extend(lease: contract.Lease): Promise<boolean> {
    return Promise.resolve(!lease.lost);
  }

  consume(
    queue: contract.EngineQueue,
    lease: contract.Lease,
    options: contract.ConsumeOptions,
    sink: contract.Sink,
  ): Promise<contract.EngineConsumer> {
    const model = asModel(queue);
    if (model.deleted) return Promise.reject(noQueue(queue));
    const others = model.consumers;
    if (others.some((other) => other.options.exclusive) || (options.exclusive === true && others.length > 0)) {
      return Promise.reject(new EngineError('IN_USE', queue.key));
    }
    const consumer = new ModelConsumer(model, lease, options, sink, () => this.#schedule());
    consumer.stopped = true; // until the promise has resolved
    model.consumers.push(consumer);
    this.#later(() => consumer.resume());
    return Promise.resolve(consumer);
  }

  take(queue: contract.EngineQueue, lease: contract.Lease, noAck: boolean, sink: contract.Sink): Promise<boolean> {
    const model = asModel(queue);
    if (model.deleted) return Promise.reject(noQueue(queue));
    return new Promise((resolve) => {
      this.#later(() => {
        const message = this.#next(model, lease);
        if (message !== null) {
          this.#hold(model, message, lease.id, lease, noAck);
          sink.deliver(this.#view(model, message));
          this.#schedule(); // there is another head to judge
        }
        resolve(message !== null);
      });
    });
  }

  load(
    queue: contract.EngineQueue,
    lease: contract.Lease,
    numbers: readonly number[],
    sink: contract.Sink,
  ): Promise<void> {
    const model = asModel(queue);
    return new Promise((resolve) => {
      this.#later(() => {
        for (const number of numbers) {
          const message = model.held.get(number);
          if (message?.holder === lease.id && !sink.deliver(this.#view(model, message))) break;
        }
        resolve();
      });
    });
  }

  useGroupKeys(keys: contract.GroupKeys): void {
    this.#keys = keys;
    this.#schedule();
  }

  onRemoval(lease: contract.Lease, sink: contract.RemovalSink): void {
    this.#removal = { lease, sink };
    this.#schedule();
  }

  purge(queue: contract.EngineQueue): Promise<number> {
    const model = asModel(queue);
    if (model.deleted) return Promise.reject(noQueue(queue));
    this.#tidy(model);
    const count = model.ready.length;
    model.ready = [];
    if (this.#defects.has('purge-takes-held')) model.held.clear();
    return Promise.resolve(count);
  }

  browse(queue: contract.EngineQueue, offset: number, limit: number): Promise<contract.BrowsedMessage[]> {
    const model = asModel(queue);
    if (model.deleted) return Promise.reject(noQueue(queue));
    this.#tidy(model);
    return Promise.resolve(
      model.ready.slice(offset, offset + limit).map((message) => {
        if (this.#defects.has('browse-counts')) message.deliveries++;
        return {
          number: message.number,
          redelivered: message.deliveries > 0,
          storedAt: message.storedAt,
          envelope: Buffer.from(message.envelope),
          properties: Buffer.from(message.properties),
          body: Buffer.from(message.body),
        };
      }),
    );
  }

  waiting(queue: contract.EngineQueue, after: number, limit: number): Promise<contract.WaitingMessage[]> {
    const waiting = [...asModel(queue).waiting.values()].filter(({ number }) => number > after);
    const some = waiting.sort((a, b) => a.number - b.number).slice(0, limit);
    return Promise.resolve(
      some.map(({ number, dueAt, storedAt, envelope, properties, body }) => ({
        number,
        dueAt,
        storedAt,
        envelope: Buffer.from(envelope),
        properties: Buffer.from(properties),
        bodyBytes: body.length,
      })),
    );
  }

  cancel(queue: contract.EngineQueue, number: number): Promise<boolean> {
    return Promise.resolve(asModel(queue).waiting.delete(number));
  }

  stats(queue: contract.EngineQueue): Promise<contract.QueueStats> {
    const model = asModel(queue);
    if (model.deleted) return Promise.reject(noQueue(queue));
    this.#tidy(model);
    return Promise.resolve({
      ready: model.ready.length,
      unacked: model.held.size,
      readyBytes: model.readyBytes,
      consumers: model.consumers.length,
      delayed: model.waiting.size,
    });
  }

  producer(name: string): Promise<contract.ProducerState> {
    const known = this.#store.producers.get(name) ?? { epoch: 0, lastSequence: 0 };
    known.epoch++;
    this.#store.producers.set(name, known);
    return Promise.resolve({ ...known });
  }

  state(prefix: string): Promise<contract.KeyedValue[]> {
    return Promise.resolve(
      [...this.#store.state]
        .filter(([key]) => key.startsWith(prefix))
        .map(([key, { value, revision }]) => ({ key, value, revision })),
    );
  }

  read(): Promise<contract.BrowsedMessage[]> {
    return Promise.reject(new EngineError('UNSUPPORTED', 'no streams'));
  }

  /** Runs in the order of the calls, outside of any call into the engine. */
  #later(task: () => void): void {
    this.#reports.push(task);
    this.#clock.defer(() => this.#reports.shift()?.());
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    this.#clock.defer(() => {
      this.#scheduled = false;
      if (this.#closed) return;
      for (const queue of this.#store.queues.values()) this.#dispatch(queue);
    });
  }

  #wakeAt(at: number): void {
    if (this.#wakes.has(at)) return;
    this.#wakes.add(at);
    this.#clock.after(at - this.#clock.now(), () => {
      this.#wakes.delete(at);
      this.#schedule();
    });
  }

  #expiry(queue: ModelQueue, { expiresAt, storedAt, dueAt, deliveries }: Message): number {
    const { messageTtlMs, deliveredLasts } = queue.limits;
    if (deliveredLasts === true && deliveries > 0) return Infinity;
    return Math.min(
      expiresAt === 0 ? Infinity : expiresAt,
      messageTtlMs === undefined ? Infinity : Math.max(storedAt, dueAt) + messageTtlMs,
    );
  }

  /** Takes out what must not stay: due ones become ready, the expired and the overflow go. False: the head waits for a removal sink. */
  #tidy(queue: ModelQueue): boolean {
    const now = this.#clock.now();
    const due = [...queue.waiting.values()].filter(({ dueAt }) => dueAt <= now).sort((a, b) => a.dueAt - b.dueAt);
    for (const message of due) {
      queue.waiting.delete(message.number);
      // As if it were appended now.
      if (!this.#defects.has('due-at-old-place')) message.number = queue.next++;
      queue.place(message);
    }
    for (const { dueAt } of queue.waiting.values()) this.#wakeAt(dueAt);
    if (queue.limits.deliveryLimit !== undefined) {
      for (const message of queue.ready.filter((one) => this.#isSpent(queue, one)))
        this.#remove(queue, message, 'delivery-limit');
    }
    const spared = queue.limits.messageTtlMs === 0 && this.#consumerFor(queue) !== null;
    const { maxLength = Infinity, maxBytes = Infinity, overflow } = queue.limits;
    for (;;) {
      const tooMany =
        overflow !== 'reject' &&
        (queue.ready.length > maxLength || (maxBytes < Infinity && queue.readyBytes > maxBytes));
      const heads = this.#heads(queue);
      // One that came back has had its chance.
      const mayGo = heads.filter(({ deliveries }) => !spared || deliveries > 0);
      const expired = mayGo.find((head) => this.#expiry(queue, head) <= now);
      const next = tooMany ? heads.at(-1) : expired;
      if (next === undefined) {
        const soonest = Math.min(...heads.map((head) => this.#expiry(queue, head)).filter((at) => at > now));
        if (soonest < Infinity) this.#wakeAt(soonest);
        return true;
      }
      if (!this.#remove(queue, next, tooMany ? 'max-length' : 'expired')) return false;
      if (this.#defects.has('expired-behind-head')) return true;
    }
  }

  /** The first message of each priority, highest first. */
  #heads(queue: ModelQueue): Message[] {
    const heads: Message[] = [];
    if (queue.limits.maxPriority === undefined) return queue.ready.slice(0, 1);
    for (const message of queue.ready) {
      if (heads.length === 0 || queue.level(heads.at(-1)!) !== queue.level(message)) heads.push(message);
    }
    return heads;
  }

  #remove(queue: ModelQueue, message: Message, reason: contract.RemovalReason): boolean {
    const removal = this.#removal;
    if (queue.limits.handOverRemoved === true && removal === null) return false;
    queue.ready.splice(queue.ready.indexOf(message), 1);
    if (queue.limits.handOverRemoved === true && removal !== null) {
      message.holder = removal.lease.id;
      message.removed = true;
      queue.held.set(message.number, message);
      this.#later(() => {
        removal.sink.remove(this.#view(queue, message), reason);
        removal.sink.flush();
      });
    }
    return true;
  }

  /** The next message that may be delivered. */
  #next(queue: ModelQueue, owner: object): Message | null {
    if (!this.#tidy(queue)) return null;
    if (queue.limits.groupBy === undefined) return queue.ready.find((one) => !this.#isSpent(queue, one)) ?? null;
    if (this.#keys === null) return null;
    const ready = this.#defects.has('group-out-of-order') ? queue.ready.toReversed() : [...queue.ready];
    for (const message of ready) {
      if (this.#isSpent(queue, message)) continue;
      if (!this.#mayHave(queue, message, owner)) {
        if (this.#defects.has('group-not-passed-over')) return null;
        continue;
      }
      // At the head the queue saw to it already.
      if (!this.#isOver(queue, message)) return message;
      if (!this.#remove(queue, message, 'expired')) return null;
    }
    return null;
  }

  /** Whether the message's key is free, or had by this owner. */
  #mayHave(queue: ModelQueue, message: Message, owner: object): boolean {
    const key = this.#keyOf(queue, message);
    const [holder] = this.#holders(queue, key);
    if (key === 0 || holder === undefined || this.#defects.has('group-shared')) return true;
    return holder.owner === owner && (!queue.draining.has(key) || this.#defects.has('group-not-drained'));
  }

  #keyOf(queue: ModelQueue, { properties }: Message): number {
    const { groupBy } = queue.limits;
    if (groupBy === undefined || this.#keys === null) return 0;
    return this.#keys.reader(groupBy)(properties, 0, properties.length);
  }

  /** What is held of the key by those to whom it was delivered. */
  #holders(queue: ModelQueue, key: number): Message[] {
    return [...queue.held.values()].filter((message) => !message.removed && this.#keyOf(queue, message) === key);
  }

  #isOver(queue: ModelQueue, { expiresAt, storedAt, dueAt }: Message): boolean {
    const now = this.#clock.now();
    const { messageTtlMs } = queue.limits;
    if (expiresAt !== 0 && expiresAt < now) return true;
    return messageTtlMs !== undefined && messageTtlMs > 0 && Math.max(storedAt, dueAt) + messageTtlMs <= now;
  }

  #isSpent(queue: ModelQueue, message: Message): boolean {
    const late = this.#defects.has('delivery-limit-late') ? 1 : 0;
    return message.deliveries >= (queue.limits.deliveryLimit ?? Infinity) + late;
  }

  #consumerFor(queue: ModelQueue, isServed: (consumer: ModelConsumer) => boolean = () => true): ModelConsumer | null {
    const able = (consumer: ModelConsumer): boolean =>
      consumer.credit > (this.#defects.has('credit-one-too-many') ? -1 : 0) &&
      (!consumer.stopped || this.#defects.has('deliver-after-stop'));
    if (queue.limits.singleActiveConsumer === true && !this.#defects.has('two-active-consumers')) {
      const active = queue.consumers[0];
      return active !== undefined && able(active) && isServed(active) ? active : null;
    }
    let best: ModelConsumer | null = null;
    for (const consumer of queue.consumers) {
      if (
        able(consumer) &&
        isServed(consumer) &&
        (best === null || (consumer.options.priority ?? 0) > (best.options.priority ?? 0))
      ) {
        best = consumer;
      }
    }
    return best;
  }

  #dispatch(queue: ModelQueue): void {
    for (;;) {
      this.#tidy(queue);
      const grouped = queue.limits.groupBy !== undefined;
      const served = (one: ModelConsumer): boolean => !grouped || this.#next(queue, one) !== null;
      const consumer = queue.deleted ? null : this.#consumerFor(queue, served);
      const message = consumer === null ? null : this.#next(queue, consumer);
      if (message === null || consumer === null) return;
      const bodyBytes = message.body.length;
      if (
        !this.#defects.has('deliver-after-stop') &&
        bodyBytes > LARGE_BODY_BYTES &&
        consumer.sink.hasRoom?.(bodyBytes) === false
      ) {
        consumer.stopped = true;
        continue;
      }
      if (queue.limits.singleActiveConsumer !== true) {
        queue.consumers = [...queue.consumers.filter((other) => other !== consumer), consumer];
      }
      consumer.credit--;
      this.#hold(queue, message, consumer.lease.id, consumer, consumer.options.noAck);
      if (!consumer.sink.deliver(this.#view(queue, message))) consumer.stopped = true;
    }
  }

  #hold(queue: ModelQueue, message: Message, lease: number, owner: object, noAck: boolean): void {
    queue.ready.splice(queue.ready.indexOf(message), 1);
    if (noAck && !this.#defects.has('no-ack-is-held')) return;
    message.holder = lease;
    message.owner = owner;
    queue.held.set(message.number, message);
  }

  #view(queue: ModelQueue, message: Message): contract.DeliveryView {
    const head = Buffer.concat([message.envelope, message.properties]);
    const envelope = message.envelope.toString('latin1');
    const envelopeId = this.#envelopes.get(envelope) ?? this.#envelopes.size;
    this.#envelopes.set(envelope, envelopeId);
    return {
      queue,
      number: message.number,
      redelivered: message.deliveries > 0,
      deliveryCount: message.deliveries,
      storedAt: message.storedAt,
      envelopeId,
      head,
      envelopeStart: 0,
      envelopeEnd: message.envelope.length,
      propertiesStart: message.envelope.length,
      propertiesEnd: head.length,
      body: message.body,
      bodyStart: 0,
      bodyEnd: message.body.length,
      expiresAt: message.expiresAt,
      priority: message.priority,
      dueAt: 0,
      identity: null,
    };
  }
}

function asModel(queue: contract.EngineQueue): ModelQueue {
  assert(queue instanceof ModelQueue);
  return queue;
}

function noQueue(queue: contract.EngineQueue): EngineError {
  return new EngineError('NO_QUEUE', `queue ${queue.key} was deleted`);
}

function tooLarge(item: number): contract.ItemOutcome {
  return { item, ...refuse('too-large') };
}

function isTooLarge({ envelope }: contract.Targets, view: contract.MessageView): boolean {
  return (
    view.bodyEnd - view.bodyStart > MAX_BODY_BYTES ||
    view.propertiesEnd - view.propertiesStart > MAX_PROPERTIES_BYTES ||
    envelope.length > MAX_ENVELOPE_BYTES
  );
}

function copyOf(view: contract.MessageView): contract.MessageView {
  return { ...view, head: Buffer.from(view.head), body: Buffer.from(view.body) };
}
