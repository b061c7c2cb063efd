/**
 * The engine contract: what every engine keeps, whatever it stores its messages in.
 *
 * The broker decides *where* a message goes (exchanges, bindings, dead-lettering, permission); an engine keeps *what is in
 * each queue* and who holds it. No protocol and no connection type appears here. Every verb can be kept by an engine in this
 * process (`local`), by SQL (`postgres`) and by JetStream (`nats`); docs/ENGINES.md says how.
 *
 * Invariants that every engine keeps:
 * - A commit is reported only when it is durable (for what is durable in it), and commits are reported in the order of their `commit()` calls.
 * - An item that was refused changed nothing. In an atomic batch one refusal refuses the whole batch.
 * - What a lost or released lease held comes back to its place in its queue, and a settlement under that lease is answered `stale`.
 * - An engine that can't keep a setting refuses it when the queue is declared: never a silent downgrade.
 * - Calls of one broker take effect in the order they were made: `stats`, `take`, `browse`, `purge` see what was released, committed or cancelled before.
 * - Sinks are called outside of any open batch, so a sink may begin one; they are never called from within `consume`, `take` or `load` itself.
 * - A refusal is per item and whole: one target deleted, full or damaged, one number of a range not held under that lease, and nothing of the item happened.
 */
import type { EngineError } from './errors.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** What an engine can do, right once `open` resolved. Asking for more is refused with `EngineError` code `UNSUPPORTED`. */
export interface Capabilities {
  /** `required`: batches over several queues are all-or-nothing. `idempotent`: carried by identities derived from the input. */
  readonly atomic: 'required' | 'idempotent';
  readonly durable: boolean;
  readonly priorities: boolean;
  readonly delayed: boolean;
  readonly producers: boolean;
  readonly messageIds: boolean;
  readonly groups: boolean;
  readonly streams: boolean;
  /** A message given back is delivered at its old place again, before what is behind it. */
  readonly requeueInPlace: boolean;
  /** `maxLength` and `maxBytes` are decided exactly, on ready messages, before anything is appended. */
  readonly readyLimits: boolean;
  /** Consumer priorities hold over all brokers on this engine. */
  readonly consumerPriorities: boolean;
}

/** A durable (or, with `durable: false`, memory-only) fact of the broker's topology. The engine keeps `value` without reading it. */
export interface TopologyEntry {
  readonly kind: string;
  readonly key: string;
  readonly durable: boolean;
  readonly value: Json;
}

/** What the engine itself enforces on a queue: the engine's part of its effective settings. */
export interface QueueLimits {
  /** Most ready messages. Absent: no limit. */
  readonly maxLength?: number;
  /** Most bytes of ready bodies. Absent: no limit. */
  readonly maxBytes?: number;
  /** Both limits count ready messages alone. At a limit: `drop-head` removes the oldest, `reject` refuses the append. Default `drop-head`. */
  readonly overflow?: 'drop-head' | 'reject';
  /** Milliseconds that a message may wait in the queue, counted from its append. 0 expires at once unless a consumer of this broker can take it. */
  readonly messageTtlMs?: number;
  /** Priorities 0..maxPriority are kept apart (at most 255). Absent: the message's priority is ignored. */
  readonly maxPriority?: number;
  /** Deliveries after which a message that comes back (requeued, released, found held at a start) is removed (reason `delivery-limit`) instead of being ready again. Absent: no limit. */
  readonly deliveryLimit?: number;
  /** Only one consumer at a time gets messages, the next when it is gone. */
  readonly singleActiveConsumer?: boolean;
  /**
   * Message groups: what gives each message its key, in the broker's words (see `GroupKeys`). Needs `capabilities.groups`, and can't be changed later.
   *
   * Messages of one key are held by one consumer at a time (or by one lease, where `take` took them), and those of one priority are handed out in the order of their
   * numbers. The holder may get more of the key while it holds some; when all is settled or given back, whoever has credit gets the next. Once one is given back,
   * nothing of its key is handed out until the holder has settled or given back the others too; then it goes on from the lowest. A message whose
   * key is held elsewhere is passed over, up to a number of them that the engine chooses; beyond it those behind wait. Messages without a key are as in any queue.
   */
  readonly groupBy?: string;
  /** Present: the queue is a stream, durable and without any of the other limits. Needs `capabilities.streams`, and can't be changed later but for what it keeps. */
  readonly stream?: StreamLimits;
  /** A message that was delivered once does not expire any more. */
  readonly deliveredLasts?: boolean;
  /** Expired, overflown and over-delivered messages are handed to the broker's removal sink instead of being dropped by the engine. Until they are settled they count as unacked. */
  readonly handOverRemoved?: boolean;
}

