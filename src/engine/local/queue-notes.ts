/**
 * Hot path. What the journal is told of one queue: what was settled, how far deliveries came, and how far they may go.
 *
 * What a crash must not hide: before a message from an earlier group is delivered, the journal says durably that it may be (`mayBelow`
 * of its level); one from the open group is noted in that same group. A message delivered before is counted in the journal first.
 */
import type { LocalConsumer } from './consumer.ts';
import { EntryKind, type EntryWriter } from './journal/directory.ts';
import type { Level, Mark } from './level.ts';
import type { QueueHost } from './queue-host.ts';
import type { LocalQueue } from './queue.ts';

/** How far deliveries of a backlog may run ahead of what the journal says of them. */
const LEAD = 4096;
const MOST_ANNOUNCED = 1000;
const COUNTED_BYTES = 32;

export class QueueNotes {
  /** The journal must know of this queue's deliveries. */
  readonly journalled: boolean;
  readonly #queue: LocalQueue;
  readonly #host: QueueHost;
  // What the open group holds of this queue.
  #dirty = false;
  /** Something fresh was delivered, if only to a consumer that is gone again. */
  #delivers = false;
  #ranges: number[] = [];
  #rangeBytes = 0;
  #tracksSync = false;
  #syncedNext = 0;
  /** The queue's `next` as of the last group with a note of it. */
  #notedNext = 0;

  constructor(queue: LocalQueue, journalled: boolean) {
    this.journalled = journalled;
    this.#queue = queue;
    this.#host = queue.host;
  }

  settled(first: number, count: number, bytes: number): void {
    if (!this.journalled) return;
    const ranges = this.#ranges;
    const last = ranges.length;
    this.#rangeBytes += bytes;
    if (last > 0 && ranges[last - 2]! + ranges[last - 1]! === first) {
      ranges[last - 1]! += count;
    } else {
      ranges.push(first, count);
      this.#host.journal.promisedBytes += 12;
    }
    this.#touch();
  }

  /** What the engine settled by itself may wait for the next group. */
  settledByItself(): void {
    if (this.journalled) this.#host.journal.scheduleLazily();
  }

