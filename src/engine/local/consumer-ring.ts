/** Hot path. The consumers of one queue that can take a message now, highest priority first, in turn among equals: O(1) a delivery. */
import type { LocalConsumer } from './consumer.ts';

class Ring {
  readonly priority: number;
  /** Whose turn it is; null: the ring is empty. */
  turn: LocalConsumer | null = null;

  constructor(priority: number) {
    this.priority = priority;
  }
}

export class ConsumerRing {
  /** Highest priority first. */
  readonly #rings: Ring[] = [];

  /** Whose turn it is; null: nobody can take a message. */
  next(): LocalConsumer | null {
    for (const ring of this.#rings) if (ring.turn !== null) return ring.turn;
    return null;
  }

  /** It got a message: the next one of its priority is to have the next. */
  rotate(consumer: LocalConsumer): void {
    if (consumer.right === null || consumer.right === consumer) return;
    const ring = this.#ring(consumer.priority);
    if (ring.turn === consumer) ring.turn = consumer.right;
  }

  add(consumer: LocalConsumer): void {
    if (consumer.right !== null) return;
    const ring = this.#ring(consumer.priority);
    const turn = ring.turn;
    if (turn === null) {
      consumer.right = consumer;
      consumer.left = consumer;
      ring.turn = consumer;
      return;
    }
    // Behind all others: just left of whose turn it is.
    consumer.right = turn;
    consumer.left = turn.left;
    turn.left!.right = consumer;
    turn.left = consumer;
  }

  remove(consumer: LocalConsumer): void {
    const { left, right } = consumer;
    if (right === null) return;
    const ring = this.#ring(consumer.priority);
    if (right === consumer) ring.turn = null;
    else {
      left!.right = right;
      right.left = left;
      if (ring.turn === consumer) ring.turn = right;
    }
    consumer.left = null;
    consumer.right = null;
  }

  #ring(priority: number): Ring {
    const at = this.#rings.findIndex((ring) => ring.priority <= priority);
    const found = this.#rings[at];
    if (found?.priority === priority) return found;
    const ring = new Ring(priority);
    this.#rings.splice(at < 0 ? this.#rings.length : at, 0, ring);
    return ring;
  }
}
