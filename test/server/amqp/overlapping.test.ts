/** Declarations and bindings that a client sends without waiting for the answers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exchangeDeclare } from '../../../src/wire/amqp/exchange-methods.ts';
import { queueBind, queueDeclare, queuePurge } from '../../../src/wire/amqp/queue-methods.ts';
import { declaration, publish, type RawClient } from './raw-client.ts';
import { serve } from './serve.ts';

const served = await serve();

const declare = (queue: string, more: Partial<typeof declaration> = {}): Buffer =>
  queueDeclare.frame(1, { ...declaration, ...more, queue });
const bind = (queue: string, exchange: string, routingKey: string): Buffer =>
  queueBind.frame(1, { queue, exchange, routingKey, noWait: false, arguments: {} });
const exchange = (name: string, passive = false): Buffer =>
  exchangeDeclare.frame(1, { ...declaration, exchange: name, type: 'direct', internal: false, passive });

async function names(client: RawClient, count: number): Promise<string[]> {
  const answered: string[] = [];
  for (let index = 0; index < count; index++) {
    const frame = await client.next();
    assert.ok(frame !== null);
    answered.push(frame.name === 'queue.declare_ok' ? (frame.args['queue'] as string) : frame.name);
  }
  return answered;
}

test('each is answered, in the order in which they were sent', async () => {
  const client = await served.client();
  const queues = Array.from({ length: 600 }, (_, index) => `many-${index}`);
  client.send(...queues.map((queue) => declare(queue)));
  assert.deepEqual(await names(client, queues.length), queues);
});

test('one that was answered long ago waits for those before it', async () => {
  const client = await served.client();
  await client.declare('known');
  client.send(
    declare('new-1'),
    declare('known', { passive: true }),
    exchange('ex-1'),
    bind('new-1', 'ex-1', 'k'),
    declare('new-2'),
  );
  assert.deepEqual(await names(client, 5), ['new-1', 'known', 'exchange.declare_ok', 'queue.bind_ok', 'new-2']);
  client.send(publish('k', 'routed', { exchange: 'ex-1' }));
  await client.consume('new-1', 'c');
  assert.equal((await client.message('basic.deliver')).body.toString(), 'routed');
});

test('an empty name is the queue of the declaration before, though that is not answered yet', async () => {
  const client = await served.client();
  client.send(declare(''), bind('', 'amq.direct', 'here'), declare('last'), bind('', 'amq.direct', ''));
  const [generated = '', ...rest] = await names(client, 4);
  assert.match(generated, /^amq\.gen-/);
  assert.deepEqual(rest, ['queue.bind_ok', 'last', 'queue.bind_ok']);
  client.send(
    publish('last', 'to last', { exchange: 'amq.direct' }),
    publish('here', 'to the other', { exchange: 'amq.direct' }),
  );
  await client.consume('last', 'a');
  assert.equal((await client.message('basic.deliver')).body.toString(), 'to last');
  await client.consume(generated, 'b');
  assert.equal((await client.message('basic.deliver')).body.toString(), 'to the other');
});

test('a refusal comes after the answers before it, and nothing behind it is done', async () => {
  const client = await served.client();
  await client.declare('transient');
  const refused = declare('transient', { durable: true });
  client.send(declare('before-1'), exchange('before-2'), refused, declare('behind-1'), exchange('behind-2'));
  assert.deepEqual(await names(client, 2), ['before-1', 'exchange.declare_ok']);
  const { args } = await client.expect('channel.close');
  assert.equal(args['replyCode'], 406);
  const { queues, exchanges } = served.broker.vhost('/')!.graph;
  assert.ok(queues.has('before-1') && exchanges.has('before-2'));
  assert.ok(!queues.has('behind-1') && !exchanges.has('behind-2'));
});

test('so is the refusal of an exchange, and of a binding', async () => {
  for (const refused of [
    exchange('no-such', true),
    bind('before-1', 'no-such', ''),
    bind('no-such', 'amq.direct', ''),
  ]) {
    const client = await served.client();
    client.send(declare('also-before'), refused, declare('also-behind'));
    assert.deepEqual(await names(client, 1), ['also-before']);
    assert.equal((await client.expect('channel.close')).args['replyCode'], 404);
    assert.ok(!served.broker.vhost('/')!.graph.queues.has('also-behind'));
  }
});

test('other methods wait until they are answered', async () => {
  const client = await served.client();
  client.send(
    declare('filled'),
    publish('filled', 'one'),
    queuePurge.frame(1, { queue: 'filled', noWait: false }),
    publish('filled', 'two'),
    declare('after-that'),
  );
  assert.deepEqual(await names(client, 1), ['filled']);
  assert.equal((await client.expect('queue.purge_ok')).args['messageCount'], 1);
  assert.deepEqual(await names(client, 1), ['after-that']);
});
