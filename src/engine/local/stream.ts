/**
 * Hot path. What makes a queue a stream: its messages stay when they are read, each of its consumers has a place of its own (StreamReader),
 * and what goes, goes from the head, as its retention says.
 *
 * A number is an identity here: nothing is delivered before it is durable, so none that anybody saw is ever given again. Where the messages lie
 * is the queue's one level; nothing of it is held or delivered as the journal understands it, and what retention took is `SETTLED` like anything else.
 */
import type { Timer } from '../clock.ts';
import type { StreamStart } from '../engine.ts';
import type { LocalConsumer } from './consumer.ts';
import { EntryKind, type EntryWriter } from './journal/directory.ts';
import type { Mark } from './level.ts';
import type { LocalQueue } from './queue.ts';
import { StreamIndex } from './stream-index.ts';
import { StreamReader } from './stream-reader.ts';

/** A part is no larger than this (but for its last run), nor than a share of what retention keeps. */
const PART_BYTES = 1024 * 1024;
const PARTS_KEPT = 16;
/** The longest that a timer waits: a clock that is set forward is noticed. */
const MOST_MS = 60_000;
/** What was stored so much later than now was stored by a clock that was wrong. */
const WRONG_MS = 60_000;
const LEAST_MS = 10;
const NOTE_BYTES = 64;
/** Retention takes about so many at a time: others wait meanwhile. */
const TURN_PARTS = 64;
const TURN_MESSAGES = 20_000;

export class Stream {
  readonly queue: LocalQueue;
  readonly index = new StreamIndex();
  /** Numbers below are durable. */
  end = 1;
  /** The latest time at which a message was stored. */
  #lastAt = 0;
  /** When the newest part's first message was stored, and its latest one: not later than the part before, where the clock fell back. */
  #partAt = 0;
  #partEndAt = 0;
  /** Bytes of all bodies since the first part, those that are gone included. */
  totalBytes = 0;
  readonly #readers = new Set<StreamReader>();
  /** Those that may have something to deliver. */
  #woken: StreamReader[] = [];
  #dirty = false;
  // What the open group takes out.
  #removedFirst = 0;
  #removedCount = 0;
  #removedBytes = 0;
  #partBytes = 0;
  #partMs = Infinity;
  #timer: Timer | null = null;
  #timerAt = Infinity;
  /** Since when the first part is known to be of a clock that was wrong. */
  #wrongSince: number | null = null;
  /** Retention had its share of this turn. */
  #resting = false;

  constructor(queue: LocalQueue) {
    this.queue = queue;
    this.limitsChanged();
  }

  get lastAt(): number {
    return this.#lastAt;
  }

  /** Number of the oldest message, or of the next one where there is none. */
  get first(): number {
    return this.queue.held.floor;
  }

  /** Whether messages go by themselves. */
  get isLimited(): boolean {
    const { maxBytes, maxAgeMs } = this.queue.limits.stream!;
    return maxBytes !== undefined || maxAgeMs !== undefined;
  }

  limitsChanged(): void {
    const { maxBytes = Infinity, maxAgeMs = Infinity, partBytes = Infinity } = this.queue.limits.stream!;
    this.#partBytes = Math.min(PART_BYTES, partBytes, maxBytes / PARTS_KEPT);
    this.#partMs = maxAgeMs / PARTS_KEPT;
  }

  /** A run's messages were appended to the queue, from this number on. */
  appended(first: number, bytes: number, storedAt: number): void {
    this.replayed(first, bytes, storedAt);
    this.changed();
  }

