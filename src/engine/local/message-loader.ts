/** Brings single messages of a queue into memory, for whoever asks for them apart from dispatch. */
import type { BrowsedMessage, DeliveryView } from '../engine.ts';
import type { SegmentReader } from './backlog-reader.ts';
import { BacklogReader } from './backlog-reader.ts';
import { emptyDelivery } from './empty-delivery.ts';
import type { LocalQueue } from './queue.ts';
import { RunCursor, WAIT } from './run-cursor.ts';
import { fill } from './settled-deliveries.ts';
import type { Window } from './window.ts';
import type { EngineError } from '../errors.ts';

export class MessageLoader {
  readonly #queue: LocalQueue;
  readonly #window: Window;
  readonly #reader: SegmentReader | null;
  readonly #damaged: (error: EngineError) => void;
  readonly #delivery = emptyDelivery();
  readonly #cursors = new Map<number, RunCursor>();
  readonly #backlogs: BacklogReader[] = [];
  #cursor: RunCursor | null = null;
  #arrived: (() => void) | null = null;
  #failed = false;

  constructor(queue: LocalQueue, window: Window, reader: SegmentReader | null, damaged: (error: EngineError) => void) {
    this.#queue = queue;
    this.#window = window;
    this.#reader = reader;
    this.#damaged = damaged;
  }

  /** Stands on the message afterwards; false when it is not to be had any more. */
  async seek(number: number): Promise<boolean> {
    const cursor = this.#cursorOf(number);
    this.#cursor = cursor;
    // Settled while it was waited for, it may lie in a segment that is gone.
    while (!this.#hasEnded() && !this.#queue.held.isSettled(number)) {
      const at = cursor.seek(number);
      if (at !== WAIT) return at === number;
      // What was read may have been found damaged on the spot: nothing arrives then.
      if (this.#hasEnded()) break;
      await new Promise<void>((resolve) => (this.#arrived = resolve));
    }
    return false;
  }

  /** A flyweight of the loader's own: filled again by the next call. */
  delivery(number: number, deliveryCount: number): DeliveryView {
    const delivery = this.#delivery;
    fill(delivery, this.#cursor!.reader);
    delivery.queue = this.#queue;
    delivery.number = number;
    delivery.deliveryCount = deliveryCount;
    delivery.redelivered = deliveryCount > 0;
    delivery.envelopeId = this.#cursor!.envelopeId;
    return delivery;
  }

  copy(number: number, redelivered: boolean): BrowsedMessage {
    const reader = this.#cursor!.reader;
    const bytes = (from: number, to: number): Buffer => Buffer.from(reader.buffer.subarray(from, to));
    return {
      number,
      redelivered,
      storedAt: reader.storedAt,
      envelope: bytes(reader.envelopeStart, reader.envelopeEnd),
      properties: bytes(reader.propertiesStart, reader.bodyStart),
      body: bytes(reader.bodyStart, reader.bodyEnd),
    };
  }

  /** Gives back what was read ahead. */
  close(): void {
    for (const backlog of this.#backlogs) backlog.clear();
  }

  #hasEnded(): boolean {
    return this.#failed || this.#queue.deleted;
  }

  #cursorOf(number: number): RunCursor {
    const level = this.#queue.levelOf(number);
    let cursor = this.#cursors.get(level.priority);
    if (cursor === undefined) {
      const backlog =
        this.#reader === null
          ? null
          : new BacklogReader(
              this.#reader,
              () => this.#wake(),
              (error) => this.#fail(error),
            );
      if (backlog !== null) this.#backlogs.push(backlog);
      cursor = new RunCursor(this.#window, level.chunks, () => backlog);
      this.#cursors.set(level.priority, cursor);
    }
    return cursor;
  }

  #wake(): void {
    const arrived = this.#arrived;
    this.#arrived = null;
    arrived?.();
  }

  #fail(error: EngineError): void {
    this.#failed = true;
    this.#damaged(error);
    this.#wake();
  }
}
