import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  basicAck,
  basicCancel,
  basicConsume,
  basicGet,
  basicNack,
  basicQos,
  basicRecover,
} from '../../../src/wire/amqp/basic-methods.ts';
import { channelClose, channelFlow } from '../../../src/wire/amqp/channel-methods.ts';
import { connectionClose } from '../../../src/wire/amqp/connection-methods.ts';
import { exchangeDeclare } from '../../../src/wire/amqp/exchange-methods.ts';
import { queueBind, queueDeclare, queueDelete } from '../../../src/wire/amqp/queue-methods.ts';
import { declaration, publish, type RawClient } from './raw-client.ts';
import { serve } from './serve.ts';

const served = await serve();
const narrow = await serve({ maxUnsentBytes: 64 * 1024, maxConsumersPerChannel: 2, maxKeptBytes: 2_000 });
const crowded = await serve({ maxUnsentBytes: 64 * 1024 });

const late = {
  queue: '',
  consumerTag: 'late',
  noLocal: false,
  noAck: false,
  exclusive: false,
  noWait: false,
  arguments: {},
};

const close = { replyCode: 200, replyText: 'bye', classId: 0, methodId: 0 };

async function readyIn(client: RawClient, queue: string): Promise<number> {
  const frame = await client.call(1, queueDeclare, { ...declaration, queue, passive: true }, 'queue.declare_ok');
  return frame.args['messageCount'] as number;
}

test('deliveries name consumer, tag, exchange and key, also where these change from message to message', async () => {
  const client = await served.client();
  await client.declare('named');
  const fanout = {
    exchange: 'fan',
    type: 'fanout',
    passive: false,
    durable: false,
    autoDelete: false,
    internal: false,
    noWait: false,
    arguments: {},
  };
  await client.call(1, exchangeDeclare, fanout, 'exchange.declare_ok');
  const binding = { queue: 'named', exchange: 'fan', routingKey: '', noWait: false, arguments: {} };
  await client.call(1, queueBind, binding, 'queue.bind_ok');
  await client.consume('named', 'me');
  const keys = ['k', 'a much longer routing key '.repeat(8), 'k', ''];
  for (const key of keys) client.send(publish(key, `to ${key}`, { exchange: 'fan' }));
  client.send(publish('named', 'direct'));
  for (const [index, key] of keys.entries()) {
    const { frame, body } = await client.message('basic.deliver');
    const expected = {
      consumerTag: 'me',
      deliveryTag: index + 1,
      redelivered: false,
      exchange: 'fan',
      routingKey: key,
    };
    assert.deepEqual({ ...frame.args }, expected);
    assert.equal(body.toString(), `to ${key}`);
  }
  const { frame } = await client.message('basic.deliver');
  assert.deepEqual([frame.args['exchange'], frame.args['routingKey']], ['', 'named']);
});

test('prefetch holds back, and an ack lets the next one come', async () => {
  const client = await served.client();
  await client.declare('prefetched');
  await client.call(1, basicQos, { prefetchSize: 0, prefetchCount: 2, global: false }, 'basic.qos_ok');
  await client.consume('prefetched', 'c');
  for (let index = 0; index < 5; index++) client.send(publish('prefetched', String(index)));
  await client.message('basic.deliver');
  await client.message('basic.deliver');
  assert.equal(await readyIn(client, 'prefetched'), 3);
  client.send(basicAck.frame(1, { deliveryTag: 2, multiple: true }));
  assert.equal((await client.message('basic.deliver')).body.toString(), '2');
  assert.equal((await client.message('basic.deliver')).body.toString(), '3');
});

test('what is nacked, recovered or held by a channel that closes comes again, flagged', async () => {
  const client = await served.client();
  await client.declare('again');
  client.send(publish('again', 'x'));
  const get = async (): Promise<number> => {
    client.send(basicGet.frame(1, { queue: 'again', noAck: false }));
    const { frame } = await client.message('basic.get_ok');
    assert.equal(frame.args['redelivered'], !first);
    first = false;
    return frame.args['deliveryTag'] as number;
  };
  let first = true;
  client.send(basicNack.frame(1, { deliveryTag: await get(), multiple: false, requeue: true }));
  await get();
  await client.call(1, basicRecover, { requeue: true }, 'basic.recover_ok');
  await get();
  await client.call(1, channelClose, close, 'channel.close_ok');
  await client.openChannel(1);
  client.send(basicAck.frame(1, { deliveryTag: await get(), multiple: false }));
  client.send(basicGet.frame(1, { queue: 'again', noAck: false }));
  await client.expect('basic.get_empty');
});

test('a consumer whose queue is deleted is told, if its client can take it', async () => {
  const client = await served.client();
  const plain = await served.client({ capabilities: {} });
  await client.declare('gone');
  await client.consume('gone', 'told');
  await plain.consume('gone', 'untold');
  const args = { queue: 'gone', ifUnused: false, ifEmpty: false, noWait: true };
  client.send(queueDelete.frame(1, args));
  assert.deepEqual({ ...(await client.expect('basic.cancel')).args }, { consumerTag: 'told', noWait: true });
  await plain.call(1, channelFlow, { active: true }, 'channel.flow_ok');
  await plain.call(1, basicCancel, { consumerTag: 'untold', noWait: false }, 'basic.cancel_ok');
});

test('who deletes the queue of its own consumer gets the answer first', async () => {
  const client = await served.client();
  await client.declare('own');
  await client.consume('own', 'mine');
  client.send(queueDelete.frame(1, { queue: 'own', ifUnused: false, ifEmpty: false, noWait: false }));
  await client.expect('queue.delete_ok');
  await client.expect('basic.cancel');
});

