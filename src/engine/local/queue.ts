/**
 * Hot path. A queue is a cursor over the journal: it numbers its messages, knows in which runs they lie (levels of chunks), what is
 * held and settled (HeldWindow), and what came back. Dispatch hands messages to consumers while they have credit.
 *
 * What a crash must not hide: before a message from an earlier group is delivered, the journal says durably that it may be (`mayBelow`
 * of its level); one from the open group is noted in that same group. A message delivered before is counted in the journal first (`announced`).
 */
import type { EngineError } from '../errors.ts';
import type { DeliveryView, EngineQueue, QueueLimits, QueueSpec, RemovalReason, Settlement } from '../engine.ts';
import type { Timer } from '../clock.ts';
import { ChunkCursor } from './chunk-list.ts';
import type { LocalConsumer } from './consumer.ts';
import { ConsumerRing } from './consumer-ring.ts';
import { HeldWindow } from './held-window.ts';
import { EntryKind, type EntryWriter } from './journal/directory.ts';
import type { LocalLease } from './lease.ts';
import { Level, type Mark } from './level.ts';
import { END, WAIT, type RunCursor } from './run-cursor.ts';
import type { RunReader } from './run.ts';
import { fill } from './settled-deliveries.ts';
import type { QueueHost } from './queue-host.ts';

/** How far deliveries of a backlog may run ahead of what the journal says of them. */
const LEAD = 4096;
const MOST_ANNOUNCED = 1000;

export class LocalQueue implements EngineQueue {
  readonly key: string;
  readonly id: number;
  readonly durable: boolean;
  spec: QueueSpec;
  limits: QueueLimits;
  deleted = false;
  damage: EngineError | null = null;
  /** Number of the next message. */
  next = 1;
  ready = 0;
  readyBytes = 0;
  /** Body bytes of all that is not settled. */
  aliveBytes = 0;
  readonly held: HeldWindow;
  readonly levels: Level[] = [];
  /** Under which something may be held. */
  readonly leases = new Set<LocalLease>();
  /** Deliveries known of messages that were delivered before. */
  readonly counts = new Map<number, number>();
  /** Some message that expires by itself was appended since the queue was last empty. */
  sawExpiring = false;
  /** Some level may have messages that came to their delivery limit. */
  #spends = false;
  /** Waits in the dispatcher. */
  touched = false;

  readonly #host: QueueHost;
  /** The journal must know of this queue's deliveries. */
  readonly #journalled: boolean;
  readonly #ring = new ConsumerRing();
  readonly #consumers: LocalConsumer[] = [];
  /** Consumers of one message, and whom to tell that there is none. */
  readonly #takers = new Map<LocalConsumer, () => void>();
  /** Those for whom something was settled that they did not get yet. */
  readonly #owed = new Set<LocalConsumer>();
  readonly #segmentSettled: (segment: number, count: number) => void;

  // What the open group holds of this queue.
  #dirty = false;
  /** Something fresh was delivered, if only to a consumer that is gone again. */
  #delivers = false;
  #stopped = false;
  #ranges: number[] = [];
  #rangeBytes = 0;
  #tracksSync = false;
  #syncedNext = 0;
  /** `next` as of the last group with a note of this queue. */
  #notedNext = 0;
  /** Fresh messages that were delivered before, under another number: at most so many. */
  #freshRepeats = 0;
  #expiryTimer: Timer | null = null;
  #expiryAt = Infinity;

  constructor(id: number, spec: QueueSpec, host: QueueHost) {
    this.id = id;
    this.key = spec.key;
    this.durable = spec.durable;
    this.spec = spec;
    this.limits = spec.limits;
    this.#host = host;
    this.#journalled = spec.durable && !host.journal.volatile;
    this.held = new HeldWindow(1);
    this.#segmentSettled = (segment, count) => host.segments.settled(segment, count);
    if (spec.limits.maxPriority === undefined) this.#level(0);
  }

  get delivery(): DeliveryView {
    return this.#host.delivery;
  }

  sinkThrew(error: unknown): void {
    this.#host.dispatcher.threw(error);
  }

