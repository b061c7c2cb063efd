// The rows that need a broker of their own: what it holds in memory, how fast it starts, and what it still has after SIGKILL.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Broker } from './broker.ts';
import { LoadConnection } from './connection.ts';
import { emptyTable, long, method, methods, octet, short, shortString } from './frame.ts';
import { monotonicMs } from './load.ts';
import { LoadRun } from './load-run.ts';
import { freshName, pairs, roundRobin } from './loads.ts';
import { median } from './median.ts';
import { residentBytes, settledBytes } from './process-stats.ts';
import type { Sample, SoloContext } from './row.ts';
import { countReady, declareQueue, inBatches } from './topology.ts';

const bytesPerMb = 1_000_000;
const backlogWindow = 10_000;

/** An empty broker on an empty folder, five times: until it listens, and what it then holds. */
export async function startUp(context: SoloContext): Promise<Sample> {
  const startupsMs: number[] = [];
  const residents: number[] = [];
  for (let run = 0; run < 5; run++) {
    context.progress(`start ${run + 1} of 5`);
    const broker = await context.contender.start(join(context.workDir, `start-${run}`));
    try {
      startupsMs.push(broker.startupMs ?? 0);
      residents.push((await settledBytes(pidOf(broker))) / bytesPerMb);
    } finally {
      await broker.stop();
    }
  }
  return { values: { startup: median(startupsMs), resident: median(residents) }, detail: {} };
}

/** Memory that each connection with a channel, a queue and a consumer adds. */
export async function perConnection(context: SoloContext): Promise<Sample> {
  const broker = await context.contender.start(join(context.workDir, 'data'));
  const connections: LoadConnection[] = [];
  try {
    const prefix = freshName('idle');
    const connectOne = async (index: number): Promise<void> => {
      const connection = await LoadConnection.open(broker.address, { readBytes: 4096 });
      connections.push(connection);
      await declareQueue(connection, `${prefix}-${index}`);
      await connection.call(method(1, methods.basicQos, long(0), short(2000), octet(0)), methods.basicQosOk);
      const names = [shortString(`${prefix}-${index}`), shortString('')];
      const consume = method(1, methods.basicConsume, short(0), ...names, octet(0), emptyTable());
      await connection.call(consume, methods.basicConsumeOk);
    };
    // The first few bring code and buffers that the others share.
    const first = 50;
    await inBatches(
      Array.from({ length: first }, (_, index) => index),
      20,
      connectOne,
    );
    const beforeBytes = await settledBytes(pidOf(broker));
    const more = Array.from({ length: context.connections }, (_, index) => first + index);
    context.progress(`${context.connections} connections`);
    await inBatches(more, 20, connectOne);
    const afterBytes = await settledBytes(pidOf(broker));
    return {
      values: { each: (afterBytes - beforeBytes) / context.connections / 1000 },
      detail: { connections: more.length },
    };
  } finally {
    await inBatches(connections, 100, (connection) => connection.close());
    await broker.stop();
  }
}

/** A deep backlog in one queue: memory, SIGKILL, restart, and every message counted out again. */
export async function deepBacklog(context: SoloContext): Promise<Sample> {
  const { contender, messages } = context;
  const dataDir = join(context.workDir, 'data');
  const load = pairs(1, { window: backlogWindow, count: messages });
  let broker = await contender.start(dataDir);
  try {
    const emptyBytes = await settledBytes(pidOf(broker));
    const filling = new LoadRun(broker, load);
    let sent: number[];
    try {
      await filling.declare();
      await filling.openProducer();
      await filling.start();
      sent = await filling.untilPublished((done) => context.progress(`published ${count(done)} of ${count(messages)}`));
    } finally {
      await filling.abandon();
    }
    context.progress('settling');
    const peakBytes = residentBytes(pidOf(broker));
    const fullBytes = await settledBytes(pidOf(broker));

    if (broker.crash === undefined) throw new Error(`${contender.name} can't be crashed`);
    await broker.crash();
    context.progress('restarting after SIGKILL');
    broker = await contender.start(dataDir);
    const restartMs = broker.startupMs ?? 0;
    const restartedBytes = residentBytes(pidOf(broker));

    const draining = new LoadRun(broker, load);
    try {
      await draining.openConsumer();
      const { end, integrity } = await draining.finishConsumer(sent, load.subscribers, (done) => {
        context.progress(`drained ${count(done)} of ${count(messages)}`);
      });
      const span = end.spans[0];
      const growth = (fullBytes - emptyBytes) / bytesPerMb;
      return {
        values: {
          growth,
          perMillion: growth / (messages / 1e6),
          restart: restartMs,
          drain: span === undefined ? 0 : span.received / ((span.lastMs - span.startedMs) / 1000),
          lost: integrity.findings.lost,
        },
        detail: {
          messages,
          emptyMb: emptyBytes / bytesPerMb,
          peakMb: peakBytes / bytesPerMb,
          restartedMb: restartedBytes / bytesPerMb,
        },
        integrity,
      };
    } finally {
      await draining.abandon();
    }
  } finally {
    await broker.stop();
  }
}

const manyQueues = 10_000;
/** The first dozen find a broker that has delivered nothing yet, as no other row does: enough follow to have the median without them. */
const drainedQueues = 100;

