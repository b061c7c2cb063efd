import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeProperties, encodeProperties } from '../../../src/format/basic-properties.ts';
import { confirmSelect, txCommit, txSelect } from '../../../src/wire/amqp/basic-methods.ts';
import { queueBind } from '../../../src/wire/amqp/queue-methods.ts';
import { publish, type RawClient } from './raw-client.ts';
import { serve } from './serve.ts';

const served = await serve();

const full = (deadLetters: string, limit = { 'x-max-length': 1 } as Record<string, number>) => ({
  ...limit,
  'x-overflow': 'reject-publish-dlx',
  'x-dead-letter-exchange': '',
  'x-dead-letter-routing-key': deadLetters,
});

async function bodies(client: RawClient, queue: string, count: number): Promise<string[]> {
  await client.consume(queue, `of ${queue}`, true);
  const found: string[] = [];
  while (found.length < count) found.push(String((await client.message('basic.deliver')).body));
  return found;
}

test('what a full queue refuses is nacked, and goes to its dead-letter exchange as maxlen', async () => {
  const client = await served.client();
  await client.declare('dead');
  await client.declare('full', full('dead'));
  await client.call(1, confirmSelect, { noWait: false }, 'confirm.select_ok');
  const properties = encodeProperties({ messageId: 'm', headers: { a: 1 } });
  client.send(publish('full', 'kept'), publish('full', 'refused', { properties }), publish('full', 'too'));
  const answers = [
    await client.expect('basic.ack'),
    await client.expect('basic.nack'),
    await client.expect('basic.nack'),
  ];
  assert.deepEqual(
    answers.map(({ args }) => args['deliveryTag']),
    [1, 2, 3],
  );
  await client.consume('dead', 'c', true);
  const { body, properties: found } = await client.message('basic.deliver');
  assert.equal(String(body), 'refused');
  const { messageId, headers } = decodeProperties(Buffer.from(found), 0, found.length);
  assert.equal(messageId, 'm');
  assert.equal(headers?.['a'], 1);
  assert.equal(headers['x-first-death-reason'], 'maxlen');
  assert.equal(headers['x-first-death-queue'], 'full');
  assert.equal(String((await client.message('basic.deliver')).body), 'too');
  assert.equal((await client.declare('full', full('dead'))).args['messageCount'], 1);
});

test('also without confirms, by bytes, and from a large message in many frames', async () => {
  const client = await served.client();
  await client.declare('dead by bytes');
  await client.declare('full by bytes', full('dead by bytes', { 'x-max-length-bytes': 10 }));
  const large = Buffer.alloc(20_000, 'x');
  client.send(publish('full by bytes', '12345'), publish('full by bytes', large, { frameMax: 4_096 }));
  assert.deepEqual(await bodies(client, 'dead by bytes', 1), [String(large)]);
});

test('of several queues only the full one has dead letters', async () => {
  const client = await served.client();
  for (const dead of ['dead a', 'dead b']) await client.declare(dead);
  await client.declare('a', full('dead a'));
  await client.declare('b', full('dead b', { 'x-max-length': 5 }));
  for (const queue of ['a', 'b']) {
    const binding = { queue, exchange: 'amq.fanout', routingKey: '', noWait: false, arguments: {} };
    await client.call(1, queueBind, binding, 'queue.bind_ok');
  }
  client.send(publish('', '1', { exchange: 'amq.fanout' }), publish('', '2', { exchange: 'amq.fanout' }));
  assert.deepEqual(await bodies(client, 'dead a', 1), ['2']);
  assert.equal((await client.declare('dead b')).args['messageCount'], 0);
});

test('a transaction that is refused leaves no dead letters', async () => {
  const client = await served.client();
  await client.declare('dead of tx');
  await client.declare('full of tx', full('dead of tx'));
  await client.call(1, txSelect, {}, 'tx.select_ok');
  client.send(publish('full of tx', '1'), publish('full of tx', '2'), txCommit.frame(1, {}));
  assert.equal((await client.expect('channel.close')).args['replyCode'], 406);
  await client.openChannel(2);
  assert.equal((await client.declare('dead of tx', {}, 2)).args['messageCount'], 0);
});

test('without a dead-letter exchange it refuses like reject-publish', async () => {
  const client = await served.client();
  await client.declare('bare', { 'x-max-length': 1, 'x-overflow': 'reject-publish-dlx' });
  await client.call(1, confirmSelect, { noWait: false }, 'confirm.select_ok');
  client.send(publish('bare', '1'), publish('bare', '2'));
  await client.expect('basic.ack');
  await client.expect('basic.nack');
});
