/**
 * Records what a client does and sees. The rule that makes a history worth judging: record *before* each send and *on*
 * each answer. What a recorder returned from has been recorded, whatever becomes of the process.
 */
import type {
  FaultProof,
  HistoryEvent,
  MessageId,
  PublishAnswerEvent,
  RemovalEvent,
  RemovalReason,
  SettleEvent,
  SettleHow,
} from './history.ts';

/** Nanoseconds of CLOCK_MONOTONIC, comparable between the processes of one machine. */
export function monotonicNs(): number {
  return Number(process.hrtime.bigint());
}

export interface RemovalDetail {
  /** Queues that hold the message from now on. */
  readonly to?: readonly string[];
  /** Recorded before the request, or where no answer tells: it may have happened. */
  readonly maybe?: boolean;
}

export abstract class Recorder {
  readonly #now: () => number;

  /** @param now the clock; a simulation passes its own. */
  constructor(now: () => number = monotonicNs) {
    this.#now = now;
  }

  protected abstract append(event: HistoryEvent): void;

  /** Before a publish is sent. `unordered`: no order is promised for this message (priority, delay). */
  publish(id: MessageId, attempt: number, hash: string, route: readonly string[], unordered = false): void {
    const at = this.#now();
    this.append(
      unordered
        ? { type: 'publish', at, id, attempt, hash, route, unordered }
        : { type: 'publish', at, id, attempt, hash, route },
    );
  }

  confirmed(id: MessageId, attempt: number): void {
    this.#answer('publish-ok', id, attempt);
  }

  rejected(id: MessageId, attempt: number): void {
    this.#answer('publish-rejected', id, attempt);
  }

  /** A time-out or a broken connection: the message may be stored or not. */
  unknown(id: MessageId, attempt: number): void {
    this.#answer('publish-unknown', id, attempt);
  }

  /** Before a subscription is sent; `consumer` is a new name each time. */
  subscribe(queue: string, consumer: string): void {
    this.append({ type: 'subscribe', at: this.#now(), queue, consumer });
  }

  /** On arrival, before the handler runs and before anything is settled. */
  delivered(queue: string, consumer: string, id: MessageId, hash: string, redelivered: boolean): void {
    this.append({ type: 'deliver', at: this.#now(), queue, consumer, id, hash, redelivered });
  }

  /** Before an acknowledgement, drop (reject) or requeue is sent. */
  settle(queue: string, consumer: string, id: MessageId, how: SettleHow = 'ack'): void {
    this.#settle('settle', queue, consumer, id, how);
  }

  /** Only where the broker answers that the settlement is durable; an AMQP ack has no answer. */
  settled(queue: string, consumer: string, id: MessageId, how: SettleHow = 'ack'): void {
    this.#settle('settle-ok', queue, consumer, id, how);
  }

  settleRefused(queue: string, consumer: string, id: MessageId, how: SettleHow = 'ack'): void {
    this.#settle('settle-refused', queue, consumer, id, how);
  }

  settleUnknown(queue: string, consumer: string, id: MessageId, how: SettleHow = 'ack'): void {
    this.#settle('settle-unknown', queue, consumer, id, how);
  }

  /** One row of the effect's own place (a table, an output queue), read there and not assumed. */
  effect(queue: string, id: MessageId, hash?: string): void {
    const event = { type: 'effect', at: this.#now(), queue, id } as const;
    this.append(hash === undefined ? event : { ...event, hash });
  }

  removed(queue: string, id: MessageId, reason: RemovalReason, detail: RemovalDetail = {}): void {
    this.append({ type: 'removed', at: this.#now(), queue, id, reason, ...detail });
  }

  /** A purge or deletion of a whole queue. Record it before it is sent and again on its answer. */
  emptied(queue: string, reason: RemovalReason = 'purged'): void {
    const event: RemovalEvent = { type: 'removed', at: this.#now(), queue, reason };
    this.append(event);
  }

  /** When a fault strikes; its proof may follow under the same name. */
  fault(name: string, what: string, proof?: FaultProof): void {
    const event = { type: 'fault', at: this.#now(), name, what } as const;
    this.append(proof === undefined ? event : { ...event, proof });
  }

  faultProof(name: string, proof: FaultProof): void {
    this.append({ type: 'fault-proof', at: this.#now(), name, proof });
  }

  #answer(type: PublishAnswerEvent['type'], id: MessageId, attempt: number): void {
    this.append({ type, at: this.#now(), id, attempt });
  }

  #settle(type: SettleEvent['type'], queue: string, consumer: string, id: MessageId, how: SettleHow): void {
    this.append({ type, at: this.#now(), queue, consumer, id, how });
  }
}

/** Keeps the history in memory, for simulations: no I/O, and by default time is the number of the event. */
export class MemoryRecorder extends Recorder {
  readonly events: HistoryEvent[] = [];

  constructor(now?: () => number) {
    super(now ?? (() => this.events.length));
  }

  protected append(event: HistoryEvent): void {
    this.events.push(event);
  }
}
