/**
 * At-most-once: what was settled for a consumer and is delivered once that is durable. Kept as copies of neighbouring bytes of a
 * run, not as an object a message. A crash loses what is still here, as promised; a consumer that goes gives it back, to be appended again.
 */
import type { DeliveryView } from '../engine.ts';
import type { LocalConsumer } from './consumer.ts';
import { RunReader } from './run.ts';

const MOST_BYTES = 128 * 1024;

interface Extent {
  readonly reader: RunReader;
  readonly first: number;
  readonly redelivered: boolean;
  readonly deliveryCount: number;
  readonly envelopeId: number;
  readonly bytes: number;
  /** Group that settles them. */
  readonly sequence: number;
}

export class SettledDeliveries {
  readonly #consumer: LocalConsumer;
  #extents: Extent[] = [];
  #bytes = 0;
  #durable = 0;

  constructor(consumer: LocalConsumer) {
    this.#consumer = consumer;
  }

  get hasRoom(): boolean {
    return this.#bytes < MOST_BYTES;
  }

  /** Takes `count` messages from where `source` stands; leaves it on the last of them. Returns their body bytes. */
  take(
    source: RunReader,
    count: number,
    first: number,
    redelivered: boolean,
    deliveryCount: number,
    envelopeId: number,
    sequence: number,
  ): number {
    const envelope = source.buffer.subarray(source.start, source.envelopeEnd);
    const from = source.messageStart;
    let bodies = 0;
    for (let n = 1; ; n++) {
      bodies += source.bodyEnd - source.bodyStart;
      if (n === count) break;
      source.next();
    }
    const buffer = Buffer.concat([envelope, source.buffer.subarray(from, source.bodyEnd)]);
    const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
    view.setUint32(8, count, true);
    const reader = new RunReader();
    reader.open(buffer, view, 0);
    this.#extents.push({ reader, first, redelivered, deliveryCount, envelopeId, bytes: buffer.length, sequence });
    this.#bytes += buffer.length;
    return bodies;
  }

  /** Groups up to `sequence` are durable. */
  synced(sequence: number): void {
    this.#durable = sequence;
  }

  /** Called by the queue's dispatch alone. */
  deliver(): void {
    const consumer = this.#consumer;
    const delivery = consumer.queue.delivery;
    while (!consumer.stopped && !consumer.cancelled) {
      const extent = this.#extents[0];
      if (extent === undefined || extent.sequence > this.#durable) break;
      const reader = extent.reader;
      reader.next();
      fill(delivery, reader);
      delivery.queue = consumer.queue;
      delivery.number = extent.first + reader.index;
      delivery.redelivered = extent.redelivered;
      delivery.deliveryCount = extent.deliveryCount;
      delivery.envelopeId = extent.envelopeId;
      if (reader.index === reader.count - 1) {
        this.#extents.shift();
        this.#bytes -= extent.bytes;
      }
      consumer.offer(delivery);
    }
  }

  /** Whether something may be delivered now. */
  get waits(): boolean {
    const extent = this.#extents[0];
    return extent !== undefined && extent.sequence <= this.#durable;
  }

  giveBack(): void {
    const extents = this.#extents;
    this.#extents = [];
    this.#bytes = 0;
    for (const { reader } of extents) {
      while (reader.index < reader.count - 1) {
        reader.next();
        this.#consumer.queue.appendAgain(reader);
      }
    }
  }
}

export function fill(delivery: DeliveryView, reader: RunReader): void {
  delivery.head = reader.buffer;
  delivery.envelopeStart = reader.envelopeStart;
  delivery.envelopeEnd = reader.envelopeEnd;
  delivery.propertiesStart = reader.propertiesStart;
  delivery.propertiesEnd = reader.bodyStart;
  delivery.body = reader.buffer;
  delivery.bodyStart = reader.bodyStart;
  delivery.bodyEnd = reader.bodyEnd;
  delivery.expiresAt = reader.expiresAt;
  delivery.dueAt = reader.dueAt;
  delivery.priority = reader.priority;
  delivery.storedAt = reader.storedAt;
}