  get consumerCount(): number {
    return this.#consumers.length;
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

  // --- what a commit does ---

  appendRun(
    count: number,
    bodyBytes: number,
    priority: number,
    segment: number,
    offset: number,
    expires: boolean,
  ): void {
    const first = this.next;
    this.next = first + count;
    const maxPriority = this.limits.maxPriority;
    const level = maxPriority === undefined ? this.levels[0]! : this.#level(Math.min(priority, maxPriority));
    level.chunks.append(first, count, segment, offset);
    this.#host.segments.appended(segment, count);
    if (level.openSequence !== this.#host.journal.sequence) level.open(this.#host.journal.sequence, first);
    level.end = first + count;
    if (expires) this.sawExpiring = true;
    if (level.fresh === 0) level.head = first;
    level.fresh += count;
    this.ready += count;
    this.readyBytes += bodyBytes;
    this.aliveBytes += bodyBytes;
    this.#host.dispatcher.touch(this);
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
    this.#settled(first, count, this.held.lastBytes);
  }

  /** The message is ready again, at its place, one delivery more if it was one. */
  giveBack(number: number): void {
    const deliveries = (this.counts.get(number) ?? 0) + (this.isDelivered(number) ? 1 : 0);
    const bytes = this.held.giveBack(number);
    if (this.#isSpent(deliveries) && this.limits.handOverRemoved !== true) {
      this.held.settleReady(number, 1);
      this.#settled(number, 1, bytes);
      if (this.#journalled) this.#host.journal.scheduleLazily();
      return;
    }
    this.counts.set(number, deliveries);
    this.ready++;
    this.readyBytes += bytes;
    this.#return(this.levelOf(number), number);
    this.#host.dispatcher.touch(this);
  }

  /** Puts a message that is ready where it waits for its next delivery, or for its removal instead. */
  #return(level: Level, number: number): void {
    if (!this.#isSpent(this.counts.get(number) ?? 0)) {
      level.returned.push(number);
      return;
    }
    level.spent.push(number);
    this.#spends = true;
  }

  #isSpent(deliveries: number): boolean {
    return this.limits.deliveryLimit !== undefined && deliveries >= this.limits.deliveryLimit;
  }

  /** Whether a consumer has it: what is held for its removal is no delivery. */
  isDelivered(number: number): boolean {
    const holder = this.held.holder(number);
    return holder !== 0 && holder !== this.#host.removal?.lease.id;
  }

  /** These numbers are settled: tells chunks, segments and the journal. */
  #settled(first: number, count: number, bytes: number): void {
    this.aliveBytes -= bytes;
    if (this.counts.size > 0) for (let number = first; number < first + count; number++) this.counts.delete(number);
    for (const level of this.levels) level.chunks.settle(first, count, this.#segmentSettled);
    if (!this.#journalled) return;
    const ranges = this.#ranges;
    const last = ranges.length;
    this.#rangeBytes += bytes;
    if (last > 0 && ranges[last - 2]! + ranges[last - 1]! === first) {
      ranges[last - 1]! += count;
    } else {
      ranges.push(first, count);
      this.#host.journal.promisedBytes += 12;
    }
    this.#touchJournal();
  }

  #touchJournal(): void {
    if (this.#dirty || !this.#journalled) return;
    this.#dirty = true;
    this.#host.journal.promisedBytes += 24 + 24 * this.levels.length;
    this.#host.journal.dirty(this);
  }

  /** Writes what the open group holds of this queue, and adds what it may do once that is durable. */
  note(directory: EntryWriter, marks: Mark[]): void {
    this.#dirty = false;
    if (this.deleted) return;
    this.#notedNext = this.next;
    if (this.#ranges.length > 0) {
      directory.u8(EntryKind.SETTLED);
      directory.u32(this.id);
      directory.f64(this.#rangeBytes);
      directory.u32(this.#ranges.length / 2);
      for (let i = 0; i < this.#ranges.length; i += 2) {
        directory.f64(this.#ranges[i]!);
        directory.u32(this.#ranges[i + 1]!);
      }
      this.#ranges = [];
      this.#rangeBytes = 0;
    }
    const wanted = this.#consumers.length > 0 || this.#takers.size > 0 || this.#delivers;
    this.#delivers = false;
    const dense = this.limits.maxPriority === undefined;
    // In the order of delivery: what is far behind the highest priority is not about to be delivered.
    let lead = wanted ? LEAD : 0;
    for (const [at, level] of this.levels.entries()) {
      const { delivered } = level;
      const mayBelow = level.ahead(lead, dense);
      lead -= Math.min(lead, level.fresh);
      if (delivered !== level.notedDelivered || mayBelow > level.notedMayBelow) {
        level.notedDelivered = delivered;
        level.notedMayBelow = Math.max(mayBelow, level.notedMayBelow);
        directory.u8(EntryKind.DELIVERED);
        directory.u32(this.id);
        directory.u8(level.priority);
        directory.f64(delivered);
        directory.f64(level.notedMayBelow);
      }
      if (at === 0 || level.notedMayBelow > level.mayBelow)
        marks.push({ queue: this, level, mayBelow: level.notedMayBelow, next: this.next });
    }
  }

  /** A group with this queue's note is durable. */
  marked({ level, mayBelow, next }: Mark): void {
    if (mayBelow > level.mayBelow) level.mayBelow = mayBelow;
    if (this.#tracksSync) this.#syncedNext = next;
    if (this.ready > 0) this.#host.dispatcher.pump(this);
  }

  /** What was settled for a consumer, and never reached it, becomes a message again. What is known of its deliveries goes with it. */
  appendAgain(reader: RunReader, redelivered: boolean, deliveries: number): void {
    if (this.deleted) return;
    this.#host.journal.whole(() => {
      const expiry = this.#expiry(reader.expiresAt, reader.storedAt);
      // It is stored anew, but does not live longer for that.
      this.#host.appendAgain(this, reader, expiry === Infinity ? 0 : expiry);
      if (!redelivered) return;
      const number = this.next - 1;
      this.counts.set(number, Math.max(1, deliveries));
      this.#noteCount(number, Math.max(1, deliveries));
      this.#freshRepeats++;
    });
  }

  // --- recovery ---

  /** A run of the journal's tail. */
  replayRun(
    first: number,
    count: number,
    bodyBytes: number,
    priority: number,
    segment: number,
    offset: number,
    expires: boolean,
  ): void {
    this.next = first + count;
    this.aliveBytes += bodyBytes;
    const level = this.levelFor(priority);
    level.chunks.append(first, count, segment, offset);
    level.end = first + count;
    this.#host.segments.appended(segment, count);
    if (expires) this.sawExpiring = true;
  }

  replaySettled(first: number, count: number): void {
    this.held.settleReady(first, count);
    for (let number = first; this.counts.size > 0 && number < first + count; number++) this.counts.delete(number);
    for (const level of this.levels) level.chunks.settle(first, count, this.#segmentSettled);
  }

  liesInSegment(segment: number): boolean {
    return this.levels.some((level) =>
      level.chunks.pages.some((page) => {
        for (let chunk = 0; chunk < page.size; chunk++) {
          const living =
            page.segmentOf(chunk) === segment &&
            this.held.settledIn(page.firstOf(chunk), page.countOf(chunk)) < page.countOf(chunk);
          if (living) return true;
        }
        return false;
      }),
    );
  }

  /** Whether the run at this place, with these numbers, is where the queue's messages still lie. */
  liesAt(first: number, count: number, segment: number, offset: number): boolean {
    const place = new ChunkCursor();
    if (!this.levelOf(first).chunks.seek(first, place)) return false;
    const page = place.page!;
    const { chunk } = place;
    return (
      page.firstOf(chunk) === first &&
      page.countOf(chunk) === count &&
      page.segmentOf(chunk) === segment &&
      page.offsetOf(chunk) === offset
    );
  }

  /** A run of this queue was copied: its living messages lie in `pieces` now. */
  relocate(
    oldFirst: number,
    pieces: readonly (readonly [first: number, count: number, segment: number, offset: number])[],
  ): void {
    const level = this.levelOf(oldFirst);
    const place = new ChunkCursor();
    if (!level.chunks.seek(oldFirst, place)) return;
    const old = place.page!.segmentOf(place.chunk);
    // At replay: what the same group settled was not moved, and its `SETTLED` entry stands behind. It has no chunk then to be counted in.
    let from = oldFirst;
    const end = oldFirst + place.page!.countOf(place.chunk);
    for (const [first, count] of [...pieces, [end, 0] as const]) {
      for (const [dead, n] of this.living(from, first - from)) level.chunks.settle(dead, n, this.#segmentSettled);
      from = first + count;
    }
    level.chunks.relocate(oldFirst, pieces);
    for (const [, count, segment] of pieces) {
      this.#host.segments.appended(segment, count);
      this.#host.segments.settled(old, count);
    }
  }

  /** Ranges of numbers in [first, first + count) that are not settled: first and count each. */
  living(first: number, count: number): (readonly [first: number, count: number])[] {
    return this.held.living(first, count);
  }

  /** Everything is replayed: what is not settled is ready, in its place, flagged and counted as the journal can tell. */
  recovered(clean: boolean): void {
    for (const level of this.levels) {
      const { notedDelivered, notedMayBelow } = level;
      if (!clean) level.flaggedBelow = Math.max(level.flaggedBelow, notedMayBelow);
      const freshFrom = clean ? notedDelivered : Math.max(notedDelivered, notedMayBelow);
      level.head = freshFrom;
      level.end = Math.max(level.end, freshFrom);
      level.mayBelow = freshFrom;
      level.notedMayBelow = freshFrom;
      level.fresh = 0;
      for (const page of level.chunks.pages) level.fresh += page.alive;
      for (const [first, count] of level.chunks.ranges(0)) {
        if (first >= freshFrom) break;
        for (const [from, n] of this.held.living(first, Math.min(count, freshFrom - first))) {
          level.fresh -= n;
          for (let number = from; number < from + n; number++) {
            // What may have been delivered counts as delivered once; from its next delivery on the count is exact.
            if (!this.counts.has(number)) this.counts.set(number, 1);
            this.#return(level, number);
          }
        }
      }
    }
    for (const [number, deliveries] of this.counts) {
      if (number < this.levelOf(number).head) continue;
      if (deliveries === 0) this.counts.delete(number);
      else this.#freshRepeats++;
    }
    this.ready = this.levels.reduce((sum, level) => sum + level.ready + level.spent.size, 0);
    if (this.ready === 0) this.aliveBytes = 0;
    this.readyBytes = this.aliveBytes;
  }

  // --- consumers ---

  addConsumer(consumer: LocalConsumer): void {
    this.#consumers.push(consumer);
    if (consumer.afterSync && !this.#tracksSync) {
      this.#tracksSync = true;
      this.#syncedNext = this.next;
      for (const { openSequence, openFirst } of this.levels)
        if (openSequence === this.#host.journal.sequence) this.#syncedNext = Math.min(this.#syncedNext, openFirst);
      if (!this.#host.journal.isIdle) {
        this.#syncedNext = 0;
        this.#touchJournal();
        this.#host.journal.mustSync();
      }
    }
    this.consumerChanged(consumer);
  }

  /** Takes one message whatever consumers there are. It leaves the ring by `removeTaker`. */
  addTaker(taker: LocalConsumer, nothing: () => void): void {
    if (this.#stopped) {
      nothing();
      return;
    }
    this.#takers.set(taker, nothing);
    this.#ring.add(taker);
    this.#host.dispatcher.pump(this);
  }

  removeTaker(taker: LocalConsumer): void {
    this.#takers.delete(taker);
    this.#owed.delete(taker);
    this.#ring.remove(taker);
  }

  removeConsumer(consumer: LocalConsumer): void {
    this.#takers.get(consumer)?.();
    const at = this.#consumers.indexOf(consumer);
    if (at < 0) {
      this.#takers.get(consumer)?.();
      return;
    }
    this.#consumers.splice(at, 1);
    this.#owed.delete(consumer);
    this.#ring.remove(consumer);
    if (this.ready > 0) this.#host.dispatcher.pump(this);
    const successor = this.#consumers[0];
    if (this.limits.singleActiveConsumer === true && at === 0 && successor !== undefined)
      this.consumerChanged(successor);
    if (!this.#consumers.some((other) => other.afterSync)) this.#tracksSync = false;
    if (this.#consumers.length === 0 && this.#takers.size === 0) for (const level of this.levels) level.release();
  }

  get hasExclusiveConsumer(): boolean {
    return this.#consumers.some((consumer) => consumer.exclusive);
  }

  /** Its credit or readiness changed. */
  consumerChanged(consumer: LocalConsumer): void {
    this.#place(consumer);
    if (this.ready > 0 || consumer.settled?.waits === true) this.#host.dispatcher.pump(this);
  }

  /** Whether it stands in the ring. */
  #place(consumer: LocalConsumer): void {
    const inTurn =
      this.limits.singleActiveConsumer !== true || this.#consumers[0] === consumer || this.#takers.has(consumer);
    if (consumer.canTake && inTurn) this.#ring.add(consumer);
    else this.#ring.remove(consumer);
  }

  stopConsumers(reason: 'deleted' | 'damaged'): void {
    for (const consumer of [...this.#consumers]) {
      consumer.cancel();
      consumer.sink.cancelled(reason);
    }
    this.stopTakers();
  }

  /** Tells those who wait for one message that there is none. */
  stopTakers(): void {
    for (const nothing of [...this.#takers.values()]) nothing();
  }

  // --- dispatch ---

  /** Hands out what can be handed out now. Called by the dispatcher alone, outside of any batch. */
  dispatch(): void {
    if (this.deleted || this.#stopped || this.damage !== null) return;
    for (const consumer of this.#owed) this.#deliverSettled(consumer);
    if (this.#spends) this.#removeSpent();
    this.#removeOverflow();
    if (this.limits.messageTtlMs !== undefined || this.sawExpiring) this.#removeExpired();
    let consumer = this.#ring.next();
    while (consumer !== null && this.ready > 0) {
      const level = this.#highest();
      if (level === null) break;
      const done =
        level.returned.size + level.announced.size > 0
          ? this.#deliverReturned(level, consumer)
          : this.#deliverFresh(level, consumer);
      if (!done) break;
      consumer = this.#ring.next();
    }
    if (consumer === null && (this.limits.messageTtlMs !== undefined || this.sawExpiring)) this.#removeExpired();
    if (this.ready === 0) this.#emptied();
    if (this.#highest() === null) for (const [taker, nothing] of [...this.#takers]) if (taker.room > 0) nothing();
    if (this.ready > 0 && (this.limits.messageTtlMs !== undefined || this.sawExpiring)) this.#armExpiry();
  }

  #deliverSettled(consumer: LocalConsumer): void {
    const settled = consumer.settled!;
    settled.deliver();
    if (settled.count === 0) this.#owed.delete(consumer);
    // It has room again for more to be settled.
    if (!consumer.cancelled) this.#place(consumer);
  }

  /** Delivers fresh messages of the level while this consumer is to have them. False: nothing more can go out now. */
  #deliverFresh(level: Level, consumer: LocalConsumer): boolean {
    const cursor = level.freshCursor;
    const reader = cursor.reader;
    const { delivery, journal } = this.#host;
    const { sequence } = journal;
    const alone = consumer.right === consumer;
    const ttlMs = this.limits.messageTtlMs;
    const expires = ttlMs !== undefined || this.sawExpiring;
    const end = this.#deliverableEnd(level, consumer);
    if (level.head >= end) {
      // What must be read comes meanwhile.
      cursor.seek(level.head);
      return this.#awaitMark(level, consumer);
    }
    if (consumer.noAck && this.#journalled) return this.#settleFresh(level, consumer, end);
    delivery.queue = this;
    delivery.redelivered = false;
    delivery.deliveryCount = 0;
    if (!consumer.noAck) consumer.lease.mayHold(this);
    while (level.fresh > 0) {
      const number = cursor.seek(level.head);
      if (number === WAIT) return false;
      if (number === END || number >= end) {
        if (number === END) return this.#lostCount(level);
        return this.#awaitMark(level, consumer);
      }
      if (expires && this.#hasExpired(reader.expiresAt, reader.storedAt)) {
        if (!this.#mayRemove()) return false;
        this.#removeExpired();
        return this.ready > 0;
      }
      if (this.#freshRepeats > 0 && this.counts.has(number)) return this.#turnBack(level, number);
      level.head = number + 1;
      level.fresh--;
      this.#handOut(consumer, reader, number);
      fill(delivery, reader);
      delivery.number = number;
      delivery.envelopeId = cursor.envelopeId;
      consumer.credit--;
      if (this.#journalled && !this.#delivers) this.#noteDelivery();
      consumer.offer(delivery);
      if (!consumer.canTake) {
        this.#ring.remove(consumer);
        break;
      }
      if (!alone || consumer.right !== consumer) {
        this.#ring.rotate(consumer);
        break;
      }
      // A sink that commits may have closed the group: how far deliveries may go is another number then.
      if (level.returned.size > 0 || this.levels.length > 1 || journal.sequence !== sequence) break;
    }
    return true;
  }

  /** The message on which the reader stands is no longer ready: the consumer holds it, or (at most once) nobody does. */
  #handOut(consumer: LocalConsumer, reader: RunReader, number: number): void {
    const bodyBytes = reader.bodyEnd - reader.bodyStart;
    this.ready--;
    this.readyBytes -= bodyBytes;
    if (consumer.noAck) {
      this.held.settleReady(number, 1);
      this.#settled(number, 1, bodyBytes);
    } else {
      this.held.hold(number, consumer.lease.id, bodyBytes);
    }
  }

  /** The open group says how far deliveries came: before the sink has it, which may close that group. */
  #noteDelivery(): void {
    this.#delivers = true;
    this.#touchJournal();
    this.#host.journal.scheduleLazily();
  }

  /** Settles fresh messages for an at-most-once consumer; they are delivered once that is durable. */
  #settleFresh(level: Level, consumer: LocalConsumer, end: number): boolean {
    const cursor = level.freshCursor;
    const number = cursor.seek(level.head);
    if (number === WAIT) return false;
    if (number === END) return this.#lostCount(level);
    if (number >= end) return this.#awaitMark(level, consumer);
    const reader = cursor.reader;
    if (
      (this.limits.messageTtlMs !== undefined || this.sawExpiring) &&
      this.#hasExpired(reader.expiresAt, reader.storedAt)
    ) {
      if (!this.#mayRemove()) return false;
      this.#removeExpired();
      return this.ready > 0;
    }
    // Each has a run of its own.
    if (this.#freshRepeats > 0 && this.counts.has(number)) return this.#turnBack(level, number);
    const fair = consumer.right === consumer && !this.sawExpiring ? consumer.room : 1;
    const count = Math.min(fair, cursor.runEnd - number, end - number, level.fresh);
    this.#takeSettled(cursor, consumer, number, count, false, 0);
    level.head = number + count;
    level.fresh -= count;
    return true;
  }

  /** The first fresh message was delivered before: it is delivered as one that came back. */
  #turnBack(level: Level, number: number): boolean {
    this.#freshRepeats--;
    level.head = number + 1;
    level.fresh--;
    level.returned.push(number);
    return true;
  }

  /** From a durable queue: the consumer gets it when the journal knows that it is gone. */
  #takeSettled(
    cursor: RunCursor,
    consumer: LocalConsumer,
    number: number,
    count: number,
    redelivered: boolean,
    deliveries: number,
  ): void {
    const { sequence } = this.#host.journal;
    const settled = consumer.settled!;
    const known = settled.newest === sequence;
    const bytes = settled.take(cursor.reader, count, number, redelivered, deliveries, cursor.envelopeId, sequence);
    this.ready -= count;
    this.readyBytes -= bytes;
    this.held.settleReady(number, count);
    this.#settled(number, count, bytes);
    this.#owed.add(consumer);
    if (!known) this.#host.whenGroupSynced(consumer);
    if (!consumer.canTake) this.#ring.remove(consumer);
    else this.#ring.rotate(consumer);
  }

  /** Delivers what came back. False: nothing more can go out now. */
  #deliverReturned(level: Level, consumer: LocalConsumer): boolean {
    if (this.#journalled && !this.#announce(level)) return false;
    const ready = this.#journalled ? level.announced : level.returned;
    const number = ready.peek();
    const cursor = level.returnedCursor;
    if (cursor.seek(number) === WAIT) return false;
    const reader = cursor.reader;
    if (this.#hasExpired(reader.expiresAt, reader.storedAt)) {
      if (!this.#mayRemove()) return false;
      this.#remove(level, ready === level.announced ? 'announced' : 'returned', cursor, number, 'expired');
      return true;
    }
    const deliveries = this.counts.get(number) ?? 0;
    ready.pop();
    if (this.#isSpent(deliveries)) {
      // The limit was another when it came back.
      this.#return(level, number);
      this.#removeSpent();
      return true;
    }
    if (consumer.noAck && this.#journalled) {
      this.#takeSettled(cursor, consumer, number, 1, this.mayBeRepeat(number, level), deliveries);
      return true;
    }
    const redelivered = this.mayBeRepeat(number, level);
    if (!consumer.noAck) consumer.lease.mayHold(this);
    this.#handOut(consumer, reader, number);
    const delivery = this.#host.delivery;
    fill(delivery, reader);
    delivery.queue = this;
    delivery.number = number;
    delivery.redelivered = redelivered;
    delivery.deliveryCount = deliveries;
    delivery.envelopeId = cursor.envelopeId;
    consumer.credit--;
    consumer.offer(delivery);
    if (!consumer.canTake) this.#ring.remove(consumer);
    else this.#ring.rotate(consumer);
    return true;
  }

  /** Whether it may have been delivered before. */
  mayBeRepeat(number: number, level = this.levelOf(number)): boolean {
    return number < level.flaggedBelow || (this.counts.get(number) ?? 0) > 0;
  }

  /** Journals the next delivery of what came back. True: some may be delivered now. */
  #announce(level: Level): boolean {
    const { journal } = this.#host;
    if (level.returned.size > 0 && (level.announced.size === 0 || level.returned.peek() < level.announced.peek())) {
      let budget = Math.max(1, MOST_ANNOUNCED - level.announced.size);
      while (level.returned.size > 0 && budget-- > 0) {
        const number = level.returned.pop();
        level.announced.push(number);
        this.#noteCount(number, (this.counts.get(number) ?? 0) + 1);
      }
      level.announcedIn = journal.sequence;
      journal.mustSync();
      this.#host.pumpWhenSynced(this);
    }
    return level.announced.size > 0 && level.announcedIn <= journal.synced;
  }

  #noteCount(number: number, deliveries: number): void {
    const { journal } = this.#host;
    if (!this.#journalled || journal.failure !== null) return;
    journal.entryRoom(32);
    journal.directory.u8(EntryKind.COUNTED);
    journal.directory.u32(this.id);
    journal.directory.f64(number);
    journal.directory.u32(deliveries);
  }

  /** One past the last number that may be delivered fresh now. */
  #deliverableEnd(level: Level, consumer: LocalConsumer): number {
    if (!this.#journalled) return Infinity;
    const before = level.openSequence === this.#host.journal.sequence ? level.endBefore : level.end;
    const end = level.mayBelow >= before ? Infinity : level.mayBelow;
    return consumer.afterSync ? Math.min(end, this.#syncedNext) : end;
  }

  /** The journal must say more before anything else is delivered. */
  #awaitMark(level: Level, consumer: LocalConsumer): boolean {
    // What was noted and is on its way answers by `marked`; otherwise note more.
    const underWay = level.notedMayBelow > level.mayBelow || (consumer.afterSync && this.#notedNext > this.#syncedNext);
    this.#touchJournal();
    if (!underWay) this.#host.journal.mustSync();
    return false;
  }

  /** Counted more than there is: a defect, never an input. */
  #lostCount(level: Level): boolean {
    this.ready -= level.fresh;
    level.fresh = 0;
    level.head = this.next;
    return this.ready > 0;
  }

  // --- removal ---

  /** A message without any time left is spared while a consumer can take it at once. */
  #hasExpired(expiresAt: number, storedAt: number): boolean {
    const ttlMs = this.limits.messageTtlMs;
    if (expiresAt === 0 && ttlMs === undefined) return false;
    const now = this.#host.journal.clock.now();
    if (this.#ring.next() === null) return now >= this.#expiry(expiresAt, storedAt);
    return (ttlMs !== undefined && ttlMs > 0 && now >= storedAt + ttlMs) || (expiresAt !== 0 && now > expiresAt);
  }

  #expiry(expiresAt: number, storedAt: number): number {
    const ttlMs = this.limits.messageTtlMs;
    const byQueue = ttlMs === undefined ? Infinity : storedAt + ttlMs;
    return expiresAt === 0 ? byQueue : Math.min(byQueue, expiresAt);
  }

  /** Whether the engine may take messages out by itself, or somebody is there to take them over. */
  #mayRemove(): boolean {
    return this.limits.handOverRemoved !== true || this.#host.removal !== null;
  }

  /** Takes expired messages from the head of each level. */
  #removeExpired(): void {
    if (!this.#mayRemove()) return;
    for (const level of this.levels) {
      for (;;) {
        const from = this.#headOf(level);
        if (from === null) break;
        const cursor = from === 'fresh' ? level.freshCursor : level.returnedCursor;
        const number = cursor.seek(this.#headNumber(level, from));
        if (number < 0 || !this.#hasExpired(cursor.reader.expiresAt, cursor.reader.storedAt)) break;
        this.#remove(level, from, cursor, number, 'expired');
      }
    }
  }

  /** Takes out what came to its delivery limit. */
  #removeSpent(): void {
    if (!this.#mayRemove()) return;
    this.#spends = false;
    for (const level of this.levels) {
      while (level.spent.size > 0) {
        const cursor = level.returnedCursor;
        const number = level.spent.peek();
        if (cursor.seek(number) < 0) {
          this.#spends = true;
          break;
        }
        this.#remove(level, 'spent', cursor, number, 'delivery-limit');
      }
    }
  }

  #removeOverflow(): void {
    const { maxLength, maxBytes } = this.limits;
    if ((maxLength === undefined && maxBytes === undefined) || this.limits.overflow === 'reject') return;
    while (
      this.ready > 0 &&
      ((maxLength !== undefined && this.ready > maxLength) || (maxBytes !== undefined && this.readyBytes > maxBytes))
    ) {
      if (!this.#mayRemove()) return;
      const level = this.#lowest();
      if (level === null) return;
      const from = this.#headOf(level)!;
      const cursor = from === 'fresh' ? level.freshCursor : level.returnedCursor;
      const number = cursor.seek(this.#headNumber(level, from));
      if (number < 0) return;
      this.#remove(level, from, cursor, number, 'max-length');
    }
  }

  #headOf(level: Level): 'returned' | 'announced' | 'fresh' | null {
    if (level.announced.size > 0 && level.announced.peek() < level.returned.peek()) return 'announced';
    if (level.returned.size > 0) return 'returned';
    return level.fresh > 0 ? 'fresh' : null;
  }

  #headNumber(level: Level, from: 'returned' | 'announced' | 'fresh'): number {
    return from === 'fresh' ? level.head : level[from].peek();
  }

  /** Takes the message on which `cursor` stands, the first of `from`, out of the queue. */
  #remove(
    level: Level,
    from: 'returned' | 'announced' | 'spent' | 'fresh',
    cursor: RunCursor,
    number: number,
    reason: RemovalReason,
  ): void {
    const reader = cursor.reader;
    const bodyBytes = reader.bodyEnd - reader.bodyStart;
    if (from === 'fresh') {
      level.head = number + 1;
      level.fresh--;
    } else {
      level[from].pop();
    }
    this.ready--;
    this.readyBytes -= bodyBytes;
    const removal = this.#host.removal;
    if (this.limits.handOverRemoved !== true || removal === null) {
      this.held.settleReady(number, 1);
      this.#settled(number, 1, bodyBytes);
      if (this.#journalled) this.#host.journal.scheduleLazily();
      return;
    }
    this.held.hold(number, removal.lease.id, bodyBytes);
    removal.lease.mayHold(this);
    const delivery = this.#host.delivery;
    fill(delivery, reader);
    delivery.queue = this;
    delivery.number = number;
    delivery.deliveryCount = this.counts.get(number) ?? 0;
    delivery.redelivered = this.mayBeRepeat(number, level);
    delivery.envelopeId = cursor.envelopeId;
    this.#host.dispatcher.removed = true;
    try {
      removal.sink.remove(delivery, reason);
    } catch (error) {
      this.sinkThrew(error);
    }
  }

  /** Wakes up when the first message at a head expires. */
  #armExpiry(): void {
    if (!this.#mayRemove()) return;
    let at = Infinity;
    for (const level of this.levels) {
      const from = this.#headOf(level);
      if (from === null) continue;
      const cursor = from === 'fresh' ? level.freshCursor : level.returnedCursor;
      if (cursor.seek(this.#headNumber(level, from)) < 0) continue;
      at = Math.min(at, this.#expiry(cursor.reader.expiresAt, cursor.reader.storedAt));
    }
    // What has expired and is still here is about to be taken.
    if (at === this.#expiryAt || at === Infinity || at <= this.#host.journal.clock.now()) return;
    this.#expiryTimer?.cancel();
    this.#expiryAt = at;
    const delayMs = Math.min(Math.max(0, at - this.#host.journal.clock.now()), 0x7fff_ffff);
    this.#expiryTimer = this.#host.journal.clock.after(delayMs, () => {
      this.#expiryAt = Infinity;
      this.#expiryTimer = null;
      this.#host.dispatcher.pump(this);
    });
  }

  #emptied(): void {
    if (this.held.held === 0) this.sawExpiring = false;
    this.#freshRepeats = 0;
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
          this.held.settleReady(number, 1);
          this.#settled(number, 1, bytes);
          bytes = 0;
        }
        heap.clear();
      }
      if (level.fresh > 0) {
        for (const [first, n] of [...level.chunks.ranges(level.head)]) {
          this.held.settleReady(first, n);
          this.#settled(first, n, bytes);
          bytes = 0;
        }
      }
      level.fresh = 0;
      level.head = this.next;
    }
    this.ready = 0;
    this.#emptied();
    return count;
  }

  /** Nothing of this queue is alive any more. */
  delete(): void {
    this.deleted = true;
    this.#expiryTimer?.cancel();
    for (const lease of this.leases) lease.forget(this);
    this.leases.clear();
    for (const level of this.levels) {
      for (const [first, count] of [...level.chunks.ranges(0)]) {
        const living = this.held.settledIn(first, count) === 0 ? [[first, count] as const] : this.living(first, count);
        for (const [from, n] of living) level.chunks.settle(from, n, this.#segmentSettled);
      }
      level.release();
    }
    this.ready = 0;
    this.readyBytes = 0;
  }

  /** Numbers of ready messages in the order of their delivery. */
  *readyNumbers(offset: number, limit: number): Generator<number> {
    let at = 0;
    for (const level of this.levels) {
      const back = [...level.spent.values(), ...level.announced.values(), ...level.returned.values()];
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

  /** The engine closes. */
  stop(): void {
    this.#expiryTimer?.cancel();
    this.#expiryAt = Infinity;
    this.#stopped = true;
    this.stopTakers();
    for (const consumer of [...this.#consumers]) consumer.cancel();
    for (const number of this.held.heldBy(0)) {
      this.giveBack(number);
      this.#noteCount(number, this.counts.get(number)!);
    }
    // Their next delivery was journalled, but it does not happen any more.
    for (const level of this.levels) {
      while (level.announced.size > 0) {
        const number = level.announced.pop();
        level.returned.push(number);
        this.#noteCount(number, this.counts.get(number) ?? 0);
      }
    }
  }

  // --- levels ---

  levelOf(number: number): Level {
    if (this.levels.length === 1) return this.levels[0]!;
    return this.levels.find((level) => level.chunks.has(number)) ?? this.levels[0]!;
  }

  #level(priority: number): Level {
    const at = this.levels.findIndex((level) => level.priority <= priority);
    const found = this.levels[at];
    if (found?.priority === priority) return found;
    const level = new Level(priority, this.#host.journal.window, () => this.#host.backlogReader(this));
    this.levels.splice(at < 0 ? this.levels.length : at, 0, level);
    return level;
  }

  /** For recovery. */
  levelFor(priority: number): Level {
    const maxPriority = this.limits.maxPriority;
    return this.#level(maxPriority === undefined ? 0 : Math.min(priority, maxPriority));
  }

  #highest(): Level | null {
    for (const level of this.levels) if (level.ready > 0) return level;
    return null;
  }

  #lowest(): Level | null {
    for (let at = this.levels.length - 1; at >= 0; at--) if (this.levels[at]!.ready > 0) return this.levels[at]!;
    return null;
  }
}
