/** Hot path. Hands the messages of one queue to its consumers while they have credit: what came back first, then what is fresh. */
import { LARGE_BODY_BYTES } from '../engine.ts';
import type { LocalConsumer } from './consumer.ts';
import type { Level } from './level.ts';
import type { LocalQueue } from './queue.ts';
import { END, WAIT, type RunCursor } from './run-cursor.ts';
import type { RunReader } from './run.ts';
import { fill } from './settled-deliveries.ts';

export class QueueDispatch {
  readonly #queue: LocalQueue;

  constructor(queue: LocalQueue) {
    this.#queue = queue;
  }

  /** Hands out what can be handed out now. Called by the dispatcher alone, outside of any batch. */
  run(): void {
    const queue = this.#queue;
    if (queue.deleted || queue.stopped || queue.damage !== null) return;
    const { consumers, removals } = queue;
    consumers.deliverOwed();
    removals.begin();
    let consumer = consumers.ring.next();
    while (consumer !== null && queue.ready > 0) {
      const level = queue.highest();
      if (level === null) break;
      const done =
        level.returned.size + level.announced.size > 0
          ? this.#deliverReturned(level, consumer)
          : this.#deliverFresh(level, consumer);
      if (!done) break;
      consumer = consumers.ring.next();
    }
    removals.end(consumer === null);
    if (queue.ready === 0) queue.emptied();
    if (queue.highest() === null) consumers.tellTakers();
  }

