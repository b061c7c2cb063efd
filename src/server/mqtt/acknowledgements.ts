/**
 * Hot path: what a commit lets go out to one client, in the order of the packets that it answers [MQTT-4.6.0-2, MQTT-4.6.0-3]. Pooled: nothing is
 * made per message, nor per commit once it runs.
 */
import { RefusedMessages, type Broker, type ItemOutcome, type MessageView, type Route } from '../../broker/index.ts';
import { packetType } from '../../wire/mqtt/packet-type.ts';
import { reasonCode, type ReasonCode } from '../../wire/mqtt/reason-code.ts';
import type { Connection } from './connection.ts';

const spare: Acknowledgements[] = [];
/** Thousands of clients may wait for a commit at the same time, each with an answer or two. */
const maxSpare = 4_096;
const maxSpareWords = 8_192;
/** Of those that are kept, so many may have grown. */
const maxGrown = 64;
/** A word of the packet, and one of its item. As many as V8 keeps beside the object that has them. */
const firstWords = 16;
/** An answer that hangs on no item of the batch. */
export const noItem = -1;

export class Acknowledgements {
  #words = new Int32Array(firstWords);
  /** Of the words, those that are used. */
  #end = 0;
  /** Null: none may be dead-lettered as it is refused. */
  #refusable: RefusedMessages | null = null;

  static take(): Acknowledgements {
    return spare.pop() ?? new Acknowledgements();
  }

  /** Answers with this packet once the item, if there is one, is stored. */
  add(type: number, packetId: number, item: number, reason: number): void {
    if (this.#end === this.#words.length) this.#grow();
    const at = this.#end;
    this.#words[at] = (type << 24) | (reason << 16) | packetId;
    this.#words[at + 1] = item;
    this.#end = at + 2;
  }

  /** Keeps a message that is dead-lettered if it is refused. */
  keep(broker: Broker, item: number, route: Route, message: MessageView): void {
    this.#refusable ??= new RefusedMessages(broker);
    this.#refusable.keep(item, route, message);
  }

  deadLetter(outcomes: readonly ItemOutcome[] | null): void {
    this.#refusable?.answered(outcomes);
  }

  /** To one whose connection has ended nothing is said: only what was refused is undone. */
  send(connection: Connection, outcomes: readonly ItemOutcome[] | null): void {
    const refused = outcomes === null ? null : refusedItems(outcomes);
    const words = this.#words;
    for (let at = 0; at < this.#end; at += 2) {
      const word = words[at]!;
      const type = word >>> 24;
      const packetId = word & 0xffff;
      const outcome = refused?.get(words[at + 1]!);
      if (outcome !== undefined) connection.publishRefused(type, packetId, outcome);
      else if (connection.isRunning) connection.acknowledge(type, packetId, (word >>> 16) & 0xff);
    }
  }

  recycle(): void {
    this.#end = 0;
    this.#refusable = null;
    const words = this.#words.length;
    if (spare.length < (words === firstWords ? maxSpare : maxGrown) && words <= maxSpareWords) spare.push(this);
  }

  #grow(): void {
    const words = new Int32Array(this.#words.length * 2);
    words.set(this.#words);
    this.#words = words;
  }
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
