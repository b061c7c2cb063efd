/**
 * What a correct engine may hold: every message copy of every queue with what is known of it, every batch with whether it is
 * known to be durable. In doubt (a crash before the answer) both are lawful until recovery shows which one it was; from then on that is a fact.
 */
import { GroupBook } from './group-book.ts';
import type { QueueLimits, QueueSpec, RemovalReason, TopologyEntry } from '../../src/engine/engine.ts';

/** One durable unit: a batch, a topology change, a purge. In order of their calls, which is the order of the journal. */
export interface Unit {
  readonly serial: number;
  readonly kind: 'batch' | 'change' | 'purge' | 'withdrawal';
  readonly atomic: boolean;
  /** The engine might have refused it as a whole; unanswered, its absence says nothing. */
  refusable: boolean;
  /** `open`: not answered; `done`: answered; `refused`: an atomic batch that changed nothing. */
  state: 'open' | 'done' | 'refused';
  /** What recovery showed of a unit that was open at a crash. */
  applied: boolean | null;
}

export interface Removal {
  readonly kind: 'ack' | 'drop' | 'purge' | 'no-ack' | 'engine' | 'withdrawn';
  /** The unit that removes it; null: it is gone for certain. */
  unit: Unit | null;
  /** It may also not have happened, whatever became of the unit. */
  maybe: boolean;
}

export interface Hold {
  released: boolean;
}

/** A timer of whole milliseconds may be late by one. */
export const noticedAfterMs = 3;

/** One message in one queue. */
export class Copy {
  readonly queue: ModelQueue;
  /** Unique for each append; carried in the message's properties. */
  readonly appendId: number;
  /** Says what the body must be. */
  readonly messageId: number;
  readonly bodyBytes: number;
  /** Place among the messages of its queue. */
  order: number;
  readonly priority: number;
  /** 0: never. */
  readonly expiresAt: number;
  readonly dueAt: number;
  /** By which it can be withdrawn, once its append was answered. */
  delayedNumber: number | null = null;
  /** The engine might have refused it (limit, identity), so its absence says nothing of its unit. */
  readonly refusable: boolean;
  /** Carries an identity, so even an applied batch may have passed over it. */
  readonly identified: boolean;
  /** The unit that appends it; null: it is stored for certain. */
  appendedBy: Unit | null;
  /** A restart must show it even if its append was never confirmed: a consumer that asked for durable messages had it. */
  servedDurable = false;
  /** A length limit may have pushed it out since it was last seen. */
  overflown = false;
  /** A no-ack consumer went away that may have had it on the way: it comes back at the end. */
  displaced = false;
  removal: Removal | null = null;
  /** Of whom `removal` takes it: once that one is gone it is ready, if the removal is refused. */
  takenFrom: Hold | null = null;
  /** A purge may have taken it, if what was settling it was refused. */
  purged: Unit | null = null;
  holder: Hold | null = null;
  /** Who requeued it last: refused as a whole, that leaves it with its holder. */
  givenBackBy: Unit | null = null;
  /** Of a grouped queue: who has its key with it, while it is held. */
  owner = '';
  /** Its number in the queue, as last seen in this life of the engine. */
  number = -1;
  deliveries = 0;
  deliveredInThisLife = false;
  /** Deliveries that a durable unit has counted (requeues). */
  countedDeliveries = 0;
  /** Unclean ends of the engine since its append: after one, anything may be flagged redelivered. */
  uncleanEnds = 0;

  constructor(
    queue: ModelQueue,
    fields: {
      appendId: number;
      messageId: number;
      bodyBytes: number;
      priority: number;
      expiresAt: number;
      dueAt: number;
      refusable: boolean;
      identified: boolean;
      appendedBy: Unit;
    },
  ) {
    this.queue = queue;
    this.appendId = fields.appendId;
    this.messageId = fields.messageId;
    this.bodyBytes = fields.bodyBytes;
    this.priority = fields.priority;
    this.expiresAt = fields.expiresAt;
    this.dueAt = fields.dueAt;
    this.refusable = fields.refusable;
    this.identified = fields.identified;
    this.appendedBy = fields.appendedBy;
    this.order = queue.nextOrder++;
  }

  get stored(): 'yes' | 'no' | 'unknown' {
    const unit = this.appendedBy;
    if (unit === null || unit.state === 'done') return 'yes';
    return unit.state === 'refused' ? 'no' : 'unknown';
  }

