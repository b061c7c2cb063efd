/**
 * A small broker on top of the engine, living in one simulated process: it makes the calls, books them in the model, and
 * judges every answer and every delivery as it comes.
 */
import type {
  Batch,
  BrowsedMessage,
  DeliveryView,
  Engine,
  EngineListener,
  EngineQueue,
  Identity,
  ItemOutcome,
  QueueLimits,
  RemovalReason,
  Settlement,
  TopologyChange,
  TopologyEntry,
} from '../../src/engine/engine.ts';
import type { EngineError } from '../../src/engine/errors.ts';
import { type MemoryRecorder, messageId as historyId } from '../../src/verify/index.ts';
import type { Coverage } from './coverage.ts';
import { Copy, type KeyState, type Model, ModelQueue, noticedAfterMs, type ProducerModel, type Unit } from './model.ts';
import { bodyIsRight, OutgoingMessage, parseProperties } from './payload.ts';
import type { Owner, Scheduler } from './scheduler.ts';
import type { Session, Subscription } from './session.ts';
import type { StreamBook } from './stream-book.ts';
import type { StreamReaders } from './stream-readers.ts';
import type { Trace } from './trace.ts';

export const deadLetters = 'dead-letters';
const largeBytes = 32 * 1024;

/** What lives on from one process to the next: counters and books. */
export interface World {
  readonly scheduler: Scheduler;
  readonly model: Model;
  readonly trace: Trace | null;
  readonly coverage: Coverage;
  readonly history: MemoryRecorder;
  readonly streams: readonly StreamBook[];
  nextAppend: number;
  nextMessage: number;
  nextNonce: number;
  /** Some message may have lost its place. */
  displaced: boolean;
}

export interface AppendRequest {
  readonly queues: readonly ModelQueue[];
  /** It goes there too. */
  readonly streams?: readonly StreamBook[];
  readonly bodyBytes: number;
  readonly priority: number;
  readonly ttlMs: number;
  readonly dueInMs: number;
  readonly identity: Identity | null;
  /** A dead letter keeps its message. */
  readonly messageId?: number;
}

interface AppendItem {
  readonly kind: 'append';
  readonly unit: Unit;
  readonly copies: readonly Copy[];
  readonly streams: readonly StreamBook[];
  readonly identity: Identity | null;
  readonly mayRefuse: boolean;
  readonly mustRefuse: boolean;
  readonly atMs: number;
  /** Judged when the identity was opened: an older epoch is fenced. */
  readonly fenced: boolean;
}

interface SettleItem {
  readonly kind: 'settle';
  readonly unit: Unit;
  readonly copies: readonly Copy[];
  readonly settlement: Settlement;
  readonly session: Session;
  readonly queue: ModelQueue;
  readonly mustBeStale: boolean;
}

interface PutItem {
  readonly kind: 'put';
  readonly unit: Unit;
  readonly key: string;
  readonly state: KeyState;
  readonly value: Buffer | null;
  readonly expected: number | undefined;
  /** Highest revision known before. */
  readonly floor: number;
}

type Item = AppendItem | SettleItem | PutItem;

interface PendingBatch {
  readonly unit: Unit;
  readonly items: Item[];
  readonly onDone?: (() => void) | undefined;
}

function show(batch: PendingBatch): string {
  return `#${batch.unit.serial}`;
}

export class BatchBuilder {
  readonly items: Item[] = [];
  readonly unit: Unit;
  readonly #client: Client;
  readonly #batch: Batch;

  constructor(client: Client, atomic: boolean) {
    this.#client = client;
    this.unit = client.world.model.unit('batch', atomic);
    this.#batch = atomic ? client.engine.begin('required') : client.engine.begin();
  }

  /** Only an atomic batch is one; the items of another may become durable one by one. */
  #itemUnit(): Unit {
    return this.unit.atomic ? this.unit : this.#client.world.model.unit('batch', true);
  }

  append(request: AppendRequest): number {
    const client = this.#client;
    const { world } = client;
    const { model, coverage } = world;
    const nowMs = world.scheduler.nowMs();
    const appendId = world.nextAppend++;
    const messageId = request.messageId ?? world.nextMessage++;
    const message = client.outgoing;
    message.fill(appendId, messageId, request.bodyBytes);
    message.priority = request.priority;
    message.expiresAt = request.ttlMs === 0 ? 0 : nowMs + request.ttlMs;
    message.dueAt = request.dueInMs === 0 ? 0 : nowMs + request.dueInMs;
    message.identity = request.identity;
    const full = (queue: ModelQueue, { count, bytes }: { count: number; bytes: number }): boolean => {
      const { overflow, maxLength, maxBytes } = queue.limits;
      return (
        overflow === 'reject' &&
        request.dueInMs === 0 &&
        (count >= (maxLength ?? Infinity) || bytes + request.bodyBytes > (maxBytes ?? Infinity))
      );
    };
    // A crowd in front of a reject limit is judged by what the engine could have seen when the call was made.
    const mayRefuse = request.queues.some(
      (queue) => queue.limits.overflow === 'reject' && full(queue, queue.mostReady(client.wasBlocked)),
    );
    const mustRefuse = request.queues.some(
      (queue) =>
        queue.limits.maxLength !== undefined &&
        !client.isConsumed(queue) &&
        full(queue, { count: queue.fewestReady(nowMs, client.wasBlocked, this.unit), bytes: 0 }),
    );
    const { identity } = request;
    // Where space is missing, nobody but the engine knows for which of them there is still some.
    const refusable = mayRefuse || identity !== null || client.blockedNow;
    const unit = this.#itemUnit();
    const copies = request.queues.map((queue) => {
      const { messageTtlMs = Infinity } = queue.limits;
      const ttl = Math.min(message.expiresAt || Infinity, Math.max(nowMs, message.dueAt) + messageTtlMs);
      const copy = new Copy(queue, {
        appendId,
        messageId,
        bodyBytes: request.bodyBytes,
        priority: queue.limits.maxPriority === undefined ? 0 : Math.min(request.priority, queue.limits.maxPriority),
        expiresAt: ttl === Infinity ? 0 : ttl,
        dueAt: message.dueAt,
        refusable,
        identified: identity !== null,
        appendedBy: unit,
      });
      queue.copies.set(appendId, copy);
      queue.press();
      return copy;
    });
    world.history.publish(
      historyId('all', 0, appendId),
      1,
      String(messageId),
      request.queues.map((queue) => client.historyName(queue)),
      request.dueInMs > 0 ||
        request.queues.some(({ limits }) => limits.maxPriority !== undefined || limits.groupBy !== undefined),
    );
    if (refusable) unit.refusable = true;
    if (identity?.kind === 'id') {
      model.idsUnderWay.set(unit, [...(model.idsUnderWay.get(unit) ?? []), `${identity.scope} ${identity.id}`]);
    }
    let fenced = false;
    if (identity?.kind === 'producer') {
      const producer = model.producers.get(identity.producer)!;
      producer.pending.push({ sequence: identity.sequence, unit });
      fenced = identity.epoch < producer.epoch;
    }
    coverage.add(
      `op.append-${request.queues.length === 1 ? 'one' : 'fan-out'}${request.dueInMs > 0 ? '-delayed' : ''}`,
    );
    const { streams = [] } = request;
    for (const stream of streams) stream.append(appendId, message.dueAt, identity !== null, unit);
    this.items.push({ kind: 'append', unit, copies, streams, identity, mayRefuse, mustRefuse, atMs: nowMs, fenced });
    const handles = [
      ...request.queues.map((queue) => client.handle(queue)),
      ...streams.map(({ key }) => client.engine.queue(key)!),
    ];
    this.#batch.append(client.targets(handles), message);
    return appendId;
  }

  /** Settles copies whose numbers are neighbours, in one call. */
  settle(
    session: Session,
    queue: ModelQueue,
    copies: readonly Copy[],
    settlement: Settlement,
    first = copies[0]!.number,
    count = copies.length,
    lost = false,
  ): void {
    const { world } = this.#client;
    const mustBeStale = lost || session.hold.released || copies.length !== count;
    const unit = this.#itemUnit();
    if (!mustBeStale) {
      for (const copy of copies) {
        session.held.delete(copy);
        copy.holder = null;
        if (settlement === 'requeue') copy.givenBackBy = unit;
        else {
          copy.removal = { kind: settlement, unit, maybe: false };
          copy.takenFrom = session.hold;
        }
        world.history.settle(
          this.#client.historyName(queue),
          session.name,
          historyId('all', 0, copy.appendId),
          settlement,
        );
      }
    }
    world.coverage.add(`op.settle-${settlement}-${count === 1 ? 'single' : 'multiple'}${mustBeStale ? '-stale' : ''}`);
    if (settlement === 'requeue') queue.press();
    if (settlement === 'requeue' && !mustBeStale && !this.unit.atomic) queue.groups.gaveBack(queue, copies);
    if (mustBeStale) unit.refusable = true;
    this.items.push({ kind: 'settle', unit, copies, settlement, session, queue, mustBeStale });
    this.#batch.settle(session.lease, this.#client.handle(queue), first, count, settlement);
  }

  put(key: string, value: Buffer | null, expected: number | undefined): void {
    const { model, coverage } = this.#client.world;
    const state = model.key(key);
    const unit = this.#itemUnit();
    state.pending.push({ unit, value, certain: expected === undefined });
    coverage.add(`op.put${value === null ? '-delete' : ''}${expected === undefined ? '' : '-expecting'}`);
    if (expected !== undefined) unit.refusable = true;
    this.items.push({ kind: 'put', unit, key, state, value, expected, floor: model.highestRevision });
    this.#batch.put(key, value, expected);
  }

  commit(onDone?: () => void): void {
    const client = this.#client;
    client.world.coverage.add(`op.commit-${this.unit.atomic ? 'atomic' : 'plain'}`);
    client.world.trace?.line(
      `${client.world.scheduler.nowUs} commit #${this.unit.serial}${this.unit.atomic ? ' atomic' : ''} ${this.items.map(describeItem).join(', ')}`,
    );
    client.open.add(this.unit);
    this.#batch.commit(client.receiver, { unit: this.unit, items: this.items, onDone });
    if (!this.items.some((item) => item.kind === 'append')) client.settlesUnderWay.add(this.unit);
    const bytes = this.items.reduce(
      (sum, item) => sum + (item.kind === 'append' ? item.copies[0]!.bodyBytes : item.kind === 'put' ? 100 : 0),
      0,
    );
    if (bytes > largeBytes) client.large.add(this.unit);
  }
}

