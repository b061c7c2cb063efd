/**
 * Hot path: what a commit lets go out to one client, in the order of the packets that it answers [MQTT-4.6.0-2, MQTT-4.6.0-3]. Pooled: nothing is
 * made per message, nor per commit once it runs.
 */
import { RefusedMessages, type Broker, type ItemOutcome, type MessageView, type Route } from '../../broker/index.ts';
import { packetType } from '../../wire/mqtt/packet-type.ts';
import { reasonCode, type ReasonCode } from '../../wire/mqtt/reason-code.ts';
import type { Connection } from './connection.ts';

const spare: Acknowledgements[] = [];
const maxSpare = 64;
const firstCapacity = 64;
/** An answer that hangs on no item of the batch. */
export const noItem = -1;

export class Acknowledgements {
  #types = new Uint8Array(firstCapacity);
  #ids = new Uint16Array(firstCapacity);
  #reasons = new Uint8Array(firstCapacity);
  #items = new Int32Array(firstCapacity);
  #count = 0;
  /** Null: none may be dead-lettered as it is refused. */
  #refusable: RefusedMessages | null = null;

  static take(): Acknowledgements {
    return spare.pop() ?? new Acknowledgements();
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Answers with this packet once the item, if there is one, is stored. */
  add(type: number, packetId: number, item: number, reason: number): void {
    if (this.#count === this.#types.length) this.#grow();
    const at = this.#count++;
    this.#types[at] = type;
    this.#ids[at] = packetId;
    this.#reasons[at] = reason;
    this.#items[at] = item;
  }

  /** Keeps a message that is dead-lettered if it is refused. */
  keep(broker: Broker, item: number, route: Route, message: MessageView): void {
    this.#refusable ??= new RefusedMessages(broker);
    this.#refusable.keep(item, route, message);
  }

  deadLetter(outcomes: readonly ItemOutcome[] | null): void {
    this.#refusable?.answered(outcomes);
  }

  send(connection: Connection, outcomes: readonly ItemOutcome[] | null): void {
    const refused = outcomes === null ? null : refusedItems(outcomes);
    for (let at = 0; at < this.#count; at++) {
      const type = this.#types[at]!;
      const packetId = this.#ids[at]!;
      const outcome = refused?.get(this.#items[at]!);
      if (outcome !== undefined) connection.publishRefused(type, packetId, outcome);
      else connection.acknowledge(type, packetId, this.#reasons[at]!);
    }
  }

  recycle(): void {
    this.#count = 0;
    this.#refusable = null;
    if (spare.length < maxSpare && this.#types.length <= 4_096) spare.push(this);
  }

  #grow(): void {
    const capacity = this.#types.length * 2;
    this.#types = grown(this.#types, new Uint8Array(capacity));
    this.#ids = grown(this.#ids, new Uint16Array(capacity));
    this.#reasons = grown(this.#reasons, new Uint8Array(capacity));
    this.#items = grown(this.#items, new Int32Array(capacity));
  }
}

function grown<T extends Uint8Array | Uint16Array | Int32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

function refusedItems(outcomes: readonly ItemOutcome[]): Map<number, ReasonCode> | null {
  const refused = new Map<number, ReasonCode>();
  for (const { item, outcome } of outcomes) {
    if (outcome === 'refused') refused.set(item, reasonCode.quotaExceeded);
  }
  return refused.size === 0 ? null : refused;
}

/** What answers a publish of this QoS. */
export function answerOf(qos: number): number {
  return qos === 1 ? packetType.puback : packetType.pubrec;
}