  get mayBeReady(): boolean {
    return this.stored !== 'no' && this.holder === null && (this.removal === null || this.removal.maybe);
  }

  /** Ready as well, if the engine refused a batch that has no answer yet. `blocked`: it may have, whatever is in it. */
  mayHaveStayed(blocked: boolean): boolean {
    const unit = this.removal?.unit;
    return (
      this.stored !== 'no' &&
      this.holder === null &&
      unit?.state === 'open' &&
      (unit.refusable || blocked) &&
      this.takenFrom?.released === true
    );
  }

  get isReady(): boolean {
    return this.removal === null && this.holder === null && this.stored !== 'no';
  }

  /** Ready only if the batch that requeues it is not refused. `within`: asked for an item of that batch, which fails with it. */
  mayStayHeld(blocked: boolean, within?: Unit): boolean {
    const unit = this.givenBackBy;
    return unit?.state === 'open' && unit !== within && (unit.refusable || blocked);
  }

  /** Just due: the engine may be about to notice. */
  comesDue(nowMs: number): boolean {
    return this.dueAt <= nowMs && this.dueAt + noticedAfterMs > nowMs;
  }
}

export class ModelQueue {
  readonly spec: QueueSpec;
  /** Each life of a key is a queue of its own to the second judge. */
  readonly historyName: string;
  readonly copies = new Map<number, Copy>();
  /** Appends whose copies are gone for certain, or were refused. */
  readonly gone = new Set<number>();
  nextOrder = 0;
  purges = 0;
  /** Who got the last delivery, where only one consumer may. */
  active: { readonly name: string; readonly priority: number; readonly cancelled: boolean } | null = null;
  deleted = false;
  /** Of a grouped queue. */
  readonly groups = new GroupBook();
  /** No-ack deliveries that the engine may have begun without their having been seen. */
  noAckCredit = 0;

  constructor(spec: QueueSpec) {
    this.spec = spec;
    this.historyName = `${spec.key} ${JSON.stringify(spec.value)}`;
  }

  get key(): string {
    return this.spec.key;
  }

  get limits(): QueueLimits {
    return this.spec.limits;
  }

  forget(copy: Copy): void {
    this.copies.delete(copy.appendId);
    this.gone.add(copy.appendId);
  }

  /** Whether the engine might lawfully take this copy out of its queue, by itself or by handing it over. */
  removable(copy: Copy, nowMs: number): RemovalReason | null {
    const { limits } = this;
    if (copy.expiresAt !== 0 && copy.expiresAt <= nowMs) return 'expired';
    if (limits.deliveryLimit !== undefined && copy.deliveries + copy.uncleanEnds >= limits.deliveryLimit)
      return 'delivery-limit';
    return copy.overflown ? 'max-length' : null;
  }

  /**
   * Something became ready: marks what a drop-head limit may have pushed out. What is being taken out counts with it if that may be refused
   * (its lease may be over then), and after a restart (`restarted`) in any case.
   */
  press(restarted = false): void {
    const { maxLength, maxBytes, overflow, maxPriority } = this.limits;
    if (overflow === 'reject' || (maxLength === undefined && maxBytes === undefined)) return;
    const mayBeBack = ({ stored, removal }: Copy): boolean =>
      stored !== 'no' && removal?.unit?.state === 'open' && (restarted || removal.unit.refusable);
    const ready = [...this.copies.values()].filter((copy) => copy.mayBeReady || mayBeBack(copy));
    let bytes = ready.reduce((sum, copy) => sum + copy.bodyBytes, 0);
    let count = ready.length;
    const over = count > (maxLength ?? Infinity) || bytes > (maxBytes ?? Infinity);
    // With priorities any of them may be the one to go, and so where one may stand at another place. Those not due yet will.
    const any = over && (maxPriority !== undefined || ready.some((copy) => copy.displaced || copy.dueAt !== 0));
    for (const copy of ready.sort((a, b) => a.order - b.order)) {
      if (any || count > (maxLength ?? Infinity) || bytes > (maxBytes ?? Infinity)) copy.overflown = true;
      count--;
      bytes -= copy.bodyBytes;
    }
  }

  /** Most messages that may be ready, by what is known. */
  mostReady(blocked: boolean): { readonly count: number; readonly bytes: number } {
    let count = 0;
    let bytes = 0;
    for (const copy of this.copies.values()) {
      if (!copy.mayBeReady && !copy.mayHaveStayed(blocked)) continue;
      count++;
      bytes += copy.bodyBytes;
    }
    return { count, bytes };
  }

