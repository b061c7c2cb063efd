/**
 * Hot path. Hands the messages of a grouped queue to its consumers: what a plain queue's dispatch does, but that a message whose key another
 * has is passed over (parked) until that is free, or until who has it can take more. What is parked comes before what came back if its
 * number is lower, and before all that is fresh.
 */
import { LARGE_BODY_BYTES, type GroupKeyReader } from '../engine.ts';
import type { LocalConsumer } from './consumer.ts';
import type { Level } from './level.ts';
import { isBefore, type GroupOwner, type Lane, type Parked } from './message-group.ts';
import type { LocalQueue } from './queue.ts';
import type { QueueGroups } from './queue-groups.ts';
import { roomFrom } from './queue-notes.ts';
import { END, WAIT, type RunCursor } from './run-cursor.ts';
import { fill } from './settled-deliveries.ts';

/** Messages that are passed over at most; what came back may be twice as many, so that it never waits for what is fresh. */
export const MOST_PARKED = 4096;
const MOST_ANNOUNCED = 1000;
const COUNTED_BYTES = 32;

/** How a try to deliver ended: something is done, look again; nothing is there for this consumer; something must be read or written first. */
const DONE = 0;
const NOTHING = 1;
const WAITS = 2;
type Outcome = typeof DONE | typeof NOTHING | typeof WAITS;

export class GroupedDispatch {
  readonly #queue: LocalQueue;
  readonly #groups: QueueGroups;
  readonly #groupBy: string;
  #keyOf: GroupKeyReader | null = null;

  constructor(queue: LocalQueue, groups: QueueGroups, groupBy: string) {
    this.#queue = queue;
    this.#groups = groups;
    this.#groupBy = groupBy;
  }

  /** Hands out what can be handed out now. Called by the dispatcher alone, outside of any batch. */
  run(): void {
    const queue = this.#queue;
    if (queue.deleted || queue.stopped || queue.damage !== null) return;
    this.#keyOf ??= queue.host.groupKeys?.reader(this.#groupBy) ?? null;
    if (this.#keyOf === null) return;
    const { consumers, removals } = queue;
    consumers.deliverOwed();
    this.#groups.keepPromises();
    removals.begin();
    const outcome = this.#handOut();
    removals.end(consumers.ring.next() === null);
    if (queue.ready === 0) queue.emptied();
    if (outcome === NOTHING) consumers.tellTakers();
  }

  #handOut(): Outcome {
    const queue = this.#queue;
    const { consumers } = queue;
    for (;;) {
      const consumer = consumers.ring.next();
      if (consumer === null || queue.ready === 0) return NOTHING;
      let outcome = this.#serve(consumer);
      // Whose turn it is finds nothing that is anybody's: what is left is what others alone may have.
      if (outcome === NOTHING) outcome = consumers.sendAway(consumer) ? DONE : this.#serveOwners();
      if (outcome !== DONE) return outcome;
    }
  }

