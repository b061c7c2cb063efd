import type { Batch, DeliveryView, MessageView } from '../engine/engine.ts';
import type { FieldTable } from '../format/field-table.ts';
import type { Broker } from './broker.ts';
import type { ConnectionScope } from './connection-scope.ts';
import type { Principal } from './principal.ts';
import type { Route } from './route.ts';
import type { Actor, Vhost } from './vhost.ts';

export interface ConsumeRequest {
  /** Empty: the session makes one (`amq.ctag-...`). */
  readonly consumerTag: string;
  readonly noAck: boolean;
  readonly exclusive: boolean;
  readonly arguments: FieldTable;
  /** Unacknowledged messages at most; 0: no limit. Absent: as `setPrefetch` said. */
  readonly prefetch?: number;
}

export interface ConsumerSink {
  /** Hot. Writes the delivery out before it returns. False: it was written, but no more until `SessionConsumer.resume()`. */
  deliver(tag: number, delivery: DeliveryView): boolean;
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
  /** After `deliver` answered false. */
  resume(): void;
}

/** One AMQP channel or MQTT session: its lease, its consumers, its unacknowledged deliveries. */
export class Session implements Actor {
  readonly broker: Broker;
  readonly vhost: Vhost;
  readonly principal: Principal;
  readonly connection: ConnectionScope;

  constructor(broker: Broker, vhost: Vhost, principal: Principal, connection: ConnectionScope) {
    this.broker = broker;
    this.vhost = vhost;
    this.principal = principal;
    this.connection = connection;
  }

  get unackedCount(): number {
    return 0;
  }

  /**
   * Hot. The route for this very message: the one given, or another where headers decide (headers exchanges, CC and BCC).
   * Call it once the message's properties are there; where its `targets` are null, the message is unroutable.
   * @throws BrokerError PRECONDITION_FAILED for a property that can't be (`expiration`, `user-id`)
   */
  resolve(_route: Route, _message: MessageView): Route {
    throw new Error('not there yet');
  }

  /** Hot. Appends to the batch what `resolve` found a way for; sets the message's `expiresAt` and `priority`. Unroutable: nothing. */
  publish(_batch: Batch, _route: Route, _message: MessageView): void {
    throw new Error('not there yet');
  }

  /** @throws BrokerError NOT_FOUND, ACCESS_REFUSED, RESOURCE_LOCKED, NOT_ALLOWED (consumer tag in use), PRECONDITION_FAILED */
  consume(_queueName: string, _request: ConsumeRequest, _sink: ConsumerSink): Promise<SessionConsumer> {
    throw new Error('not there yet');
  }

  /** The consumer with this tag is gone when this resolves; one that is not there is no error. `sink.cancelled` is not called. */
  cancel(_consumerTag: string): Promise<void> {
    throw new Error('not there yet');
  }

  /** Takes one message. `sink.deliver` is called before this resolves; null: the queue is empty. */
  get(_queueName: string, _noAck: boolean, _sink: GetSink): Promise<{ readonly remaining: number } | null> {
    throw new Error('not there yet');
  }

  /** 0: no limit. `global`: shared by all consumers of the session, from now on; else for consumers to come. */
  setPrefetch(_count: number, _global: boolean): void {
    throw new Error('not there yet');
  }

  /** Hot. False: no such delivery is unacknowledged (`unknown delivery tag N`). Tag 0 with `multiple`: all. */
  ack(_batch: Batch, _tag: number, _multiple: boolean): boolean {
    throw new Error('not there yet');
  }

  /** As `ack`. Without `requeue` the message is dead-lettered where its queue says so, after the batch, in a commit of its own. */
  reject(_batch: Batch, _tag: number, _multiple: boolean, _requeue: boolean): boolean {
    throw new Error('not there yet');
  }

  /** Gives everything unacknowledged back to its queues, to be delivered again (basic.recover with requeue). */
  recover(_batch: Batch): void {
    throw new Error('not there yet');
  }

  /** Cancels the consumers; everything unacknowledged goes back to its place. */
  close(): Promise<void> {
    throw new Error('not there yet');
  }
}
