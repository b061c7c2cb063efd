/** Hot path. Who gets the messages of one queue: its consumers, those that take a single message, and whose turn it is. */
import type { LocalConsumer } from './consumer.ts';
import { ConsumerRing } from './consumer-ring.ts';
import type { LocalQueue } from './queue.ts';

export class QueueConsumers {
  /** Those that can take a message now. */
  readonly ring = new ConsumerRing();
  readonly #queue: LocalQueue;
  readonly #all: LocalConsumer[] = [];
  /** Consumers of one message, and whom to tell that there is none. */
  readonly #takers = new Map<LocalConsumer, () => void>();
  /** Those for whom something was settled that they did not get yet. */
  readonly #owed = new Set<LocalConsumer>();

  constructor(queue: LocalQueue) {
    this.#queue = queue;
  }

  get count(): number {
    return this.#all.length;
  }

  /** Nobody is to get anything. */
  get none(): boolean {
    return this.#all.length === 0 && this.#takers.size === 0;
  }

  /** How many messages they can take, all together. */
  get room(): number {
    let room = 0;
    for (const consumer of this.#all) room += Math.max(0, consumer.room);
    for (const taker of this.#takers.keys()) room += taker.room;
    return room;
  }

  get hasExclusive(): boolean {
    return this.#all.some((consumer) => consumer.exclusive);
  }

  add(consumer: LocalConsumer): void {
    this.#all.push(consumer);
    if (consumer.afterSync) this.#queue.notes.trackSync();
    this.changed(consumer);
  }

  /** Takes one message whatever consumers there are. It leaves the ring by `removeTaker`. */
  addTaker(taker: LocalConsumer, nothing: () => void): void {
    if (this.#queue.stopped) {
      nothing();
      return;
    }
    this.#takers.set(taker, nothing);
    this.ring.add(taker);
    this.#queue.pump();
  }

  removeTaker(taker: LocalConsumer): void {
    this.#takers.delete(taker);
    this.#owed.delete(taker);
    this.ring.remove(taker);
  }

  remove(consumer: LocalConsumer): void {
    this.#takers.get(consumer)?.();
    const at = this.#all.indexOf(consumer);
    if (at < 0) return;
    const queue = this.#queue;
    this.#all.splice(at, 1);
    consumer.reader?.close();
    this.#owed.delete(consumer);
    this.ring.remove(consumer);
    if (queue.ready > 0) queue.pump();
    const successor = this.#all[0];
    if (queue.limits.singleActiveConsumer === true && at === 0 && successor !== undefined) this.changed(successor);
    if (!this.#all.some((other) => other.afterSync)) queue.notes.untrackSync();
    if (this.none) for (const level of queue.levels) level.release();
  }

  /** Its credit or readiness changed. */
  changed(consumer: LocalConsumer): void {
    this.#place(consumer);
    consumer.reader?.wake();
    if (this.#queue.ready > 0 || consumer.settled?.waits === true) this.#queue.pump();
  }

  /** Something is settled for it that it gets later. */
  owe(consumer: LocalConsumer): void {
    this.#owed.add(consumer);
  }

  /** Delivers what was settled before and is durable by now. */
  deliverOwed(): void {
    for (const consumer of this.#owed) {
      const settled = consumer.settled!;
      settled.deliver();
      if (settled.count === 0) this.#owed.delete(consumer);
      // It has room again for more to be settled.
      if (!consumer.cancelled) this.#place(consumer);
    }
  }

  /** It got a message: the next one has the next, if there is one. */
  served(consumer: LocalConsumer): void {
    if (!consumer.canTake) this.ring.remove(consumer);
    else this.ring.rotate(consumer);
  }

  /** There is no message: those that take one and have not got it are told. */
  tellTakers(): void {
    for (const [taker, nothing] of [...this.#takers]) if (taker.room > 0) nothing();
  }

  /** Whether it takes a single message. */
  isTaker(consumer: LocalConsumer): boolean {
    return this.#takers.has(consumer);
  }

  /** There is no message for this one, of those that take a single one. False: it is another consumer. */
  sendAway(taker: LocalConsumer): boolean {
    const nothing = this.#takers.get(taker);
    nothing?.();
    return nothing !== undefined;
  }

  /** The queue is deleted or damaged. */
  end(reason: 'deleted' | 'damaged'): void {
    for (const consumer of [...this.#all]) {
      consumer.cancel();
      try {
        consumer.sink.cancelled(reason);
      } catch (error) {
        this.#queue.host.dispatcher.threw(error);
      }
    }
    this.#stopTakers();
  }

  /** The engine stops: nobody is told but those that wait for an answer. */
  stop(): void {
    this.#stopTakers();
    for (const consumer of [...this.#all]) consumer.cancel();
  }

  #stopTakers(): void {
    for (const nothing of [...this.#takers.values()]) nothing();
  }

  /** Whether it stands in the ring. */
  #place(consumer: LocalConsumer): void {
    const inTurn =
      this.#queue.limits.singleActiveConsumer !== true || this.#all[0] === consumer || this.#takers.has(consumer);
    if (consumer.canTake && inTurn) this.ring.add(consumer);
    else this.ring.remove(consumer);
  }
}
