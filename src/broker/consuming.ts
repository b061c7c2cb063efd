/** What a server gives a session to consume with, and gets. */
import type { Batch, DeliveryView, Settlement } from '../engine/engine.ts';
import type { FieldTable } from '../format/field-table.ts';

export interface ConsumeRequest {
  /** Empty: the session makes one (`amq.ctag-...`). */
  readonly consumerTag: string;
  readonly noAck: boolean;
  readonly exclusive: boolean;
  readonly arguments: FieldTable;
  /** Unacknowledged messages at most; 0: no limit. Absent: as `setPrefetch` said. */
  readonly prefetch?: number;
}

export interface MailboxRequest {
  readonly consumerTag: string;
  readonly noAck: boolean;
  /** Only what is durable. */
  readonly afterSync: boolean;
  /** As `ConsumeRequest.prefetch`. */
  readonly prefetch?: number;
}

export interface ConsumerSink {
  /** Hot. Writes the delivery out before it returns. False: it was written, but no more until `SessionConsumer.resume()`. */
  deliver(tag: number, delivery: DeliveryView): boolean;
  /** Asked before a large message is taken for it (`Sink.hasRoom`). False: not now, and no more until `SessionConsumer.resume()`. Absent: always. */
  hasRoom?(bodyBytes: number): boolean;
  /** The queue was deleted, or stopped: nothing more comes, and the consumer is gone. */
  cancelled(): void;
}

export interface GetSink {
  /** `remaining`: about how many ready messages the queue holds after this one. */
  deliver(tag: number, delivery: DeliveryView, remaining: number): void;
}

/** A consumer of a session. Its first delivery comes in a later turn of the event loop than the promise that gave it. */
export interface SessionConsumer {
  readonly consumerTag: string;
  readonly queueName: string;
  /** The engine has it: until then permission is asked for once more. */
  readonly made: boolean;
  /** No deliveries until `resume`, as after `deliver` answered false. */
  pause(): void;
  /** After `pause`, or after `deliver` answered false. */
  resume(): void;
  /** Another prefetch from now on; 0: no limit. */
  setPrefetch(count: number): void;
}

/** A delivery that its session has let go of, for whoever settles it in a batch of his own. It is held until then. */
export interface Claim {
  settle(batch: Batch, settlement: Settlement): void;
  /** It is settled: the consumer may get another. */
  done(): void;
}
