import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VhostDescription } from '../../../src/broker/index.ts';
import { decodeProperties, encodeProperties } from '../../../src/format/basic-properties.ts';
import { confirmSelect } from '../../../src/wire/amqp/basic-methods.ts';
import { publish } from './raw-client.ts';
import { serve } from './serve.ts';

const served = await serve();
const key = 'amq.postrider.topology';
const replyQueue = 'amq.rabbitmq.reply-to';

test('the topology is told to a direct reply-to address', async () => {
  const client = await served.client();
  await client.declare('orders');
  client.send(publish('orders', 'one'));
  await client.consume(replyQueue, 'replies', true);
  const properties = encodeProperties({ correlationId: 'c1', replyTo: replyQueue });
  client.send(publish(key, '', { properties, mandatory: true }));
  const answer = await client.message('basic.deliver');
  const { contentType, correlationId } = decodeProperties(answer.properties, 0, answer.properties.length);
  assert.deepEqual([contentType, correlationId], ['application/json', 'c1']);
  const { vhost, queues, exchanges } = JSON.parse(answer.body.toString()) as VhostDescription;
  assert.equal(vhost, '/');
  assert.deepEqual(
    queues.map(({ name, ready }) => [name, ready]),
    [['orders', 1]],
  );
  assert.equal(exchanges.length, 6);
});

test('or put into a queue', async () => {
  const client = await served.client();
  await client.declare('answers');
  await client.consume('answers', 'a', true);
  client.send(publish(key, '', { properties: encodeProperties({ replyTo: 'answers' }) }));
  const { body } = await client.message('basic.deliver');
  assert.ok((JSON.parse(body.toString()) as VhostDescription).queues.some(({ name }) => name === 'answers'));
});

test('who leaves no address gets the question back', async () => {
  const client = await served.client();
  client.send(publish(key, 'well?', { mandatory: true }));
  assert.equal((await client.message('basic.return')).body.toString(), 'well?');
});

test('who goes before the answer is no trouble, and a question is confirmed as every message', async () => {
  const properties = encodeProperties({ replyTo: 'amq.rabbitmq.reply-to.gone' });
  const gone = await served.client();
  gone.send(publish(key, '', { properties }));
  gone.socket.destroy();
  const client = await served.client();
  await client.call(1, confirmSelect, { noWait: false }, 'confirm.select_ok');
  client.send(publish(key, '', { properties, mandatory: true }));
  assert.equal((await client.expect('basic.ack')).args['deliveryTag'], 1);
  assert.deepEqual(
    served.lines.filter((line) => line.includes('topology')),
    [],
  );
});

test('who may not read all of it is refused', async () => {
  const { users } = served.broker;
  await users.put('ann', { password: 'secret' }, 'new');
  await users.setPermissions('ann', '/', { configure: '', write: '.*', read: '^(amq|answers|$)' }, () => true);
  const client = await served.client({ user: 'ann', password: 'secret' });
  client.send(publish(key, '', { properties: encodeProperties({ replyTo: 'answers' }) }));
  const { replyCode, replyText } = (await client.expect('channel.close')).args;
  assert.deepEqual(
    [replyCode, replyText],
    [403, "ACCESS_REFUSED - access to queue 'orders' in vhost '/' refused for user 'ann'"],
  );
});
