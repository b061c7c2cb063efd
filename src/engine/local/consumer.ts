/** Hot path. A consumer of one queue: its credit, and whether it can take a message now. */
import type { ConsumeOptions, DeliveryView, EngineConsumer, Sink } from '../engine.ts';
import type { GroupOwner } from './message-group.ts';
import type { LocalLease } from './lease.ts';
import type { LocalQueue } from './queue.ts';
import type { StreamReader } from './stream-reader.ts';
import { SettledDeliveries } from './settled-deliveries.ts';

export class LocalConsumer implements EngineConsumer {
  readonly queue: LocalQueue;
  readonly lease: LocalLease;
  readonly sink: Sink;
  readonly noAck: boolean;
  readonly afterSync: boolean;
  readonly exclusive: boolean;
  readonly priority: number;
  /** Deliveries that it may still get. */
  credit: number;
  /** The sink had no room. */
  stopped = false;
  cancelled = false;
  /** Until its owner knows it, it gets nothing. */
  entering = true;
  /** Its neighbours among those that can take a message (consumer-ring.ts); null: it can't. */
  left: LocalConsumer | null = null;
  right: LocalConsumer | null = null;
  /** As whom it has keys of a grouped queue; null: it was not looked at yet. */
  owner: GroupOwner | null = null;
  /** Its place, in a stream. */
  reader: StreamReader | null = null;
  /** At-most-once deliveries whose settlement is not durable yet. */
  readonly settled: SettledDeliveries | null;

  constructor(queue: LocalQueue, lease: LocalLease, options: ConsumeOptions, sink: Sink) {
    this.queue = queue;
    this.lease = lease;
    this.sink = sink;
    this.noAck = options.noAck;
    this.afterSync = options.afterSync ?? false;
    this.exclusive = options.exclusive ?? false;
    this.priority = options.priority ?? 0;
    this.credit = options.credit;
    this.settled = options.noAck ? new SettledDeliveries(this) : null;
  }

  /** How many more may be taken for it: at most once, what waits for its sync has not used its credit yet. */
  get room(): number {
    return this.settled === null ? this.credit : this.credit - this.settled.count;
  }

  get canTake(): boolean {
    return (
      this.room > 0 &&
      !this.entering &&
      !this.stopped &&
      !this.cancelled &&
      (this.settled === null || this.settled.hasRoom)
    );
  }

  /** A sink that throws is in no state for more, until it is resumed. */
  offer(delivery: DeliveryView): void {
    try {
      if (!this.sink.deliver(delivery)) this.stopped = true;
    } catch (error) {
      this.stopped = true;
      this.queue.host.dispatcher.threw(error);
    }
  }

  /** Of a large message: its sink has no room for it, and it gets nothing until it is resumed. */
  refuses(bodyBytes: number): boolean {
    if (this.sink.hasRoom === undefined || this.sink.hasRoom(bodyBytes)) return false;
    this.stopped = true;
    this.queue.consumers.served(this);
    return true;
  }

  /** Its owner knows it. */
  enter(): void {
    this.entering = false;
    if (!this.cancelled) this.queue.consumers.changed(this);
  }

  addCredit(count: number): void {
    this.setCredit(this.credit + count);
  }

  setCredit(count: number): void {
    this.credit = count;
    this.queue.consumers.changed(this);
  }

  resume(): void {
    if (!this.stopped) return;
    this.stopped = false;
    this.queue.consumers.changed(this);
  }

  cancel(): void {
    if (this.cancelled) return;
    this.cancelled = true;
    this.settled?.giveBack();
    this.lease.consumers.delete(this);
    this.queue.consumers.remove(this);
  }
}
