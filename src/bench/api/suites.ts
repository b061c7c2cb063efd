/** The API embedded in a program next to BullMQ, and over AMQP next to the client that it stands on. */
import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Contender, Running } from '../broker.ts';
import { LoadProcess } from '../load-process.ts';
import type { Timing } from '../load-sides.ts';
import { ownVersion, postrider } from '../postrider.ts';
import { findRedis, startRedis } from '../redis.ts';
import type { ComparedRow, Goal, Sample } from '../row.ts';
import type { Suite } from '../suite.ts';
import type { Orders, OrdersRequest, OrdersResult } from './orders.ts';

const require = createRequire(import.meta.url);

/** @param note is told what is absent here */
export function apiSuite(note: (line: string) => void): Suite<Orders> {
  const bullMq = findBullMq(note);
  return {
    id: 'api',
    title: 'TypeScript API in one program, JSON, 1,000 publishes awaited at a time',
    reference: { name: 'bullmq', label: 'BullMQ' },
    contenders: [
      {
        name: 'postrider',
        start: async (dataDir) =>
          orders('postrider', `file:${join(dataDir, 'data')}`, { version: await ownVersion(), stop: nothing }),
      },
      {
        // No goal is set against it: it tells what this machine gives.
        name: 'bare-loop',
        start: async (dataDir) => {
          await mkdir(dataDir, { recursive: true });
          return orders('bare', join(dataDir, 'orders'), { version: '', stop: nothing });
        },
      },
      ...(bullMq === undefined ? [] : [bullMq]),
    ],
    rows: [
      row('api-embedded', 'published and handled in one program, on disk', [
        { tier: 'required', value: 300_000 },
        { tier: 'required', ratio: 15 },
      ]),
    ],
  };
}

export function remoteApiSuite(): Suite<Orders> {
  const over = (name: string, library: OrdersRequest['library']): Contender<Orders> => ({
    name,
    start: async (dataDir) => {
      const broker = await postrider.start!(dataDir);
      const { user, password, host, port } = broker.address;
      const version = library === 'postrider' ? broker.version : versionOf(library);
      return orders(library, `amqp://${user}:${password}@${host}:${port}`, {
        version,
        ...(broker.pid === undefined ? {} : { pid: broker.pid }),
        stop: () => broker.stop(),
      });
    },
  });
  return {
    id: 'api-amqp',
    title: 'TypeScript API over AMQP, JSON, 1,000 publishes awaited at a time',
    reference: { name: 'rabbitmq-client', label: 'rabbitmq-client' },
    contenders: [over('postrider-api', 'postrider'), over('rabbitmq-client', 'rabbitmq-client')],
    rows: [row('api-over-amqp', 'published and handled in one program, over AMQP', [{ tier: 'required', ratio: 0.7 }])],
  };
}

function row(id: string, title: string, goals: Goal[]): ComparedRow<Orders> {
  return {
    id,
    title,
    kind: 'compared',
    quick: true,
    metrics: [{ id: 'rate', label: 'rate', unit: 'msg/s', better: 'higher', goals }],
    run: (running, timing) => running.run(timing),
  };
}

function findBullMq(note: (line: string) => void): Contender<Orders> | undefined {
  const redis = findRedis();
  const version = versionOf('bullmq');
  const installed = version !== '' && versionOf('ioredis') !== '';
  if (redis === undefined || !installed) {
    const missing =
      redis === undefined ? 'Redis (Debian: apt-get install redis-server)' : 'BullMQ (npm install bullmq ioredis)';
    note(`${missing} is not installed here; the API's row runs without a ratio`);
    return undefined;
  }
  return {
    name: 'bullmq',
    start: async (dataDir) => {
      const server = await startRedis(redis, dataDir);
      return orders('bullmq', server.url, { ...server, version: `${version} on Redis ${server.version}` });
    },
  };
}

/** Empty: it is not installed. */
function versionOf(library: string): string {
  try {
    return (require(`${library}/package.json`) as { version: string }).version;
  } catch {
    return '';
  }
}

function orders(library: OrdersRequest['library'], url: string, running: Running): Orders {
  return {
    ...running,
    async run(timing: Timing): Promise<Sample> {
      // Of BullMQ it is the jobs processed that count, with nobody publishing beside: the best that it can do.
      const apart = library === 'bullmq';
      const program = new LoadProcess<OrdersRequest>('api/orders-process');
      try {
        const result = await program.ask<OrdersResult>({ library, url, timing, apart });
        const { publishedPerS, handledPerS, cpu, integrity } = result;
        // What is published faster than it is handled does not count.
        const rate = apart ? handledPerS : Math.min(publishedPerS, handledPerS);
        return { values: { rate }, detail: { publishedPerS, handledPerS, cpu }, integrity };
      } finally {
        await program.end();
      }
    },
  };
}

async function nothing(): Promise<void> {
  // The program is the broker: it ends with its round.
}
