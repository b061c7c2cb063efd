import { setTimeout as sleep } from 'node:timers/promises';
import type { Broker } from './broker.ts';
import { LoadConnection } from './connection.ts';
import { tableOf } from './frame.ts';
import type { ConsumerEnd, ConsumerRequest, ProducerRequest } from './load.ts';
import { LoadProcess } from './load-process.ts';
import { LoadSides, type Rates, type Timing } from './load-sides.ts';
import type { PublisherPlan } from './publisher.ts';
import type { SubscriberPlan } from './subscriber.ts';
import { isClean, type Findings } from './tally.ts';
import { bindQueue, declareExchange, declareQueue, deleteExchange, deleteQueue, inBatches } from './topology.ts';

/** What a round sets up, sends and expects. */
export interface Load {
  queues: string[];
  /** They are streams: what is read stays. */
  streams?: boolean;
  exchange?: { name: string; type: string; keys: string[] };
  publishers: PublisherPlan[];
  /** Each names the publisher whose stream its queue gets, by that plan's `stream`. */
  subscribers: SubscriberPlan[];
}

/** Whether every message came once, whole and in order; `problem` says in words what was wrong. */
export interface Integrity {
  sent: number;
  expected: number;
  received: number;
  redelivered: number;
  findings: Findings;
  problem: string;
}

export interface LoadResult extends Rates {
  integrity: Integrity;
}

/** Both sides of a load against one broker, from declared queues to deleted ones. */
export class LoadRun {
  readonly #broker: Broker;
  readonly #load: Load;
  readonly #producer = new LoadProcess<ProducerRequest>('producer');
  readonly #consumer = new LoadProcess<ConsumerRequest>('consumer');
  readonly #sides: LoadSides;
  #control: LoadConnection | undefined;
  #declared = false;

  constructor(broker: Broker, load: Load) {
    this.#broker = broker;
    this.#load = load;
    this.#sides = new LoadSides(this.#producer, this.#consumer, broker.pid);
  }

  /** Declares the queues and opens the producing side. */
  async declare(): Promise<void> {
    const control = await LoadConnection.open(this.#broker.address);
    this.#control = control;
    this.#declared = true;
    const { queues, exchange, streams } = this.#load;
    const table = streams === true ? tableOf('x-queue-type', 'stream') : undefined;
    if (exchange !== undefined) await declareExchange(control, exchange.name, exchange.type);
    await inBatches(queues, 100, (queue) => declareQueue(control, queue, table));
    if (exchange === undefined) return;
    for (const queue of queues) {
      await inBatches(exchange.keys, 100, (key) => bindQueue(control, queue, exchange.name, key));
    }
  }

  async openProducer(): Promise<void> {
    await this.#producer.ask({ verb: 'open', address: this.#broker.address, plans: this.#load.publishers });
  }

  async openConsumer(plans: SubscriberPlan[] = this.#load.subscribers): Promise<void> {
    await this.#consumer.ask({ verb: 'open', address: this.#broker.address, plans });
  }

  measure(timing: Timing): Promise<Rates> {
    return this.#sides.measure(timing);
  }

  start(): Promise<void> {
    return this.#sides.start();
  }

  stopProducer(progress?: (confirmed: number) => void): Promise<number[]> {
    return this.#sides.stopProducer(progress);
  }

  untilPublished(progress?: (confirmed: number) => void): Promise<number[]> {
    return this.#sides.untilPublished(progress);
  }

  /** Waits until the consumers have what they are due, or until nothing comes any more, and judges it. */
  async finishConsumer(
    sent: number[],
    plans: SubscriberPlan[] = this.#load.subscribers,
    progress?: (received: number) => void,
  ): Promise<{ end: ConsumerEnd; integrity: Integrity }> {
    const ends = plans.map((plan) => sent[this.#publisherOf(plan)] ?? 0);
    const expected = plans.reduce(
      (sum, plan, index) => sum + Math.ceil(((ends[index] ?? 0) - plan.first) / plan.stride),
      0,
    );
    await this.#sides.untilReceived(expected, progress);
    const end = await this.#consumer.ask<ConsumerEnd>({ verb: 'settle', sent: ends });
    const integrity: Integrity = {
      sent: sent.reduce((sum, count) => sum + count, 0),
      expected,
      received: end.received,
      redelivered: end.redelivered,
      findings: end.findings,
      problem: isClean(end.findings) ? '' : describe(end.findings),
    };
    return { end, integrity };
  }

  async closeConsumer(): Promise<void> {
    await this.#consumer.ask({ verb: 'close' });
  }

  /** Deletes the queues; what is still ready in them after a full drain was delivered twice or never settled, unless they are streams. */
  async deleteQueues(): Promise<number> {
    const control = this.#control;
    if (control === undefined) return 0;
    this.#declared = false;
    await this.#producer.ask({ verb: 'close' });
    await this.#consumer.ask({ verb: 'close' });
    let ready = 0;
    await inBatches(this.#load.queues, 100, async (queue) => {
      ready += await deleteQueue(control, queue);
    });
    if (this.#load.exchange !== undefined) await deleteExchange(control, this.#load.exchange.name);
    return ready;
  }

  /** Ends both processes and leaves the queues as they are. */
  async abandon(): Promise<void> {
    this.#declared = false;
    await this.end();
  }

  /** Ends both processes; queues that an error left behind go too, as far as the broker still answers. */
  async end(): Promise<void> {
    await Promise.all([this.#producer.end(), this.#consumer.end()]);
    const control = this.#control;
    if (control === undefined) return;
    if (this.#declared) {
      const deleted = inBatches(this.#load.queues, 100, (queue) => deleteQueue(control, queue));
      await Promise.race([deleted.catch(() => undefined), sleep(5000, undefined, { ref: false })]);
    }
    await control.close();
  }

  #publisherOf(plan: SubscriberPlan): number {
    return this.#load.publishers.findIndex((publisher) => publisher.stream === plan.stream);
  }
}

/** One whole round of a load in which publishing and consuming happen at once. */
export async function runLoad(broker: Broker, load: Load, timing: Timing): Promise<LoadResult> {
  const run = new LoadRun(broker, load);
  try {
    await run.declare();
    await run.openConsumer();
    await run.openProducer();
    const measured = await run.measure(timing);
    const sent = await run.stopProducer();
    const { integrity } = await run.finishConsumer(sent);
    const left = await run.deleteQueues();
    if (left > 0 && integrity.problem === '')
      integrity.problem = `${left} messages left in the queues after all had come`;
    return { ...measured, integrity };
  } finally {
    await run.end();
  }
}

export function describe(findings: Findings): string {
  const { lost, duplicated, reordered, altered, first } = findings;
  return `lost ${lost}, duplicated ${duplicated}, reordered ${reordered}, altered ${altered}: ${first}`;
}
