/**
 * The rules that a delivery can break on the spot: repeats, resurrections, order, wrong bytes. They are *sound*: they
 * report only what no lawful broker could have caused, so where processes record apart, doubt is the broker's.
 */
import type { Findings } from './findings.ts';
import type { DeliverEvent, EffectEvent } from './history.ts';
import { FLAG, MESSAGE, PLACE } from './ledger.ts';
import type { ConsumerBook, Ledger, QueueBook } from './ledger.ts';
import type { Guarantee } from './verdict.ts';

export class DeliveryRules {
  readonly #ledger: Ledger;
  readonly #findings: Findings;
  readonly #guarantee: Guarantee;
  readonly #synchronous: boolean;

  constructor(ledger: Ledger, findings: Findings, guarantee: Guarantee, synchronous: boolean) {
    this.#ledger = ledger;
    this.#findings = findings;
    this.#guarantee = guarantee;
    this.#synchronous = synchronous;
  }

  /** Before the delivery is booked. A delivery that should not have been at all is not judged for its order, too. */
  judge(event: DeliverEvent, place: number, queue: QueueBook, consumer: ConsumerBook): void {
    this.compareBody(event, event.hash, this.#ledger.places.get(place, PLACE.message), queue);
    const repeated = this.#reportRepeat(event, place, queue, consumer);
    if (!repeated) this.#compareOrder(event, place, queue, consumer);
  }

  compareBody(event: DeliverEvent | EffectEvent, hash: string, message: number, queue: QueueBook): void {
    if (this.#ledger.messages.get(message, MESSAGE.attempts) === 0) return;
    const published = this.#ledger.hashes[message];
    if (published === undefined || hash === published) return;
    const happened = event.type === 'deliver' ? 'was delivered' : 'took effect';
    this.#findings.report(
      'corrupted',
      queue,
      event.id,
      () => `${event.id} ${happened} in ${queue.name} with body hash ${hash}, but was published with ${published}.`,
    );
  }

  #reportRepeat(event: DeliverEvent, place: number, queue: QueueBook, consumer: ConsumerBook): boolean {
    const { places } = this.#ledger;
    const copies = Math.max(1, places.get(place, PLACE.copies));
    if (this.#guarantee === 'at-most-once' && places.get(place, PLACE.deliveries) >= copies) {
      const sentence = (): string => `${says(event)}, though it had been delivered before.`;
      this.#findings.report('duplicated', queue, event.id, sentence);
      return true;
    }
    if (this.#isResurrected(place, copies, consumer)) {
      const sentence = (): string =>
        `${says(event)} after the broker had confirmed that it was settled or removed for good.`;
      this.#findings.report('resurrected', queue, event.id, sentence);
      return true;
    }
    if (event.redelivered || !this.#isRepeat(place, copies, consumer)) return false;
    this.#findings.report(
      'unflaggedRepeat',
      queue,
      event.id,
      () => `${says(event)} again, but not flagged redelivered.`,
    );
    return true;
  }

  /**
   * Every copy is promised to be gone. A consumer that listened when the last one went may have recorded an earlier
   * delivery late, unless it is the one that settled the only copy: its answer came after all that it was sent before.
   */
  #isResurrected(place: number, copies: number, consumer: ConsumerBook): boolean {
    const { places } = this.#ledger;
    if (places.get(place, PLACE.gone) < copies) return false;
    if (this.#synchronous) return true;
    if (copies === 1 && consumer.index === places.get(place, PLACE.goneBy)) return true;
    return consumer.subscribed && consumer.index >= places.get(place, PLACE.goneSince);
  }

  /**
   * Each copy may come once without the flag. Of a single copy any later delivery is a repeat; that it *is* later is
   * certain to one consumer, while what two processes recorded may stand in the wrong order.
   */
  #isRepeat(place: number, copies: number, consumer: ConsumerBook): boolean {
    const { places } = this.#ledger;
    if (places.get(place, PLACE.unflagged) >= copies) return true;
    if (copies > 1 || places.get(place, PLACE.deliveries) === 0) return false;
    return this.#synchronous || places.get(place, PLACE.lastConsumer) === consumer.index;
  }

  /**
   * Order is that of the producer's sequence, over first attempts and first deliveries: a repeat of the publish or a
   * redelivery comes when it comes. One message out of its place counts once, however many it overtook.
   */
  #compareOrder(event: DeliverEvent, place: number, queue: QueueBook, consumer: ConsumerBook): void {
    const ledger = this.#ledger;
    if (event.redelivered) return;
    const message = ledger.places.get(place, PLACE.message);
    if (ledger.has(place, FLAG.unordered) || ledger.messages.get(message, MESSAGE.attempts) !== 1) return;
    const producer = ledger.messages.get(message, MESSAGE.producer);
    const last = consumer.last.get(producer);
    consumer.last.set(producer, message);
    if (last === undefined || !ledger.precedes(message, last)) return;
    const other = ledger.idOf(last);
    const sentence = (): string => `${says(event)} right after ${other}, which was sent later.`;
    this.#findings.report('reordered', queue, event.id, sentence, 1, other);
  }
}

function says({ id, queue, consumer }: DeliverEvent): string {
  return `${id} was delivered in ${queue} to ${consumer}`;
}