  /** Delivers fresh messages of the level while this consumer is to have them. False: nothing more can go out now. */
  #deliverFresh(level: Level, consumer: LocalConsumer): boolean {
    const queue = this.#queue;
    const { consumers, notes, removals } = queue;
    const { delivery, journal } = queue.host;
    const { sequence } = journal;
    const cursor = level.freshCursor;
    const reader = cursor.reader;
    const alone = consumer.right === consumer;
    const expires = removals.mayExpire;
    const end = notes.deliverableEnd(level, consumer);
    if (level.head >= end) {
      // What must be read comes meanwhile.
      cursor.seek(level.head);
      return notes.awaitMark(level, consumer);
    }
    if (consumer.noAck) return this.#settleFresh(level, consumer, end);
    delivery.queue = queue;
    delivery.redelivered = false;
    delivery.deliveryCount = 0;
    consumer.lease.mayHold(queue);
    while (level.fresh > 0) {
      const number = cursor.seek(level.head);
      if (number === WAIT) return false;
      if (number === END) return this.#lostCount(level);
      if (number >= end) return notes.awaitMark(level, consumer);
      if (expires && removals.hasExpired(reader)) return removals.removeExpired() && queue.ready > 0;
      if (queue.freshRepeats > 0 && queue.counts.has(number)) return this.#turnBack(level, number);
      if (isRefused(consumer, reader)) return true;
      level.head = number + 1;
      level.fresh--;
      this.#handOut(consumer, reader, number);
      fill(delivery, reader);
      delivery.number = number;
      delivery.envelopeId = cursor.envelopeId;
      consumer.credit--;
      notes.delivered();
      consumer.offer(delivery);
      if (!consumer.canTake) {
        consumers.ring.remove(consumer);
        break;
      }
      if (!alone || consumer.right !== consumer) {
        consumers.ring.rotate(consumer);
        break;
      }
      // A sink that commits may have closed the group: how far deliveries may go is another number then.
      if (level.returned.size > 0 || queue.levels.length > 1 || journal.sequence !== sequence) break;
    }
    return true;
  }

  /** Settles fresh messages for an at-most-once consumer, part of a run; those of a durable queue are delivered once that is durable. */
  #settleFresh(level: Level, consumer: LocalConsumer, end: number): boolean {
    const queue = this.#queue;
    const { notes, removals } = queue;
    const cursor = level.freshCursor;
    const number = cursor.seek(level.head);
    if (number === WAIT) return false;
    if (number === END) return this.#lostCount(level);
    if (number >= end) return notes.awaitMark(level, consumer);
    const expires = removals.mayExpire;
    if (expires && removals.hasExpired(cursor.reader)) return removals.removeExpired() && queue.ready > 0;
    // Each has a run of its own.
    if (queue.freshRepeats > 0 && queue.counts.has(number)) return this.#turnBack(level, number);
    // A run of messages that are all smaller is no larger.
    const mayBeLarge = cursor.runBytes > LARGE_BODY_BYTES;
    if (mayBeLarge && isRefused(consumer, cursor.reader)) return true;
    const alone = consumer.right === consumer && queue.levels.length === 1 && !expires && !mayBeLarge;
    const fair = alone ? consumer.room : 1;
    const count = Math.min(fair, cursor.runEnd - number, end - number, level.fresh);
    if (!notes.journalled) return this.#passOn(level, consumer, number, count);
    this.#takeSettled(cursor, consumer, number, count, false, 0);
    level.head = number + count;
    level.fresh -= count;
    return true;
  }

  /** Delivers part of a run from where it lies, and settles what of it the consumer took. */
  #passOn(level: Level, consumer: LocalConsumer, first: number, count: number): true {
    const queue = this.#queue;
    const { delivery } = queue.host;
    const cursor = level.freshCursor;
    const reader = cursor.reader;
    let number = first;
    let bytes = 0;
    delivery.queue = queue;
    delivery.redelivered = false;
    delivery.deliveryCount = 0;
    while (number < first + count && consumer.canTake && cursor.seek(number) === number) {
      const bodyBytes = reader.bodyEnd - reader.bodyStart;
      bytes += bodyBytes;
      level.head = number + 1;
      level.fresh--;
      queue.ready--;
      queue.readyBytes -= bodyBytes;
      fill(delivery, reader);
      delivery.number = number++;
      delivery.envelopeId = cursor.envelopeId;
      consumer.credit--;
      consumer.offer(delivery);
    }
    if (!queue.deleted) queue.settleReady(first, number - first, bytes);
    queue.consumers.served(consumer);
    return true;
  }

  /** Delivers what came back. False: nothing more can go out now. */
  #deliverReturned(level: Level, consumer: LocalConsumer): boolean {
    const queue = this.#queue;
    const { notes, removals } = queue;
    if (notes.journalled && !notes.announce(level, consumer)) return false;
    const from = notes.journalled ? 'announced' : 'returned';
    const number = level[from].peek();
    const cursor = level.returnedCursor;
    if (cursor.seek(number) === WAIT) return false;
    const reader = cursor.reader;
    if (removals.returnedHasExpired(reader)) return removals.remove(level, from, cursor, number, 'expired');
    const deliveries = queue.counts.get(number) ?? 0;
    const isSpent = removals.isSpent(deliveries);
    if (!isSpent && isRefused(consumer, reader)) return true;
    level[from].pop();
    if (isSpent) {
      // The limit was another when it came back.
      removals.spend(level, number);
      removals.removeSpent();
      return true;
    }
    const redelivered = queue.mayBeRepeat(number, level);
    if (consumer.noAck && notes.journalled) {
      this.#takeSettled(cursor, consumer, number, 1, redelivered, deliveries);
      return true;
    }
    if (!consumer.noAck) consumer.lease.mayHold(queue);
    this.#handOut(consumer, reader, number);
    const { delivery } = queue.host;
    fill(delivery, reader);
    delivery.queue = queue;
    delivery.number = number;
    delivery.redelivered = redelivered;
    delivery.deliveryCount = deliveries;
    delivery.envelopeId = cursor.envelopeId;
    consumer.credit--;
    consumer.offer(delivery);
    queue.consumers.served(consumer);
    return true;
  }

  /** The message on which the reader stands is no longer ready: the consumer holds it, or (at most once) nobody does. */
  #handOut(consumer: LocalConsumer, reader: RunReader, number: number): void {
    const queue = this.#queue;
    const bodyBytes = reader.bodyEnd - reader.bodyStart;
    queue.ready--;
    queue.readyBytes -= bodyBytes;
    if (consumer.noAck) queue.settleReady(number, 1, bodyBytes);
    else queue.held.hold(number, consumer.lease.id, bodyBytes);
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
    const queue = this.#queue;
    const { sequence } = queue.host.journal;
    const settled = consumer.settled!;
    const known = settled.newest === sequence;
    const bytes = settled.take(cursor.reader, count, number, redelivered, deliveries, cursor.envelopeId, sequence);
    queue.ready -= count;
    queue.readyBytes -= bytes;
    queue.settleReady(number, count, bytes);
    queue.consumers.owe(consumer);
    if (!known) queue.host.whenGroupSynced(consumer);
    queue.consumers.served(consumer);
  }

  /** The first fresh message was delivered before: it is delivered as one that came back. */
  #turnBack(level: Level, number: number): true {
    this.#queue.freshRepeats--;
    level.head = number + 1;
    level.fresh--;
    level.returned.push(number);
    return true;
  }

  /** Counted more than there is: a defect, never an input. */
  #lostCount(level: Level): boolean {
    const queue = this.#queue;
    queue.ready -= level.fresh;
    level.fresh = 0;
    level.head = queue.next;
    return queue.ready > 0;
  }
}

function isRefused(consumer: LocalConsumer, reader: RunReader): boolean {
  const bodyBytes = reader.bodyEnd - reader.bodyStart;
  return bodyBytes > LARGE_BODY_BYTES && consumer.refuses(bodyBytes);
}
