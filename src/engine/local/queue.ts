/**
 * Hot path. A queue is a cursor over the journal: it numbers its messages, knows in which runs they lie (levels of chunks), what is
 * held and settled (HeldWindow), and what came back. What is due later stands beside them (QueueDelayed) and gets its number when it is due.
 *
 * Who gets its messages is `QueueConsumers`', how they are handed out `QueueDispatch`', what is taken out without a consumer
 * `QueueRemovals`', and what the journal is told of all that `QueueNotes`'.
 */
import type { EngineError } from '../errors.ts';
import type { DeliveryView, EngineQueue, QueueLimits, QueueSpec, Settlement } from '../engine.ts';
import { HeldWindow } from './held-window.ts';
import type { EntryWriter } from './journal/directory.ts';
import { GroupedDispatch } from './grouped-dispatch.ts';
import type { LocalLease } from './lease.ts';
import { Level, type Mark } from './level.ts';
import { QueueConsumers } from './queue-consumers.ts';
import { QueueDelayed } from './queue-delayed.ts';
import { QueueDispatch } from './queue-dispatch.ts';
import { QueueGroups } from './queue-groups.ts';
import type { QueueHost } from './queue-host.ts';
import { QueueNotes } from './queue-notes.ts';
import { QueueRemovals } from './queue-removals.ts';
import type { RunReader } from './run.ts';
import { Stream } from './stream.ts';

export class LocalQueue implements EngineQueue {
  readonly key: string;
  readonly id: number;
  readonly durable: boolean;
  spec: QueueSpec;
  limits: QueueLimits;
  deleted = false;
  /** The engine closes, or failed. */
  stopped = false;
  damage: EngineError | null = null;
  /** Number of the next message. */
  next = 1;
  ready = 0;
  readyBytes = 0;
  /** Body bytes of all that is not settled. */
  aliveBytes = 0;
  readonly held = new HeldWindow(1);
  /** Of falling priority; only one where the queue has no priorities. */
  readonly levels: Level[] = [];
  /** Under which something may be held. */
  readonly leases = new Set<LocalLease>();
  /** Deliveries known of messages that were delivered before. */
  readonly counts = new Map<number, number>();
  /** Fresh messages that were delivered before, under another number: at most so many. */
  freshRepeats = 0;
  /** Some message that expires by itself was appended since the queue was last empty. */
  sawExpiring = false;
  /** Waits in the dispatcher. */
  touched = false;
  readonly host: QueueHost;
  readonly consumers: QueueConsumers;
  readonly removals: QueueRemovals;
  readonly notes: QueueNotes;
  readonly delayed: QueueDelayed;
  /** What makes it a stream; null: it is none. */
  readonly stream: Stream | null;
  /** Null: its messages are not grouped. */
  readonly groups: QueueGroups | null;
  readonly segmentSettled: (segment: number, count: number) => void;
  readonly #dispatch: QueueDispatch | GroupedDispatch;

  constructor(id: number, spec: QueueSpec, host: QueueHost) {
    this.id = id;
    this.key = spec.key;
    this.durable = spec.durable;
    this.spec = spec;
    this.limits = spec.limits;
    this.host = host;
    this.segmentSettled = (segment, count) => host.segments.settled(segment, count);
    this.consumers = new QueueConsumers(this);
    this.removals = new QueueRemovals(this);
    this.notes = new QueueNotes(this, spec.durable && !host.journal.volatile);
    this.delayed = new QueueDelayed(this);
    const { groupBy } = spec.limits;
    this.groups = groupBy === undefined ? null : new QueueGroups(this);
    this.#dispatch =
      this.groups === null ? new QueueDispatch(this) : new GroupedDispatch(this, this.groups, groupBy ?? '');
    if (spec.limits.maxPriority === undefined) this.#level(0);
    this.stream = spec.limits.stream === undefined ? null : new Stream(this);
  }

  get delivery(): DeliveryView {
    return this.host.delivery;
  }

  get consumerCount(): number {
    return this.consumers.count;
  }

  get unacked(): number {
    return this.held.held;
  }

  get refusesAtLimit(): boolean {
    return (
      this.limits.overflow === 'reject' && (this.limits.maxLength !== undefined || this.limits.maxBytes !== undefined)
    );
  }

  /** Whether one more message of `bytes` fits, with `count` messages and `pendingBytes` of a run that is not here yet. */
  hasRoom(bytes: number, count: number, pendingBytes: number): boolean {
    const { maxLength, maxBytes } = this.limits;
    if (maxLength !== undefined && this.ready + count >= maxLength) return false;
    return maxBytes === undefined || this.readyBytes + pendingBytes + bytes <= maxBytes;
  }

  /** Hands out what can be handed out now. Called by the dispatcher alone, outside of any batch. */
  dispatch(): void {
    if (this.stream !== null) this.stream.dispatch();
    else this.#dispatch.run();
  }

  /** Has it handed out what can be handed out, as soon as that may be. */
  pump(): void {
    this.host.dispatcher.pump(this);
  }