function describeItem(item: Item): string {
  if (item.kind === 'append') {
    const copy = item.copies[0]!;
    const identity =
      item.identity === null
        ? ''
        : item.identity.kind === 'id'
          ? ` id ${item.identity.id}`
          : item.identity.kind === 'each'
            ? ` ${item.identity.ids.length} ids`
            : ` seq ${item.identity.sequence}`;
    return `append ${copy.appendId} (${copy.bodyBytes} B${identity}) to ${item.copies.map((one) => one.queue.key).join('+')}`;
  }
  if (item.kind === 'settle')
    return `${item.settlement} ${item.queue.key} ${item.copies.map((copy) => `${copy.appendId}@${copy.number}`).join(' ')}`;
  return `put ${item.key}`;
}

export class Client implements EngineListener {
  readonly world: World;
  readonly engine: Engine;
  readonly owner: Owner;
  readonly outgoing = new OutgoingMessage();
  /** Null: the seed has no streams. */
  streams: StreamReaders | null = null;
  readonly sessions: Session[] = [];
  readonly subscriptions: Subscription[] = [];
  /** Units that are not answered. */
  readonly open = new Set<Unit>();
  readonly settlesUnderWay = new Set<Unit>();
  /** Units that take much of a segment. */
  readonly large = new Set<Unit>();
  /** Other promises that are not answered: what for. */
  readonly waiting = new Map<number, string>();
  failure: EngineError | null = null;
  blockedNow = false;
  #wasBlocked = false;
  /** When there was space again. */
  #unblockedMs = -Infinity;
  /** Space was wanting at some time in this life. */
  get wasBlocked(): boolean {
    return this.#wasBlocked;
  }

  closing = false;
  readonly notices: string[] = [];
  readonly damage: string[] = [];
  /** Whether a call of reading failed, not for want of a descriptor: then a queue may be called damaged. */
  readsFailed: () => boolean = () => false;
  /** Not answered yet: each may have a message on its way, which was settled already. */
  readonly noAckTakes = new Set<{ readonly queue: ModelQueue; readonly session: Session }>();
  readonly #targets = new Map<string, ReturnType<Engine['targets']>>();
  #nextWait = 0;
  #lastSerial = -1;
  /** Queue to the serial of the next unit at that time. */
  readonly #givenBack = new Map<ModelQueue, number>();
  /** Of the last unit that was answered after a sync. */
  #durableSerial = -1;
  #removals: { copy: Copy; number: number; queue: ModelQueue }[] = [];
  #removalSession: Session | null = null;
  /** How long the mini broker dawdles before it dead-letters. */
  removalDelayMs = 0;
  readonly receiver = {
    committed: (batch: PendingBatch, outcomes: readonly ItemOutcome[] | null): void => this.#committed(batch, outcomes),
    failed: (batch: PendingBatch, error: EngineError): void => this.#commitFailed(batch, error),
  };

  constructor(world: World, engine: Engine, owner: Owner) {
    this.world = world;
    this.engine = engine;
    this.owner = owner;
  }

  // --- What the engine tells its broker ---

  failed(error: EngineError): void {
    this.#alive('failed');
    if (this.failure !== null) this.violate(`failed() was called twice: ${error.message}`);
    this.failure = error;
    this.world.trace?.line(`${this.world.scheduler.nowUs} FAILED ${error.message}`);
  }

  blocked(): void {
    this.#alive('blocked');
    this.world.coverage.add('engine.blocked');
    this.world.trace?.line(`${this.world.scheduler.nowUs} blocked`);
    this.blockedNow = true;
    this.#wasBlocked = true;
  }

  unblocked(): void {
    this.#alive('unblocked');
    this.world.coverage.add('engine.unblocked');
    this.world.trace?.line(`${this.world.scheduler.nowUs} unblocked`);
    this.blockedNow = false;
    this.#unblockedMs = this.world.scheduler.nowMs();
  }

  behind(): void {
    this.world.coverage.add('engine.behind');
  }

  caughtUp(): void {
    this.world.coverage.add('engine.caught-up');
  }