test('exclusive queues go with their connection', async () => {
  const owner = await served.client();
  const other = await served.client();
  await owner.call(1, queueDeclare, { ...declaration, queue: 'mine', exclusive: true }, 'queue.declare_ok');
  other.send(basicGet.frame(1, { queue: 'mine', noAck: true }));
  const { args } = await other.expect('channel.close');
  assert.equal(args['replyCode'], 405);
  assert.match(
    args['replyText'] as string,
    /^RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'mine' in vhost '\/'/,
  );
  await owner.call(0, connectionClose, close, 'connection.close_ok');
  await other.openChannel(2);
  other.send(queueDeclare.frame(2, { ...declaration, queue: 'mine', passive: true }));
  assert.equal((await other.expect('channel.close')).args['replyText'], "NOT_FOUND - no queue 'mine' in vhost '/'");
});

test('Frozen subscriber starves others: one that never reads is bounded, the rest goes on', async () => {
  const frozen = await narrow.client();
  const other = await narrow.client();
  await other.declare('frozen');
  await other.declare('lively');
  await frozen.consume('frozen', 'f', true);
  frozen.socket.pause();
  await other.consume('lively', 'l', true);
  const body = Buffer.alloc(10_000, 1);
  // Far more than sockets buffer between two processes.
  for (let index = 0; index < 4_000; index++) other.send(publish('frozen', body));
  other.send(publish('lively', 'still here'));
  assert.equal((await other.message('basic.deliver')).body.toString(), 'still here');
  const waiting = await readyIn(other, 'frozen');
  assert.ok(waiting > 1_000, `${waiting} of 4000 wait in the queue`);
  frozen.socket.resume();
  for (let index = 0; index < 4_000; index++)
    assert.equal((await frozen.message('basic.deliver')).body.length, body.length);
});

test(
  'Frozen subscriber starves others: many consumers of one that never reads take no more than one does',
  { timeout: 300_000 },
  async () => {
    const other = await crowded.client();
    const taken: number[] = [];
    for (const consumers of [1, 400]) {
      const queue = `crowd-${consumers}`;
      await other.declare(queue);
      const frozen = await crowded.client();
      for (let index = 0; index < consumers; index++) await frozen.consume(queue, `c${index}`);
      frozen.socket.pause();
      for (let index = 0; index < 800; index++) other.send(publish(queue, Buffer.alloc(50_000, 1)));
      let ready = -1;
      // Until the buffers of the sockets are full as well.
      for (let before = -2; ready !== before;) {
        before = ready;
        await new Promise((resolve) => setTimeout(resolve, 50));
        ready = await readyIn(other, queue);
      }
      taken.push(800 - ready);
      // One that comes later gets nothing either, and all go on once there is room.
      if (consumers > 1) {
        frozen.send(basicConsume.frame(1, { ...late, queue }));
        await new Promise((resolve) => setTimeout(resolve, 50));
        assert.equal(await readyIn(other, queue), ready);
        frozen.socket.resume();
        for (let count = 0; count < 800;) {
          const frame = await frozen.next();
          if (frame?.name === 'basic.deliver') count++;
        }
      }
      frozen.end();
    }
    const [one, many] = taken;
    // One more for each would be 400 more; the kernel's buffers alone differ by a hundred from run to run.
    assert.ok(many! < one! + 200, `one consumer took ${one}, 400 took ${many}`);
  },
);

test(
  'Frozen subscriber starves others: one that gets and never reads is bounded, on many channels as well',
  {
    timeout: 300_000,
  },
  async () => {
    const other = await crowded.client();
    const frozen = await crowded.client();
    await other.declare('got');
    for (let number = 2; number <= 10; number++) await frozen.openChannel(number);
    for (let index = 0; index < 800; index++) other.send(publish('got', Buffer.alloc(50_000, 1)));
    assert.equal(await readyIn(other, 'got'), 800);
    frozen.socket.pause();
    for (let index = 0; index < 800; index++)
      frozen.send(basicGet.frame(1 + (index % 10), { queue: 'got', noAck: true }));
    await new Promise((resolve) => setTimeout(resolve, 300));
    const ready = await readyIn(other, 'got');
    assert.ok(ready > 400, `${ready} of 800 are still in the queue`);
    frozen.socket.resume();
    for (let count = 0; count < 800; count++) await frozen.message('basic.get_ok');
  },
);

test('a client that asks and never reads the answers is not read from any more', async () => {
  const client = await narrow.client();
  client.socket.pause();
  const flow = Buffer.concat(Array.from({ length: 1_000 }, () => channelFlow.frame(1, { active: true })));
  const rounds = 2_000;
  for (let round = 0; round < rounds; round++) client.send(flow);
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.ok(client.socket.writableLength > 1_000_000, 'the server went on reading');
  client.socket.resume();
  client.end();
});

test('Unlimited by default: consumers of a channel are bounded', async () => {
  const client = await narrow.client();
  await client.declare('popular');
  await client.consume('popular', 'a');
  await client.consume('popular', 'b');
  await assert.rejects(client.consume('popular', 'c'), /reached maximum \(2\) of consumers per channel/);
});

test('frames behind a method that waits keep their order, beyond what is kept as well', async () => {
  const client = await narrow.client();
  const names = Array.from({ length: 300 }, (_, index) => `ordered-${index}`);
  for (const queue of names) {
    client.send(
      queueDeclare.frame(1, { ...declaration, queue }),
      publish(queue, queue),
      basicGet.frame(1, { queue, noAck: true }),
    );
  }
  for (const queue of names) {
    assert.equal((await client.expect('queue.declare_ok')).args['queue'], queue);
    assert.equal((await client.message('basic.get_ok')).body.toString(), queue);
  }
});
