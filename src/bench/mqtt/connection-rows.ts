// The rows about connections rather than messages: how fast they come, and what they take.
import { join } from 'node:path';
import { LoadProcess } from '../load-process.ts';
import { freshName } from '../loads.ts';
import { residentBytes, settledBytes } from '../process-stats.ts';
import type { Sample, SoloContext } from '../row.ts';
import type { IdleOpened, IdleReached, IdleRequest } from './load.ts';
import type { MqttBroker } from './load-run.ts';
import { connectionsAllowed } from './open-files.ts';

const bytesPerMb = 1_000_000;
const atOnce = 100;
const connects = 5000;
/** Enough for what the broker's collector has not given back yet to be little a connection. */
const idleTimes = 5;
/** The first few bring code and buffers that the others share. */
const unmeasured = 50;

/** Connections that stay, as when all devices of a site come back at once. */
export async function connectRate({ address, pid }: MqttBroker): Promise<Sample> {
  const idle = new LoadProcess<IdleRequest>('mqtt/idle-connections');
  try {
    await idle.ask({ verb: 'open', address, first: 0, count: unmeasured, atOnce });
    const { tookMs } = await idle.ask<IdleOpened>({
      verb: 'open',
      address,
      first: unmeasured,
      count: connects,
      atOnce,
    });
    const resident = pid === undefined ? {} : { residentMb: residentBytes(pid) / bytesPerMb };
    await idle.ask({ verb: 'close' });
    return { values: { rate: (connects / tookMs) * 1000 }, detail: { connections: connects, ...resident } };
  } finally {
    await idle.end();
  }
}

/** Memory that each connection adds which has said CONNECT and nothing since. */
export async function memoryOfIdle(context: SoloContext<MqttBroker>): Promise<Sample> {
  const { contender, workDir } = context;
  const connections = idleTimes * context.connections;
  const broker = await contender.start(join(workDir, 'data'));
  const idle = new LoadProcess<IdleRequest>('mqtt/idle-connections');
  try {
    const { address } = broker;
    await idle.ask({ verb: 'open', address, first: 0, count: unmeasured, atOnce });
    const beforeBytes = await settledBytes(pidOf(broker));
    context.progress(`${connections.toLocaleString('en-US')} connections`);
    await idle.ask({ verb: 'open', address, first: unmeasured, count: connections, atOnce });
    const afterBytes = await settledBytes(pidOf(broker));
    return { values: { each: (afterBytes - beforeBytes) / connections / 1000 }, detail: { connections } };
  } finally {
    await idle.end();
    await broker.stop();
  }
}

const many = 20_000;
const generators = 4;

/** Many connections, each with a subscription of its own at QoS 1; afterwards each is sent a message, which must come. */
export async function manyConnections(context: SoloContext<MqttBroker>): Promise<Sample> {
  const count = connectionsAllowed(many);
  const each = Math.floor(count / generators);
  const broker = await context.contender.start(join(context.workDir, 'data'));
  const { address } = broker;
  const topicPrefix = freshName('device');
  const processes = Array.from({ length: generators }, () => new LoadProcess<IdleRequest>('mqtt/idle-connections'));
  try {
    const emptyBytes = await settledBytes(pidOf(broker));
    let tookMs = 0;
    for (const [index, idle] of processes.entries()) {
      context.progress(`${(index * each).toLocaleString('en-US')} connections`);
      const opened = await idle.ask<IdleOpened>({
        verb: 'open',
        address,
        first: index * each,
        count: each,
        atOnce,
        topicPrefix,
      });
      tookMs += opened.tookMs;
    }
    const peakBytes = residentBytes(pidOf(broker));
    const residentAll = await settledBytes(pidOf(broker));
    context.progress('a message to each');
    let received = 0;
    for (const [index, idle] of processes.entries()) {
      const reached = await idle.ask<IdleReached>({
        verb: 'reach',
        address,
        first: index * each,
        count: each,
        topicPrefix,
      });
      received += reached.received;
    }
    const sent = each * generators;
    const lost = sent - received;
    const findings = { lost, duplicated: 0, reordered: 0, altered: 0, first: '' };
    const problem = lost === 0 ? '' : `${lost} of ${sent} connections did not get their message once`;
    return {
      values: { resident: (residentAll / bytesPerMb) * (many / sent) },
      detail: {
        connections: sent,
        emptyMb: emptyBytes / bytesPerMb,
        peakMb: peakBytes / bytesPerMb,
        connectsPerS: (sent / tookMs) * 1000,
      },
      integrity: { sent, expected: sent, received, redelivered: 0, findings, problem },
      ...(sent === many
        ? {}
        : { remark: `${sent} connections, all that the limit of open files allows here; the figure is scaled up` }),
    };
  } finally {
    await Promise.all(processes.map((idle) => idle.end()));
    await broker.stop();
  }
}

function pidOf({ pid }: MqttBroker): number {
  if (pid === undefined) throw new Error('the memory of a broker that runs elsewhere cannot be read');
  return pid;
}
