/**
 * Which of a session's subscriptions have retained messages to come, for a restart: JSON of names and of when they were made. What is written once
 * stands until all of it has come, so that many subscriptions are not written again and again; the searches begin anew then.
 */
import type { Subscription } from '../../broker/index.ts';
import type { MqttServer } from './server.ts';
import { type MqttSession, stateName } from './session.ts';

/** Subscriptions, and characters of their names. */
const maxListed = 64;
const maxLength = 16 * 1024;

export class RetainedRecord {
  readonly #server: MqttServer;
  readonly #session: MqttSession;
  readonly #stored: Map<string, number>;
  /** It has no room for more. */
  #isFull = false;

  constructor(server: MqttServer, session: MqttSession) {
    this.#server = server;
    this.#session = session;
    const stored = session.subscriber.records.get(stateName.retained);
    this.#stored = new Map(
      stored === undefined ? [] : (JSON.parse(Buffer.from(stored).toString()) as [string, number][]),
    );
  }

  get isEmpty(): boolean {
    return this.#stored.size === 0;
  }

  /** What the broker's run before left, with the times at which it was subscribed. */
  *left(): Generator<[Subscription, number]> {
    for (const [name, sinceMs] of this.#stored) {
      const subscription = this.#session.subscriber.subscriptions.get(name);
      if (subscription !== undefined) yield [subscription, sinceMs];
    }
  }

  /** These are still to come, by name. */
  update(due: ReadonlyMap<string, number>): void {
    const { subscriber } = this.#session;
    if (!subscriber.keepsMessages || subscriber.removed || this.#covers(due)) return;
    const wasEmpty = this.isEmpty;
    this.#stored.clear();
    let length = 0;
    for (const [name, sinceMs] of due) {
      length += name.length;
      if (this.#stored.size === maxListed || length > maxLength) break;
      this.#stored.set(name, sinceMs);
    }
    this.#isFull = this.#stored.size < due.size;
    if (wasEmpty && this.isEmpty) return;
    const record = this.#stored.size === 0 ? null : Buffer.from(JSON.stringify(Array.from(this.#stored)));
    this.#session.vhost.subscribers
      .setRecord(subscriber, stateName.retained, record)
      .catch((error: unknown) => this.#server.logBug(error));
  }

  #covers(due: ReadonlyMap<string, number>): boolean {
    const stored = this.#stored;
    if (due.size === 0) return stored.size === 0;
    let kept = 0;
    for (const [name, sinceMs] of stored) if (due.get(name) === sinceMs) kept++;
    return kept === due.size || (kept > 0 && this.#isFull);
  }
}
