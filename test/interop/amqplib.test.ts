import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { connect, type ChannelModel, type ConsumeMessage } from 'amqplib';
import { target, unique } from './target.ts';

const { url, bugs } = await target();

async function withConnection(run: (connection: ChannelModel) => Promise<void>): Promise<void> {
  const connection = await connect(url);
  connection.on('error', () => undefined);
  try {
    await run(connection);
  } finally {
    await connection.close().catch(() => undefined);
  }
  assert.deepEqual(bugs(), []);
}

describe('amqplib', () => {
  test('publishes confirmed messages and consumes them with acks', () =>
    withConnection(async (connection) => {
      const channel = await connection.createConfirmChannel();
      const { queue } = await channel.assertQueue(unique('work'), { durable: true });
      const count = 500;
      for (let index = 0; index < count; index++) {
        const options = {
          persistent: true,
          headers: { index, nested: { list: [1, 'two', true, null] } },
          messageId: `${index}`,
        };
        channel.sendToQueue(queue, Buffer.from(`message ${index}`), options);
      }
      await channel.waitForConfirms();
      await channel.prefetch(50);
      const got: ConsumeMessage[] = [];
      await new Promise<void>((resolve) => {
        void channel.consume(queue, (message) => {
          assert.ok(message !== null);
          got.push(message);
          channel.ack(message);
          if (got.length === count) resolve();
        });
      });
      for (const [index, message] of got.entries()) {
        assert.equal(message.content.toString(), `message ${index}`);
        assert.equal(message.fields.redelivered, false);
        assert.equal(message.properties.deliveryMode, 2);
        assert.deepEqual(message.properties.headers, { index, nested: { list: [1, 'two', true, null] } });
      }
      await channel.close();
      const other = await connection.createChannel();
      assert.deepEqual(await other.checkQueue(queue), { queue, messageCount: 0, consumerCount: 0 });
      assert.deepEqual(await other.deleteQueue(queue), { messageCount: 0 });
    }));

  test('routes through topic, fanout, direct and headers exchanges, and between exchanges', () =>
    withConnection(async (connection) => {
      const channel = await connection.createConfirmChannel();
      const names = { topic: unique('t'), fanout: unique('f'), direct: unique('d'), headers: unique('h') };
      for (const [type, name] of Object.entries(names)) await channel.assertExchange(name, type, { autoDelete: true });
      const { queue } = await channel.assertQueue('', { exclusive: true });
      await channel.bindQueue(queue, names.topic, 'order.*.paid');
      await channel.bindQueue(queue, names.fanout, '');
      await channel.bindQueue(queue, names.headers, '', { 'x-match': 'all', kind: 'a', size: 1 });
      await channel.bindExchange(names.fanout, names.direct, 'key');
      const send = (exchange: string, key: string, headers = {}): void => {
        channel.publish(exchange, key, Buffer.from(`${exchange} ${key}`), { headers });
      };
      send(names.topic, 'order.1.paid');
      send(names.topic, 'order.1.2.paid');
      send(names.direct, 'key');
      send(names.direct, 'other');
      send(names.headers, '', { kind: 'a', size: 1, more: true });
      send(names.headers, '', { kind: 'a' });
      await channel.waitForConfirms();
      const bodies: string[] = [];
      for (;;) {
        const message = await channel.get(queue, { noAck: true });
        if (message === false) break;
        bodies.push(message.content.toString());
      }
      assert.deepEqual(bodies, [`${names.topic} order.1.paid`, `${names.direct} key`, `${names.headers} `]);
      await channel.unbindQueue(queue, names.topic, 'order.*.paid');
      await channel.unbindExchange(names.fanout, names.direct, 'key');
    }));

  test('gets unroutable mandatory messages back', () =>
    withConnection(async (connection) => {
      const channel = await connection.createConfirmChannel();
      const returned = once(channel, 'return');
      channel.publish('', unique('nowhere'), Buffer.from('back'), { mandatory: true, contentType: 'text/plain' });
      const [message] = (await returned) as [{ content: Buffer; fields: { replyCode: number; replyText: string } }];
      assert.equal(message.content.toString(), 'back');
      assert.deepEqual([message.fields.replyCode, message.fields.replyText], [312, 'NO_ROUTE']);
      await channel.waitForConfirms();
    }));

  test('nacks, requeues, dead-letters and learns of the deletion of its queue', () =>
    withConnection(async (connection) => {
      const channel = await connection.createChannel();
      const { queue: dead } = await channel.assertQueue('', { exclusive: true });
      const { queue } = await channel.assertQueue(unique('nack'), {
        deadLetterExchange: '',
        deadLetterRoutingKey: dead,
      });
      channel.sendToQueue(queue, Buffer.from('x'));
      let deliveries = 0;
      const cancelled = new Promise<void>((resolve) => {
        void channel.consume(queue, (message) => {
          if (message === null) {
            resolve();
            return;
          }
          assert.equal(message.fields.redelivered, deliveries > 0);
          deliveries++;
          channel.nack(message, false, deliveries < 3);
        });
      });
      const letter = await new Promise<ConsumeMessage | null>((resolve) => void channel.consume(dead, resolve));
      assert.equal(deliveries, 3);
      const deaths = letter?.properties.headers?.['x-death'] as { queue: string; reason: string; count: number }[];
      assert.deepEqual([deaths[0]?.queue, deaths[0]?.reason, deaths[0]?.count], [queue, 'rejected', 1]);
      const other = await connection.createChannel();
      await other.deleteQueue(queue);
      await cancelled;
    }));

  test('carries a body of 5 MB', () =>
    withConnection(async (connection) => {
      const channel = await connection.createConfirmChannel();
      const { queue } = await channel.assertQueue('', { exclusive: true });
      const body = Buffer.alloc(5_000_000, '0123456789');
      channel.sendToQueue(queue, body);
      await channel.waitForConfirms();
      const message = await channel.get(queue);
      assert.ok(message !== false && message.content.equals(body));
      channel.ackAll();
    }));

  test('sees channel errors as RabbitMQ words them', () =>
    withConnection(async (connection) => {
      const expectError = async (
        code: number,
        text: string,
        provoke: (channel: Awaited<ReturnType<ChannelModel['createChannel']>>) => Promise<unknown>,
      ): Promise<void> => {
        const channel = await connection.createChannel();
        const failed = once(channel, 'error') as Promise<[Error & { code: number }]>;
        await assert.rejects(provoke(channel));
        const [error] = await failed;
        assert.equal(error.code, code);
        assert.ok(error.message.includes(text), error.message);
      };
      const name = unique('strict');
      await expectError(404, `NOT_FOUND - no queue '${name}' in vhost '/'`, (channel) => channel.checkQueue(name));
      const channel = await connection.createChannel();
      await channel.assertQueue(name, { durable: true, arguments: { 'x-max-length': 10 } });
      const inequivalent = `PRECONDITION_FAILED - inequivalent arg 'durable' for queue '${name}' in vhost '/': received 'false' but current is 'true'`;
      await expectError(406, inequivalent, (other) => other.assertQueue(name, { durable: false }));
      await channel.deleteQueue(name);
    }));

  test('reads a stream from where it wants, as often as it wants', () =>
    withConnection(async (connection) => {
      const channel = await connection.createConfirmChannel();
      const name = unique('stream');
      await channel.assertQueue(name, { durable: true, arguments: { 'x-queue-type': 'stream' } });
      const count = 500;
      for (let index = 0; index < count; index++)
        channel.sendToQueue(name, Buffer.from(`message ${index}`), index % 2 === 0 ? {} : { headers: { index } });
      await channel.waitForConfirms();
      await channel.prefetch(50);
      const read = (offset: string | number | { '!': string; value: number }, from: number): Promise<void> =>
        new Promise((resolve, reject) => {
          let next = from;
          const taken = (message: ConsumeMessage | null): void => {
            try {
              assert.ok(message !== null);
              assert.equal(message.content.toString(), `message ${next}`);
              const headers = { ...(next % 2 === 0 ? {} : { index: next }), 'x-stream-offset': next };
              assert.deepEqual(message.properties.headers, headers);
              channel.ack(message);
              if (++next === count) void channel.cancel(message.fields.consumerTag).then(() => resolve(), reject);
            } catch (error) {
              reject(error instanceof Error ? error : new Error(String(error)));
            }
          };
          channel.consume(name, taken, { arguments: { 'x-stream-offset': offset } }).catch(reject);
        });
      await read('first', 0);
      await Promise.all([read('first', 0), read(450, 450)]);
      await read({ '!': 'timestamp', value: Math.floor(Date.now() / 1000) - 60 }, 0);
      const { messageCount } = await channel.deleteQueue(name);
      assert.ok(messageCount >= 0);
    }));
});