  /** The open group says how far deliveries came: noted before the sink has one, since that may close the group. */
  delivered(): void {
    if (this.#delivers || !this.journalled) return;
    this.#delivers = true;
    this.#touch();
    this.#host.journal.scheduleLazily();
  }

  /** The end of the engine is clean, and the start after it takes no more for delivered than was noted. What may have been before this life is to be in it. */
  closing(): void {
    if (this.#queue.levels.some((level) => level.delivered !== level.notedDelivered)) this.#touch();
  }

  /** How often a message was delivered. */
  counted(number: number, deliveries: number): void {
    const { journal } = this.#host;
    if (!this.journalled || journal.failure !== null) return;
    journal.entryRoom(COUNTED_BYTES);
    journal.directory.u8(EntryKind.COUNTED);
    journal.directory.u32(this.#queue.id);
    journal.directory.f64(number);
    journal.directory.u32(deliveries);
  }

  /** The journal takes it for delivered once more than it was. Where the disk is full, it stays so. */
  notDelivered(number: number, deliveries: number): void {
    const { journal } = this.#host;
    if (!this.journalled || !journal.takesCounts(COUNTED_BYTES)) return;
    this.counted(number, deliveries);
    journal.scheduleLazily();
  }

  /** These delayed messages are due, and about to be numbered in the queue. */
  due(numbers: readonly number[]): void {
    const { journal } = this.#host;
    if (!this.journalled || journal.failure !== null) return;
    journal.entryRoom(17 + 8 * numbers.length);
    journal.directory.u8(EntryKind.DUE);
    journal.directory.u32(this.#queue.id);
    journal.directory.f64(this.#queue.next);
    journal.directory.u32(numbers.length);
    for (const number of numbers) journal.directory.f64(number);
    journal.scheduleLazily();
  }

  /** A delayed message is gone before it was due. */
  cancelled(number: number): void {
    const { journal } = this.#host;
    if (!this.journalled || journal.failure !== null) return;
    journal.entryRoom(13);
    journal.directory.u8(EntryKind.CANCELLED);
    journal.directory.u32(this.#queue.id);
    journal.directory.f64(number);
  }

  /**
   * Journals the next delivery of what came back. True: some may be delivered now. Under a delivery limit no more than has a taker, whose
   * turn is `consumer`'s: what a crash finds counted and not delivered comes nearer to the limit for nothing, with the message that caused
   * the crash. Without one there is nothing to come nearer to, and a sync for each message that a consumer takes would be slow.
   */
  announce(level: Level, consumer: LocalConsumer): boolean {
    const { journal } = this.#host;
    if (level.returned.size > 0 && (level.announced.size === 0 || level.returned.peek() < level.announced.peek())) {
      const most = this.#queue.limits.deliveryLimit === undefined ? MOST_ANNOUNCED : roomFrom(consumer);
      let budget = Math.max(1, most - level.announced.size);
      if (!journal.takesCounts(COUNTED_BYTES)) {
        this.#host.pumpWhenSpace(this.#queue);
        return false;
      }
      while (level.returned.size > 0 && budget-- > 0 && journal.takesCounts(COUNTED_BYTES)) {
        const number = level.returned.pop();
        level.announced.push(number);
        this.counted(number, (this.#queue.counts.get(number) ?? 0) + 1);
      }
      level.announcedIn = journal.sequence;
      journal.mustSync();
      this.#host.pumpWhenSynced(this.#queue);
    }
    return level.announced.size > 0 && level.announcedIn <= journal.synced;
  }

  /** One past the last number that may be delivered fresh now. */
  deliverableEnd(level: Level, consumer: LocalConsumer): number {
    if (!this.journalled) return Infinity;
    const before = level.openSequence === this.#host.journal.sequence ? level.endBefore : level.end;
    const end = level.mayBelow >= before ? Infinity : level.mayBelow;
    return consumer.afterSync ? Math.min(end, this.#syncedNext) : end;
  }

  /** The journal must say more before anything else is delivered. */
  awaitMark(level: Level, consumer: LocalConsumer): false {
    // What was noted and is on its way answers by `marked`; otherwise note more.
    const underWay = level.notedMayBelow > level.mayBelow || (consumer.afterSync && this.#notedNext > this.#syncedNext);
    this.#touch();
    if (!underWay) this.#host.journal.mustSync();
    return false;
  }

  /** From now on it is known which messages are durable. */
  trackSync(): void {
    if (this.#tracksSync) return;
    const { journal } = this.#host;
    this.#tracksSync = true;
    this.#syncedNext = this.#queue.next;
    for (const { openSequence, openFirst } of this.#queue.levels)
      if (openSequence === journal.sequence) this.#syncedNext = Math.min(this.#syncedNext, openFirst);
    if (journal.isIdle) return;
    this.#syncedNext = 0;
    this.#touch();
    journal.mustSync();
  }

  untrackSync(): void {
    this.#tracksSync = false;
  }

  /** Writes what the open group holds of this queue, and adds what it may do once that is durable. */
  write(directory: EntryWriter, marks: Mark[]): void {
    const queue = this.#queue;
    this.#dirty = false;
    if (queue.deleted) return;
    this.#notedNext = queue.next;
    if (this.#ranges.length > 0) {
      directory.u8(EntryKind.SETTLED);
      directory.u32(queue.id);
      directory.f64(this.#rangeBytes);
      directory.u32(this.#ranges.length / 2);
      for (let i = 0; i < this.#ranges.length; i += 2) {
        directory.f64(this.#ranges[i]!);
        directory.u32(this.#ranges[i + 1]!);
      }
      this.#ranges = [];
      this.#rangeBytes = 0;
    }
    const dense = queue.limits.maxPriority === undefined;
    // In the order of delivery: what is far behind the highest priority is not about to be delivered.
    let lead = this.#lead();
    this.#delivers = false;
    for (const [at, level] of queue.levels.entries()) {
      const { delivered } = level;
      const mayBelow = level.ahead(lead, dense);
      lead -= Math.min(lead, level.fresh);
      if (delivered !== level.notedDelivered || mayBelow > level.notedMayBelow) {
        level.notedDelivered = delivered;
        level.notedMayBelow = Math.max(mayBelow, level.notedMayBelow);
        directory.u8(EntryKind.DELIVERED);
        directory.u32(queue.id);
        directory.u8(level.priority);
        directory.f64(delivered);
        directory.f64(level.notedMayBelow);
      }
      if (at === 0 || level.notedMayBelow > level.mayBelow)
        marks.push({ queue, level, mayBelow: level.notedMayBelow, next: queue.next });
    }
  }

  /** How many may be delivered before the next note. After a crash each of them counts as delivered. */
  #lead(): number {
    const { consumers, limits } = this.#queue;
    if (!this.#delivers && consumers.none) return 0;
    // That one delivery may be all that it has: none is to be removed that nobody could have got.
    return limits.deliveryLimit === 1 ? Math.min(LEAD, consumers.room) : LEAD;
  }

  /** A group with a note of this queue is durable. */
  marked({ level, mayBelow, next }: Mark): void {
    if (mayBelow > level.mayBelow) level.mayBelow = mayBelow;
    if (this.#tracksSync) this.#syncedNext = next;
    if (this.#queue.ready > 0) this.#queue.pump();
  }

  #touch(): void {
    if (this.#dirty || !this.journalled) return;
    this.#dirty = true;
    this.#host.journal.promisedBytes += 24 + 24 * this.#queue.levels.length;
    this.#host.journal.dirty(this.#queue);
  }
}

/** How many more this consumer and those of its turn can take, as far as it matters. */
export function roomFrom(consumer: LocalConsumer): number {
  let room = 0;
  let next: LocalConsumer | null = consumer;
  do {
    room += next.room;
    next = next.right;
  } while (next !== null && next !== consumer && room < MOST_ANNOUNCED);
  return Math.min(room, MOST_ANNOUNCED);
}
