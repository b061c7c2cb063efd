/** What is kept when the connection to a broker is cut, or the broker itself is started again. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { connect } from '../../src/index.ts';
import { until } from './bench.ts';
import { lostConnectionCases } from './cases/lost-connection.ts';

const log = (): void => undefined;

lostConnectionCases('to a Postrider', async () => {
  const mq = await connect('memory:', { log });
  const { amqp } = await mq.listen({ amqp: { port: 0 } });
  return { port: amqp!.port, mq, close: () => mq.close() };
});

describe('a broker that is started again', () => {
  it('finds its clients back, with queues, consumers and answers', async () => {
    const data = await mkdtemp(join(tmpdir(), 'postrider-api-'));
    let broker = await connect(`file:${data}`, { log });
    const listening = await broker.listen({ amqp: { port: 0 } });
    const { port } = listening.amqp!;
    const mq = await connect(`amqp://127.0.0.1:${port}`);
    try {
      const queue = await mq.queue<number>('kept');
      const fleeting = await mq.queue<number>('fleeting', { durable: false });
      const asked = await mq.queue<number>('asked');
      await asked.respond((payload) => payload * 2);
      assert.equal(await asked.request(1), 2);
      await queue.publish(1);
      const got: number[] = [];
      await fleeting.consume((payload) => void got.push(payload));
      const events: string[] = [];
      mq.on('reconnected', () => events.push('reconnected'));

      await broker.close();
      const waiting = queue.publish(2);
      broker = await connect(`file:${data}`, { log });
      await broker.listen({ amqp: { port } });

      await waiting;
      await until('it was told', () => events.length === 1);
      assert.equal((await queue.stats()).ready, 2);
      await fleeting.publish(3);
      await until('the queue that ended with the broker is there again, and consumed', () => got.includes(3));
      assert.equal(await asked.request(21), 42);
    } finally {
      await mq.close();
      await broker.close();
      await rm(data, { recursive: true, force: true });
    }
  });
});
