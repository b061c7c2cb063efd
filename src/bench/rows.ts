import type { Broker } from './broker.ts';
import { declareRate } from './declare-rate.ts';
import { monotonicMs } from './load.ts';
import { LoadRun, runLoad, type Load } from './load-run.ts';
import type { Timing } from './load-sides.ts';
import { fanout, pairs, streamed, topic } from './loads.ts';
import { backlogOverQueues, deepBacklog, delayedBacklog, perConnection, startUp } from './memory-rows.ts';
import type { ComparedRow, Goal, Metric, Row, Sample } from './row.ts';

const required = (ratio: number): Goal => ({ tier: 'required', ratio });
const target = (ratio: number): Goal => ({ tier: 'target', ratio });
const atMost = (tier: Goal['tier'], value: number): Goal => ({ tier, value });
const atLeast = atMost;

const rate = (...goals: Goal[]): Metric => ({ id: 'rate', label: 'rate', unit: 'msg/s', better: 'higher', goals });

/** A row that publishes and consumes at once. The figure is the slower side's: what only piles up does not count. */
function throughput(id: string, title: string, load: () => Load, goals: Goal[], quick = false): ComparedRow {
  return {
    id,
    title,
    kind: 'compared',
    quick,
    metrics: [rate(...goals)],
    async run(broker, timing) {
      const shape = load();
      const result = await runLoad(broker, shape, timing);
      const copies = shape.exchange?.type === 'fanout' ? shape.queues.length : 1;
      const { publishedPerS, consumedPerS, cpu, integrity } = result;
      return {
        values: { rate: Math.min(publishedPerS * copies, consumedPerS) },
        detail: { publishedPerS, consumedPerS, ...cpuDetail(cpu) },
        integrity,
      };
    },
  };
}

const fixedRatePerS = 10_000;
/** A backlog is published with a wider window: no consumer shares the machine, so the round trip is what would be measured. */
const backlogWindow = 10_000;

/** Every row of the benchmark, in the order in which they run. */
export const rows: readonly Row[] = [
  throughput('pair-100b', '1 producer, 1 consumer, 100 B', () => pairs(1), [required(9), target(13)], true),
  throughput(
    'pair-1k',
    '1 producer, 1 consumer, 1 KiB',
    () => pairs(1, { bodyBytes: 1024 }),
    [required(9), target(14)],
    true,
  ),
  throughput('pair-single-ack', 'every message acknowledged by itself', () => pairs(1, { ackEvery: 1 }), [
    required(5),
    target(6.5),
  ]),
  throughput('two-pairs', '2 producers, 2 consumers, 2 queues', () => pairs(2), [required(9), target(14)]),
  throughput('eight-pairs', '8 producers, 8 consumers, 8 queues', () => pairs(8), [target(14)]),
  throughput('fanout-3', 'fan-out 1 to 3 queues, deliveries', () => fanout(3), [required(9), target(14)], true),
  throughput('fanout-10', 'fan-out 1 to 10 queues, deliveries', () => fanout(10), [target(18)]),
  throughput('topic-5000', 'through 5,000 topic bindings', () => topic(5000), [target(5)]),
  throughput('tx-100', 'in transactions of 100 messages', () => pairs(1, { transaction: 100 }), [required(5)]),
  throughput('window-1', 'one message at a time (window 1)', () => pairs(1, { window: 1 }), [target(1.2)]),
  {
    id: 'latency-10k',
    title: 'at a fixed 10,000 messages/s',
    kind: 'compared',
    quick: true,
    metrics: [
      { id: 'p50', label: 'p50', unit: 'ms', better: 'lower', goals: [required(0.3), target(0.3)] },
      { id: 'p99', label: 'p99', unit: 'ms', better: 'lower', goals: [required(0.6), target(0.5)] },
    ],
    run: measureLatency,
  },
  {
    id: 'backlog-publish',
    title: 'backlog: publish, no consumer',
    kind: 'compared',
    quick: false,
    metrics: [rate(target(30))],
    async run(broker, timing) {
      return backlog(broker, timing, 'publish');
    },
  },
  {
    id: 'backlog-drain',
    title: 'backlog: drain of it',
    kind: 'compared',
    quick: false,
    metrics: [rate(target(25))],
    async run(broker, timing) {
      return backlog(broker, timing, 'drain');
    },
  },
  {
    id: 'stream-read',
    title: 'a stream of 1 M messages read by one consumer',
    kind: 'compared',
    quick: false,
    metrics: [rate(atLeast('required', 500_000))],
    run: streamRead,
  },
  {
    id: 'declare-queues',
    title: 'durable queues declared, 100 at a time',
    kind: 'compared',
    quick: false,
    metrics: [{ id: 'rate', label: 'rate', unit: 'queues/s', better: 'higher', goals: [required(20)] }],
    async run(broker, timing) {
      return { values: { rate: await declareRate(broker, timing) }, detail: {} };
    },
  },
  {
    id: 'startup',
    title: 'an empty broker starts',
    kind: 'solo',
    metrics: [
      { id: 'startup', label: 'until it listens', unit: 'ms', better: 'lower', goals: [atMost('required', 400)] },
      { id: 'resident', label: 'resident', unit: 'MB', better: 'lower', goals: [atMost('required', 80)] },
    ],
    run: startUp,
  },
  {
    id: 'memory-connection',
    title: 'connection + channel + queue + consumer',
    kind: 'solo',
    metrics: [{ id: 'each', label: 'memory each', unit: 'KB', better: 'lower', goals: [atMost('target', 25)] }],
    run: perConnection,
  },
  {
    id: 'memory-10m',
    title: '10 M messages in one queue',
    kind: 'solo',
    metrics: [
      { id: 'growth', label: 'memory growth', unit: 'MB', better: 'lower', goals: [atMost('required', 150)] },
      { id: 'perMillion', label: 'growth a million', unit: 'MB', better: 'lower', goals: [atMost('target', 10)] },
      {
        id: 'restart',
        label: 'restart after SIGKILL',
        unit: 'ms',
        better: 'lower',
        goals: [atMost('required', 1000), atMost('target', 500)],
      },
      { id: 'drain', label: 'drained', unit: 'msg/s', better: 'higher', goals: [atLeast('required', 500_000)] },
      { id: 'lost', label: 'lost', unit: 'messages', better: 'lower', goals: [atMost('required', 0)] },
    ],
    run: deepBacklog,
  },
  {
    id: 'memory-10m-10k-queues',
    title: '10 M messages over 10,000 queues',
    kind: 'solo',
    metrics: [
      { id: 'growth', label: 'memory growth', unit: 'MB', better: 'lower', goals: [atMost('required', 400)] },
      {
        id: 'drain',
        label: 'one queue drained',
        unit: 'msg/s',
        better: 'higher',
        goals: [atLeast('required', 100_000)],
      },
      { id: 'lost', label: 'lost', unit: 'messages', better: 'lower', goals: [atMost('required', 0)] },
    ],
    run: backlogOverQueues,
  },
  {
    id: 'memory-1m-delayed',
    title: '1 M delayed messages',
    kind: 'solo',
    metrics: [
      { id: 'resident', label: 'resident', unit: 'MB', better: 'lower', goals: [atMost('required', 150)] },
      { id: 'restart', label: 'restart after SIGKILL', unit: 'ms', better: 'lower', goals: [] },
      { id: 'lost', label: 'lost', unit: 'messages', better: 'lower', goals: [atMost('required', 0)] },
    ],
    run: delayedBacklog,
  },
];