/** The same backlog, one message a queue in turn: the worst order for anything that keeps neighbours together. */
export async function backlogOverQueues(context: SoloContext): Promise<Sample> {
  const queues = Math.min(manyQueues, Math.max(1, Math.floor(context.messages / 1000)));
  const messages = queues * Math.floor(context.messages / queues);
  const load = roundRobin(queues, { window: Math.min(backlogWindow, queues), count: messages });
  const broker = await context.contender.start(join(context.workDir, 'data'));
  const run = new LoadRun(broker, load);
  try {
    const emptyBytes = await settledBytes(pidOf(broker));
    context.progress(`declaring ${count(queues)} queues`);
    await run.declare();
    const declaredBytes = residentBytes(pidOf(broker));
    await run.openProducer();
    await run.start();
    const sent = await run.untilPublished((done) => context.progress(`published ${count(done)} of ${count(messages)}`));
    context.progress('settling');
    const fullBytes = await settledBytes(pidOf(broker));

    const rates: number[] = [];
    const chosen = load.subscribers.filter((_, index) => index % Math.ceil(queues / drainedQueues) === 0);
    let lost = 0;
    let worst: Sample['integrity'];
    for (const [index, plan] of chosen.entries()) {
      context.progress(`draining queue ${index + 1} of ${chosen.length}`);
      await run.openConsumer([plan]);
      const { end, integrity } = await run.finishConsumer(sent, [plan]);
      await run.closeConsumer();
      const span = end.spans[0];
      if (span !== undefined) rates.push(span.received / ((span.lastMs - span.startedMs) / 1000));
      lost += integrity.findings.lost;
      if (worst === undefined || integrity.problem !== '') worst = integrity;
    }
    const drained = new Set(chosen.map((plan) => plan.queue));
    const missing = await missingIn(broker, load.queues, (queue) => (drained.has(queue) ? 0 : messages / queues));
    if (worst !== undefined && worst.problem === '' && missing.problem !== '')
      worst = { ...worst, problem: missing.problem };
    return {
      values: { growth: (fullBytes - emptyBytes) / bytesPerMb, drain: median(rates), lost: lost + missing.lost },
      detail: { messages, queues, emptyMb: emptyBytes / bytesPerMb, declaredMb: declaredBytes / bytesPerMb },
      ...(worst === undefined ? {} : { integrity: worst }),
    };
  } finally {
    await run.abandon();
    await broker.stop();
  }
}

const delayMs = 90_000;
const restMs = 20_000;
/** Consumers are there a little before the first message is due. */
const earlyMs = 5_000;

/** Delayed messages, none of them due yet: memory; then SIGKILL, restart, and every one of them must come, in order. */
export async function delayedBacklog(context: SoloContext): Promise<Sample> {
  const { contender } = context;
  const messages = Math.max(1, Math.floor(context.messages / 10));
  const dataDir = join(context.workDir, 'data');
  const load = pairs(1, { window: backlogWindow, count: messages, delayMs });
  let broker = await contender.start(dataDir);
  try {
    const emptyBytes = await settledBytes(pidOf(broker));
    const filling = new LoadRun(broker, load);
    const startedMs = monotonicMs();
    let sent: number[];
    try {
      await filling.declare();
      await filling.openProducer();
      await filling.start();
      sent = await filling.untilPublished((done) => context.progress(`published ${count(done)} of ${count(messages)}`));
    } finally {
      await filling.abandon();
    }
    context.progress('resting');
    // V8 gives back what publishing left a while after the last work.
    await sleep(restMs);
    const delayedBytes = await settledBytes(pidOf(broker));
    if (broker.crash === undefined) throw new Error(`${contender.name} can't be crashed`);
    await broker.crash();
    context.progress('restarting after SIGKILL');
    broker = await contender.start(dataDir);
    const restartMs = broker.startupMs ?? 0;
    const waitMs = startedMs + delayMs - earlyMs - monotonicMs();
    if (waitMs < 0) throw new Error(`it took longer than the delay of ${delayMs / 1000} s to get there`);
    context.progress('waiting until they are due');
    await sleep(waitMs);

    const draining = new LoadRun(broker, load);
    try {
      await draining.openConsumer();
      const { end, integrity } = await draining.finishConsumer(sent, load.subscribers, (done) => {
        context.progress(`${count(done)} of ${count(messages)} came`);
      });
      return {
        values: { resident: delayedBytes / bytesPerMb, restart: restartMs, lost: integrity.findings.lost },
        detail: { messages, received: end.received, emptyMb: emptyBytes / bytesPerMb },
        integrity,
      };
    } finally {
      await draining.abandon();
    }
  } finally {
    await broker.stop();
  }
}

/** Counts what is ready in each queue against what should be. */
async function missingIn(
  broker: Broker,
  queues: readonly string[],
  due: (queue: string) => number,
): Promise<{ lost: number; problem: string }> {
  const connection = await LoadConnection.open(broker.address);
  let lost = 0;
  let problem = '';
  await inBatches(queues, 100, async (queue) => {
    const ready = await countReady(connection, queue);
    if (ready !== due(queue)) problem = `${queue} holds ${ready} messages, not ${due(queue)}`;
    lost += Math.max(0, due(queue) - ready);
  });
  await connection.close();
  return { lost, problem };
}

function pidOf(broker: Broker): number {
  if (broker.pid === undefined) throw new Error('the memory of a broker that runs elsewhere cannot be read');
  return broker.pid;
}

const count = (value: number): string => value.toLocaleString('en-US');