/**
 * A stream's messages stay when they are read; each consumer has a place of its own (`ConsumeOptions.from`). Deliveries are held by nobody: to settle one
 * does nothing (nor is it ever stale), a consumer's credit alone bounds what it gets, and what is given back is not delivered again. Its
 * numbers grow by one with each message and are an identity: only what is durable is delivered, and none is given twice. `take`, `purge` and `noAck` are refused (UNSUPPORTED).
 *
 * What goes, goes from the head, in parts of neighbouring messages; to a consumer that has not read it, it is as if it had never been.
 */
export interface StreamLimits {
  /** Bytes of bodies beyond which the oldest go; what was appended last stays. Absent: no limit. */
  readonly maxBytes?: number;
  /** Milliseconds after its append from which on a message goes, with its part. Absent: no limit. */
  readonly maxAgeMs?: number;
  /** Bytes of bodies that go at a time, at most (but for one run): an engine may take less. */
  readonly partBytes?: number;
}

/** `last`: the newest message there is; `next`: what is appended from now on; `storedAt`: the first that was appended at or after this time (milliseconds since the epoch). A number that is gone: the oldest there is. */
export type StreamStart = 'first' | 'last' | 'next' | { readonly number: number } | { readonly storedAt: number };

export interface QueueSpec {
  /** Opaque to the engine; unique. */
  readonly key: string;
  /** False: queue and messages are gone when the broker stops. */
  readonly durable: boolean;
  readonly limits: QueueLimits;
  /** The broker's own description of the queue, kept without reading it. */
  readonly value: Json;
}

export type TopologyChange =
  | { readonly op: 'put'; readonly entry: TopologyEntry }
  | { readonly op: 'delete'; readonly kind: string; readonly key: string }
  | { readonly op: 'put-queue'; readonly queue: QueueSpec }
  /** `ifUnused` refuses with IN_USE while it has consumers, `ifEmpty` with NOT_EMPTY while it has ready messages. */
  | { readonly op: 'delete-queue'; readonly key: string; readonly ifUnused?: boolean; readonly ifEmpty?: boolean };

export interface ChangeResult {
  readonly revision: number;
  /** Ready messages that went with deleted queues. */
  readonly removed: number;
}

export interface Topology {
  readonly revision: number;
  readonly entries: readonly TopologyEntry[];
  readonly queues: readonly QueueSpec[];
}

/** A queue as the engine knows it. Handles stay valid until the queue is deleted; `deleted` then says so. */
export interface EngineQueue {
  readonly key: string;
  readonly durable: boolean;
  readonly deleted: boolean;
  /** Set when bytes of this queue were found damaged: it no longer delivers nor takes messages. */
  readonly damage: EngineError | null;
}

export interface QueueStats {
  readonly ready: number;
  readonly unacked: number;
  /** Bytes of the ready messages' bodies. */
  readonly readyBytes: number;
  /** Messages that are not due yet: neither ready nor unacked. */
  readonly delayed: number;
  readonly consumers: number;
  /** Messages that ids of its scope kept from queues since the start. Absent: none. */
  readonly repeats?: number;
}

/**
 * A message as bytes inside somebody else's buffers. A *flyweight*: the same object is filled again for the next message,
 * so whoever receives one copies what it keeps before it returns.
 */
