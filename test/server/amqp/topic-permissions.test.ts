/** Topic permissions, as AMQP clients meet them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeProperties } from '../../../src/format/basic-properties.ts';
import { basicConsume } from '../../../src/wire/amqp/basic-methods.ts';
import { exchangeBind, exchangeDeclare, exchangeUnbind } from '../../../src/wire/amqp/exchange-methods.ts';
import { queueBind, queueUnbind } from '../../../src/wire/amqp/queue-methods.ts';
import { publish, type RawClient } from './raw-client.ts';
import { serve } from './serve.ts';

const served = await serve();
const { users } = served.broker;
const all = { configure: '.*', write: '.*', read: '.*' };
const hasVhost = (): boolean => true;
const replyQueue = 'amq.rabbitmq.reply-to';

async function withUser(name: string) {
  await users.put(name, { password: 'secret', tags: [] }, 'new');
  await users.setPermissions(name, '/', all, hasVhost);
  return { user: name, password: 'secret' };
}

function limit(user: string, write: string, read: string, exchange = 'amq.topic'): Promise<void> {
  return users.setTopicPermissions({ user, vhost: '/', exchange, write, read }, hasVhost);
}

async function assertRefused(client: RawClient, user: string, key: string, exchange = 'amq.topic'): Promise<void> {
  const { replyCode, replyText } = (await client.expect('channel.close')).args;
  const text = `ACCESS_REFUSED - access to topic '${key}' in exchange '${exchange}' in vhost '/' refused for user '${user}'`;
  assert.deepEqual([replyCode, replyText], [403, text]);
}

function bind(client: RawClient, queue: string, routingKey: string, exchange = 'amq.topic') {
  const args = { queue, exchange, routingKey, noWait: false, arguments: {} };
  return client.call(1, queueBind, args, 'queue.bind_ok');
}

test('a publish is refused for what its user may not write, with the words of RabbitMQ', async () => {
  const ann = await withUser('ann');
  await limit('ann', '^{username}\\.', '');
  const reader = await served.client();
  await reader.declare('all');
  await bind(reader, 'all', '#');
  await reader.consume('all', 'c', true);
  const client = await served.client(ann);
  client.send(publish('ann.x', 'one', { exchange: 'amq.topic' }), publish('ann.y', 'two', { exchange: 'amq.topic' }));
  assert.equal((await reader.message('basic.deliver')).body.toString(), 'one');
  assert.equal((await reader.message('basic.deliver')).body.toString(), 'two');
  client.send(publish('bob.x', 'three', { exchange: 'amq.topic' }));
  await assertRefused(client, 'ann', 'bob.x');
  // Another user found the route before: it is no permission for this one.
  reader.send(publish('bob.y', 'four', { exchange: 'amq.topic' }));
  assert.equal((await reader.message('basic.deliver')).body.toString(), 'four');
  const again = await served.client(ann);
  again.send(publish('bob.y', 'five', { exchange: 'amq.topic' }));
  await assertRefused(again, 'ann', 'bob.y');
  // Exchanges without topics, and those without topic permissions, are as before.
  const third = await served.client(ann);
  await limit('ann', '', '', 'amq.direct');
  third.send(publish('bob.x', 'six', { exchange: 'amq.direct' }), publish('all', 'seven'));
  assert.equal((await reader.message('basic.deliver')).body.toString(), 'seven');
});

test('CC and BCC are no way around it', async () => {
  const cleo = await withUser('cleo');
  await limit('cleo', '^mine$', '');
  for (const header of ['CC', 'BCC']) {
    const client = await served.client(cleo);
    const properties = encodeProperties({ headers: { [header]: ['mine', 'other'] } });
    client.send(publish('mine', 'm', { exchange: 'amq.topic', properties }));
    await assertRefused(client, 'cleo', 'other');
  }
});

test('a binding of a queue or an exchange wants to read its key, and so does taking it away', async () => {
  const dora = await withUser('dora');
  await limit('dora', '', '^open\\.');
  const owner = await served.client();
  const client = await served.client(dora);
  await client.declare('doras');
  await bind(client, 'doras', 'open.#');
  const queue = { queue: 'doras', exchange: 'amq.topic', arguments: {} };
  const exchange = { destination: 'amq.fanout', source: 'amq.topic', noWait: false, arguments: {} };
  for (const frame of [
    queueBind.frame(1, { ...queue, routingKey: 'secret', noWait: false }),
    queueUnbind.frame(1, { ...queue, routingKey: 'secret' }),
    exchangeBind.frame(1, { ...exchange, routingKey: 'secret' }),
    exchangeUnbind.frame(1, { ...exchange, routingKey: 'secret' }),
  ]) {
    const refused = await served.client(dora);
    refused.send(frame);
    await assertRefused(refused, 'dora', 'secret');
  }
  await client.consume('doras', 'c', true);
  owner.send(publish('secret', 'm', { exchange: 'amq.topic' }), publish('open.x', 'seen', { exchange: 'amq.topic' }));
  assert.equal((await client.message('basic.deliver')).body.toString(), 'seen');
});

test('an exchange that holds what is delayed has topics if it routes by them', async () => {
  const emil = await withUser('emil');
  await limit('emil', '^a$', '^a$', 'later');
  const client = await served.client(emil);
  const declaration = { passive: false, durable: false, autoDelete: false, internal: false, noWait: false };
  const given = { ...declaration, exchange: 'later', type: 'x-delayed-message' };
  await client.call(1, exchangeDeclare, { ...given, arguments: { 'x-delayed-type': 'topic' } }, 'exchange.declare_ok');
  client.send(publish('a', 'm', { exchange: 'later' }), publish('b', 'm', { exchange: 'later' }));
  await assertRefused(client, 'emil', 'b', 'later');
});

test('changes hold at once, for what was published to as well', async () => {
  const finn = await withUser('finn');
  const reader = await served.client();
  await reader.declare('finns');
  await bind(reader, 'finns', 'finns.*');
  await reader.consume('finns', 'c', true);
  const client = await served.client(finn);
  const send = (body: string): void => client.send(publish('finns.x', body, { exchange: 'amq.topic' }));
  send('unlimited');
  assert.equal((await reader.message('basic.deliver')).body.toString(), 'unlimited');
  await limit('finn', '^finns\\.', '');
  send('permitted');
  send('permitted again');
  assert.equal((await reader.message('basic.deliver')).body.toString(), 'permitted');
  assert.equal((await reader.message('basic.deliver')).body.toString(), 'permitted again');
  await limit('finn', '^other', '');
  send('refused');
  await assertRefused(client, 'finn', 'finns.x');
  await users.clearTopicPermissions('finn', '/', undefined);
  const again = await served.client(finn);
  again.send(publish('finns.x', 'free', { exchange: 'amq.topic' }));
  assert.equal((await reader.message('basic.deliver')).body.toString(), 'free');
});

test('control requests manage them', async () => {
  await withUser('gus');
  const admin = await served.client();
  await admin.consume(replyQueue, 'replies', true);
  const ask = async (request: object): Promise<Record<string, unknown>> => {
    const properties = encodeProperties({ replyTo: replyQueue });
    admin.send(publish('amq.postrider.control', JSON.stringify(request), { properties }));
    return JSON.parse((await admin.message('basic.deliver')).body.toString()) as Record<string, unknown>;
  };
  const where = { user: 'gus', vhost: '/' };
  const given = { ...where, exchange: 'amq.topic', write: '^{client_id}$', read: '.*' };
  assert.deepEqual(await ask({ verb: 'set-topic-permissions', ...given }), { ok: true });
  assert.deepEqual(await ask({ verb: 'set-topic-permissions', ...given, exchange: 'not-yet' }), { ok: true });
  assert.deepEqual(await ask({ verb: 'list-topic-permissions', user: 'gus' }), {
    ok: true,
    topicPermissions: [given, { ...given, exchange: 'not-yet' }],
  });
  assert.deepEqual(await ask({ verb: 'clear-topic-permissions', ...where, exchange: 'not-yet' }), { ok: true });
  assert.deepEqual(await ask({ verb: 'list-topic-permissions', ...where }), { ok: true, topicPermissions: [given] });
  const refused = (code: string, message: string) => ({ ok: false, code, message });
  for (const [request, answer] of [
    [
      { verb: 'clear-topic-permissions', ...where, exchange: 'not-yet' },
      refused('NOT_FOUND', "user 'gus' has no topic permissions for exchange 'not-yet' in vhost '/'"),
    ],
    [{ verb: 'set-topic-permissions', ...given, user: 'nobody' }, refused('NOT_FOUND', "no user 'nobody'")],
    [{ verb: 'set-topic-permissions', ...given, vhost: 'none' }, refused('NOT_FOUND', "no vhost 'none'")],
    [{ verb: 'list-topic-permissions', vhost: 'none' }, refused('NOT_FOUND', "no vhost 'none'")],
    [{ verb: 'list-topic-permissions', user: 'nobody' }, refused('NOT_FOUND', "no user 'nobody'")],
    [
      { verb: 'set-topic-permissions', ...where, exchange: 'amq.topic', write: '' },
      refused('COMMAND_INVALID', 'set-topic-permissions: read must be a text'),
    ],
    [
      { verb: 'set-topic-permissions', ...given, exchange: '' },
      refused(
        'PRECONDITION_FAILED',
        'the name of an exchange must have 1 to 255 bytes and no control character, not ""',
      ),
    ],
  ] as const) {
    assert.deepEqual(await ask(request), answer);
  }
  assert.match(
    String((await ask({ verb: 'set-topic-permissions', ...given, read: '(?=a)' }))['message']),
    /can't be used/,
  );
  const client = await served.client({ user: 'gus', password: 'secret' });
  const consume = { noLocal: false, noAck: true, exclusive: false, noWait: false, arguments: {} };
  client.send(basicConsume.frame(1, { ...consume, queue: replyQueue, consumerTag: 'r' }));
  await client.expect('basic.consume_ok');
  const properties = encodeProperties({ replyTo: replyQueue });
  const question = JSON.stringify({ verb: 'clear-topic-permissions', ...where });
  client.send(publish('amq.postrider.control', question, { properties }));
  const answer = JSON.parse((await client.message('basic.deliver')).body.toString()) as Record<string, unknown>;
  assert.equal(answer['code'], 'ACCESS_REFUSED');
});
