import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeProperties, type BasicProperties } from '../../../src/format/basic-properties.ts';
import { basicAck } from '../../../src/wire/amqp/basic-methods.ts';
import { exchangeDeclare } from '../../../src/wire/amqp/exchange-methods.ts';
import { publish, type RawClient } from './raw-client.ts';
import { serve } from './serve.ts';

const served = await serve();
const impatient = await serve({ consumerTimeoutMs: 1_000 });
const replyQueue = 'amq.rabbitmq.reply-to';

async function asking(from = served): Promise<RawClient> {
  const client = await from.client();
  await client.consume(replyQueue, 'replies', true);
  return client;
}

async function ask(client: RawClient, request: object): Promise<Record<string, unknown>> {
  const properties = encodeProperties({ replyTo: replyQueue });
  client.send(publish('amq.postrider.control', JSON.stringify(request), { properties }));
  return JSON.parse((await client.message('basic.deliver')).body.toString()) as Record<string, unknown>;
}

interface Listed {
  readonly id: number;
  readonly dueAt: number;
  readonly properties: BasicProperties;
}

const delayed = (ms: number, messageId: string) =>
  encodeProperties({ messageId, deliveryMode: 2, headers: { 'x-delay': ms, h: [1, 'a'] } });

test('delayed messages of a queue are listed in pages, and cancelled', async () => {
  const client = await asking();
  await client.declare('jobs');
  const before = Date.now();
  const ids = ['a', 'b', 'c', 'd', 'e'];
  for (const id of ids) client.send(publish('jobs', `body of ${id}`, { properties: delayed(3_600_000, id) }));
  const first = await ask(client, { verb: 'list-delayed', queue: 'jobs', limit: 2 });
  const page = first['messages'] as Listed[];
  const { dueAt, storedAt, ...shown } = page[0] as unknown as Record<string, unknown>;
  assert.deepEqual(shown, {
    id: 1,
    exchange: '',
    routingKey: 'jobs',
    bytes: 9,
    properties: { messageId: 'a', deliveryMode: 2, headers: { 'x-delay': -3_600_000, h: [1, 'a'] } },
  });
  assert.ok((dueAt as number) >= before + 3_600_000 && (dueAt as number) - (storedAt as number) >= 3_599_000);
  const listed = page.map(({ properties }) => properties.messageId);
  for (let after = first['next']; after !== null;) {
    const more = await ask(client, { verb: 'list-delayed', queue: 'jobs', limit: 2, after });
    assert.equal(more['delayed'], 5);
    listed.push(...(more['messages'] as Listed[]).map(({ properties }) => properties.messageId));
    after = more['next'];
  }
  assert.deepEqual(listed, ids);
  assert.deepEqual(await ask(client, { verb: 'cancel-delayed', queue: 'jobs', id: 2 }), { ok: true });
  assert.deepEqual(await ask(client, { verb: 'cancel-delayed', queue: 'jobs', id: 2 }), {
    ok: false,
    code: 'NOT_FOUND',
    message: 'no delayed message 2: it was cancelled, or is due already',
  });
  const left = await ask(client, { verb: 'list-delayed', queue: 'jobs' });
  assert.deepEqual([left['delayed'], (left['messages'] as Listed[]).map(({ id }) => id)], [4, [1, 3, 4, 5]]);
});

test('what an exchange holds is listed and cancelled too', async () => {
  const client = await asking();
  const request = { exchange: 'later', type: 'x-delayed-message', passive: false, durable: true, autoDelete: false };
  const args = { ...request, internal: false, noWait: false, arguments: { 'x-delayed-type': 'direct' } };
  await client.call(1, exchangeDeclare, args, 'exchange.declare_ok');
  client.send(publish('k', 'x', { exchange: 'later', properties: delayed(3_600_000, 'a'), mandatory: true }));
  const { messages } = await ask(client, { verb: 'list-delayed', exchange: 'later' });
  assert.deepEqual(
    (messages as { routingKey: string }[]).map(({ routingKey }) => routingKey),
    ['k'],
  );
  assert.deepEqual(await ask(client, { verb: 'cancel-delayed', exchange: 'later', id: 1 }), { ok: true });
  assert.deepEqual(await ask(client, { verb: 'list-delayed', exchange: 'later' }), {
    ok: true,
    delayed: 0,
    messages: [],
    next: null,
  });
});

test('what can not be listed is refused', async () => {
  const client = await asking();
  for (const [request, code, message] of [
    [{}, 'COMMAND_INVALID', 'list-delayed wants a queue or an exchange, one of them'],
    [{ queue: 'q', exchange: 'e' }, 'COMMAND_INVALID', 'list-delayed wants a queue or an exchange, one of them'],
    [{ queue: 'no' }, 'NOT_FOUND', "no queue 'no' in vhost '/'"],
    [{ exchange: 'no' }, 'NOT_FOUND', "no exchange 'no' in vhost '/'"],
    [
      { exchange: 'amq.topic' },
      'PRECONDITION_FAILED',
      "exchange 'amq.topic' in vhost '/' holds no messages: its type is not x-delayed-message",
    ],
  ] as const) {
    assert.deepEqual(await ask(client, { verb: 'list-delayed', ...request }), { ok: false, code, message });
  }
});

test('a delivery with more time keeps its channel open, and is late when that is over', async () => {
  const client = await asking(impatient);
  await client.declare('work');
  client.send(publish('work', 'long'));
  await client.consume('work', 'worker', false);
  assert.equal((await client.message('basic.deliver')).body.toString(), 'long');
  const unknown = { ok: false, code: 'PRECONDITION_FAILED', message: 'unknown delivery tag 7' };
  assert.deepEqual(await ask(client, { verb: 'extend-lease', deliveryTag: 7, ms: 100 }), unknown);
  // Replies are deliveries of the channel as well, without a time of their own.
  assert.deepEqual(await ask(client, { verb: 'extend-lease', deliveryTag: 1, ms: 3_000 }), { ok: true });
  const since = Date.now();
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  assert.deepEqual(await ask(client, { verb: 'extend-lease', deliveryTag: 1, ms: 1 }), { ok: true });
  const closed = await client.expect('channel.close');
  assert.match(closed.args['replyText'] as string, /delivery acknowledgement on channel 1 timed out/);
  assert.ok(Date.now() - since >= 2_900, `${Date.now() - since} ms`);
});

test('one that is acknowledged in time leaves the others as they were', async () => {
  const client = await asking(impatient);
  await client.declare('works');
  client.send(publish('works', 'one'), publish('works', 'two'));
  await client.consume('works', 'worker', false);
  for (let i = 0; i < 2; i++) await client.message('basic.deliver');
  await ask(client, { verb: 'extend-lease', deliveryTag: 1, ms: 60_000 });
  client.send(basicAck.frame(1, { deliveryTag: 1, multiple: false }));
  await client.expect('channel.close');
});