export interface MessageView {
  /** Holds envelope and properties. */
  head: Buffer;
  /** The envelope says how the message was addressed; format is the broker's (see broker/envelope.ts). Ignored by `append`, which takes it from `Targets`. */
  envelopeStart: number;
  envelopeEnd: number;
  /** Message properties, as they came; format is the broker's. */
  propertiesStart: number;
  propertiesEnd: number;
  body: Buffer;
  bodyStart: number;
  bodyEnd: number;
  /** Milliseconds since the epoch after which the message must not be delivered; 0: never expires. */
  expiresAt: number;
  /** 0..255; only queues with `maxPriority` look at it. */
  priority: number;
  /**
   * Milliseconds since the epoch before which the message is not ready; in the past: like 0, at once. Needs `capabilities.delayed`.
   *
   * Until then it is durable like any other, and counts in nothing but `QueueStats.delayed`: no limit, `purge` nor `browse` sees it. When it is due it
   * is ready as if it were appended then (those that are due at once in the order of their times and appends): the limits of its queue look at it then, where
   * `reject` takes it beyond the limit, its queue's `messageTtlMs` begins, and `expiresAt` is what it was. That is no delivery.
   */
  dueAt: number;
  /** Who published it, for exactly-once publishing; null: none. */
  identity: Identity | null;
}

/** How a repeat of a publish is recognised. */
export type Identity =
  /** Dense numbering by a named producer: `sequence` must be the last one plus 1; at or below is a duplicate, a gap is refused. */
  | { readonly kind: 'producer'; readonly producer: string; readonly epoch: number; readonly sequence: number }
  /** A message id, remembered for `windowMs` and at most `windowCount` ids in `scope`. */
  | {
      readonly kind: 'id';
      readonly scope: string;
      readonly id: string;
      readonly windowMs: number;
      readonly windowCount: number;
    }
  /** Several ids, each of which may keep the message from some of its queues; a duplicate is what is kept from all of them. */
  | { readonly kind: 'each'; readonly ids: readonly GuardingId[] };

/** A message id, and the queues that it keeps a repeat from. It is remembered when one of them gets the message. */
export interface GuardingId {
  readonly id: string;
  readonly queues: readonly EngineQueue[];
  /** The queue whose scope it is, which ends with it. It need not be one of `queues`. */
  readonly owner: EngineQueue;
  /** For how long. `resident`, where the owner is the one queue: as long as the message is in it, delayed, ready or held. */
  readonly windowMs: number | 'resident';
  readonly windowCount: number;
  /** For this id alone, in place of the scope's `windowMs`. */
  readonly ownMs?: number;
}

export interface DeliveryView extends MessageView {
  queue: EngineQueue;
  /** The message's number in its queue, from 1. But for streams never an identity outside of the engine: after a crash it may be given again. */
  number: number;
  /** It may have been delivered before. */
  redelivered: boolean;
  /** How many earlier deliveries are known. */
  deliveryCount: number;
  /** Milliseconds since the epoch at which it was appended. */
  storedAt: number;
  /** Equal for two deliveries only if their envelopes are equal: lets a sink keep what it derived from the envelope. */
  envelopeId: number;
}

/** Where an append goes: made once a route, used for every message on it. */
export interface Targets {
  readonly queues: readonly EngineQueue[];
  /** Stored with each message; see `MessageView.envelopeStart`. */
  readonly envelope: Buffer;
}

/**
 * Who holds deliveries. Each holder (a session) has one; the engine fences it: once released or lost, its settlements are stale.
 */
export interface Lease {
  readonly id: number;
  readonly lost: boolean;
}

/** `ack` and `drop` remove the message (drop: unprocessed); `requeue` gives it back to its place and counts the delivery. */
export type Settlement = 'ack' | 'drop' | 'requeue';

/**
 * What happened to one item of a batch, told only when there is something to tell. `item` counts the batch's calls from 0.
 * `written` (with the new revision) answers a `put` that expected a revision; `waiting` (with a number for each target queue, good for `cancel` alone) an append that is due later.
 */