  /** Hands out what only those may have who have its key already. */
  #serveOwners(): Outcome {
    const queue = this.#queue;
    let outcome: Outcome = NOTHING;
    for (const owner of this.#groups.awaited) {
      const { consumer } = owner;
      // A sink may have deleted the queue.
      while (!queue.deleted && queue.ready > 0 && consumer?.right != null) {
        const one = this.#serve(consumer);
        if (one === WAITS) return WAITS;
        if (one === NOTHING) break;
        outcome = DONE;
      }
    }
    return outcome;
  }

  /** Hands the consumer, which can take one, the first message that it may have. */
  #serve(consumer: LocalConsumer): Outcome {
    const queue = this.#queue;
    const groups = this.#groups;
    const owner = groups.ownerOf(consumer);
    const own = owner.lanes.top;
    const free = groups.free.top;
    const lane = own === null ? free : free === null || isBefore(own, free) ? own : free;
    for (const level of queue.levels) {
      const parked = lane?.level === level ? lane.first!.number : Infinity;
      let outcome: Outcome = NOTHING;
      if (level.returned.peek() < parked) outcome = this.#deliverReturned(level, consumer, owner);
      else if (lane !== null && parked < Infinity) outcome = this.#deliverParked(lane, consumer, owner);
      else if (level.fresh > 0) outcome = this.#deliverFresh(level, consumer, owner);
      if (outcome !== NOTHING) return outcome;
    }
    return NOTHING;
  }

  /** Delivers the first fresh message of the level, or passes it over. */
  #deliverFresh(level: Level, consumer: LocalConsumer, owner: GroupOwner): Outcome {
    const queue = this.#queue;
    const groups = this.#groups;
    const { notes, removals } = queue;
    const cursor = level.freshCursor;
    const end = notes.deliverableEnd(level, consumer);
    const number = cursor.seek(level.head);
    if (number === WAIT && level.head < end) return WAITS;
    if (number === END) return this.#lostCount(level);
    if (level.head >= end || number >= end) return awaitMark(queue, level, consumer);
    if (queue.freshRepeats > 0 && queue.counts.has(number)) {
      queue.freshRepeats--;
      level.head = number + 1;
      level.fresh--;
      level.returned.push(number);
      return DONE;
    }
    const key = this.#key(cursor);
    const taker = this.#takerOf(key, level, number, consumer, owner);
    if (taker === null) {
      if (groups.parked >= MOST_PARKED) return NOTHING;
      level.head = number + 1;
      level.fresh--;
      notes.delivered();
      groups.park(level, number, key);
      this.#noteUndelivered(number);
      return DONE;
    }
    if (removals.mayExpire && removals.hasExpired(cursor.reader))
      return removals.remove(level, 'fresh', cursor, number, 'expired') ? DONE : WAITS;
    if (isRefused(taker, cursor)) return DONE;
    level.head = number + 1;
    level.fresh--;
    notes.delivered();
    this.#give(level, taker, key, cursor, number);
    return DONE;
  }

  /** Where one delivery is the limit, what was passed over must not be taken for delivered after a crash. */
  #noteUndelivered(number: number): void {
    const { notes, counts, limits, host } = this.#queue;
    if (limits.deliveryLimit !== 1 || !notes.journalled || !host.journal.takesCounts(COUNTED_BYTES)) return;
    counts.set(number, 0);
    notes.counted(number, 0);
  }

  /** Delivers the first message that came back, or puts it where it waits for its key or for its next delivery to be journalled. */
  #deliverReturned(level: Level, consumer: LocalConsumer, owner: GroupOwner): Outcome {
    const queue = this.#queue;
    const groups = this.#groups;
    const { notes, removals } = queue;
    if (notes.journalled) return this.#announce(level, consumer, owner, null);
    const cursor = level.returnedCursor;
    const number = level.returned.peek();
    if (cursor.seek(number) === WAIT) return WAITS;
    const key = this.#key(cursor);
    const taker = this.#takerOf(key, level, number, consumer, owner);
    if (taker === null) {
      if (groups.parked >= 2 * MOST_PARKED) return NOTHING;
      level.returned.pop();
      groups.park(level, number, key);
      return DONE;
    }
    if (removals.mayExpire && removals.returnedHasExpired(cursor.reader))
      return removals.remove(level, 'returned', cursor, number, 'expired') ? DONE : WAITS;
    if (isRefused(taker, cursor)) return DONE;
    level.returned.pop();
    if (removals.isSpent(queue.counts.get(number) ?? 0)) return this.#spend(level, number);
    this.#give(level, taker, key, cursor, number);
    return DONE;
  }

  /** Delivers the first message of the lane. */
  #deliverParked(lane: Lane, consumer: LocalConsumer, owner: GroupOwner): Outcome {
    const queue = this.#queue;
    const groups = this.#groups;
    const { notes, removals, counts } = queue;
    const { level } = lane;
    const parked = lane.first!;
    const { number } = parked;
    const cursor = level.parkedCursor;
    if (cursor.seek(number) === WAIT) return WAITS;
    // One without any time could not be delivered at once.
    if (removals.mayExpire && (removals.hasExpired(cursor.reader) || queue.limits.messageTtlMs === 0)) {
      if (!removals.mayRemove()) return WAITS;
      groups.unpark(parked);
      removals.remove(level, null, cursor, number, 'expired');
      return DONE;
    }
    if (removals.isSpent(counts.get(number) ?? 0)) {
      groups.unpark(parked);
      return this.#spend(level, number);
    }
    if (notes.journalled && counts.has(number)) {
      if (parked.announcedIn === 0) return this.#announce(level, consumer, owner, lane);
      if (parked.announcedIn > queue.host.journal.synced) return WAITS;
    } else if (number >= notes.deliverableEnd(level, consumer)) {
      return awaitMark(queue, level, consumer);
    }
    if (isRefused(consumer, cursor)) return DONE;
    const { key } = lane.group;
    groups.unpark(parked);
    this.#give(level, consumer, key, cursor, number);
    return DONE;
  }

  /**
   * Journals the next deliveries of what was delivered before, for the same reasons and within the same bounds as `QueueNotes.announce`:
   * of what is parked in this lane, or first in lanes that this consumer may be handed, and of what came back, which is parked with it.
   */
  #announce(level: Level, consumer: LocalConsumer, owner: GroupOwner, lane: Lane | null): Outcome {
    const queue = this.#queue;
    const groups = this.#groups;
    const { journal } = queue.host;
    if (!journal.takesCounts(COUNTED_BYTES)) {
      queue.host.pumpWhenSpace(queue);
      return WAITS;
    }
    const limited = queue.limits.deliveryLimit !== undefined;
    let budget = limited ? Math.max(1, roomFrom(consumer) - groups.announced) : MOST_ANNOUNCED;
    const before = groups.announced;
    for (let parked = lane?.first ?? null; parked !== null && budget > 0; parked = parked.behind)
      if (this.#count(parked)) budget--;
    if (lane !== null) {
      for (const heap of [groups.free, owner.lanes])
        for (let at = 0; at < heap.lanes.length && at < MOST_ANNOUNCED && budget > 0; at++)
          if (this.#count(heap.lanes[at]!.first!)) budget--;
    }
    const cursor = level.returnedCursor;
    let outcome: Outcome = NOTHING;
    for (let looks = 0; looks < MOST_ANNOUNCED && budget > 0 && level.returned.size > 0; looks++) {
      const number = level.returned.peek();
      if (cursor.seek(number) === WAIT) {
        outcome = WAITS;
        break;
      }
      const key = this.#key(cursor);
      const taker = this.#takerOf(key, level, number, consumer, owner);
      // What somebody can have now is not parked for long.
      if (groups.parked >= 2 * MOST_PARKED && (taker === null || looks > 0)) break;
      level.returned.pop();
      const parked = groups.park(level, number, key);
      outcome = DONE;
      if ((!limited || taker !== null) && this.#count(parked)) budget--;
    }
    if (groups.announced > before) {
      journal.mustSync();
      queue.host.pumpWhenSynced(queue);
      return WAITS;
    }
    return outcome;
  }

  /** Journals the message's next delivery, if that must be. */
  #count(parked: Parked): boolean {
    const { counts, notes, host } = this.#queue;
    const { journal } = host;
    const deliveries = counts.get(parked.number);
    if (parked.announcedIn !== 0 || deliveries === undefined || !journal.takesCounts(COUNTED_BYTES)) return false;
    notes.counted(parked.number, deliveries + 1);
    // Room for the entry may have closed the group before.
    this.#groups.announce(parked, journal.sequence);
    return true;
  }

  #key({ reader }: RunCursor): number {
    return this.#keyOf!(reader.buffer, reader.propertiesStart, reader.bodyStart);
  }

  /** Who is to have the message, which is ready, while it is this consumer's turn; null: nobody can now. */
  #takerOf(
    key: number,
    level: Level,
    number: number,
    consumer: LocalConsumer,
    owner: GroupOwner,
  ): LocalConsumer | null {
    if (key === 0) return consumer;
    const group = this.#groups.get(key);
    if (group === undefined) return consumer;
    const lane = group.lane(level);
    if (lane !== null && lane.first!.number < number) return null;
    if (group.owner === null) return consumer;
    if (group.draining) return null;
    if (group.owner === owner) return consumer;
    const other = group.owner.consumer;
    if (other?.right == null) return null;
    return !other.afterSync || number < this.#queue.notes.deliverableEnd(level, other) ? other : null;
  }

  /** The message, on which the cursor stands and which waits nowhere any more, goes to the consumer. */
  #give(level: Level, consumer: LocalConsumer, key: number, cursor: RunCursor, number: number): void {
    const queue = this.#queue;
    const groups = this.#groups;
    const { consumers, notes } = queue;
    const { delivery, journal } = queue.host;
    const { reader } = cursor;
    const redelivered = queue.mayBeRepeat(number, level);
    const deliveries = queue.counts.get(number) ?? 0;
    const bodyBytes = reader.bodyEnd - reader.bodyStart;
    queue.ready--;
    queue.readyBytes -= bodyBytes;
    if (consumer.noAck && notes.journalled) {
      const settled = consumer.settled!;
      const { sequence } = journal;
      const known = settled.newest === sequence;
      settled.take(reader, 1, number, redelivered, deliveries, cursor.envelopeId, sequence);
      queue.settleReady(number, 1, bodyBytes);
      groups.promise(key, consumer);
      consumers.owe(consumer);
      if (!known) queue.host.whenGroupSynced(consumer);
      consumers.served(consumer);
      return;
    }
    if (consumer.noAck) {
      queue.settleReady(number, 1, bodyBytes);
    } else {
      consumer.lease.mayHold(queue);
      queue.held.hold(number, consumer.lease.id, bodyBytes);
      if (key !== 0) groups.took(key, groups.ownerOf(consumer), number);
    }
    fill(delivery, reader);
    delivery.queue = queue;
    delivery.number = number;
    delivery.redelivered = redelivered;
    delivery.deliveryCount = deliveries;
    delivery.envelopeId = cursor.envelopeId;
    consumer.credit--;
    consumer.offer(delivery);
    consumers.served(consumer);
  }

  /** The limit was another when it came back. */
  #spend(level: Level, number: number): Outcome {
    const { removals } = this.#queue;
    removals.spend(level, number);
    removals.removeSpent();
    return DONE;
  }

  /** Counted more than there is: a defect, never an input. */
  #lostCount(level: Level): Outcome {
    const queue = this.#queue;
    queue.ready -= level.fresh;
    level.fresh = 0;
    level.head = queue.next;
    return DONE;
  }
}

function awaitMark(queue: LocalQueue, level: Level, consumer: LocalConsumer): Outcome {
  queue.notes.awaitMark(level, consumer);
  return WAITS;
}

function isRefused(consumer: LocalConsumer, { reader }: RunCursor): boolean {
  const bodyBytes = reader.bodyEnd - reader.bodyStart;
  return bodyBytes > LARGE_BODY_BYTES && consumer.refuses(bodyBytes);
}
