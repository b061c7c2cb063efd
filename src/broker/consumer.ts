/** Hot: `deliver` makes no object but for redeliveries of queues that count them. */
import type { DeliveryView, EngineConsumer, Sink } from '../engine/engine.ts';
import type { Holder } from './holder.ts';
import type { Queue } from './queue.ts';
import { countsDeliveries, withDeliveryCount } from './delivery-count.ts';
import type { ConsumerSink } from './consuming.ts';
import type { Session } from './session.ts';
import { OffsetHeader } from './stream/offset-header.ts';
import type { StreamFilter } from './stream/stream-filter.ts';

export interface ConsumerTraits {
  readonly consumerTag: string;
  readonly noAck: boolean;
  readonly exclusive: boolean;
  readonly prefetch: number;
  readonly timeoutMs: number | null;
  readonly filter: StreamFilter | null;
}

/** A consumer of a session: between the engine's consumer, which it gives credit, and the server's sink. */
export class Consumer implements Sink, Holder {
  readonly consumerTag: string;
  readonly queue: Queue;
  readonly noAck: boolean;
  readonly exclusive: boolean;
  readonly timeoutMs: number | null;
  /** Unacknowledged deliveries at most; 0: no limit. */
  prefetch: number;
  /** Null until the engine has it. */
  engineConsumer: EngineConsumer | null = null;
  /** Deliveries that are not acknowledged yet. */
  unacked = 0;
  /** Credit to give back with the next flush. */
  owed = 0;
  gone = false;
  readonly #session: Session;
  readonly #sink: ConsumerSink;
  /** Its index in the session. */
  readonly holder: number;
  readonly #countsDeliveries: boolean;
  /** Null: it reads no stream. */
  readonly #offsets: OffsetHeader | null;
  readonly #filter: StreamFilter | null;
  /** The server's output is full. */
  #full = false;
  /** The engine was told to stop until `resume`. */
  #stopped = false;
  /** The server asked for it: no credit until `resume`. */
  #paused = false;

  constructor(session: Session, queue: Queue, sink: ConsumerSink, holder: number, request: ConsumerTraits) {
    this.#session = session;
    this.queue = queue;
    this.#sink = sink;
    this.holder = holder;
    this.consumerTag = request.consumerTag;
    this.noAck = request.noAck;
    this.exclusive = request.exclusive;
    this.timeoutMs = request.timeoutMs;
    this.prefetch = request.noAck ? 0 : request.prefetch;
    this.#countsDeliveries = countsDeliveries(queue);
    this.#offsets = queue.settings.type === 'stream' ? new OffsetHeader() : null;
    this.#filter = request.filter;
  }

  get queueName(): string {
    return this.queue.name;
  }

  get made(): boolean {
    return this.engineConsumer !== null;
  }

  deliver(delivery: DeliveryView): boolean {
    let tag: number;
    if (this.#offsets !== null) {
      if (this.#filter !== null && !this.#filter.admits(delivery)) return this.#passOver();
      this.#offsets.add(delivery);
    }
    if (this.noAck) {
      tag = this.#session.ledger.skip();
    } else {
      tag = this.#session.ledger.add(this.holder, delivery.number);
      this.unacked += 1;
      this.#session.took(this);
    }
    const counted = this.#countsDeliveries && delivery.deliveryCount > 0;
    if (!this.#sink.deliver(tag, counted ? withDeliveryCount(delivery) : delivery)) this.#full = true;
    this.#stopped = this.#full || (this.#session.starved && !this.noAck);
    return !this.#stopped;
  }

  /** The message is not for this consumer: it has used no credit. */
  #passOver(): boolean {
    this.engineConsumer?.addCredit(1);
    return !this.#stopped;
  }

  hasRoom(bodyBytes: number): boolean {
    if (this.#sink.hasRoom === undefined || this.#sink.hasRoom(bodyBytes)) return true;
    this.#full = true;
    this.#stopped = true;
    return false;
  }

  cancelled(): void {
    if (this.gone) return;
    this.#session.lost(this);
    this.#sink.cancelled();
  }

  settled(count: number): void {
    this.unacked -= count;
    this.#session.settled(this, count);
  }

  /** How many more it may get. */
  available(sessionLeft: number): number {
    if (this.#paused) return 0;
    if (this.noAck) return Infinity;
    return Math.max(0, Math.min(this.prefetch === 0 ? Infinity : this.prefetch - this.unacked, sessionLeft));
  }

  get paused(): boolean {
    return this.#paused;
  }

  pause(): void {
    if (this.#paused || this.#full || this.gone) return;
    this.#paused = true;
    this.engineConsumer?.setCredit(0);
  }

  setPrefetch(count: number): void {
    if (this.noAck || this.gone) return;
    this.prefetch = count;
    if (!this.#full) this.#session.credit(this);
  }

  /** After `pause`, or after the sink answered false. */
  resume(): void {
    this.#full = false;
    if (this.#paused) {
      this.#paused = false;
      if (!this.gone) this.#session.credit(this);
    }
    this.resumeEngine();
  }

  /** Lets the engine go on if neither the server nor the session's prefetch is in the way. */
  resumeEngine(): void {
    if (!this.#stopped || this.#full || this.gone || (this.#session.starved && !this.noAck)) return;
    this.#stopped = false;
    this.engineConsumer?.resume();
  }
}
