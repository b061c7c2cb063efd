/** What a run asks of its two load processes, whatever protocol these speak. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConsumerMark, Latency, ProducerMark } from './load.ts';
import { processCpuMs } from './process-stats.ts';

export interface Timing {
  warmupMs: number;
  measuredMs: number;
}

export interface Rates {
  publishedPerS: number;
  consumedPerS: number;
  latency?: Latency;
  /** Processors' worth of time that each took in the measured interval. */
  cpu: { broker?: number; producer: number; consumer: number };
}

interface ProducerSide {
  ask<Answer>(request: { verb: 'start' | 'stop' | 'mark' }): Promise<Answer>;
}

interface ConsumerSide {
  ask<Answer>(request: { verb: 'mark'; forgetLatencies?: boolean }): Promise<Answer>;
}

/** Nothing came for so long: the rest will not come. */
const stalledAfterMs = 30_000;
const pollMs = 20;

export class LoadSides {
  readonly #producer: ProducerSide;
  readonly #consumer: ConsumerSide;
  readonly #pid: number | undefined;

  /** `pid`: of the broker, where it runs on this machine. */
  constructor(producer: ProducerSide, consumer: ConsumerSide, pid: number | undefined) {
    this.#producer = producer;
    this.#consumer = consumer;
    this.#pid = pid;
  }

  /** Publishes and consumes at once: the rates of the measured interval. */
  async measure(timing: Timing): Promise<Rates> {
    await this.#producer.ask({ verb: 'start' });
    await sleep(timing.warmupMs);
    const from = await this.#mark(true);
    await sleep(timing.measuredMs);
    const to = await this.#mark(false);
    const seconds = (to.producer.atMs - from.producer.atMs) / 1000;
    const processors = (beforeMs: number, afterMs: number): number => (afterMs - beforeMs) / 1000 / seconds;
    return {
      publishedPerS: (to.producer.confirmed - from.producer.confirmed) / seconds,
      consumedPerS: (to.consumer.received - from.consumer.received) / ((to.consumer.atMs - from.consumer.atMs) / 1000),
      ...(to.consumer.latency === undefined ? {} : { latency: to.consumer.latency }),
      cpu: {
        producer: processors(from.producer.cpuMs, to.producer.cpuMs),
        consumer: processors(from.consumer.cpuMs, to.consumer.cpuMs),
        ...(this.#pid === undefined ? {} : { broker: processors(from.brokerMs, to.brokerMs) }),
      },
    };
  }

  /** Starts publishers that stop by themselves at their count. */
  async start(): Promise<void> {
    await this.#producer.ask({ verb: 'start' });
  }

  /** Stops the publishers and waits until all that they sent is confirmed; says how many each sent. */
  async stopProducer(progress?: (confirmed: number) => void): Promise<number[]> {
    await this.#producer.ask({ verb: 'stop' });
    return this.untilPublished(progress);
  }

  /** Waits until everything sent is confirmed, while publishers may still be going towards their count. */
  async untilPublished(progress?: (confirmed: number) => void): Promise<number[]> {
    let mark = await this.#producer.ask<ProducerMark>({ verb: 'mark' });
    let [confirmed, movedMs] = [mark.confirmed, mark.atMs];
    while (!mark.settled) {
      if (mark.atMs - movedMs > stalledAfterMs) {
        const sent = mark.sent.reduce((sum, count) => sum + count, 0);
        throw new Error(`${sent - mark.confirmed} messages unconfirmed for ${stalledAfterMs / 1000} s`);
      }
      await sleep(pollMs);
      mark = await this.#producer.ask<ProducerMark>({ verb: 'mark' });
      if (mark.confirmed !== confirmed) [confirmed, movedMs] = [mark.confirmed, mark.atMs];
      progress?.(confirmed);
    }
    return mark.sent;
  }

  /** Waits until the consumers have what they are due, or until nothing comes any more. */
  async untilReceived(
    expected: number,
    progress?: (received: number) => void,
    patienceMs = stalledAfterMs,
  ): Promise<void> {
    let mark = await this.#consumer.ask<ConsumerMark>({ verb: 'mark' });
    let [received, movedMs] = [mark.received, mark.atMs];
    while (mark.received < expected && mark.atMs - movedMs < patienceMs) {
      await sleep(pollMs);
      mark = await this.#consumer.ask<ConsumerMark>({ verb: 'mark' });
      if (mark.received !== received) [received, movedMs] = [mark.received, mark.atMs];
      progress?.(received);
    }
    // One more look, for what should not come.
    await sleep(100);
  }

  async #mark(forgetLatencies: boolean): Promise<{ producer: ProducerMark; consumer: ConsumerMark; brokerMs: number }> {
    const [producer, consumer] = await Promise.all([
      this.#producer.ask<ProducerMark>({ verb: 'mark' }),
      this.#consumer.ask<ConsumerMark>({ verb: 'mark', forgetLatencies }),
    ]);
    return { producer, consumer, brokerMs: this.#pid === undefined ? 0 : processCpuMs(this.#pid) };
  }
}