export interface ItemOutcome {
  readonly item: number;
  readonly outcome: 'duplicate' | 'refused' | 'stale' | 'conflict' | 'written' | 'waiting';
  /** Why, for `refused`. */
  readonly reason: RefusalReason | null;
  readonly revision?: number;
  readonly numbers?: readonly number[];
}

/**
 * `too-large`: a body over 128 MiB, properties over 16 MiB - 1, an envelope over 65,535 bytes, a keyed value over 128 MiB with its key, or what takes
 * an atomic batch beyond 256 MiB of them together (limits.ts). `full`: the disk is, and what space is left is for settlements. `max-length` stands for `maxBytes` too. `gap`/`fenced`: of a producer's sequence and epoch;
 * `damaged`: the queue stopped; `gone`: the queue was deleted meanwhile.
 */
export type RefusalReason = 'full' | 'max-length' | 'gap' | 'fenced' | 'damaged' | 'gone' | 'too-large';

/** Is told how a commit ended; the same object may serve many commits, told apart by `token`. */
export interface CommitReceiver<T> {
  /** The batch is durable but for the items in `outcomes` (null: everything is done). Atomic batches with any refusal: nothing was done. */
  committed(token: T, outcomes: readonly ItemOutcome[] | null): void;
  /** The engine failed; whether the batch is durable is unknown. */
  failed(token: T, error: EngineError): void;
}

/**
 * A batch being built, within one turn of the event loop. Items are applied in order when `commit` is called or before,
 * but nothing is delivered from it before `commit`.
 */
export interface Batch {
  /** To no queue at all it records the message's identity only. Larger than any engine takes (`too-large`), it is not looked at further. `isKept`: its bytes, unlike the view, stay as they are until `commit`. */
  append(targets: Targets, message: MessageView, isKept?: boolean): void;
  /** Settles `count` neighbouring numbers from `first`, all held under `lease`. */
  settle(lease: Lease, queue: EngineQueue, first: number, count: number, settlement: Settlement): void;
  /** Writes keyed state (null deletes). With `expectedRevision` (0: must not exist) another revision is outcome `conflict`. Revisions grow over the whole store. */
  put(key: string, value: Uint8Array | null, expectedRevision?: number): void;
  /** What is added from here on becomes durable at one moment: a crash leaves all of it or nothing. What is refused is refused alone, unless the batch is atomic. */
  together(): void;
  /** Ends the batch. `receiver` is told once it is durable, never before this call returned. */
  commit<T>(receiver: CommitReceiver<T>, token: T): void;
}

export interface ConsumeOptions {
  /** How many more messages may be pushed; `Infinity`: no limit. */
  readonly credit: number;
  /** Settled before it is delivered: at-most-once. */
  readonly noAck: boolean;
  /** Consumers of higher priority are served first, while they have credit. Default 0. */
  readonly priority?: number;
  /** Deliver only what is durable already (exactly-once consumers). Default false. */
  readonly afterSync?: boolean;
  /** Refused with IN_USE while the queue has another consumer, and refuses others while it lasts. Default false. */
  readonly exclusive?: boolean;
  /** Of a stream alone: where it begins. Default `next`. */
  readonly from?: StreamStart;
}

export { MAX_BODY_BYTES, MAX_PROPERTIES_BYTES } from './limits.ts';

/** A sink is asked before it gets a body larger than this. */
export const LARGE_BODY_BYTES = 128 * 1024;

export interface Sink {
  /** Takes a delivery. False: it was taken, but no more now, until `EngineConsumer.resume()`. */
  deliver(delivery: DeliveryView): boolean;
  /**
   * Asked before a message with a body over 128 KiB (`LARGE_BODY_BYTES`) is taken out for a consumer; what `take` takes is not asked for.
   * True: `deliver` brings it, at once or (at most once) when that is durable, unless the consumer ends before. False: nothing more until `EngineConsumer.resume()`.
   */
  hasRoom?(bodyBytes: number): boolean;
  /** The queue was deleted, or stopped by damage: nothing more comes. */
  cancelled(reason: 'deleted' | 'damaged'): void;
}