  damaged(queue: EngineQueue, error: EngineError): void {
    this.#alive('damaged');
    this.damage.push(`${queue.key}: ${error.message}`);
    if (!this.readsFailed()) this.violate(`${queue.key} was called damaged: ${error.message}`);
    this.world.trace?.line(`${this.world.scheduler.nowUs} damaged ${queue.key}: ${error.message}`);
  }

  leaseLost(): void {
    this.violate('leaseLost: nobody else is there to take it');
  }

  notice(line: string): void {
    this.notices.push(line);
    this.world.coverage.add(`notice.${line.replace(/\d+/g, '#').slice(0, 60)}`);
    this.world.trace?.line(`${this.world.scheduler.nowUs} notice ${line}`);
  }

  /** Nothing is asked of what can't serve. */
  #excused(queue: ModelQueue): boolean {
    return this.failure !== null || this.closing || queue.deleted || this.engine.queue(queue.key)?.damage != null;
  }

  violate(text: string): void {
    this.world.model.violate(text);
  }

  /** Nothing may be heard from a dead process; a bug of the simulation if it is. */
  #alive(what: string): void {
    if (this.owner.dead) throw new Error(`simulation: ${what} from a dead process`);
  }

  // --- Handles and names ---

  handle(queue: ModelQueue): EngineQueue {
    const handle = this.engine.queue(queue.key);
    if (handle === undefined) throw new Error(`engine has no queue ${queue.key}`);
    return handle;
  }

  targets(queues: readonly EngineQueue[]): ReturnType<Engine['targets']> {
    const name = queues.map((queue) => queue.key).join(' ');
    let targets = this.#targets.get(name);
    if (targets === undefined || targets.queues.some((queue, i) => queue !== queues[i])) {
      targets = this.engine.targets(queues, Buffer.from(`to ${name}`));
      this.#targets.set(name, targets);
    }
    return targets;
  }

  historyName(queue: ModelQueue): string {
    return queue.historyName;
  }

  session(): Session {
    const session: Session = {
      name: `session-${this.world.nextNonce++}`,
      lease: this.engine.lease(),
      hold: { released: false },
      held: new Set(),
    };
    this.sessions.push(session);
    return session;
  }

  /** One whose lease is over. */
  releasedSession(): Session {
    const session = this.session();
    this.release(session);
    return session;
  }

  isConsumed(queue: ModelQueue): boolean {
    return (
      this.subscriptions.some((one) => one.queue === queue) ||
      [...this.waiting.values()].some((what) => what === `take ${queue.key}`)
    );
  }

  /** Books a promise of the engine: it must be answered, rightly. */
  wait<T>(what: string, promise: Promise<T>, answered: (value: T) => void, rejected?: (error: unknown) => void): void {
    const id = this.#nextWait++;
    this.waiting.set(id, what);
    promise.then(
      (value) => {
        if (this.owner.dead) return;
        this.waiting.delete(id);
        this.world.trace?.line(`${this.world.scheduler.nowUs} answered ${what}`);
        try {
          answered(value);
        } catch (error) {
          this.world.scheduler.thrown ??= error;
        }
      },
      (error: unknown) => {
        if (this.owner.dead) return;
        this.waiting.delete(id);
        this.world.trace?.line(`${this.world.scheduler.nowUs} rejected ${what}: ${String(error)}`);
        if (rejected !== undefined) rejected(error);
        else if (this.failure === null && !this.closing) this.violate(`${what} was rejected: ${String(error)}`);
      },
    );
  }

  // --- Batches ---

  begin(atomic: boolean): BatchBuilder {
    return new BatchBuilder(this, atomic);
  }

  #commitFailed(batch: PendingBatch, error: EngineError): void {
    this.#alive('commit failed');
    this.world.trace?.line(`${this.world.scheduler.nowUs} failed ${show(batch)}: ${error.message}`);
    this.open.delete(batch.unit);
    this.settlesUnderWay.delete(batch.unit);
    for (const item of batch.items) {
      if (item.kind === 'append') this.world.history.unknown(historyId('all', 0, item.copies[0]?.appendId ?? 0), 1);
    }
  }

  #committed(batch: PendingBatch, outcomes: readonly ItemOutcome[] | null): void {
    this.#alive('committed');
    const { unit, items } = batch;
    const { world } = this;
    world.trace?.line(
      `${world.scheduler.nowUs} committed ${show(batch)} ${outcomes === null ? '' : outcomes.map((one) => `${one.item}:${one.outcome}${one.reason === null ? '' : `(${one.reason})`}`).join(' ')}`,
    );
    if (this.failure !== null) this.violate(`batch ${show(batch)} confirmed after the engine failed`);
    if (unit.state !== 'open' || !this.open.delete(unit)) this.violate(`batch ${show(batch)} was answered twice`);
    this.settlesUnderWay.delete(unit);
    if (unit.serial < this.#lastSerial)
      this.violate(`batch ${show(batch)} confirmed after #${this.#lastSerial}: out of order`);
    this.#lastSerial = unit.serial;
    const outcomeOf = new Map<number, ItemOutcome>();
    for (const outcome of outcomes ?? []) outcomeOf.set(outcome.item, outcome);
    const refuses = (one: ItemOutcome | undefined): boolean =>
      one?.outcome === 'refused' || one?.outcome === 'stale' || one?.outcome === 'conflict';
    const refused = unit.atomic && [...outcomeOf.values()].some(refuses);
    unit.state = refused ? 'refused' : 'done';
    if (refused) world.coverage.add('outcome.atomic-refused');
    items.forEach((item, index) => {
      const outcome = outcomeOf.get(index) ?? null;
      if (!unit.atomic)
        item.unit.state = refuses(outcome ?? undefined) || outcome?.outcome === 'duplicate' ? 'refused' : 'done';
      if (outcome !== null)
        world.coverage.add(
          `outcome.${item.kind}-${outcome.outcome}${outcome.reason === null ? '' : `-${outcome.reason}`}`,
        );
      const stored =
        item.kind === 'append' && (item.streams.length > 0 || item.copies.some((copy) => copy.queue.spec.durable));
      if (outcome === null && !refused && (stored || item.kind === 'put')) this.#durableSerial = unit.serial;
      if (item.kind === 'append') this.#appendAnswered(batch, item, outcome, refused);
      else if (item.kind === 'settle') this.#settleAnswered(batch, item, outcome, refused);
      else this.#putAnswered(batch, item, outcome, refused);
    });
    batch.onDone?.();
  }

  #appendAnswered(batch: PendingBatch, item: AppendItem, outcome: ItemOutcome | null, batchRefused: boolean): void {
    const { model, history } = this.world;
    const stored = (outcome === null || outcome.outcome === 'waiting') && !batchRefused;
    const id = historyId('all', 0, item.copies[0]!.appendId);
    for (const stream of item.streams) {
      if (stored) stream.stored(item.copies[0]!.appendId);
      else stream.refused(item.copies[0]!.appendId);
    }
    if (stored || outcome?.outcome === 'duplicate') history.confirmed(id, 1);
    else history.rejected(id, 1);
    if (!stored) {
      for (const copy of item.copies) {
        if (copy.deliveries > 0)
          this.violate(
            `append ${copy.appendId} was ${outcome?.outcome ?? 'refused'} (${show(batch)}), but was delivered from ${copy.queue.key}`,
          );
        copy.queue.forget(copy);
        if (outcome?.outcome === 'duplicate') history.removed(this.historyName(copy.queue), id, 'deleted');
      }
    }
    if (
      outcome !== null &&
      outcome.outcome !== 'duplicate' &&
      outcome.outcome !== 'refused' &&
      outcome.outcome !== 'waiting'
    ) {
      this.violate(`append in ${show(batch)} answered ${outcome.outcome}`);
    }
    const delayed = item.copies.some((copy) => copy.dueAt > item.atMs);
    if (delayed !== (outcome?.outcome === 'waiting') && stored)
      this.violate(`append in ${show(batch)} answered ${outcome?.outcome ?? 'done'}, delayed ${delayed}`);
    outcome?.numbers?.slice(0, item.copies.length).forEach((number, at) => (item.copies[at]!.delayedNumber = number));
    const reason = outcome?.reason ?? null;
    const gone = item.copies.some((copy) => copy.queue.deleted);
    if (reason === 'max-length' && !item.mayRefuse)
      this.violate(`append in ${show(batch)} refused for max-length, below the limit`);
    if (stored && item.mustRefuse) this.violate(`append in ${show(batch)} accepted by a full queue`);
    if (reason === 'gone' && !gone)
      this.violate(`append in ${show(batch)} refused as gone, though its queues are there`);
    if (reason === 'damaged' && this.damage.length === 0)
      this.violate(`append in ${show(batch)} refused as damaged, though nothing was told`);
    if (reason === 'too-large') this.violate(`append in ${show(batch)} refused as too large`);
    const { identity } = item;
    if (identity === null) {
      if (outcome !== null && outcome.outcome === 'duplicate')
        this.violate(`append without identity in ${show(batch)} called a duplicate`);
      if (reason === 'gap' || reason === 'fenced')
        this.violate(`append without identity in ${show(batch)} refused: ${reason}`);
      return;
    }
    if (identity.kind === 'producer') {
      this.#producerAnswered(
        model.producers.get(identity.producer)!,
        identity.sequence,
        batch,
        item,
        outcome,
        stored,
        batchRefused,
      );
    } else if (identity.kind === 'id') {
      this.#idAnswered(identity, batch, item, outcome, stored);
    }
  }

  #producerAnswered(
    producer: ProducerModel,
    sequence: number,
    batch: PendingBatch,
    item: AppendItem,
    outcome: ItemOutcome | null,
    stored: boolean,
    batchRefused: boolean,
  ): void {
    producer.pending = producer.pending.filter((one) => one.unit !== item.unit || one.sequence !== sequence);
    const what = `${producer.name} sequence ${sequence} in ${show(batch)} (last ${producer.last})`;
    if (item.fenced) {
      if (outcome?.reason !== 'fenced' && !(batchRefused && outcome === null))
        this.violate(`${what}: not refused although its epoch is over`);
      return;
    }
    if (outcome?.reason === 'fenced') this.violate(`${what}: fenced in its own epoch`);
    if (stored) {
      if (sequence !== producer.last + 1) this.violate(`${what}: stored out of its order`);
      producer.last = sequence;
    } else if (outcome?.outcome === 'duplicate') {
      if (sequence > producer.last) this.violate(`${what}: called a duplicate, but was never stored`);
    } else if (outcome?.reason === 'gap') {
      if (sequence <= producer.last + 1) this.violate(`${what}: refused as a gap`);
    }
  }

  #idAnswered(
    identity: Identity & { kind: 'id' },
    batch: PendingBatch,
    item: AppendItem,
    outcome: ItemOutcome | null,
    stored: boolean,
  ): void {
    const { model } = this.world;
    const name = `${identity.scope} ${identity.id}`;
    model.idsUnderWay.delete(item.unit);
    const known = model.ids.get(name);
    const position = model.idCounts.get(identity.scope) ?? 0;
    const sure = known !== undefined && (known.unit === null || known.unit.state === 'done');
    const within =
      known !== undefined &&
      item.atMs + 5 < known.atMs + identity.windowMs &&
      position - known.position < identity.windowCount - 1;
    if (stored) {
      if (sure && within && !known.doubt) this.violate(`id ${name} in ${show(batch)} stored again within its window`);
      model.ids.set(name, { unit: item.unit, atMs: item.atMs, position, doubt: false });
      model.idCounts.set(identity.scope, position + 1);
    } else if (outcome?.outcome === 'duplicate') {
      if (known === undefined) this.violate(`id ${name} in ${show(batch)} called a duplicate, but was never stored`);
      else if (!known.doubt && item.atMs > known.atMs + identity.windowMs + 5)
        this.violate(`id ${name} in ${show(batch)} called a duplicate after its window`);
    }
  }

  #settleAnswered(batch: PendingBatch, item: SettleItem, outcome: ItemOutcome | null, batchRefused: boolean): void {
    const { history } = this.world;
    const queueGone = item.queue.deleted;
    if (item.mustBeStale) {
      if (outcome === null && !batchRefused)
        this.violate(`settlement in ${show(batch)} under a lost lease was not called stale`);
      return;
    }
    if (outcome !== null && !queueGone && !item.session.hold.released) {
      this.violate(`settlement in ${show(batch)} of held messages answered ${outcome.outcome}`);
    }
    const done = outcome === null && !batchRefused;
    for (const copy of item.copies) {
      const id = historyId('all', 0, copy.appendId);
      const name = this.historyName(item.queue);
      if (!done) {
        history.settleRefused(name, item.session.name, id, item.settlement);
        if (queueGone) {
          history.removed(name, id, 'deleted', { maybe: true });
          continue;
        }
        // As if it had never been asked: it is still held, or came back with its lease.
        // Unless it was delivered since: then what is under way is another settlement's.
        if (item.settlement !== 'requeue' && copy.removal?.unit === item.unit)
          copy.removal = copy.purged === null ? null : { kind: 'purge', unit: copy.purged, maybe: true };
        if (copy.holder === null && !item.session.hold.released) {
          copy.holder = item.session.hold;
          item.session.held.add(copy);
        }
        continue;
      }
      history.settled(name, item.session.name, id, item.settlement);
      if (item.settlement === 'requeue') copy.countedDeliveries++;
      else copy.queue.forget(copy);
    }
  }

  #putAnswered(batch: PendingBatch, item: PutItem, outcome: ItemOutcome | null, batchRefused: boolean): void {
    const { state, expected } = item;
    state.pending = state.pending.filter((one) => one.unit !== item.unit || one.value !== item.value);
    const conflict = outcome?.outcome === 'conflict';
    if (expected !== undefined && state.revision !== null && !batchRefused) {
      if (conflict !== (expected !== state.revision)) {
        this.violate(
          `put ${item.key} in ${show(batch)} expecting revision ${expected} (it is ${state.revision}) answered ${outcome?.outcome ?? 'done'}`,
        );
      }
    }
    if (conflict && expected === undefined)
      this.violate(`put ${item.key} in ${show(batch)} without an expectation: conflict`);
    const written = outcome?.outcome === 'written';
    if (written && expected === undefined)
      this.violate(`put ${item.key} in ${show(batch)} without an expectation: told its revision`);
    if (batchRefused || conflict) return;
    if (expected !== undefined && !written)
      this.violate(`put ${item.key} in ${show(batch)} expecting a revision: answered ${outcome?.outcome ?? 'nothing'}`);
    state.value = item.value;
    state.revision = item.value === null ? 0 : written ? (outcome.revision ?? null) : null;
    this.world.model.highestRevision = Math.max(this.world.model.highestRevision, outcome?.revision ?? 0);
    if (written && item.value !== null && (outcome.revision === undefined || outcome.revision <= item.floor)) {
      this.violate(`put ${item.key} in ${show(batch)}: revision ${outcome.revision ?? 'missing'} after ${item.floor}`);
    }
  }

  // --- Deliveries ---

  /** Judges what is delivered; returns the copy, or null for what must not be. */
  judge(view: DeliveryView, asked: ModelQueue | null, context: string): Copy | null {
    this.#alive('delivery');
    const { world } = this;
    const { model } = world;
    const queue = asked ?? model.queue(view.queue.key);
    const received = parseProperties(view.head.subarray(view.propertiesStart, view.propertiesEnd));
    const body = view.body.subarray(view.bodyStart, view.bodyEnd);
    const where = `${view.queue.key}@${view.number} ${context}`;
    world.trace?.line(
      `${world.scheduler.nowUs} deliver ${where} append ${received?.appendId ?? '?'}${view.redelivered ? ' redelivered' : ''} count ${view.deliveryCount}`,
    );
    if (queue === undefined) {
      this.violate(`delivery from ${where}: no such queue`);
      return null;
    }
    // What was on its way when the queue was deleted is nobody's any more.
    if (queue.deleted) return null;
    if (received === null) {
      this.violate(`delivery from ${where}: properties are not what was appended`);
      return null;
    }
    if (!bodyIsRight(received, body)) this.violate(`delivery from ${where}: wrong body of append ${received.appendId}`);
    const copy = queue.copies.get(received.appendId);
    if (copy === undefined) {
      this.violate(
        `delivery from ${where}: append ${received.appendId} ${queue.gone.has(received.appendId) ? 'was settled or refused' : 'never went there'}`,
      );
      return null;
    }
    const what = `append ${copy.appendId} from ${where}`;
    const name = view.head.subarray(view.envelopeStart, view.envelopeEnd).toString('latin1');
    if (!name.startsWith('to ') || !name.split(' ').includes(queue.key))
      this.violate(`${what}: wrong envelope '${name}'`);
    if (copy.removal !== null && !copy.removal.maybe && copy.removal.unit?.refusable !== true)
      this.violate(`${what}: delivered while its ${copy.removal.kind} is under way`);
    if (copy.holder !== null) this.violate(`${what}: delivered while somebody holds it`);
    copy.removal = null;
    if (copy.number !== -1 && copy.number !== view.number && !copy.displaced)
      this.violate(`${what}: its number was ${copy.number}`);
    if (copy.dueAt > world.scheduler.nowMs()) this.violate(`${what}: delivered before it is due`);
    if (copy.dueAt !== 0) world.coverage.add('delivery.of-delayed');
    if (copy.deliveries > 0 && !view.redelivered) this.violate(`${what}: delivered before, not flagged redelivered`);
    if (copy.deliveries + copy.uncleanEnds === 0 && view.redelivered)
      this.violate(`${what}: flagged redelivered, but never delivered`);
    if (view.deliveryCount < copy.countedDeliveries) {
      this.violate(`${what}: delivery count ${view.deliveryCount}, but ${copy.countedDeliveries} are known`);
    }
    if (copy.uncleanEnds === 0 && view.deliveryCount !== copy.deliveries) {
      this.violate(`${what}: delivery count ${view.deliveryCount}, but it was delivered ${copy.deliveries} times`);
    }
    if (view.deliveryCount > copy.deliveries + copy.uncleanEnds) {
      this.violate(
        `${what}: delivery count ${view.deliveryCount}, but it was delivered ${copy.deliveries} times (${copy.uncleanEnds} unclean ends)`,
      );
    }
    copy.number = view.number;
    return copy;
  }

  /** Books a delivery to a consumer. */
  received(
    view: DeliveryView,
    asked: ModelQueue,
    session: Session,
    noAck: boolean,
    subscription: Subscription | null,
  ): void {
    const { world } = this;
    const copy = this.judge(view, asked, subscription?.name ?? session.name);
    if (copy === null) return;
    const { queue } = copy;
    const what = `append ${copy.appendId} from ${queue.key}@${view.number}`;
    // A no-ack take waits for its sync, and is overtaken by others under its lease.
    const consumer = subscription?.name ?? `${session.name}${noAck ? ' no-ack' : ''}`;
    // At most once: it was taken out in time, and is delivered once that is durable.
    if (!noAck && copy.expiresAt !== 0 && copy.expiresAt < world.scheduler.nowMs())
      this.violate(`${what}: delivered after it expired`);
    const { deliveryLimit } = queue.limits;
    if (deliveryLimit !== undefined && copy.deliveries >= deliveryLimit)
      this.violate(`${what}: delivered beyond its limit`);
    world.history.delivered(
      this.historyName(queue),
      consumer,
      historyId('all', 0, copy.appendId),
      String(copy.messageId),
      view.redelivered,
    );
    if (subscription !== null) {
      if (subscription.cancelled) this.violate(`${what}: delivered to ${subscription.name} after its cancel`);
      if (subscription.credit <= 0) this.violate(`${what}: delivered to ${subscription.name} without credit`);
      subscription.credit--;
      if (queue.limits.singleActiveConsumer === true) {
        const { active } = queue;
        if (
          active !== null &&
          active.name !== subscription.name &&
          !active.cancelled &&
          active.priority >= subscription.priority
        ) {
          this.violate(`${what}: delivered to ${subscription.name} while ${active.name} is the active consumer`);
        }
        queue.active = subscription;
      }
      // Of a grouped queue each key has its own order.
      if (copy.deliveries === 0 && copy.dueAt === 0 && !copy.displaced && queue.limits.groupBy === undefined) {
        const last = subscription.lastOrder.get(copy.priority) ?? -1;
        if (copy.order < last) this.violate(`${what}: overtaken by a later message on ${subscription.name}`);
        subscription.lastOrder.set(copy.priority, copy.order);
      }
    }
    const owner = subscription?.name ?? `takes of ${session.name}`;
    const wrong = queue.groups.judge(queue, copy, owner, noAck);
    if (wrong !== null) this.violate(`${what} to ${owner}: ${wrong}`);
    if (queue.limits.groupBy !== undefined) world.coverage.add('delivery.grouped');
    world.coverage.add(`delivery.${noAck ? 'no-ack' : 'leased'}${copy.deliveries > 0 ? '-again' : ''}`);
    copy.deliveries++;
    copy.deliveredInThisLife = true;
    if ((noAck || subscription?.afterSync === true) && queue.spec.durable) copy.servedDurable = true;
    if (noAck) {
      copy.appendedBy = null;
      queue.forget(copy);
      world.history.settled(this.historyName(queue), consumer, historyId('all', 0, copy.appendId));
    } else if (!session.hold.released) {
      copy.holder = session.hold;
      copy.owner = owner;
      session.held.add(copy);
    } else if (subscription !== null) {
      this.violate(`${what}: delivered under a released lease`);
    } else {
      // It was taken before its lease was released, and so it is given back.
      this.world.coverage.add('delivery.taken-under-release');
      queue.press();
    }
  }

  subscribe(
    queue: ModelQueue,
    session: Session,
    options: { credit: number; noAck: boolean; afterSync: boolean; priority: number },
    pauses: () => boolean,
  ): void {
    const { credit, noAck, afterSync, priority } = options;
    const name = `consumer-${this.world.nextNonce++}`;
    this.world.coverage.add(`op.consume${noAck ? '-no-ack' : ''}${afterSync ? '-after-sync' : ''}`);
    this.world.trace?.line(
      `${this.world.scheduler.nowUs} consume ${queue.key} ${name} under ${session.name} credit ${credit}${noAck ? ' no-ack' : ''}`,
    );
    const subscription: Subscription = {
      name,
      queue,
      session,
      noAck,
      afterSync,
      engine: null,
      priority,
      credit,
      paused: false,
      cancelled: false,
      lastOrder: new Map(),
    };
    this.subscriptions.push(subscription);
    const begun = this.engine.consume(
      this.handle(queue),
      session.lease,
      { credit, noAck, afterSync, priority },
      {
        deliver: (view) => {
          if (subscription.engine === null) this.violate(`${name}: delivered before consume() resolved`);
          if (subscription.paused) this.violate(`${name}: delivered after its sink said no more`);
          this.received(view, queue, session, noAck, subscription);
          if (!pauses()) return true;
          subscription.paused = true;
          return false;
        },
        cancelled: (reason) => {
          this.world.trace?.line(`${this.world.scheduler.nowUs} ${name} cancelled: ${reason}`);
          if (reason === 'deleted' && !queue.deleted) this.violate(`${name}: told that ${queue.key} was deleted`);
          subscription.cancelled = true;
          if (noAck) this.displace(queue);
        },
      },
    );
    this.wait(
      `consume ${queue.key}`,
      begun,
      (engine) => {
        subscription.engine = engine;
        if (subscription.cancelled) engine.cancel();
      },
      (error) => {
        subscription.cancelled = true;
        const lawful = this.#excused(queue) || session.hold.released;
        if (!lawful) this.violate(`consume ${queue.key} was rejected: ${String(error)}`);
      },
    );
  }

  cancel(subscription: Subscription): void {
    this.world.coverage.add('op.cancel');
    this.world.trace?.line(`${this.world.scheduler.nowUs} cancel ${subscription.name}`);
    subscription.cancelled = true;
    if (subscription.noAck) this.displace(subscription.queue);
    subscription.engine?.cancel();
  }

  /** What was on its way to a no-ack consumer was settled already: it is appended again. Until that is durable a crash may lose it. */
  displace(queue: ModelQueue): void {
    this.#givenBack.set(queue, this.world.model.nextSerial);
    for (const copy of queue.copies.values()) {
      if (!copy.mayBeReady) continue;
      copy.displaced = true;
      this.world.displaced = true;
    }
    queue.press();
  }

  /** Queues to which something may have been given back that is not durable yet. */
  get givingBack(): ModelQueue[] {
    return [...this.#givenBack].filter(([, serial]) => serial > this.#durableSerial).map(([queue]) => queue);
  }

  release(session: Session): void {
    this.world.coverage.add('op.release');
    this.world.trace?.line(`${this.world.scheduler.nowUs} release ${session.name}`);
    for (const one of this.subscriptions) {
      if (one.session !== session || one.cancelled) continue;
      this.cancel(one);
    }
    for (const one of this.noAckTakes) if (one.session === session) this.displace(one.queue);
    session.hold.released = true;
    for (const copy of session.held) copy.holder = null;
    for (const queue of this.world.model.queues) queue.press();
    session.held.clear();
    this.wait(`release ${session.name}`, this.engine.release(session.lease), () => {});
    this.sessions.splice(this.sessions.indexOf(session), 1);
  }

  take(queue: ModelQueue, session: Session, noAck: boolean): void {
    this.world.coverage.add(`op.take${noAck ? '-no-ack' : ''}`);
    this.world.trace?.line(
      `${this.world.scheduler.nowUs} take ${queue.key} under ${session.name}${noAck ? ' no-ack' : ''}`,
    );
    let delivered = false;
    const { purges } = queue;
    const sure =
      // Its key may be with another.
      queue.limits.groupBy === undefined &&
      queue.fewestReady(this.world.scheduler.nowMs(), this.#wasBlocked) > 0 &&
      !this.isConsumed(queue);
    const taking = { queue, session };
    if (noAck) this.noAckTakes.add(taking);
    const done = this.engine.take(this.handle(queue), session.lease, noAck, {
      deliver: (view) => {
        if (delivered) this.violate(`take ${queue.key}: more than one message`);
        delivered = true;
        this.received(view, queue, session, noAck, null);
        return true;
      },
      cancelled: () => {},
    });
    this.wait(
      `take ${queue.key}`,
      done,
      (found) => {
        if (found !== delivered) this.violate(`take ${queue.key}: said ${found}, delivered ${delivered}`);
        if (this.noAckTakes.delete(taking) && !found) this.displace(queue);
        if (
          !found &&
          sure &&
          !this.#excused(queue) &&
          !session.hold.released &&
          queue.purges === purges &&
          !this.isConsumed(queue) &&
          queue.fewestReady(this.world.scheduler.nowMs(), this.#wasBlocked) > 0
        )
          this.violate(`take ${queue.key}: nothing, though messages were ready`);
      },
      (error) => {
        if (!this.#excused(queue)) this.violate(`take ${queue.key} rejected: ${String(error)}`);
      },
    );
  }

  /** Dead-letters held messages: shows them again, appends them elsewhere and drops them here, all as one. */
  deadLetter(queue: ModelQueue, session: Session, copies: readonly Copy[]): void {
    this.world.coverage.add('op.load');
    const numbers = copies.map((copy) => copy.number);
    const deliveries = copies.map((copy) => copy.deliveries);
    const shown: Copy[] = [];
    let next = 0;
    this.world.trace?.line(`${this.world.scheduler.nowUs} load ${queue.key} ${numbers.join(' ')}`);
    const loaded = this.engine.load(this.handle(queue), session.lease, numbers, {
      deliver: (view) => {
        const received = parseProperties(view.head.subarray(view.propertiesStart, view.propertiesEnd));
        // What was settled meanwhile is passed over.
        while (next < copies.length && copies[next]!.appendId !== received?.appendId) next++;
        const copy = copies[next++];
        if (copy === undefined || received === null || view.number !== copy.number) {
          this.violate(
            `load ${queue.key}: append ${received?.appendId ?? '?'}@${view.number} was not asked for, or not in its turn`,
          );
        } else {
          if (!bodyIsRight(received, view.body.subarray(view.bodyStart, view.bodyEnd))) {
            this.violate(`load ${queue.key}: wrong body of ${copy.appendId}`);
          }
          shown.push(copy);
        }
        return true;
      },
      cancelled: () => {},
    });
    this.wait(
      `load ${queue.key}`,
      loaded,
      () => {
        if (queue.deleted || session.hold.released || this.failure !== null || this.closing) return;
        const held = shown.filter((copy) => session.held.has(copy));
        // It may have been given back and delivered again meanwhile.
        const missing = copies.find(
          (copy, at) => session.held.has(copy) && copy.deliveries === deliveries[at] && !shown.includes(copy),
        );
        if (missing !== undefined) this.violate(`load ${queue.key}: did not show ${missing.appendId}, which is held`);
        if (held.length > 0) this.#moveToDeadLetters(session, held);
      },
      (error) => {
        if (!this.#excused(queue) && !session.hold.released)
          this.violate(`load ${queue.key} rejected: ${String(error)}`);
      },
    );
  }

  #moveToDeadLetters(session: Session, copies: readonly Copy[]): void {
    const target = this.world.model.queue(deadLetters);
    const batch = this.begin(true);
    for (const copy of copies) {
      batch.settle(session, copy.queue, [copy], 'drop');
      if (target === undefined) continue;
      batch.append({
        queues: [target],
        bodyBytes: copy.bodyBytes,
        priority: 0,
        ttlMs: 0,
        dueInMs: 0,
        identity: null,
        messageId: copy.messageId,
      });
    }
    batch.commit();
  }

  /** The broker's part of expiry, overflow and delivery limits. */
  handleRemovals(): void {
    const session = this.session();
    this.sessions.pop();
    this.#removalSession = session;
    this.engine.onRemoval(session.lease, {
      remove: (view, reason) => this.#remove(view, reason, session),
      flush: () => {
        if (this.#removals.length === 0) return;
        if (this.removalDelayMs === 0) this.#flushRemovals();
        else this.world.scheduler.at(this.removalDelayMs * 1000, this.owner, () => this.#flushRemovals());
      },
    });
  }

  #remove(view: DeliveryView, reason: RemovalReason, session: Session): void {
    // Close gives everything back, and that may be too much again; nobody acts on it any more.
    if (this.closing) {
      this.world.coverage.add('removal.while-closing');
      return;
    }
    const copy = this.judge(view, null, `removed (${reason})`);
    if (copy === null) return;
    this.world.coverage.add(`removal.${reason}`);
    const lawful = copy.queue.removable(copy, this.world.scheduler.nowMs());
    if (lawful === null)
      this.violate(`append ${copy.appendId} handed over from ${copy.queue.key} as ${reason} without cause`);
    if (copy.queue.limits.handOverRemoved !== true)
      this.violate(`append ${copy.appendId} handed over from ${copy.queue.key}, which did not ask for it`);
    copy.holder = session.hold;
    copy.owner = '';
    session.held.add(copy);
    this.world.history.removed(this.historyName(copy.queue), historyId('all', 0, copy.appendId), 'dead-letter', {
      maybe: true,
    });
    this.#removals.push({ copy, number: view.number, queue: copy.queue });
  }

  #flushRemovals(): void {
    const session = this.#removalSession;
    const copies = this.#removals
      .map((one) => one.copy)
      .filter((copy) => session?.held.has(copy) === true && !copy.queue.deleted);
    this.#removals = [];
    if (session === null || copies.length === 0 || this.failure !== null || this.closing) return;
    this.#moveToDeadLetters(session, copies);
  }

  // --- Topology and the rest ---

  change(what: string, changes: readonly TopologyChange[]): void {
    const { model, trace, scheduler } = this.world;
    const unit = model.unit('change', true);
    this.open.add(unit);
    trace?.line(`${scheduler.nowUs} change #${unit.serial} ${what}`);
    this.world.coverage.add(`op.${what.split(' ')[0]!}`);
    const done = this.engine.change(changes);
    model.changed(unit, (state) => {
      for (const change of changes) {
        if (change.op === 'put') state.entries.set(`${change.entry.kind} ${change.entry.key}`, change.entry);
        else if (change.op === 'delete') state.entries.delete(`${change.kind} ${change.key}`);
        else if (change.op === 'put-queue') state.queues.set(change.queue.key, new ModelQueue(change.queue));
        else {
          const queue = state.queues.get(change.key)!;
          queue.deleted = true;
          state.queues.delete(change.key);
          model.graves.push(queue);
          this.world.history.emptied(this.historyName(queue), 'deleted');
          for (const session of this.sessions)
            for (const copy of session.held) if (copy.queue === queue) session.held.delete(copy);
        }
      }
    });
    this.wait(
      `change ${what}`,
      done,
      () => {
        if (this.failure !== null) this.violate(`change #${unit.serial} confirmed after the engine failed`);
        unit.state = 'done';
        this.open.delete(unit);
        model.changeDone();
      },
      (error) => {
        if (this.failure === null && !this.closing) this.violate(`change ${what} was rejected: ${String(error)}`);
        this.open.delete(unit);
      },
    );
  }

  createQueue(key: string, durable: boolean, limits: QueueLimits): void {
    const value = { nonce: this.world.nextNonce++ };
    this.change(`create-queue ${key}${durable ? '' : ' transient'} ${JSON.stringify(limits)}`, [
      { op: 'put-queue', queue: { key, durable, limits, value } },
    ]);
  }

  deleteQueue(queue: ModelQueue): void {
    this.change(`delete-queue ${queue.key}`, [{ op: 'delete-queue', key: queue.key }]);
  }

  putEntry(kind: string, key: string, durable: boolean): void {
    const entry: TopologyEntry = { kind, key, durable, value: { nonce: this.world.nextNonce++ } };
    this.change(`put-entry ${kind} ${key}`, [{ op: 'put', entry }]);
  }

  deleteEntry(entry: TopologyEntry): void {
    this.change(`delete-entry ${entry.kind} ${entry.key}`, [{ op: 'delete', kind: entry.kind, key: entry.key }]);
  }

  purge(queue: ModelQueue): void {
    const { model, trace, scheduler, coverage, history } = this.world;
    const unit = model.unit('purge', true);
    this.open.add(unit);
    coverage.add('op.purge');
    queue.purges++;
    trace?.line(`${scheduler.nowUs} purge #${unit.serial} ${queue.key}`);
    const nowMs = scheduler.nowMs();
    // Where consumers or limits are at work, the engine may be about to do something else with a message.
    const exact =
      !this.isConsumed(queue) &&
      Object.keys(queue.limits).every((name) => name === 'maxPriority' || name === 'groupBy');
    const purged = [...queue.copies.values()].filter((copy) => copy.isReady && copy.dueAt <= nowMs);
    // What is being settled is ready if that is refused and its lease is over.
    const doubtful = [...queue.copies.values()].filter((copy) => copy.removal?.unit?.state === 'open');
    for (const copy of doubtful) copy.purged = unit;
    const maybeGone = [...queue.copies.values()].filter((copy) => copy.removal?.maybe === true).length;
    const inMotion = purged.some(
      (copy) =>
        this.#comesDue(copy, nowMs) ||
        copy.mayStayHeld(this.#wasBlocked) ||
        (copy.expiresAt !== 0 && copy.expiresAt <= nowMs),
    );
    for (const copy of purged) {
      copy.removal = { kind: 'purge', unit, maybe: !exact || inMotion || copy.refusable };
      history.removed(this.historyName(queue), historyId('all', 0, copy.appendId), 'purged', { maybe: true });
    }
    const sure = exact && !inMotion && maybeGone === 0 && purged.every((copy) => copy.stored === 'yes');
    this.wait(
      `purge ${queue.key}`,
      this.engine.purge(this.handle(queue)),
      (count) => {
        if (this.failure !== null) this.violate(`purge #${unit.serial} confirmed after the engine failed`);
        unit.state = 'done';
        this.open.delete(unit);
        const most = purged.length + doubtful.length + maybeGone;
        if (count > most) this.violate(`purge ${queue.key} removed ${count}, but at most ${most} were ready`);
        if (sure && count !== purged.length) this.violate(`purge ${queue.key} removed ${count} of ${purged.length}`);
        for (const copy of purged) if (copy.removal?.unit === unit && !copy.removal.maybe) queue.forget(copy);
      },
      () => {
        if (!this.#excused(queue)) this.violate(`purge ${queue.key} was rejected`);
        this.open.delete(unit);
      },
    );
  }

  /** Takes out a message that is not due yet, if its append is answered. */
  withdraw(copy: Copy): void {
    const { model, trace, scheduler, coverage, history } = this.world;
    const { queue, delayedNumber } = copy;
    if (delayedNumber === null || !copy.isReady) return;
    const unit = model.unit('withdrawal', true);
    this.open.add(unit);
    coverage.add('op.withdraw');
    trace?.line(`${scheduler.nowUs} withdraw #${unit.serial} append ${copy.appendId} from ${queue.key}`);
    const waits = copy.dueAt > scheduler.nowMs();
    const id = historyId('all', 0, copy.appendId);
    unit.refusable = !waits;
    copy.removal = { kind: 'withdrawn', unit, maybe: !waits };
    history.removed(this.historyName(queue), id, 'purged', { maybe: true });
    this.wait(
      `withdraw from ${queue.key}`,
      this.engine.cancel(this.handle(queue), delayedNumber),
      (found) => {
        if (this.failure !== null) this.violate(`withdrawal #${unit.serial} answered after the engine failed`);
        unit.state = found ? 'done' : 'refused';
        this.open.delete(unit);
        coverage.add(`outcome.withdraw-${found}`);
        if (queue.deleted) return;
        if (!found && waits) this.violate(`append ${copy.appendId} was not waiting in ${queue.key} before it was due`);
        if (copy.removal?.unit !== unit) {
          if (found) this.violate(`append ${copy.appendId} was delivered from ${queue.key} and withdrawn`);
        } else if (found) queue.forget(copy);
        else copy.removal = copy.purged === null ? null : { kind: 'purge', unit: copy.purged, maybe: true };
      },
      () => {
        if (!this.#excused(queue)) this.violate(`withdrawal from ${queue.key} was rejected`);
        this.open.delete(unit);
      },
    );
  }

  openProducer(name: string): void {
    const { model, coverage } = this.world;
    const { scheduler, trace } = this.world;
    coverage.add('op.producer');
    trace?.line(`${scheduler.nowUs} producer ${name}`);
    this.wait(`producer ${name}`, this.engine.producer(name), ({ epoch, lastSequence }) => {
      const known = model.producers.get(name);
      if (known === undefined) {
        if (lastSequence !== 0) this.violate(`new producer ${name}: last sequence ${lastSequence}`);
        model.producers.set(name, { name, epoch, last: 0, pending: [] });
        return;
      }
      if (epoch <= known.epoch) this.violate(`producer ${name}: epoch ${epoch} after ${known.epoch}`);
      if (lastSequence !== known.last)
        this.violate(`producer ${name}: last sequence ${lastSequence}, but it is ${known.last}`);
      known.epoch = epoch;
    });
  }

  readState(key: string): void {
    const { model, coverage } = this.world;
    const state = model.key(key);
    coverage.add('op.state');
    const settled = state.pending.length === 0;
    this.wait(`state ${key}`, this.engine.state(key), (found) => {
      if (!settled || state.pending.length > 0) return;
      const value = found.find((one) => one.key === key);
      this.checkState(key, state, value === undefined ? null : value.value, value?.revision ?? 0);
    });
  }

  checkState(key: string, state: KeyState, value: Uint8Array | null, revision: number): void {
    const same =
      value === null ? state.value === null : state.value !== null && Buffer.compare(value, state.value) === 0;
    if (!same) this.violate(`state ${key}: ${describeValue(value)} instead of ${describeValue(state.value)}`);
    if (state.revision !== null && state.revision !== revision)
      this.violate(`state ${key}: revision ${revision} instead of ${state.revision}`);
    if (value !== null && revision <= 0) this.violate(`state ${key}: revision ${revision}`);
    state.revision = revision;
    this.world.model.highestRevision = Math.max(this.world.model.highestRevision, revision);
  }

  /** What is appended, settled and released so far must show in the counts, durable or not. */
  checkStats(queue: ModelQueue): void {
    this.world.coverage.add('op.stats');
    const nowMs = this.world.scheduler.nowMs();
    const copies = [...queue.copies.values()];
    const exact =
      !this.isConsumed(queue) &&
      copies.every(
        (copy) =>
          !this.#comesDue(copy, nowMs) &&
          copy.removal?.maybe !== true &&
          !copy.mayStayHeld(this.#wasBlocked) &&
          !this.#mayBeRefused(copy.removal?.unit) &&
          !this.#mayBeRefused(copy.appendedBy) &&
          (copy.stored === 'yes' || (!copy.refusable && copy.appendedBy?.refusable !== true)) &&
          (copy.removal !== null || queue.removable(copy, nowMs) === null),
      );
    const delayed = copies.filter((copy) => copy.dueAt > nowMs && copy.removal === null).length;
    const present = copies.filter((copy) => copy.removal === null && copy.dueAt <= nowMs);
    const ready = present.filter((copy) => copy.holder === null);
    const readyBytes = ready.reduce((sum, copy) => sum + copy.bodyBytes, 0);
    const unacked = present.length - ready.length;
    this.wait(
      `stats ${queue.key}`,
      this.engine.stats(this.handle(queue)),
      (stats) => {
        if (!exact || queue.deleted) return;
        this.world.coverage.add('judged.stats');
        if (delayed > 0) this.world.coverage.add('judged.stats-with-delayed');
        const found = `${stats.ready}, unacked ${stats.unacked}, bytes ${stats.readyBytes}, delayed ${stats.delayed}`;
        const expected = `${ready.length}, unacked ${unacked}, bytes ${readyBytes}, delayed ${delayed}`;
        if (found !== expected) this.violate(`stats ${queue.key}: ready ${found} instead of ${expected}`);
      },
      () => {
        if (!this.#excused(queue)) this.violate(`stats ${queue.key} was rejected`);
      },
    );
  }

  /** Due, but perhaps not ready: the engine is about to notice, or has no space to note it, or had none just now. */
  #comesDue(copy: Copy, nowMs: number): boolean {
    const held = this.blockedNow || nowMs < this.#unblockedMs + noticedAfterMs;
    return copy.comesDue(nowMs) || (held && copy.dueAt > 0 && copy.dueAt <= nowMs);
  }

  /** As a whole, for what another of its items needs. Of space nobody but the engine knows. */
  #mayBeRefused(unit: Unit | null | undefined): boolean {
    return unit?.state === 'open' && (unit.refusable || this.#wasBlocked);
  }

  browse(queue: ModelQueue, limit: number, answered: (messages: BrowsedMessage[]) => void): void {
    this.world.coverage.add('op.browse');
    this.wait(`browse ${queue.key}`, this.engine.browse(this.handle(queue), 0, limit), answered, (error) => {
      if (!this.#excused(queue)) this.violate(`browse ${queue.key} was rejected: ${String(error)}`);
    });
  }
}

function describeValue(value: Uint8Array | null): string {
  return value === null ? 'nothing' : `${value.length} bytes ${Buffer.from(value).subarray(0, 12).toString('hex')}`;
}
