/**
 * The checker's books: one row for each message, and one *place* for each message in each queue that it was routed to,
 * turned up in, or was dead-lettered to. Integers in typed rows, so that a million messages cost tens of megabytes.
 */
import { parseMessageId } from './history.ts';
import type { MessageId } from './history.ts';
import { Rows } from './rows.ts';
import { noViolations } from './verdict.ts';
import type { QueueVerdict } from './verdict.ts';

export type Outcome = 'confirmed' | 'unknown' | 'rejected' | 'never published';

/** Fields of a message's row. */
export const MESSAGE = { producer: 0, attempts: 1, oks: 2, rejections: 3, firstPlace: 4 } as const;
const MESSAGE_WIDTH = 5;

/** Fields of a place's row. `next` chains the places of one message; 0 ends the chain (links are place + 1). */
export const PLACE = {
  message: 0,
  queue: 1,
  next: 2,
  flags: 3,
  /** How many copies of the message the queue may lawfully hold or have held. */
  copies: 4,
  deliveries: 5,
  /** Deliveries without the redelivered flag. */
  unflagged: 6,
  lastConsumer: 7,
  /** Copies that the broker promised to be gone: settled and answered, or removed. */
  gone: 8,
  /** Who settled last (-1: a removal), and how many consumers the queue had seen by then. */
  goneBy: 9,
  goneSince: 10,
  /** Copies that are known to have been removed, rather than settled. */
  removals: 11,
  effects: 12,
} as const;
const PLACE_WIDTH = 13;

/** Flags of a place. */
export const FLAG = {
  /** The message may be here: it was routed or dead-lettered to this queue. */
  routed: 1,
  /** It was published to this queue, rather than dead-lettered. */
  published: 2,
  /** If confirmed, it must come here. */
  expected: 4,
  /** Expected, and not yet delivered or removed. */
  owed: 8,
  /** Lawfully removed. */
  excused: 16,
  /** Delivered, and its last delivery has not been settled. */
  open: 32,
  /** On its way to a consumer, for the count at the next fault. */
  inFlight: 64,
  /** No order is promised. */
  unordered: 128,
  /** Somebody set out to settle it. */
  settling: 256,
} as const;

export interface ConsumerBook {
  readonly index: number;
  readonly name: string;
  /** Its subscription was recorded, before anything that it got. */
  readonly subscribed: boolean;
  /** By producer: the message that came last among those whose order counts. */
  readonly last: Map<number, number>;
}

export interface QueueBook {
  readonly name: string;
  readonly consumers: Map<string, ConsumerBook>;
  readonly counts: QueueVerdict;
}

export class Ledger {
  readonly messages = new Rows(MESSAGE_WIDTH);
  readonly places = new Rows(PLACE_WIDTH);
  readonly ids: MessageId[] = [];
  readonly hashes: string[] = [];
  readonly queues: QueueBook[] = [];
  // Epochs may be milliseconds since 1970, which 32 bits do not hold.
  readonly #epochs: number[] = [];
  readonly #sequences: number[] = [];
  readonly #messageOf = new Map<MessageId, number>();
  readonly #queueOf = new Map<string, number>();
  readonly #producerOf = new Map<string, number>();

  findMessage(id: MessageId): number | undefined {
    return this.#messageOf.get(id);
  }

  message(id: MessageId): number {
    const known = this.#messageOf.get(id);
    if (known !== undefined) return known;
    const message = this.messages.push();
    const identity = parseMessageId(id);
    this.#messageOf.set(id, message);
    this.ids.push(id);
    this.hashes.push('');
    this.#epochs.push(identity?.epoch ?? 0);
    this.#sequences.push(identity?.sequence ?? 0);
    this.messages.set(message, MESSAGE.producer, identity === undefined ? -1 : this.#producer(identity.producer));
    return message;
  }

  idOf(message: number): MessageId {
    return this.ids[message] as MessageId;
  }

  /** Whether the producer sent `earlier` before `later`. */
  precedes(earlier: number, later: number): boolean {
    const epochs = (this.#epochs[earlier] as number) - (this.#epochs[later] as number);
    return epochs < 0 || (epochs === 0 && (this.#sequences[earlier] as number) < (this.#sequences[later] as number));
  }

  outcome(message: number): Outcome {
    const attempts = this.messages.get(message, MESSAGE.attempts);
    if (attempts === 0) return 'never published';
    if (this.messages.get(message, MESSAGE.oks) > 0) return 'confirmed';
    return this.messages.get(message, MESSAGE.rejections) < attempts ? 'unknown' : 'rejected';
  }

  queue(name: string): number {
    const known = this.#queueOf.get(name);
    if (known !== undefined) return known;
    const counts = {
      expected: 0,
      received: 0,
      redelivered: 0,
      removed: 0,
      undelivered: 0,
      effects: 0,
      ...noViolations(),
    };
    this.#queueOf.set(name, this.queues.length);
    return this.queues.push({ name, consumers: new Map(), counts }) - 1;
  }

  queueBook(queue: number): QueueBook {
    return this.queues[queue] as QueueBook;
  }

  /** @param subscribing whether it begins now, rather than being seen for the first time. */
  consumer(queue: number, name: string, subscribing = false): ConsumerBook {
    const { consumers } = this.queueBook(queue);
    let consumer = consumers.get(name);
    if (consumer === undefined) {
      consumer = { index: consumers.size, name, subscribed: subscribing, last: new Map() };
      consumers.set(name, consumer);
    }
    return consumer;
  }

  /** The place of a message in a queue; opened without any flag where there was none. */
  place(message: number, queue: number): number {
    for (let place = this.firstPlace(message); place >= 0; place = this.nextPlace(place)) {
      if (this.places.get(place, PLACE.queue) === queue) return place;
    }
    const place = this.places.push();
    this.places.set(place, PLACE.message, message);
    this.places.set(place, PLACE.queue, queue);
    this.places.set(place, PLACE.next, this.messages.get(message, MESSAGE.firstPlace));
    this.places.set(place, PLACE.lastConsumer, -1);
    this.messages.set(message, MESSAGE.firstPlace, place + 1);
    return place;
  }

  /** The first of a message's places, or -1. */
  firstPlace(message: number): number {
    return this.messages.get(message, MESSAGE.firstPlace) - 1;
  }

  nextPlace(place: number): number {
    return this.places.get(place, PLACE.next) - 1;
  }

  has(place: number, flag: number): boolean {
    return (this.places.get(place, PLACE.flags) & flag) !== 0;
  }

  raise(place: number, flags: number): void {
    this.places.set(place, PLACE.flags, this.places.get(place, PLACE.flags) | flags);
  }

  lower(place: number, flags: number): void {
    this.places.set(place, PLACE.flags, this.places.get(place, PLACE.flags) & ~flags);
  }

  #producer(name: string): number {
    const known = this.#producerOf.get(name);
    if (known !== undefined) return known;
    const producer = this.#producerOf.size;
    this.#producerOf.set(name, producer);
    return producer;
  }
}
