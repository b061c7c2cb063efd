import type { DeliveryView, GroupKeys, RemovalSink } from '../engine.ts';
import type { BacklogReader } from './backlog-reader.ts';
import type { LocalConsumer } from './consumer.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { DueTimes } from './due-times.ts';
import type { HandOver } from './hand-over.ts';
import type { Identities } from './identities.ts';
import type { Journal } from './journal/journal.ts';
import type { LocalLease } from './lease.ts';
import type { LocalQueue } from './queue.ts';
import type { RunReader } from './run.ts';
import type { SegmentTable } from './segments.ts';

/** What a queue needs of its engine. */
export interface QueueHost {
  readonly journal: Journal;
  readonly segments: SegmentTable;
  readonly dispatcher: Dispatcher;
  readonly dueTimes: DueTimes;
  readonly identities: Identities;
  readonly handOver: HandOver;
  /** The one flyweight of all deliveries. */
  readonly delivery: DeliveryView;
  readonly removal: { readonly lease: LocalLease; readonly sink: RemovalSink } | null;
  /** Ids of leases under which nothing that is given back was a delivery. */
  readonly uncountedLeases: ReadonlySet<number>;
  /** How messages of grouped queues get their keys; null: not known yet. */
  readonly groupKeys: GroupKeys | null;
  /** Null where nothing ever leaves memory. `arrived` is called when something was read; absent: the queue is dispatched. */
  backlogReader(queue: LocalQueue, arrived?: () => void): BacklogReader | null;
  /** Delivers what was settled for the consumer once the open group is durable. */
  whenGroupSynced(consumer: LocalConsumer): void;
  /** Appends once more what was settled for a consumer that went before it got it. */
  appendAgain(queue: LocalQueue, reader: RunReader, expiresAt: number): void;
  /** Dispatches the queue again when the disk may have space for counts of deliveries. */
  pumpWhenSpace(queue: LocalQueue): void;
  /** Dispatches the queue again once the open group is durable. */
  pumpWhenSynced(queue: LocalQueue): void;
}