  /** Writes what the open group holds of this queue, and adds what it may do once that is durable. */
  note(directory: EntryWriter, marks: Mark[]): void {
    if (this.stream !== null) this.stream.note(directory, marks);
    else this.notes.write(directory, marks);
  }

  /** A group with this queue's note is durable. */
  marked(mark: Mark): void {
    if (this.stream !== null) this.stream.marked(mark.next);
    else this.notes.marked(mark);
  }

  // --- what a commit does ---

  appendRun(
    count: number,
    bodyBytes: number,
    priority: number,
    segment: number,
    offset: number,
    expires: boolean,
  ): void {
    const { host } = this;
    const { sequence } = host.journal;
    const first = this.next;
    this.next = first + count;
    const maxPriority = this.limits.maxPriority;
    const level = maxPriority === undefined ? this.levels[0]! : this.#level(Math.min(priority, maxPriority));
    level.chunks.append(first, count, segment, offset);
    host.segments.appended(segment, count);
    if (level.openSequence !== sequence) level.open(sequence, first);
    level.end = first + count;
    if (expires) this.sawExpiring = true;
    if (level.fresh === 0) level.head = first;
    level.fresh += count;
    this.ready += count;
    this.readyBytes += bodyBytes;
    this.aliveBytes += bodyBytes;
    if (this.stream !== null) this.stream.appended(first, bodyBytes, host.journal.clock.now());
    host.dispatcher.touch(this);
  }

  /** Whether the lease holds all of these. */
  holds(lease: LocalLease, first: number, count: number): boolean {
    return this.held.heldFrom(first, count, lease.id) === count;
  }

  /** Settles what `holds` said is held. */
  settle(first: number, count: number, settlement: Settlement): void {
    if (settlement === 'requeue') {
      for (let number = first; number < first + count; number++) this.giveBack(number);
      return;
    }
    this.held.settleHeld(first, count);
    if (this.groups !== null) this.groups.settled(first, count);
    this.#settled(first, count, this.held.lastBytes);
  }

  /** Settles what nobody holds and is not counted as ready any more. */
  settleReady(first: number, count: number, bytes: number): void {
    this.held.settleReady(first, count);
    this.#settled(first, count, bytes);
  }