  /** Fewest messages that are ready for certain. */
  /** `held`: what was delayed may still be, since there was no space to note that it is due. */
  fewestReady(nowMs: number, held: boolean, within?: Unit): number {
    let count = 0;
    for (const copy of this.copies.values())
      if (
        copy.stored === 'yes' &&
        copy.isReady &&
        !copy.mayStayHeld(held, within) &&
        copy.dueAt <= nowMs &&
        !(held && copy.dueAt > 0) &&
        !copy.comesDue(nowMs) &&
        this.removable(copy, nowMs) === null
      )
        count++;
    return count;
  }
}

export interface KeyState {
  value: Buffer | null;
  /** null: not learnt since the value was written. */
  revision: number | null;
  /** Writes that are not answered. */
  pending: { readonly unit: Unit; readonly value: Buffer | null; readonly certain: boolean }[];
}

export interface ProducerModel {
  readonly name: string;
  epoch: number;
  /** Highest that is known to be stored. */
  last: number;
  /** Publishes that are not answered: sequence and the unit that carries it. */
  pending: { readonly sequence: number; readonly unit: Unit }[];
}

export interface IdModel {
  /** null: stored for certain. */
  readonly unit: Unit | null;
  readonly atMs: number;
  /** Position among the ids of the scope. */
  readonly position: number;
  /** A crash left open whether it was stored (again), and when. */
  readonly doubt: boolean;
}

export interface TopologyState {
  readonly entries: Map<string, TopologyEntry>;
  readonly queues: Map<string, ModelQueue>;
}

/** The durable part, in one string. */
export function describeTopology(entries: Iterable<TopologyEntry>, queues: Iterable<QueueSpec>): string {
  const lines: string[] = [];
  for (const entry of entries)
    if (entry.durable) lines.push(`${entry.kind} ${entry.key} ${JSON.stringify(entry.value)}`);
  for (const queue of queues) {
    if (queue.durable) lines.push(`queue ${queue.key} ${stable(queue.limits)} ${JSON.stringify(queue.value)}`);
  }
  return lines.sort().join('\n');
}

function stable(limits: QueueLimits): string {
  return JSON.stringify(Object.entries(limits).sort(([a], [b]) => (a < b ? -1 : 1)));
}

export class Model {
  readonly violations: string[] = [];
  units: Unit[] = [];
  #serial = 0;
  /** Index 0: what is known to be durable; further ones: after each change that is not answered. */
  topologies: { readonly unit: Unit | null; readonly state: TopologyState }[] = [
    { unit: null, state: { entries: new Map(), queues: new Map() } },
  ];
  readonly keys = new Map<string, KeyState>();
  /** Revisions grow over the whole store. */
  highestRevision = 0;
  readonly producers = new Map<string, ProducerModel>();
  readonly ids = new Map<string, IdModel>();
  idCounts = new Map<string, number>();
  /** Publishes with an id that are not answered. */
  readonly idsUnderWay = new Map<Unit, string[]>();
  /** Queues that were deleted: what they held must not come back. */
  readonly graves: ModelQueue[] = [];

  violate(text: string): void {
    this.violations.push(text);
  }

  /** What the next unit will have. */
  get nextSerial(): number {
    return this.#serial;
  }

  unit(kind: Unit['kind'], atomic: boolean): Unit {
    const unit: Unit = { serial: this.#serial++, kind, atomic, refusable: false, state: 'open', applied: null };
    this.units.push(unit);
    return unit;
  }

  /** As the engine has it in memory. */
  get topology(): TopologyState {
    return this.topologies[this.topologies.length - 1]!.state;
  }

  get queues(): ModelQueue[] {
    return [...this.topology.queues.values()];
  }

  queue(key: string): ModelQueue | undefined {
    return this.topology.queues.get(key);
  }

  changed(unit: Unit, change: (state: TopologyState) => void): void {
    const { entries, queues } = this.topology;
    const state = { entries: new Map(entries), queues: new Map(queues) };
    change(state);
    this.topologies.push({ unit, state });
  }

  /** A change was answered. One of transient things may be answered before durable ones that came before it. */
  changeDone(): void {
    while (this.topologies[1]?.unit?.state === 'done') this.topologies.shift();
  }

  key(name: string): KeyState {
    let key = this.keys.get(name);
    if (key === undefined) {
      key = { value: null, revision: 0, pending: [] };
      this.keys.set(name, key);
    }
    return key;
  }
}
