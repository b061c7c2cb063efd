/** What the engine takes out of a queue by itself: expired, overflown and over-delivered messages, dropped or handed over. */
import type { RemovalReason } from '../engine.ts';
import type { Timer } from '../clock.ts';
import type { Level } from './level.ts';
import type { QueueHost } from './queue-host.ts';
import type { LocalQueue } from './queue.ts';
import type { RunCursor } from './run-cursor.ts';
import type { RunReader } from './run.ts';
import { fill } from './settled-deliveries.ts';

/** Where the next message of a level stands. */
type Head = 'returned' | 'announced' | 'parked' | 'fresh';

/** The longest that a timer waits. */
const MOST_MS = 0x7fff_ffff;

export class QueueRemovals {
  readonly #queue: LocalQueue;
  readonly #host: QueueHost;
  /** Some level may have messages that came to their delivery limit. */
  #spends = false;
  #timer: Timer | null = null;
  #timerAt = Infinity;

  constructor(queue: LocalQueue) {
    this.#queue = queue;
    this.#host = queue.host;
  }

  /** Before a dispatch: what must not be delivered. */
  begin(): void {
    if (this.#spends) this.removeSpent();
    this.#removeOverflow();
    if (this.mayExpire) this.removeExpired();
  }

  /** After a dispatch. `idle`: nobody can take a message, so that none is spared for one. */
  end(idle: boolean): void {
    if (!this.mayExpire) return;
    if (idle) this.removeExpired();
    if (this.#queue.ready > 0) this.#armTimer();
  }

  /** Some message of the queue may expire. */
  get mayExpire(): boolean {
    return this.#queue.limits.messageTtlMs !== undefined || this.#queue.sawExpiring;
  }

  /** Of the message on which the reader stands. One without any time left is spared while a consumer can take it at once. */
  hasExpired(reader: RunReader): boolean {
    const { expiresAt } = reader;
    const ttlMs = this.#queue.limits.messageTtlMs;
    if (expiresAt === 0 && ttlMs === undefined) return false;
    const now = this.#host.journal.clock.now();
    if (this.#queue.consumers.ring.next() === null) return now >= this.expiry(reader);
    return (
      (ttlMs !== undefined && ttlMs > 0 && now >= readySince(reader) + ttlMs) || (expiresAt !== 0 && now > expiresAt)
    );
  }

  /** As `hasExpired`, of a message that came back: the consumer that could take it at once has had its chance. */
  returnedHasExpired(reader: RunReader): boolean {
    if (this.#queue.limits.deliveredLasts === true) return false;
    const at = this.expiry(reader);
    return at !== Infinity && this.#host.journal.clock.now() >= at;
  }

  /** When the message on which the reader stands expires; 0: never. */
  expiresAt(reader: RunReader): number {
    const at = this.expiry(reader);
    return at === Infinity ? 0 : at;
  }

  /** Takes expired messages from the head of each level. False: nothing may be taken now. */
  removeExpired(): boolean {
    if (!this.mayRemove()) return false;
    for (const level of this.#queue.levels) {
      for (;;) {
        const from = headOf(level);
        if (from === null) break;
        const cursor = cursorOf(level, from);
        const number = cursor.seek(headNumber(level, from));
        if (number < 0) break;
        const cameBack = from === 'returned' || from === 'announced';
        if (!(cameBack ? this.returnedHasExpired(cursor.reader) : this.hasExpired(cursor.reader))) break;
        if (!this.remove(level, from, cursor, number, 'expired')) return false;
      }
    }
    return true;
  }

  isSpent(deliveries: number): boolean {
    const { deliveryLimit } = this.#queue.limits;
    return deliveryLimit !== undefined && deliveries >= deliveryLimit;
  }

  /** The message, which is ready, is not to be delivered again. */
  spend(level: Level, number: number): void {
    level.spent.push(number);
    this.#spends = true;
  }

  /** Takes out what came to its delivery limit. */
  removeSpent(): void {
    if (!this.mayRemove()) return;
    this.#spends = false;
    for (const level of this.#queue.levels) {
      while (level.spent.size > 0) {
        const cursor = level.spentCursor;
        const number = level.spent.peek();
        if (cursor.seek(number) < 0) {
          this.#spends = true;
          break;
        }
        if (!this.remove(level, 'spent', cursor, number, 'delivery-limit')) {
          this.#spends = true;
          return;
        }
      }
    }
  }

  /** Takes the message on which `cursor` stands, the first of `from` (or of nothing any more), out of the queue. False: it must wait. */
  remove(level: Level, from: Head | 'spent' | null, cursor: RunCursor, number: number, reason: RemovalReason): boolean {
    if (!this.mayRemove()) return false;
    const queue = this.#queue;
    const { removal } = this.#host;
    const reader = cursor.reader;
    const bodyBytes = reader.bodyEnd - reader.bodyStart;
    if (from === 'fresh') {
      level.head = number + 1;
      level.fresh--;
    } else if (from === 'parked') {
      level.parked!.pop();
    } else if (from !== null) {
      level[from].pop();
    }
    queue.ready--;
    queue.readyBytes -= bodyBytes;
    if (queue.limits.handOverRemoved !== true || removal === null) {
      queue.settleReady(number, 1, bodyBytes);
      queue.notes.settledByItself();
      return true;
    }
    queue.held.hold(number, removal.lease.id, bodyBytes);
    removal.lease.mayHold(queue);
    const { delivery } = this.#host;
    fill(delivery, reader);
    delivery.queue = queue;
    delivery.number = number;
    delivery.deliveryCount = queue.counts.get(number) ?? 0;
    delivery.redelivered = queue.mayBeRepeat(number, level);
    delivery.envelopeId = cursor.envelopeId;
    this.#host.dispatcher.removed = true;
    this.#host.handOver.took(queue, reader.bodyEnd - reader.propertiesStart);
    try {
      removal.sink.remove(delivery, reason);
    } catch (error) {
      this.#host.dispatcher.threw(error);
    }
    return true;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timerAt = Infinity;
  }

  /** Whether the engine may take messages out by itself, or somebody is there to take them over. */
  mayRemove(): boolean {
    if (this.#queue.limits.handOverRemoved !== true) return true;
    return this.#host.removal !== null && this.#host.handOver.admits(this.#queue);
  }

  #removeOverflow(): void {
    const queue = this.#queue;
    const { maxLength = Infinity, maxBytes = Infinity, overflow } = queue.limits;
    if (overflow === 'reject') return;
    while (queue.ready > 0 && (queue.ready > maxLength || queue.readyBytes > maxBytes)) {
      const level = queue.lowest();
      if (level === null) return;
      const from = headOf(level)!;
      const cursor = cursorOf(level, from);
      const number = cursor.seek(headNumber(level, from));
      if (number < 0 || !this.remove(level, from, cursor, number, 'max-length')) return;
    }
  }

  /** When it expires, by its own time or its queue's; Infinity: never. */
  expiry(reader: RunReader): number {
    const { expiresAt } = reader;
    const ttlMs = this.#queue.limits.messageTtlMs;
    const byQueue = ttlMs === undefined ? Infinity : readySince(reader) + ttlMs;
    return expiresAt === 0 ? byQueue : Math.min(byQueue, expiresAt);
  }

  /** Wakes up when the first message at a head expires. */
  #armTimer(): void {
    if (!this.mayRemove()) return;
    const { clock } = this.#host.journal;
    let at = Infinity;
    for (const level of this.#queue.levels) {
      const from = headOf(level);
      if (from === null) continue;
      const cursor = cursorOf(level, from);
      if (cursor.seek(headNumber(level, from)) < 0) continue;
      const cameBack = from === 'returned' || from === 'announced';
      if (!cameBack || this.#queue.limits.deliveredLasts !== true) at = Math.min(at, this.expiry(cursor.reader));
    }
    if (at === this.#timerAt || at === Infinity) return;
    this.#timer?.cancel();
    this.#timerAt = at;
    // It may have expired since it was looked at: then it is looked at again, and not before the clock has moved.
    this.#timer = clock.after(Math.min(Math.max(at - clock.now(), 1), MOST_MS), () => {
      this.#timerAt = Infinity;
      this.#timer = null;
      this.#queue.pump();
    });
  }
}

/** From when on the queue's time to live counts. */
function readySince({ storedAt, dueAt }: RunReader): number {
  return dueAt > storedAt ? dueAt : storedAt;
}

function headOf(level: Level): Head | null {
  const { parked } = level;
  if (parked !== null && parked.peek() < level.returned.peek()) return 'parked';
  if (level.announced.size > 0 && level.announced.peek() < level.returned.peek()) return 'announced';
  if (level.returned.size > 0) return 'returned';
  return level.fresh > 0 ? 'fresh' : null;
}

function headNumber(level: Level, from: Head): number {
  if (from === 'parked') return level.parked!.peek();
  return from === 'fresh' ? level.head : level[from].peek();
}

function cursorOf(level: Level, from: Head): RunCursor {
  if (from === 'parked') return level.lowestParkedCursor;
  return from === 'fresh' ? level.freshCursor : level.returnedCursor;
}