export interface EngineConsumer {
  readonly queue: EngineQueue;
  addCredit(count: number): void;
  /** Sets the credit to a new absolute value. */
  setCredit(count: number): void;
  /** After `deliver` answered false. */
  resume(): void;
  /** No more deliveries; what it was given stays held under its lease. */
  cancel(): void;
}

/** Why the engine takes a message out of its queue. */
export type RemovalReason = 'expired' | 'max-length' | 'delivery-limit';

/** The broker's side of removals: it settles each delivery under its lease (`drop`), with whatever it appends elsewhere, in one batch. */
export interface RemovalSink {
  remove(delivery: DeliveryView, reason: RemovalReason): void;
  /** Called after one or more `remove`, outside of any batch. */
  flush(): void;
}

/** The broker's side of message groups: it alone can read properties. */
export interface GroupKeys {
  /** How the keys of a queue are found, by its `QueueLimits.groupBy`. */
  reader(groupBy: string): GroupKeyReader;
}

/**
 * Hot. A number for the key of the message with these properties, from 1 to 2 ** 32 - 1; 0: it has none. Equal keys have equal numbers; keys that share one by
 * chance are one group, which costs concurrency and nothing else.
 */
export type GroupKeyReader = (properties: Buffer, start: number, end: number) => number;

export interface KeyedValue {
  readonly key: string;
  readonly value: Uint8Array;
  readonly revision: number;
}

export interface ProducerState {
  readonly epoch: number;
  readonly lastSequence: number;
}

export interface BrowsedMessage {
  readonly number: number;
  readonly redelivered: boolean;
  readonly storedAt: number;
  readonly envelope: Buffer;
  readonly properties: Buffer;
  readonly body: Buffer;
}

/** A message that is not due yet. Its number is that of its `waiting` outcome, good for `cancel`. */
export interface WaitingMessage {
  readonly number: number;
  readonly dueAt: number;
  readonly storedAt: number;
  readonly envelope: Buffer;
  readonly properties: Buffer;
  readonly bodyBytes: number;
}

/** What the engine tells its broker. None of these is called from within a call into the engine. */
export interface EngineListener {
  /** Fatal: nothing more will be confirmed; pending commits get `failed`. */
  failed(error: EngineError): void;
  /** No room for publishes, or the store can't be reached; settlements go on where they can. */
  blocked(reason: 'disk' | 'unreachable'): void;
  unblocked(): void;
  /** More bytes wait for the disk than is good: stop reading from publishers until `caughtUp`. */
  behind(): void;
  caughtUp(): void;
  /** Bytes of this queue are damaged: it stopped, the rest serves. */
  damaged(queue: EngineQueue, error: EngineError): void;
  /** The store gave this lease's holdings to others: its consumers are gone, its settlements are stale. */
  leaseLost(lease: Lease): void;
  /** Something an operator should know: a torn tail that was cut, a segment that was repaired. One line. */
  notice(line: string): void;
}

export interface Engine {
  readonly capabilities: Capabilities;

  /** Takes the store (lock, recovery) and gives back its topology. @throws EngineError LOCKED, FOREIGN, NEWER, CORRUPT, UNWRITABLE, FULL */
  open(listener: EngineListener): Promise<Topology>;
  /** Everything committed becomes durable, the store is sealed and released. Nothing may be called afterwards. */
  close(): Promise<void>;

  /**
   * Makes the changes durable as one unit. With `expectedRevision`, only if nobody else changed the topology since.
   * @throws EngineError CONFLICT, IN_USE, NOT_EMPTY, UNSUPPORTED: nothing was done
   */
  change(changes: readonly TopologyChange[], expectedRevision?: number): Promise<ChangeResult>;
  /** Tells of topology changes that another broker made after `revision`, with the revision they lead to. Returns the function that stops it. */
  watch(revision: number, changed: (changes: readonly TopologyChange[], revision: number) => void): () => void;
  queue(key: string): EngineQueue | undefined;
  targets(queues: readonly EngineQueue[], envelope: Buffer): Targets;