  /** These numbers are settled: tells chunks, segments and the journal. */
  #settled(first: number, count: number, bytes: number): void {
    this.aliveBytes -= bytes;
    this.forget(first, count);
    this.notes.settled(first, count, bytes);
  }

  /** Nothing but the held window knows these numbers any more. */
  forget(first: number, count: number): void {
    if (this.counts.size > 0) for (let number = first; number < first + count; number++) this.counts.delete(number);
    for (const level of this.levels) level.chunks.settle(first, count, this.segmentSettled);
  }

  /** The message is ready again, at its place, one delivery more if it was one; or it is gone, when that was its last. */
  giveBack(number: number): void {
    const isUncounted = this.host.uncountedLeases.has(this.held.holder(number));
    const deliveries = (this.counts.get(number) ?? 0) + (this.isDelivered(number) ? 1 : 0);
    const bytes = this.held.giveBack(number);
    if (this.groups !== null) this.groups.gaveBack(number, this.removals.isSpent(deliveries));
    if (this.removals.isSpent(deliveries) && this.limits.handOverRemoved !== true) {
      this.settleReady(number, 1, bytes);
      this.notes.settledByItself();
      return;
    }
    this.counts.set(number, deliveries);
    if (isUncounted) this.notes.notDelivered(number, deliveries);
    this.ready++;
    this.readyBytes += bytes;
    this.comeBack(this.levelOf(number), number);
    this.host.dispatcher.touch(this);
  }

  /** Whether a held message that is given back will be ready, and not gone. */
  comesBack(number: number): boolean {
    const deliveries = (this.counts.get(number) ?? 0) + (this.isDelivered(number) ? 1 : 0);
    return this.limits.handOverRemoved === true || !this.removals.isSpent(deliveries);
  }

  /** Puts a message that is ready where it waits for its next delivery, or for its removal instead. */
  comeBack(level: Level, number: number): void {
    if (this.removals.isSpent(this.counts.get(number) ?? 0)) this.removals.spend(level, number);
    else level.returned.push(number);
  }

  /** What was settled for a consumer, and never reached it, becomes a message again. What is known of its deliveries goes with it. */
  appendAgain(reader: RunReader, redelivered: boolean, deliveries: number): void {
    if (this.deleted) return;
    this.host.journal.whole(() => {
      // It is stored anew, but its time does not begin anew.
      this.host.appendAgain(this, reader, this.removals.expiresAt(reader));
      if (!redelivered) return;
      const number = this.next - 1;
      this.counts.set(number, Math.max(1, deliveries));
      this.notes.counted(number, Math.max(1, deliveries));
      this.freshRepeats++;
    });
  }

  // --- what is known of a message ---

  /** Whether it may have been delivered before. */
  mayBeRepeat(number: number, level = this.levelOf(number)): boolean {
    return number < level.flaggedBelow || (this.counts.get(number) ?? 0) > 0;
  }

  /** Whether a consumer has it: what is held for its removal, or under a lease that counts no deliveries, is no delivery. */
  isDelivered(number: number): boolean {
    const holder = this.held.holder(number);
    return holder !== 0 && holder !== this.host.removal?.lease.id && !this.host.uncountedLeases.has(holder);
  }

  /** Ranges of numbers in [first, first + count) that are not settled: first and count each. */
  living(first: number, count: number): (readonly [first: number, count: number])[] {
    return this.held.living(first, count);
  }

  /** Numbers of ready messages in the order of their delivery. */
  *readyNumbers(offset: number, limit: number): Generator<number> {
    let at = 0;
    for (const level of this.levels) {
      const back = [...level.spent.values(), ...level.announced.values(), ...level.returned.values()];
      if (level.parked !== null) back.push(...level.parked.values());
      for (const number of back.sort((a, b) => a - b)) {
        if (at >= offset + limit) return;
        if (at++ >= offset) yield number;
      }
      if (level.fresh === 0) continue;
      for (const [first, count] of level.chunks.ranges(level.head)) {
        if (at + count <= offset) {
          at += count;
          continue;
        }
        for (let number = first; number < first + count; number++) {
          if (at >= offset + limit) return;
          if (at++ >= offset) yield number;
        }
      }
    }
  }

  // --- all at once ---

  /** Nothing is ready any more. */
  emptied(): void {
    if (this.held.held === 0) this.sawExpiring = false;
    this.freshRepeats = 0;
    this.readyBytes = 0;
    for (const level of this.levels) level.release();
  }

  /** Takes all ready messages out. Returns how many. */
  purge(): number {
    const count = this.ready;
    let bytes = this.readyBytes;
    for (const level of this.levels) {
      for (const heap of [level.returned, level.announced, level.spent]) {
        for (const number of [...heap.values()].sort((a, b) => a - b)) {
          this.settleReady(number, 1, bytes);
          bytes = 0;
        }
        heap.clear();
      }
      while (level.parked !== null && level.parked.size > 0) {
        this.settleReady(level.parked.pop(), 1, bytes);
        bytes = 0;
      }
      if (level.fresh > 0) {
        for (const [first, n] of [...level.chunks.ranges(level.head)]) {
          this.settleReady(first, n, bytes);
          bytes = 0;
        }
      }
      level.fresh = 0;
      level.head = this.next;
    }
    this.ready = 0;
    this.emptied();
    return count;
  }

  /** Nothing of this queue is alive any more. */
  delete(): void {
    this.deleted = true;
    this.removals.stop();
    this.stream?.stop();
    this.delayed.clear();
    for (const lease of this.leases) lease.forget(this);
    this.leases.clear();
    for (const level of this.levels) {
      for (const [first, count] of [...level.chunks.ranges(0)])
        for (const [from, n] of this.living(first, count)) level.chunks.settle(from, n, this.segmentSettled);
      // It may be deleted within a delivery.
      level.fresh = 0;
      level.release();
    }
    this.groups?.clear();
    this.ready = 0;
    this.readyBytes = 0;
  }

  /** The engine closes. */
  stop(): void {
    this.stopped = true;
    this.removals.stop();
    this.stream?.stop();
    this.consumers.stop();
    this.notes.closing();
    for (const number of this.held.heldBy(0)) {
      this.giveBack(number);
      const deliveries = this.counts.get(number);
      if (deliveries !== undefined) this.notes.counted(number, deliveries);
    }
    // Their next delivery was journalled, but it does not happen any more.
    for (const level of this.levels) {
      while (level.announced.size > 0) {
        const number = level.announced.pop();
        level.returned.push(number);
        this.notes.counted(number, this.counts.get(number) ?? 0);
      }
      // Nobody got what was passed over, though the journal takes it for delivered.
      while (level.parked !== null && level.parked.size > 0) {
        const number = level.parked.pop();
        const deliveries = this.counts.get(number) ?? 0;
        level.returned.push(number);
        this.counts.set(number, deliveries);
        this.notes.counted(number, deliveries);
      }
    }
  }

  // --- levels ---

  levelOf(number: number): Level {
    if (this.levels.length === 1) return this.levels[0]!;
    return this.levels.find((level) => level.chunks.has(number)) ?? this.levels[0]!;
  }

  /** Where messages of the priority go. */
  levelFor(priority: number): Level {
    const { maxPriority } = this.limits;
    return this.#level(maxPriority === undefined ? 0 : Math.min(priority, maxPriority));
  }

  /** From which the next delivery comes. */
  highest(): Level | null {
    for (const level of this.levels) if (level.ready > 0) return level;
    return null;
  }

  lowest(): Level | null {
    for (let at = this.levels.length - 1; at >= 0; at--) {
      const level = this.levels[at]!;
      if (level.ready > 0 || (level.parked !== null && level.parked.size > 0)) return level;
    }
    return null;
  }

  #level(priority: number): Level {
    const at = this.levels.findIndex((level) => level.priority <= priority);
    const found = this.levels[at];
    if (found?.priority === priority) return found;
    const level = new Level(priority, this.host.journal.window, () => this.host.backlogReader(this));
    this.levels.splice(at < 0 ? this.levels.length : at, 0, level);
    return level;
  }
}
