/**
 * Hot path. At-most-once: what was settled for a consumer and is delivered once that is durable. Kept as copies of neighbouring bytes
 * of runs, behind one another in one extent a group, not as an object a message. A crash loses what is still here, as promised; a consumer
 * that goes gives it back, to be appended again.
 */
import type { DeliveryView } from '../engine.ts';
import { copyBytes } from '../../format/copy.ts';
import type { LocalConsumer } from './consumer.ts';
import { RunReader } from './run.ts';

const MOST_BYTES = 128 * 1024;
const LEAST_BYTES = 512;
/** Before each run: f64 number of its first message, u32 deliveries, u32 envelope id, u32 redelivered, u32 length of note and run. */
const NOTE_BYTES = 24;

/** What one group settles. */
class Extent {
  readonly sequence: number;
  buffer: Buffer;
  view: DataView;
  /** Where the next run to deliver begins. */
  at = 0;
  end = 0;

  constructor(sequence: number, bytes: number) {
    this.sequence = sequence;
    this.buffer = Buffer.allocUnsafeSlow(bytes);
    this.view = viewOf(this.buffer);
  }

  reserve(bytes: number): void {
    if (this.end + bytes <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(this.end + bytes, 2 * this.buffer.length));
    this.buffer.copy(grown, 0, 0, this.end);
    this.buffer = grown;
    this.view = viewOf(grown);
  }
}

export class SettledDeliveries {
  /** Messages that were not delivered yet. */
  count = 0;
  readonly #consumer: LocalConsumer;
  readonly #extents: Extent[] = [];
  /** Of the run that is being delivered. */
  readonly #reader = new RunReader();
  #left = 0;
  #first = 0;
  #deliveryCount = 0;
  #envelopeId = 0;
  #redelivered = false;
  #bytes = 0;
  #durable = 0;
  /** What a group took lately. */
  #usualBytes = LEAST_BYTES;

  constructor(consumer: LocalConsumer) {
    this.#consumer = consumer;
  }

  get hasRoom(): boolean {
    return this.#bytes < MOST_BYTES;
  }

  /** The last group that settles something here; 0: none. */
  get newest(): number {
    return this.#extents.length === 0 ? 0 : this.#extents[this.#extents.length - 1]!.sequence;
  }

  /** Takes `count` messages from where `source` stands; leaves it on the last of them. Group `sequence` settles them. Returns their body bytes. */
  take(
    source: RunReader,
    count: number,
    first: number,
    redelivered: boolean,
    deliveryCount: number,
    envelopeId: number,
    sequence: number,
  ): number {
    const from = source.messageStart;
    let bodies = 0;
    for (let n = 1; ; n++) {
      bodies += source.bodyEnd - source.bodyStart;
      if (n === count) break;
      source.next();
    }
    const bytes = NOTE_BYTES + source.envelopeEnd - source.start + source.bodyEnd - from;
    const { buffer, view, end } = this.#extent(sequence, bytes);
    view.setFloat64(end, first, true);
    view.setUint32(end + 8, deliveryCount, true);
    view.setUint32(end + 12, envelopeId, true);
    view.setUint32(end + 16, redelivered ? 1 : 0, true);
    view.setUint32(end + 20, bytes, true);
    const start = end + NOTE_BYTES;
    const messages = copyBytes(source.buffer, source.start, source.envelopeEnd, buffer, view, start);
    copyBytes(source.buffer, from, source.bodyEnd, buffer, view, messages);
    view.setUint32(start + 8, count, true);
    this.#extents[this.#extents.length - 1]!.end = end + bytes;
    this.#bytes += bytes;
    this.count += count;
    return bodies;
  }

  /** Groups up to `sequence` are durable. */
  synced(sequence: number): void {
    this.#durable = sequence;
  }

  /** Whether something may be delivered now, if the consumer takes it. */
  get waits(): boolean {
    return this.count > 0 && (this.#left > 0 || this.#extents[0]!.sequence <= this.#durable);
  }

  /** Called by the queue's dispatch alone. */
  deliver(): void {
    const consumer = this.#consumer;
    const { delivery } = consumer.queue;
    while (consumer.credit > 0 && !consumer.stopped && !consumer.cancelled && this.waits) {
      this.#next();
      fill(delivery, this.#reader);
      delivery.queue = consumer.queue;
      delivery.number = this.#first + this.#reader.index;
      delivery.redelivered = this.#redelivered;
      delivery.deliveryCount = this.#deliveryCount;
      delivery.envelopeId = this.#envelopeId;
      consumer.credit--;
      consumer.offer(delivery);
    }
  }

  giveBack(): void {
    while (this.count > 0) {
      this.#next();
      this.#consumer.queue.appendAgain(this.#reader, this.#redelivered, this.#deliveryCount);
    }
  }

  /** The open group's extent, with room for so many bytes. */
  #extent(sequence: number, bytes: number): Extent {
    const newest = this.#extents[this.#extents.length - 1];
    if (newest?.sequence === sequence) {
      newest.reserve(bytes);
      return newest;
    }
    const extent = new Extent(sequence, Math.max(bytes, this.#usualBytes));
    this.#extents.push(extent);
    return extent;
  }

  /** Moves to the next message; an extent of which all is taken is forgotten. */
  #next(): void {
    const reader = this.#reader;
    const extent = this.#extents[0]!;
    if (this.#left === 0) {
      const { view, at } = extent;
      this.#first = view.getFloat64(at, true);
      this.#deliveryCount = view.getUint32(at + 8, true);
      this.#envelopeId = view.getUint32(at + 12, true);
      this.#redelivered = view.getUint32(at + 16, true) !== 0;
      extent.at = at + view.getUint32(at + 20, true);
      reader.open(extent.buffer, view, at + NOTE_BYTES);
      this.#left = reader.count;
    }
    reader.next();
    this.#left--;
    this.count--;
    if (this.#left > 0 || extent.at < extent.end) return;
    this.#extents.shift();
    this.#bytes -= extent.end;
    this.#usualBytes = Math.min(Math.max(LEAST_BYTES, extent.end), MOST_BYTES);
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

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
}
