/** Hot path. One consumer's place in a stream: it settles nothing, and waits for nobody. */
import { LARGE_BODY_BYTES } from '../engine.ts';
import type { LocalConsumer } from './consumer.ts';
import { RunCursor } from './run-cursor.ts';
import { fill } from './settled-deliveries.ts';
import type { Stream } from './stream.ts';

/** A turn gives one reader no more: a filter that passes over them gives the credit back at once. */
const TURN_MESSAGES = 2_000;

export class StreamReader {
  /** Number of what it gets next. */
  next: number;
  /** Waits in the stream to be served. */
  woken = false;
  readonly #stream: Stream;
  readonly #consumer: LocalConsumer;
  readonly #cursor: RunCursor;
  /** It begins with the first run that was stored at or after this time, up to a number; -Infinity: it stands where it begins. */
  #fromTime = -Infinity;
  #fromTimeBelow = 0;
  #closed = false;
  /** It had its share of this turn. */
  #resting = false;

  constructor(stream: Stream, consumer: LocalConsumer, next: number) {
    const { queue } = stream;
    this.next = next;
    this.#stream = stream;
    this.#consumer = consumer;
    const arrived = (): void => {
      if (this.#closed) return;
      this.wake();
      queue.pump();
    };
    this.#cursor = new RunCursor(queue.host.journal.window, queue.levels[0]!.chunks, () =>
      queue.host.backlogReader(queue, arrived),
    );
  }

  /** It stands before the place that was meant; what is appended from now on was stored later. */
  seekTime(storedAt: number): void {
    this.#fromTime = storedAt;
    this.#fromTimeBelow = this.#stream.queue.next;
  }

  /** It may have something to deliver. */
  wake(): void {
    this.#stream.wake(this);
  }

  /** Delivers what is durable while its consumer takes it. */
  serve(): void {
    const consumer = this.#consumer;
    const stream = this.#stream;
    const { queue } = stream;
    if (!consumer.canTake || this.#resting || queue.deleted) return;
    const { delivery } = queue.host;
    const cursor = this.#cursor;
    const { reader } = cursor;
    if (this.#fromTime !== -Infinity && !this.#findTime()) return;
    // Retention has passed it.
    if (this.next < stream.first) this.next = stream.first;
    const { end } = stream;
    delivery.queue = queue;
    delivery.redelivered = false;
    delivery.deliveryCount = 0;
    // A sink may delete the queue.
    for (let left = TURN_MESSAGES; this.next < end && consumer.canTake && !queue.deleted; left--) {
      if (left === 0) {
        this.#rest();
        return;
      }
      const number = cursor.seek(this.next);
      // WAIT: it is told when the bytes are there.
      if (number < 0 || number >= end) return;
      const bodyBytes = reader.bodyEnd - reader.bodyStart;
      if (bodyBytes > LARGE_BODY_BYTES && consumer.refuses(bodyBytes)) return;
      this.next = number + 1;
      fill(delivery, reader);
      delivery.number = number;
      delivery.envelopeId = cursor.envelopeId;
      consumer.credit--;
      consumer.offer(delivery);
    }
    if (this.next >= end) cursor.release();
  }

  #rest(): void {
    const { queue } = this.#stream;
    this.#resting = true;
    queue.host.journal.clock.defer(() => {
      this.#resting = false;
      if (this.#closed) return;
      this.wake();
      queue.pump();
    });
  }

  close(): void {
    this.#closed = true;
    this.#cursor.release();
    this.#stream.close(this);
  }

  /** False: what decides is being read, or not durable yet. */
  #findTime(): boolean {
    const stream = this.#stream;
    const cursor = this.#cursor;
    for (;;) {
      if (this.next < stream.first) this.next = stream.first;
      if (this.next >= this.#fromTimeBelow) break;
      if (this.next >= stream.end) return false;
      const number = cursor.seek(this.next);
      if (number < 0) return false;
      // What was delayed was appended when it was due.
      if (Math.max(cursor.reader.storedAt, cursor.reader.dueAt) >= this.#fromTime) break;
      this.next = cursor.runEnd;
    }
    this.#fromTime = -Infinity;
    return true;
  }
}
