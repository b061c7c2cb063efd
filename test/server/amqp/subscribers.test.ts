/** AMQP publishers, and who subscribes to topics without a queue. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { guest } from '../../../src/broker/principal.ts';
import { confirmSelect, txCommit, txSelect } from '../../../src/wire/amqp/basic-methods.ts';
import { publish } from './raw-client.ts';
import { serve } from './serve.ts';

const served = await serve();

/** What somebody gets who subscribes to `a/#`. */
async function reader(): Promise<string[]> {
  const { subscribers } = served.broker.vhost('/')!;
  const subscriber = subscribers.create('guest', 'reader', { durable: false });
  const got: string[] = [];
  subscriber.sink = {
    take: ({ body, bodyStart, bodyEnd }, _route, topic) => {
      got.push(`${topic}: ${body.toString('utf8', bodyStart, bodyEnd)}`);
    },
  };
  const request = { filter: 'a/#', share: null, queued: false, noLocal: false, options: 0, identifier: 0 };
  await subscribers.subscribe(guest, subscriber, [request]);
  return got;
}

test('a mandatory message that a subscriber gets does not come back, and is confirmed', async () => {
  const got = await reader();
  const client = await served.client();
  await client.call(1, confirmSelect, { noWait: false }, 'confirm.select_ok');
  const to = { exchange: 'amq.topic', mandatory: true };
  client.send(publish('a.b', 'taken', to));
  assert.equal((await client.expect('basic.ack')).args['deliveryTag'], 1);
  client.send(publish('b', 'back', to));
  assert.equal(String((await client.message('basic.return')).body), 'back');
  await client.expect('basic.ack');
  assert.deepEqual(got, ['a/b: taken']);
});

test('in a transaction, it is the same once it is committed', async () => {
  const got = await reader();
  const client = await served.client();
  await client.call(1, txSelect, {}, 'tx.select_ok');
  const to = { exchange: 'amq.topic', mandatory: true };
  client.send(publish('a.b', 'taken', to), publish('b', 'back', to));
  await client.declare('in-between');
  assert.deepEqual(got, []);
  client.send(txCommit.frame(1, {}));
  assert.equal(String((await client.message('basic.return')).body), 'back');
  await client.expect('tx.commit_ok');
  assert.deepEqual(got, ['a/b: taken']);
});