async function measureLatency(broker: Broker, timing: Timing): Promise<Sample> {
  const seconds = Math.ceil(timing.measuredMs / 1000) + 1;
  // No window: a slow confirm must not slow the rate. The ring bounds what may be out; a broker that falls behind shows below.
  const load = pairs(1, { ratePerS: fixedRatePerS, window: 20_000, maxLatencies: fixedRatePerS * seconds });
  const { latency, publishedPerS, consumedPerS, cpu, integrity } = await runLoad(broker, load, timing);
  if (latency === undefined) throw new Error('no message came in the measured time');
  const heldPerS = Math.min(publishedPerS, consumedPerS);
  const held = heldPerS >= fixedRatePerS * 0.95;
  return {
    values: { p50: latency.p50Ms, p99: latency.p99Ms },
    detail: { p999Ms: latency.p999Ms, maxMs: latency.maxMs, publishedPerS, consumedPerS, ...cpuDetail(cpu) },
    integrity,
    ...(held ? {} : { remark: `the rate was not held: ${Math.round(heldPerS)} of ${fixedRatePerS} messages/s` }),
  };
}

/** Publishes for the time of a round with nobody consuming, then drains all of it; one of the two rates is the figure. */
async function backlog(broker: Broker, timing: Timing, figure: 'publish' | 'drain'): Promise<Sample> {
  const run = new LoadRun(broker, pairs(1, { window: backlogWindow }));
  try {
    await run.declare();
    await run.openProducer();
    const { publishedPerS } = await run.measure(timing);
    const sent = await run.stopProducer();
    await run.openConsumer();
    const { end, integrity } = await run.finishConsumer(sent);
    const left = await run.deleteQueues();
    if (left > 0 && integrity.problem === '')
      integrity.problem = `${left} messages left in the queue after all had come`;
    const span = end.spans[0];
    const drainedPerS = span === undefined ? 0 : span.received / ((span.lastMs - span.startedMs) / 1000);
    return {
      values: { rate: figure === 'publish' ? publishedPerS : drainedPerS },
      detail: { publishedPerS, drainedPerS, messages: integrity.sent },
      integrity,
    };
  } finally {
    await run.end();
  }
}

/** Fills a stream with nobody reading, then reads all of it, which leaves it as it is. */
async function streamRead(broker: Broker): Promise<Sample> {
  const count = 1_000_000;
  const run = new LoadRun(broker, streamed({ window: backlogWindow, count, prefetch: 10_000, ackEvery: 500 }));
  try {
    await run.declare();
    await run.openProducer();
    const startedMs = monotonicMs();
    await run.start();
    const sent = await run.untilPublished();
    const publishedPerS = count / ((monotonicMs() - startedMs) / 1000);
    await run.openConsumer();
    const { end, integrity } = await run.finishConsumer(sent);
    await run.deleteQueues();
    const span = end.spans[0];
    const readPerS = span === undefined ? 0 : span.received / ((span.lastMs - span.startedMs) / 1000);
    return { values: { rate: readPerS }, detail: { publishedPerS, messages: count }, integrity };
  } finally {
    await run.end();
  }
}

function cpuDetail(cpu: { broker?: number; producer: number; consumer: number }): Record<string, number> {
  return {
    ...(cpu.broker === undefined ? {} : { brokerCpus: cpu.broker }),
    producerCpus: cpu.producer,
    consumerCpus: cpu.consumer,
  };
}
