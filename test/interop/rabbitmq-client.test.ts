import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Connection, ConsumerStatus } from 'rabbitmq-client';
import { target, unique } from './target.ts';

const { url, bugs } = await target();

async function withConnection(run: (connection: Connection) => Promise<void>): Promise<void> {
  const connection = new Connection(url);
  const errors: unknown[] = [];
  connection.on('error', (error) => errors.push(error));
  await connection.onConnect();
  try {
    await run(connection);
  } finally {
    await connection.close();
  }
  assert.deepEqual(errors, []);
  assert.deepEqual(bugs(), []);
}

describe('rabbitmq-client', () => {
  test('publishes JSON with confirms and consumes it', () =>
    withConnection(async (connection) => {
      const queue = unique('json');
      const publisher = connection.createPublisher({ confirm: true, queues: [{ queue, durable: true }] });
      const count = 200;
      const got: unknown[] = [];
      let done: () => void = () => undefined;
      const all = new Promise<void>((resolve) => (done = resolve));
      await Promise.all(
        Array.from({ length: count }, (_, index) => publisher.send({ routingKey: queue, durable: true }, { index })),
      );
      const consumer = connection.createConsumer(
        { queue, queueOptions: { durable: true }, qos: { prefetchCount: 10 } },
        (message) => {
          got.push(message.body);
          if (got.length === count) done();
        },
      );
      await all;
      assert.deepEqual(
        got,
        Array.from({ length: count }, (_, index) => ({ index })),
      );
      await consumer.close();
      await publisher.close();
      await connection.queueDelete({ queue });
    }));

  test('drops and requeues what its handler refuses', () =>
    withConnection(async (connection) => {
      const queue = unique('retry');
      let attempts = 0;
      let done: () => void = () => undefined;
      const taken = new Promise<void>((resolve) => (done = resolve));
      const consumer = connection.createConsumer({ queue, queueOptions: { exclusive: true } }, (message) => {
        attempts++;
        assert.equal(message.redelivered, attempts > 1);
        if (attempts < 3) return ConsumerStatus.REQUEUE;
        done();
        return ConsumerStatus.ACK;
      });
      const publisher = connection.createPublisher({ confirm: true, queues: [{ queue, exclusive: true }] });
      await publisher.send(queue, 'again');
      await taken;
      await publisher.close();
      await consumer.close();
    }));

  test('asks and is answered (request and reply)', () =>
    withConnection(async (connection) => {
      const queue = unique('rpc');
      const server = connection.createConsumer(
        { queue, queueOptions: { autoDelete: true } },
        async (message, reply) => {
          await reply(`hello ${String(message.body)}`);
        },
      );
      await new Promise((resolve) => server.once('ready', resolve));
      const client = connection.createRPCClient({ confirm: true });
      assert.equal((await client.send(queue, 'you')).body, 'hello you');
      await client.close();
      await server.close();
    }));

  test('opens again a channel that an error closed', () =>
    withConnection(async (connection) => {
      const channel = await connection.acquire();
      await assert.rejects(channel.queueDeclare({ queue: unique('none'), passive: true }), { code: 'NOT_FOUND' });
      const { queue } = await connection.queueDeclare({ exclusive: true });
      assert.ok(queue.startsWith('amq.gen-'));
      assert.equal(await connection.basicGet({ queue }), undefined);
    }));
});
