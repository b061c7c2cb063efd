/**
 * Where orders are placed: at their own pace, each sent until it is confirmed, and recorded. An order whose answer never came is
 * unknown, not failed: it is sent again under the same identity, as its next attempt.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { bodyHash } from '../verify/body-hash.ts';
import type { FileRecorder } from '../verify/file-recorder.ts';
import { messageId } from '../verify/history.ts';
import { noOrdersBefore, type OrdersBefore } from './orders-before.ts';
import { tell, type OrdersReport } from './role.ts';
import { order, type Order } from './store.ts';

/** One attempt to place an order. */
export interface Attempt {
  readonly id: string;
  readonly order: Order;
  /** The order as JSON. */
  readonly body: Buffer;
  /** From 1. */
  readonly number: number;
}

export interface TillOptions {
  /** The producer in the history. */
  readonly name: string;
  readonly recorder: FileRecorder;
  readonly orders: number;
  readonly perSecond: number;
  /** The queues that each order must reach. */
  readonly route: readonly string[];
  /** Resolves once the order is confirmed. */
  readonly send: (attempt: Attempt) => Promise<void>;
  /** The broker said no; what else `send` rejects with leaves open what became of the order. */
  readonly isRefusal: (error: unknown) => boolean;
  readonly isOffline: () => boolean;
  /** Orders of a sale that come in at once; `oneByOne`: the next of them when these are confirmed. */
  readonly sale: { readonly atOnce: number; readonly oneByOne: boolean };
  /** What an earlier life of this till did. */
  readonly before?: OrdersBefore;
}

const tickMs = 10;
/** An answer that takes longer does not come any more. */
const answerMs = 10_000;
const retryMs = 100;
/** Orders that may wait for the broker before the shop takes no more for a moment. */
const maxOpen = 20_000;

export class Till {
  readonly #options: TillOptions;
  #placed: number;
  #confirmed: number;
  #unknown: number;
  #rejected = 0;
  #rushing = false;

  constructor(options: TillOptions) {
    this.#options = options;
    const { placed, confirmed, unanswered } = options.before ?? noOrdersBefore;
    this.#placed = placed;
    this.#confirmed = confirmed;
    this.#unknown = unanswered.size;
  }

  report(): OrdersReport {
    const { orders, isOffline } = this.#options;
    return {
      placed: this.#placed,
      confirmed: this.#confirmed,
      unknown: this.#unknown,
      rejected: this.#rejected,
      open: this.#placed - this.#confirmed,
      done: this.#confirmed === orders,
      offline: isOffline(),
      rushing: this.#rushing,
    };
  }

  /** Places the orders; first those of an earlier life that had no answer. */
  async run(): Promise<void> {
    const { orders, perSecond, recorder, before } = this.#options;
    for (const [number, attempt] of before?.unanswered ?? []) {
      recorder.unknown(this.#id(number), attempt);
      void this.#place(number, attempt + 1);
    }
    let last = performance.now();
    let due = 0;
    while (this.#placed < orders) {
      const now = performance.now();
      due += ((now - last) / 1000) * perSecond;
      last = now;
      if (this.#placed - this.#confirmed < maxOpen) void this.#placeMany(Math.floor(due));
      due -= Math.floor(due);
      await sleep(tickMs);
    }
  }

  /** A sale begins: many orders, in handfuls, so that the first are answered while the last are on their way. */
  async rush(count: number): Promise<void> {
    const { atOnce, oneByOne } = this.#options.sale;
    for (let sent = 0; sent < count; sent += atOnce) {
      const handful = this.#placeMany(atOnce);
      if (oneByOne) await handful;
      else await new Promise(setImmediate);
      if (!this.#rushing && (oneByOne || sent >= count / 4)) {
        this.#rushing = true;
        tell(this.report());
      }
    }
    this.#rushing = false;
  }

  /** Resolves once all are confirmed. */
  #placeMany(count: number): Promise<unknown> {
    const handful: Promise<void>[] = [];
    const last = Math.min(this.#options.orders, this.#placed + count);
    while (this.#placed < last) handful.push(this.#place(++this.#placed, 1));
    return Promise.all(handful);
  }

  /** Sends the order until it is confirmed. */
  async #place(number: number, firstAttempt: number): Promise<void> {
    const { recorder, route, send, isRefusal } = this.#options;
    const id = this.#id(number);
    const placed = order(number);
    const body = Buffer.from(JSON.stringify(placed));
    const hash = bodyHash(body);
    for (let attempt = firstAttempt; ; attempt++) {
      recorder.publish(id, attempt, hash, route);
      try {
        await answered(send({ id, order: placed, body, number: attempt }));
        recorder.confirmed(id, attempt);
        this.#confirmed++;
        return;
      } catch (error) {
        if (isRefusal(error)) {
          recorder.rejected(id, attempt);
          this.#rejected++;
        } else {
          recorder.unknown(id, attempt);
          this.#unknown++;
          console.error(`${id} attempt ${attempt}: ${error instanceof Error ? error.message : String(error)}`);
        }
      }
      await sleep(retryMs);
    }
  }

  #id(number: number): string {
    return messageId(this.#options.name, 1, number);
  }
}

async function answered(sent: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${answerMs} ms`)), answerMs);
  });
  try {
    await Promise.race([sent, late]);
  } finally {
    clearTimeout(timer);
  }
}
