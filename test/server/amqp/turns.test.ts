import assert from 'node:assert/strict';
import { test } from 'node:test';
import { basicGet, confirmSelect, txCommit, txSelect } from '../../../src/wire/amqp/basic-methods.ts';
import { queueBind, queueDeclare } from '../../../src/wire/amqp/queue-methods.ts';
import type { RawClient } from './raw-client.ts';
import { declaration, publish } from './raw-client.ts';
import { serve } from './serve.ts';

// Whatever is looked for took long.
const served = await serve({}, { longSearchMs: -1 });
const count = 200;

async function bound(client: RawClient, queue: string): Promise<void> {
  await client.declare(queue);
  const binding = { queue, exchange: 'amq.topic', routingKey: `${queue}.#`, noWait: false, arguments: {} };
  await client.call(1, queueBind, binding, 'queue.bind_ok');
}

const published = (queue: string): Buffer =>
  Buffer.concat(
    Array.from({ length: count }, (_, n) => publish(`${queue}.${n}`, `${n}`, { exchange: 'amq.topic', frameMax: 9 })),
  );

async function ready(client: RawClient, queue: string): Promise<number> {
  const found = await client.call(1, queueDeclare, { ...declaration, queue, passive: true }, 'queue.declare_ok');
  return Number(found.args['messageCount']);
}

async function expectAll(client: RawClient, queue: string): Promise<void> {
  for (let n = 0; n < count; n++) {
    client.send(basicGet.frame(1, { queue, noAck: true }));
    assert.equal((await client.message('basic.get_ok')).body.toString(), `${n}`);
  }
}

test('who publishes what takes long to route lets others go in between, and keeps its order', async () => {
  const [publisher, other] = [await served.client(), await served.client()];
  await bound(publisher, 'long');
  await publisher.call(1, confirmSelect, { noWait: false }, 'confirm.select_ok');
  publisher.send(published('long'));
  let found = 0;
  while (found === 0) found = await ready(other, 'long');
  assert.ok(found < count, `${found} were published in one turn`);
  let confirmed = 0;
  while (confirmed < count) confirmed = Number((await publisher.expect('basic.ack')).args['deliveryTag']);
  await expectAll(other, 'long');
});

test('in a transaction too', async () => {
  const [publisher, other] = [await served.client(), await served.client()];
  await bound(publisher, 'kept');
  await publisher.call(1, txSelect, {}, 'tx.select_ok');
  publisher.send(published('kept'));
  await publisher.call(1, txCommit, {}, 'tx.commit_ok');
  await expectAll(other, 'kept');
});

test('a channel may close meanwhile', async () => {
  const publisher = await served.client();
  const other = await served.client();
  await bound(other, 'gone');
  publisher.send(published('gone'));
  publisher.end();
  await other.declare('after');
  assert.ok((await ready(other, 'gone')) <= count);
});
