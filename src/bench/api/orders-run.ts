/** Publishes and handles orders for a while, in this process, and judges that each came once and whole. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isOrder, type Order, orderOf, type OrderQueue, type OrdersResult } from './orders.ts';
import type { Timing } from '../load-sides.ts';

/** Publishes that are awaited at a time. */
const window = 1000;
/** Nothing came for so long: the rest will not come. */
const stalledAfterMs = 30_000;

export async function runOrders(queue: OrderQueue, timing: Timing): Promise<OrdersResult> {
  const run = new OrdersRun(queue);
  await queue.consume((order) => run.handle(order));
  const publishing = run.publish();
  await Promise.race([publishing, sleep(timing.warmupMs)]);
  const from = run.mark();
  await Promise.race([publishing, sleep(timing.measuredMs)]);
  const to = run.mark();
  run.stop();
  await publishing;
  await run.drained();
  return { ...rates(from, to), integrity: run.judge(true) };
}

/** For a library whose publishers starve its handlers, many of which run at a time: first the ones, then the others, so that each has the machine for itself. */
export async function runOrdersApart(queue: OrderQueue, timing: Timing): Promise<OrdersResult> {
  const run = new OrdersRun(queue);
  const publishing = run.publish();
  const begun = run.mark();
  await Promise.race([publishing, sleep(timing.warmupMs + timing.measuredMs)]);
  const published = run.mark();
  run.stop();
  await publishing;
  const from = run.mark();
  await queue.consume((order) => run.handle(order));
  const to = await run.drained();
  const { publishedPerS } = rates(begun, published);
  return { ...rates(from, to), publishedPerS, integrity: run.judge(false) };
}

function rates(from: Mark, to: Mark): Omit<OrdersResult, 'integrity'> {
  const ms = to.atMs - from.atMs;
  return {
    publishedPerS: ((to.published - from.published) / ms) * 1000,
    handledPerS: ((to.handled - from.handled) / ms) * 1000,
    cpu: (to.cpuMs - from.cpuMs) / ms,
  };
}

interface Mark {
  readonly atMs: number;
  readonly published: number;
  readonly handled: number;
  readonly cpuMs: number;
}

class OrdersRun {
  readonly #queue: OrderQueue;
  #next = 0;
  #published = 0;
  #handled = 0;
  #stopped = false;
  /** How often each order came. */
  #seen = new Uint8Array(1024 * 1024);
  #distinct = 0;
  #duplicated = 0;
  #altered = 0;
  #reordered = 0;
  /** Of the order that came last. */
  #last = -1;

  constructor(queue: OrderQueue) {
    this.#queue = queue;
  }

  async handle(order: Order): Promise<void> {
    const { id } = order;
    this.#handled++;
    if (!(id >= 0 && id < this.#next) || !isOrder(order)) {
      this.#altered++;
      return;
    }
    if (id >= this.#seen.length) {
      const grown = new Uint8Array(this.#seen.length * 2);
      grown.set(this.#seen);
      this.#seen = grown;
    }
    if (this.#seen[id] === 0) this.#distinct++;
    else this.#duplicated++;
    this.#seen[id] = 1;
    if (id < this.#last) this.#reordered++;
    else this.#last = id;
  }

  async publish(): Promise<void> {
    const publisher = async (): Promise<void> => {
      while (!this.#stopped) {
        await this.#queue.publish(orderOf(this.#next++));
        this.#published++;
      }
    };
    await Promise.all(Array.from({ length: window }, publisher));
  }

  stop(): void {
    this.#stopped = true;
  }

  mark(): Mark {
    const { user, system } = process.cpuUsage();
    const atMs = performance.now();
    return { atMs, published: this.#published, handled: this.#handled, cpuMs: (user + system) / 1000 };
  }

  /** Everything that was published has come, or will not come any more; the mark says when. */
  async drained(): Promise<Mark> {
    let [before, sinceMs] = [this.#handled, performance.now()];
    while (this.#distinct < this.#published && performance.now() - sinceMs < stalledAfterMs) {
      await sleep(10);
      if (this.#handled !== before) [before, sinceMs] = [this.#handled, performance.now()];
    }
    const mark = this.mark();
    // What comes twice would come now.
    await sleep(100);
    return mark;
  }

  /** `inOrder`: they were to come in the order of their publishing. */
  judge(inOrder: boolean): OrdersResult['integrity'] {
    const lost = this.#published - this.#distinct;
    const [duplicated, altered] = [this.#duplicated, this.#altered];
    const reordered = inOrder ? this.#reordered : 0;
    const wrong = lost > 0 || duplicated > 0 || altered > 0 || reordered > 0;
    return {
      sent: this.#published,
      expected: this.#published,
      received: this.#handled,
      redelivered: duplicated,
      findings: { lost, duplicated, reordered, altered, first: '' },
      problem: wrong ? `lost ${lost}, duplicated ${duplicated}, reordered ${reordered}, altered ${altered}` : '',
    };
  }
}
