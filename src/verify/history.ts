/**
 * The history of a run: what client processes did and saw, as events on one monotonic clock.
 *
 * A history file holds one JSON object a line, newline-terminated, in the order in which its process wrote them. The
 * first line names the format; a last line without its newline was torn by a kill and is not part of the history.
 *
 *   k     event               other keys
 *   o     origin              v format version (1), n name of the process, p pid
 *   p     publish, before     i id, a attempt (from 1), h body hash, r route: every queue it must reach,
 *                             u 1 when no order is promised for it (priority, delay); else absent
 *   p+    publish confirmed   i, a
 *   p-    publish rejected    i, a
 *   p?    publish unknown     i, a   (time-out, broken connection; no answer at all means the same)
 *   c     subscribe, before   q queue, c consumer incarnation
 *   d     delivered           q, c, i, h, d 1 when flagged redelivered; else absent
 *   s     settle, before      q, c, i, w how: ack | drop | requeue
 *   s+    settle confirmed    q, c, i, w   (only where the protocol answers: the broker promised that it is durable)
 *   s-    settle refused      q, c, i, w   (a stale lease)
 *   s?    settle unknown      q, c, i, w
 *   e     effect              q queue that caused it, i, h optional
 *   x     lawful removal      q, w reason: expired | overflow | dead-letter | purged | deleted, i absent: any message of
 *                             the queue that was published before, to queues it went to, m 1: it may have happened
 *   f     fault struck        n name of the fault, w what was done, b proof, if it is known at once
 *   f+    proof of a fault    n, b proof: {"pid":[before,after]} | {"lostBytes":n} | {"counter":name,"rose":[before,after]}
 *
 * Every line has t: nanoseconds of CLOCK_MONOTONIC, which all processes of one machine share.
 * A message is known by its id, "producer/epoch/sequence", and never by a number that a queue gave it.
 */

/** `producer/epoch/sequence`. The sequence is the order in which the producer first sent its messages. */
export type MessageId = string;

export type SettleHow = 'ack' | 'drop' | 'requeue';
export type RemovalReason = 'expired' | 'overflow' | 'dead-letter' | 'purged' | 'deleted';

/** Independent evidence that a fault bit. A proof that proves nothing (same pid, no byte lost) makes the run void. */
export type FaultProof =
  | { readonly kind: 'pid'; readonly before: number; readonly after: number }
  | { readonly kind: 'lost-bytes'; readonly bytes: number }
  | { readonly kind: 'counter'; readonly name: string; readonly before: number; readonly after: number };

interface Timed {
  /** Nanoseconds of the monotonic clock. */
  readonly at: number;
}

export interface PublishEvent extends Timed {
  readonly type: 'publish';
  readonly id: MessageId;
  readonly attempt: number;
  readonly hash: string;
  readonly route: readonly string[];
  /** No order is promised for this message (priority, delay). */
  readonly unordered?: boolean;
}

export interface PublishAnswerEvent extends Timed {
  readonly type: 'publish-ok' | 'publish-rejected' | 'publish-unknown';
  readonly id: MessageId;
  readonly attempt: number;
}

export interface SubscribeEvent extends Timed {
  readonly type: 'subscribe';
  readonly queue: string;
  /** One life of one consumer: a new name for each (re)subscription. */
  readonly consumer: string;
}

export interface DeliverEvent extends Timed {
  readonly type: 'deliver';
  readonly queue: string;
  readonly consumer: string;
  readonly id: MessageId;
  readonly hash: string;
  readonly redelivered: boolean;
}

export interface SettleEvent extends Timed {
  readonly type: 'settle' | 'settle-ok' | 'settle-refused' | 'settle-unknown';
  readonly queue: string;
  readonly consumer: string;
  readonly id: MessageId;
  readonly how: SettleHow;
}

export interface EffectEvent extends Timed {
  readonly type: 'effect';
  readonly queue: string;
  readonly id: MessageId;
  readonly hash?: string;
}

export interface RemovalEvent extends Timed {
  readonly type: 'removed';
  readonly queue: string;
  /** Absent: whatever the queue held, of all that was published before this event (a purge, a deleted queue). */
  readonly id?: MessageId;
  readonly reason: RemovalReason;
  /** Queues that hold the message from now on (dead-lettering). */
  readonly to?: readonly string[];
  /** It may have happened: nothing is promised of it. Always so without an id. */
  readonly maybe?: boolean;
}

export interface FaultEvent extends Timed {
  readonly type: 'fault';
  readonly name: string;
  /** What was done to whom, such as `SIGKILL broker`. */
  readonly what: string;
  readonly proof?: FaultProof;
}

export interface FaultProofEvent extends Timed {
  readonly type: 'fault-proof';
  readonly name: string;
  readonly proof: FaultProof;
}

export type HistoryEvent =
  | PublishEvent
  | PublishAnswerEvent
  | SubscribeEvent
  | DeliverEvent
  | SettleEvent
  | EffectEvent
  | RemovalEvent
  | FaultEvent
  | FaultProofEvent;

export type HistoryErrorCode = 'DAMAGED_LINE' | 'FOREIGN_FILE' | 'NEWER_FORMAT' | 'FILE_EXISTS' | 'RECORDER_CLOSED';

/** A history that cannot be read or written. The message says which file, which line, and what to do. */
export class HistoryError extends Error {
  readonly code: HistoryErrorCode;

  constructor(code: HistoryErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'HistoryError';
    this.code = code;
  }
}

export function messageId(producer: string, epoch: number, sequence: number): MessageId {
  return `${producer}/${epoch}/${sequence}`;
}

export interface MessageIdentity {
  readonly producer: string;
  readonly epoch: number;
  readonly sequence: number;
}

/** The parts of an id (the producer's name may hold slashes), or undefined where it is none. */
export function parseMessageId(id: MessageId): MessageIdentity | undefined {
  const second = id.lastIndexOf('/');
  const first = id.lastIndexOf('/', second - 1);
  if (first < 1 || second - first < 2 || second === id.length - 1) return undefined;
  const epoch = Number(id.slice(first + 1, second));
  const sequence = Number(id.slice(second + 1));
  if (!Number.isSafeInteger(epoch) || !Number.isSafeInteger(sequence)) return undefined;
  return { producer: id.slice(0, first), epoch, sequence };
}
