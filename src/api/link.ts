/**
 * What the API needs of whatever carries its messages: the embedded broker, or a connection to one. All of it in AMQP's words
 * (queues, exchanges, basic properties), so that both ends of a mixed system mean the same.
 */
import type { BasicProperties } from '../format/basic-properties.ts';
import type { FieldTable } from '../format/field-table.ts';
import type { PostriderError } from './errors.ts';

export interface QueueTraits {
  /** Empty: the broker makes a name. */
  readonly name: string;
  readonly durable: boolean;
  readonly exclusive: boolean;
  readonly autoDelete: boolean;
  readonly arguments: FieldTable;
}

/** Where a message goes: `exchange` empty is the queue named by the key. */
export interface Address {
  readonly exchange: string;
  readonly routingKey: string;
  /** No queue takes it: reject with UNROUTABLE. Else it is dropped, as nobody listens. */
  readonly mandatory: boolean;
}

/** `properties` must not change afterwards: the same object for many messages is encoded once. */
export interface Outgoing {
  /** Text goes out as UTF-8, which the link writes where it wants it. */
  readonly body: Uint8Array | string;
  readonly properties: BasicProperties;
  /** Milliseconds until it is ready; 0: at once. */
  readonly delayMs: number;
}

/** One delivery. The same object is filled again for the next: valid until `deliver` returns. */
export interface Delivery {
  readonly tag: number;
  readonly body: Buffer;
  readonly bodyStart: number;
  readonly bodyEnd: number;
  /** May be shared with other messages: not to be changed. */
  readonly properties: BasicProperties;
  readonly exchange: string;
  readonly routingKey: string;
  readonly redelivered: boolean;
  /** Earlier deliveries that are known of. */
  readonly deliveryCount: number;
}

export interface DeliverySink {
  /** Outside of the caller's own calls. False: it was taken, but no more until `resume`. */
  deliver(delivery: Delivery): boolean;
  /** Deliveries of this consumer that are not settled come again; settling them answers DELIVERY_LOST. */
  lost(): void;
  /** The queue was deleted, or is damaged: nothing more comes. */
  ended(error: PostriderError): void;
}

export interface LinkConsumer {
  /** Deliveries that may be unsettled at a time. */
  setPrefetch(count: number): void;
  /** After `deliver` answered false. */
  resume(): void;
  ack(tag: number): void;
  /** As `ack`; resolves once the settlement is durable (embedded) or sent. @throws PostriderError DELIVERY_LOST */
  acked(tag: number): Promise<void>;
  /** Back to its place in the queue. */
  requeue(tag: number): Promise<void>;
  /**
   * Publishes a message in place of the delivery, and settles it: as one atomic step where the link can, else in this order, so that
   * a crash between the two leaves both. `to` null: it is dropped.
   */
  replace(tag: number, to: Address | null, message: Outgoing | null): Promise<void>;
  /** No more deliveries; what is unsettled may still be settled. */
  cancel(): Promise<void>;
  /** After `cancel`, once everything is settled: gives back what is not. */
  close(): Promise<void>;
}

export interface ConsumeTraits {
  readonly prefetch: number;
  /** At-most-once: settled before it is delivered. */
  readonly noAck: boolean;
  readonly exclusive: boolean;
  readonly priority: number;
}

export interface QueueCounts {
  readonly ready: number;
  readonly unacked: number | null;
  readonly delayed: number | null;
  readonly consumers: number;
}

export interface LinkEvents {
  blocked(reason: string): void;
  unblocked(): void;
  /** A connection is gone and will be made again. */
  disconnected(error: PostriderError): void;
  reconnected(): void;
  /** For good: the engine failed. */
  failed(error: PostriderError): void;
}

export interface Link {
  readonly kind: 'embedded' | 'remote';
  /** Resolves with the queue's name. @throws PostriderError QUEUE_DIFFERS, QUEUE_LOCKED, ACCESS_REFUSED, UNSUPPORTED */
  declareQueue(traits: QueueTraits): Promise<string>;
  /** @throws PostriderError QUEUE_NOT_FOUND */
  checkQueue(name: string): Promise<QueueCounts>;
  deleteQueue(name: string): Promise<number>;
  purgeQueue(name: string): Promise<number>;
  declareExchange(name: string, type: string): Promise<void>;
  bindQueue(queue: string, exchange: string, routingKey: string): Promise<void>;
  unbindQueue(queue: string, exchange: string, routingKey: string): Promise<void>;
  /**
   * Resolves once the message is on disk. What is not sent when `signal` is aborted never is, and rejects with ABORTED: not at once
   * though, but when it would have been its turn. @throws PostriderError what became of it
   */
  publish(to: Address, message: Outgoing, signal?: AbortSignal): Promise<void>;
  consume(queue: string, traits: ConsumeTraits, sink: DeliverySink): Promise<LinkConsumer>;
  /** Ready messages from the head, left there. */
  peek(queue: string, limit: number, each: (delivery: Delivery) => void): Promise<void>;
  /** Everything published is answered, then it is closed. */
  close(): Promise<void>;
}