  /**
   * Begins a batch; it must be committed within this turn, and only one is open at a time. Without `atomic` items stand for
   * themselves. `required` is all-or-nothing. In an `idempotent` batch each settle (of one number) ends a group: the appends before it are its outputs,
   * their identity is derived from the settled message and their place in the group. `tellsWaiting` false (default true) spares who has no use for them
   * the `waiting` outcomes. `waitsForSettled` false (default true): nobody waits until messages are durably gone that the batch settles, so that one
   * without anything else that has to be durable is told as if it had nothing. They are soon, and never later than what is committed behind them: a
   * crash before it gives them back, as one before the commit would. Not for `atomic`.
   * @throws EngineError UNSUPPORTED where the engine can't keep it
   */
  begin(atomic?: 'required' | 'idempotent', tellsWaiting?: boolean, waitsForSettled?: boolean): Batch;

  /** `countsDeliveries` false: for a look at messages. What is given back of it was no delivery; what a crash finds held is one nevertheless. Default true. */
  lease(countsDeliveries?: boolean): Lease;
  /** Cancels the lease's consumers and gives back everything held under it to its place, counted as delivered, like `requeue`, where the lease counts deliveries. Resolves when it is back for everybody. */
  release(lease: Lease): Promise<void>;
  /** Lengthens a lease by `ms`; resolves false when it was lost. Leases of the local engine last as long as the process. */
  extend(lease: Lease, ms: number): Promise<boolean>;

  /** The sink is not called before the promise resolved. @throws EngineError IN_USE, NO_QUEUE, UNSUPPORTED (what streams alone have, or have not) */
  consume(queue: EngineQueue, lease: Lease, options: ConsumeOptions, sink: Sink): Promise<EngineConsumer>;
  /** Takes at most one message now. Resolves false when there is none. @throws EngineError NO_QUEUE */
  take(queue: EngineQueue, lease: Lease, noAck: boolean, sink: Sink): Promise<boolean>;
  /** Shows held deliveries once more (to dead-letter them), in the order of `numbers`, until the sink answers false; what is not held under the lease is passed over. */
  load(queue: EngineQueue, lease: Lease, numbers: readonly number[], sink: Sink): Promise<void>;
  /**
   * What expires, overflows or passes its delivery limit comes here, held under `lease`: that is no delivery, and given back it is not counted as one.
   * Until it is set, and once the lease is released, such messages wait.
   */
  onRemoval(lease: Lease, sink: RemovalSink): void;
  /** How messages of grouped queues get their keys. Until it is told, these queues wait. */
  useGroupKeys(keys: GroupKeys): void;

  /** Removes all ready messages; resolves with their count when that is durable. */
  purge(queue: EngineQueue): Promise<number>;
  /** Ready messages from the head, not taking them. */
  browse(queue: EngineQueue, offset: number, limit: number): Promise<BrowsedMessage[]>;
  /** Messages that are not due yet, from the one behind the number `after` on, by number; one that goes meanwhile is passed over. None more once envelopes and properties come to `maxBytes`. */
  waiting(queue: EngineQueue, after: number, limit: number, maxBytes?: number): Promise<WaitingMessage[]>;
  /** Takes a delayed message out before it is ready; `number` is that of its `waiting` outcome. Resolves true when that is durable, false when it was not waiting. */
  cancel(queue: EngineQueue, number: number): Promise<boolean>;
  stats(queue: EngineQueue): Promise<QueueStats>;

  /** Opens a named producer: fences its older epochs. */
  producer(name: string): Promise<ProducerState>;
  /** Keyed state with this prefix. */
  state(prefix: string): Promise<KeyedValue[]>;
  /** Durable messages of a stream from a number on (or from the first there is behind it), at most `limit`. @throws EngineError UNSUPPORTED where `capabilities.streams` is false */
  read(queue: EngineQueue, position: number, limit: number): Promise<BrowsedMessage[]>;
}
