import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeProperties, encodeProperties } from '../../../src/format/basic-properties.ts';
import { confirmSelect } from '../../../src/wire/amqp/basic-methods.ts';
import { publish, type RawClient } from './raw-client.ts';
import { serve } from './serve.ts';

const served = await serve();
const key = 'amq.postrider.control';
const replyQueue = 'amq.rabbitmq.reply-to';
const toMe = encodeProperties({ correlationId: 'c1', replyTo: replyQueue });

async function asker(): Promise<RawClient> {
  const client = await served.client();
  await client.consume(replyQueue, 'replies', true);
  return client;
}

async function ask(client: RawClient, body: string | Buffer): Promise<unknown> {
  client.send(publish(key, body, { properties: toMe, mandatory: true }));
  return JSON.parse((await client.message('basic.deliver')).body.toString());
}

test('a verb is answered to a direct reply-to address, with the correlation id', async () => {
  const client = await asker();
  client.send(publish(key, '{"verb":"who-am-i"}', { properties: toMe }));
  const { properties, body } = await client.message('basic.deliver');
  const { contentType, correlationId } = decodeProperties(properties, 0, properties.length);
  assert.deepEqual([contentType, correlationId], ['application/json', 'c1']);
  const { ok, user, vhost } = JSON.parse(body.toString()) as Record<string, unknown>;
  assert.deepEqual({ ok, user, vhost }, { ok: true, user: 'guest', vhost: '/' });
});

test('or into a queue, and the request is confirmed as every message', async () => {
  const client = await served.client();
  await client.declare('answers');
  await client.call(1, confirmSelect, { noWait: false }, 'confirm.select_ok');
  client.send(publish(key, '{"verb":"who-am-i"}', { properties: encodeProperties({ replyTo: 'answers' }) }));
  assert.equal((await client.expect('basic.ack')).args['deliveryTag'], 1);
  await client.consume('answers', 'a', true);
  assert.match((await client.message('basic.deliver')).body.toString(), /"ok":true/);
});

test('what can not be understood is answered with why', async () => {
  const client = await asker();
  const refused = { ok: false, code: 'COMMAND_INVALID' };
  for (const [body, message] of [
    ['', 'a control request must be a JSON object with a verb; this is no JSON'],
    ['{"verb"', 'a control request must be a JSON object with a verb; this is no JSON'],
    ['['.repeat(100_000), 'a control request must be a JSON object with a verb; this is no JSON'],
    ['null', 'a control request must be a JSON object with a verb'],
    ['["who-am-i"]', 'a control request must be a JSON object with a verb'],
    ['{"verb":1}', 'a control request must name its verb'],
    ['{"verb":"dance"}', 'there is no verb "dance"'],
    ['{"verb":"__proto__"}', 'there is no verb "__proto__"'],
    ['{"verb":"who-am-i","__proto__":1}', 'who-am-i has no field "__proto__"'],
    ['{"verb":"who-am-i","user":"guest"}', 'who-am-i has no field "user"'],
  ] as const) {
    assert.deepEqual(await ask(client, body), { ...refused, message });
  }
  const large = (await ask(client, Buffer.alloc(1024 * 1024 + 1, ' '))) as { code: string };
  assert.equal(large.code, 'PRECONDITION_FAILED');
});

test('who leaves no address is told to the log, and gets a mandatory request back', async () => {
  const client = await served.client();
  for (const properties of [encodeProperties({}), encodeProperties({ replyTo: key })]) {
    client.send(publish(key, '{"verb":"who-am-i"}', { mandatory: true, properties }));
    assert.equal((await client.message('basic.return')).body.toString(), '{"verb":"who-am-i"}');
  }
  assert.equal(
    served.lines.filter((line) => line.includes('a control request without reply_to was dropped')).length,
    1,
  );
});

test('a connection has a bounded number of requests under way', async () => {
  const client = await asker();
  const frames = Array.from({ length: 200 }, () => publish(key, '{"verb":"who-am-i"}', { properties: toMe }));
  client.send(...frames);
  const codes = new Map<string, number>();
  for (let i = 0; i < 200; i++) {
    const { ok, code = '' } = JSON.parse((await client.message('basic.deliver')).body.toString()) as {
      ok: boolean;
      code?: string;
    };
    codes.set(ok ? 'ok' : code, (codes.get(ok ? 'ok' : code) ?? 0) + 1);
  }
  assert.ok(codes.get('ok')! >= 64);
  assert.equal(codes.get('ok')! + (codes.get('PRECONDITION_FAILED') ?? 0), 200);
});