  /** At recovery: they were. */
  replayed(first: number, bytes: number, storedAt: number): void {
    const { index } = this;
    if (storedAt > this.#lastAt) this.#lastAt = storedAt;
    const newest = index.size - 1;
    if (
      newest < 0 ||
      this.totalBytes - index.bytesOf(newest) >= this.#partBytes ||
      Math.abs(storedAt - this.#partAt) >= this.#partMs
    ) {
      index.append(first, this.#lastAt, this.totalBytes, this.#partEndAt);
      this.#partAt = storedAt;
      this.#partEndAt = storedAt;
    } else if (storedAt > this.#partEndAt) this.#partEndAt = storedAt;
    this.totalBytes += bytes;
  }

  /** A checkpoint's, once its parts are there. */
  restored(lastAt: number): void {
    const { index } = this;
    this.#lastAt = lastAt;
    this.#partEndAt = lastAt;
    if (index.size > 0) this.#partAt = index.storedAtOf(index.size - 1);
  }

  /** Called by the dispatcher alone, outside of any batch. */
  dispatch(): void {
    const { queue } = this;
    if (queue.deleted || queue.stopped || queue.damage !== null) return;
    this.#retain();
    while (this.#woken.length > 0) {
      const woken = this.#woken;
      this.#woken = [];
      for (const reader of woken) {
        reader.woken = false;
        reader.serve();
      }
    }
  }

  // --- readers ---

  /** A place of this consumer's own. */
  open(consumer: LocalConsumer, from: StreamStart): StreamReader {
    const reader = new StreamReader(this, consumer, this.#startOf(from));
    if (typeof from === 'object' && 'storedAt' in from) reader.seekTime(from.storedAt);
    this.#readers.add(reader);
    return reader;
  }

  close(reader: StreamReader): void {
    this.#readers.delete(reader);
  }

  wake(reader: StreamReader): void {
    if (reader.woken) return;
    reader.woken = true;
    this.#woken.push(reader);
  }

  #startOf(from: StreamStart): number {
    const { next } = this.queue;
    if (from === 'first') return this.first;
    if (from === 'next') return next;
    if (from === 'last') return Math.max(this.first, next - 1);
    if ('number' in from) return Math.max(this.first, from.number);
    return this.index.size === 0 ? next : Math.max(this.first, this.index.firstOf(this.index.before(from.storedAt)));
  }

  // --- the journal ---

  /** Writes what the open group holds of the stream. */
  note(directory: EntryWriter, marks: Mark[]): void {
    const { queue } = this;
    this.#dirty = false;
    if (queue.deleted) return;
    if (this.#removedCount > 0) {
      directory.u8(EntryKind.SETTLED);
      directory.u32(queue.id);
      directory.f64(this.#removedBytes);
      directory.u32(1);
      directory.f64(this.#removedFirst);
      directory.u32(this.#removedCount);
      this.#removedCount = 0;
      this.#removedBytes = 0;
    }
    marks.push({ queue, level: queue.levels[0]!, mayBelow: 0, next: queue.next });
  }

  /** Numbers below are durable. */
  marked(end: number): void {
    const before = this.end;
    if (end <= before) return;
    this.end = end;
    for (const reader of this.#readers) if (reader.next >= before) this.wake(reader);
    this.queue.pump();
  }

  /** The open group has something of it. */
  changed(): void {
    if (this.#dirty) return;
    const { queue } = this;
    const { journal } = queue.host;
    this.#dirty = true;
    journal.promisedBytes += NOTE_BYTES;
    journal.dirty(queue);
    journal.scheduleLazily();
  }

  // --- retention ---

  #retain(): void {
    if (this.#resting || !this.isLimited) return;
    const { index } = this;
    const { clock } = this.queue.host.journal;
    const { maxAgeMs = Infinity } = this.queue.limits.stream!;
    const now = clock.now();
    const from = this.first;
    for (let left = TURN_PARTS; this.#isOver(maxAgeMs, now); left--) {
      if (left === 0 || this.first - from >= TURN_MESSAGES) {
        this.#resting = true;
        clock.defer(() => {
          this.#resting = false;
          this.queue.pump();
        });
        return;
      }
      this.#dropPart();
    }
    if (maxAgeMs !== Infinity && index.size > 0) this.#armTimer(this.#headEndAt(now) + maxAgeMs, now);
  }

  /** Whether the first part goes. */
  #isOver(maxAgeMs: number, now: number): boolean {
    const { index } = this;
    if (index.size === 0) return false;
    const { maxBytes = Infinity } = this.queue.limits.stream!;
    // What was written last stays, however large.
    if (index.size > 1 && this.totalBytes - index.bytesOf(0) > maxBytes) return true;
    return this.#headEndAt(now) + maxAgeMs <= now;
  }

  /** When the newest message of the first part was stored, or rather later; by a clock that was set forward: when that was noticed. */
  #headEndAt(now: number): number {
    const endAt = this.index.size > 1 ? this.index.lastBeforeOf(1) : this.#partEndAt;
    if (endAt - now <= WRONG_MS) {
      this.#wrongSince = null;
      return endAt;
    }
    this.#wrongSince ??= now;
    return this.#wrongSince;
  }

  #dropPart(): void {
    const { queue, index } = this;
    const level = queue.levels[0]!;
    const first = this.first;
    const isLast = index.size === 1;
    const end = isLast ? queue.next : index.firstOf(1);
    const bytes = (isLast ? this.totalBytes : index.bytesOf(1)) - index.bytesOf(0);
    const count = end - first;
    index.dropFirst();
    level.head = end;
    level.fresh -= count;
    queue.ready -= count;
    queue.readyBytes -= bytes;
    queue.aliveBytes -= bytes;
    queue.held.restoreFloor(end);
    level.chunks.settle(first, count, queue.segmentSettled);
    if (this.#removedCount === 0) this.#removedFirst = first;
    this.#removedCount += count;
    this.#removedBytes += bytes;
    this.changed();
  }

  #armTimer(at: number, now: number): void {
    if (this.#timer !== null && this.#timerAt === at) return;
    this.#timer?.cancel();
    this.#timerAt = at;
    this.#timer = this.queue.host.journal.clock.after(Math.max(LEAST_MS, Math.min(at - now, MOST_MS)), () => {
      this.#timer = null;
      this.queue.pump();
    });
  }

  // --- beginning and end ---

  /** Everything is replayed. */
  recovered(): void {
    const { queue, index } = this;
    while (index.size > 0 && (index.size > 1 ? index.firstOf(1) : queue.next) <= this.first) index.dropFirst();
    // Parts are cut by time too, and not always where they were.
    if (index.size > 0) index.trim(this.first, this.totalBytes - queue.aliveBytes);
    queue.levels[0]!.head = this.first;
    this.end = queue.next;
    this.#dirty = false;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }
}
