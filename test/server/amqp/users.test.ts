/** Users, vhosts and permissions, as clients meet them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodeProperties } from '../../../src/format/basic-properties.ts';
import { basicConsume, basicGet } from '../../../src/wire/amqp/basic-methods.ts';
import type { Connection } from '../../../src/server/amqp/connection.ts';
import { Handshake } from '../../../src/server/amqp/handshake.ts';
import { connectionOpen, connectionStartOk, connectionTuneOk } from '../../../src/wire/amqp/connection-methods.ts';
import { exchangeBind, exchangeDeclare, exchangeDelete } from '../../../src/wire/amqp/exchange-methods.ts';
import { protocolHeader } from '../../../src/wire/amqp/protocol.ts';
import { queueBind, queueDeclare, queueDelete, queuePurge, queueUnbind } from '../../../src/wire/amqp/queue-methods.ts';
import { declaration, publish, type Frame, type RawClient } from './raw-client.ts';
import { serve } from './serve.ts';

const served = await serve();
const { broker } = served;
const { users } = broker;
const all = { configure: '.*', write: '.*', read: '.*' };
const replyQueue = 'amq.rabbitmq.reply-to';
const hasVhost = (): boolean => true;

async function withUser(name: string, permissions: Partial<typeof all> = {}, vhost = '/', tags: string[] = []) {
  await users.put(name, { password: `${name}'s`, tags }, 'new');
  await users.setPermissions(name, vhost, { ...all, ...permissions }, hasVhost);
  return { user: name, password: `${name}'s`, virtualHost: vhost };
}

function assertClose(frame: Frame, replyCode: number, replyText: string): void {
  assert.deepEqual([frame.args['replyCode'], frame.args['replyText']], [replyCode, replyText]);
}

async function ask(client: RawClient, request: object): Promise<Record<string, unknown>> {
  const properties = encodeProperties({ replyTo: replyQueue });
  client.send(publish('amq.postrider.control', JSON.stringify(request), { properties }));
  return JSON.parse((await client.message('basic.deliver')).body.toString()) as Record<string, unknown>;
}

async function asker(options = {}): Promise<RawClient> {
  const client = await served.client(options);
  await client.consume(replyQueue, 'replies', true);
  return client;
}

describe('a login', () => {
  test('wants the password of the user, and a vhost that it may enter', async () => {
    const ann = await withUser('ann');
    await served.client(ann);
    await served.client(ann);
    for (const [user, password] of [
      ['ann', 'guest'],
      ['ann', ''],
      ['nobody', "ann's"],
      ['', ''],
    ] as const) {
      const client = served.raw();
      await client.startOk({ user, password });
      const text = 'Login was refused using authentication mechanism PLAIN. For details see the broker logfile.';
      assertClose(await client.expect('connection.close'), 403, `ACCESS_REFUSED - ${text}`);
    }
    await broker.createVhost('elsewhere');
    const refused = served.raw();
    await refused.startOk(ann);
    await refused.expect('connection.tune');
    refused.tuneOk({ virtualHost: 'elsewhere' });
    const text = "NOT_ALLOWED - access to vhost 'elsewhere' refused for user 'ann'";
    assertClose(await refused.expect('connection.close'), 530, text);
    assert.ok(!served.lines.some((line) => line.includes("ann's")), 'a password was logged');
  });

  test('keeps what comes while the password is looked at', async () => {
    await withUser('hasty');
    const client = served.raw();
    const args = {
      clientProperties: {},
      mechanism: 'PLAIN',
      response: Buffer.from("\0hasty\0hasty's"),
      locale: 'en_US',
    };
    client.send(
      protocolHeader,
      connectionStartOk.frame(0, args),
      connectionTuneOk.frame(0, { channelMax: 10, frameMax: 4096, heartbeat: 0 }),
      connectionOpen.frame(0, { virtualHost: '/' }),
    );
    await client.expect('connection.start');
    await client.expect('connection.tune');
    await client.expect('connection.open_ok');
    await client.openChannel(1);
  });

  test('that floods meanwhile is ended', async () => {
    await withUser('flood');
    const client = served.raw();
    await client.startOk({ user: 'flood', password: 'wrong' });
    const tuneOk = connectionTuneOk.frame(0, { channelMax: 10, frameMax: 4096, heartbeat: 0 });
    client.send(...Array.from({ length: 10_000 }, () => tuneOk));
    for (const { name } of await client.untilEnd()) assert.notEqual(name, 'connection.tune');
    await served.client();
  });

  test('that floods meanwhile with small frames is ended, and none of them copies those before it', async (context) => {
    await withUser('drip');
    const client = served.raw();
    const response = Buffer.from("\0drip\0drip's");
    const startOk = connectionStartOk.frame(0, { clientProperties: {}, mechanism: 'PLAIN', response, locale: 'en_US' });
    const heartbeat = Buffer.from([8, 0, 0, 0, 0, 0, 0, 0xce]);
    client.send(protocolHeader, startOk, ...Array.from({ length: 65 }, () => heartbeat));
    for (const { name } of await client.untilEnd()) assert.notEqual(name, 'connection.tune');
    const handshake = new Handshake({} as Connection);
    const concat = context.mock.method(Buffer, 'concat');
    for (let i = 0; i < 64; i++) handshake.keep(heartbeat, 0, heartbeat.length);
    assert.equal(concat.mock.callCount(), 0);
    assert.throws(() => handshake.keep(heartbeat, 0, heartbeat.length), { reply: 'CHANNEL_ERROR' });
  });
});

describe('permissions', () => {
  test('are asked for what every method does, with the names and the level of RabbitMQ', async () => {
    const owner = await served.client();
    await owner.declare('q-foreign');
    const own = { configure: '^own', write: '^own', read: '^own' };
    const bob = await withUser('bob', own);
    const exchange = {
      type: 'direct',
      passive: false,
      durable: false,
      autoDelete: false,
      internal: false,
      noWait: false,
    };
    const consume = {
      queue: 'q-foreign',
      consumerTag: 'c',
      noLocal: false,
      noAck: true,
      exclusive: false,
      noWait: false,
      arguments: {},
    };
    const binding = { noWait: false, arguments: {}, routingKey: 'k' };
    const first = await served.client(bob);
    await first.declare('own-q');
    await first.call(1, exchangeDeclare, { ...exchange, exchange: 'own-x', arguments: {} }, 'exchange.declare_ok');
    await first.call(1, queueBind, { ...binding, queue: 'own-q', exchange: 'own-x' }, 'queue.bind_ok');
    const cases: readonly (readonly [string, Buffer])[] = [
      ["queue 'q-foreign'", queueDeclare.frame(1, { ...declaration, queue: 'q-foreign' })],
      ["queue 'new'", queueDeclare.frame(1, { ...declaration, queue: 'new' })],
      [
        "queue 'q-foreign'",
        queueDelete.frame(1, { queue: 'q-foreign', ifUnused: false, ifEmpty: false, noWait: false }),
      ],
      ["queue 'q-foreign'", queuePurge.frame(1, { queue: 'q-foreign', noWait: false })],
      ["queue 'q-foreign'", basicConsume.frame(1, consume)],
      ["queue 'q-foreign'", basicGet.frame(1, { queue: 'q-foreign', noAck: true })],
      ["queue 'q-foreign'", queueBind.frame(1, { ...binding, queue: 'q-foreign', exchange: 'own-x' })],
      ["exchange 'amq.topic'", queueBind.frame(1, { ...binding, queue: 'own-q', exchange: 'amq.topic' })],
      [
        "exchange 'amq.topic'",
        queueUnbind.frame(1, { queue: 'own-q', exchange: 'amq.topic', routingKey: 'k', arguments: {} }),
      ],
      ["exchange 'amq.topic'", exchangeBind.frame(1, { ...binding, destination: 'amq.topic', source: 'own-x' })],
      ["exchange 'amq.topic'", exchangeBind.frame(1, { ...binding, destination: 'own-x', source: 'amq.topic' })],
      ["exchange 'x'", exchangeDeclare.frame(1, { ...exchange, exchange: 'x', arguments: {} })],
      ["exchange 'x'", exchangeDelete.frame(1, { exchange: 'x', ifUnused: false, noWait: false })],
      [
        "exchange 'x'",
        exchangeDeclare.frame(1, { ...exchange, exchange: 'own-y', arguments: { 'alternate-exchange': 'x' } }),
      ],
      [
        "exchange 'x'",
        queueDeclare.frame(1, { ...declaration, queue: 'own-2', arguments: { 'x-dead-letter-exchange': 'x' } }),
      ],
      ["exchange 'amq.default'", publish('own-q', 'm')],
      ["exchange 'amq.topic'", publish('k', 'm', { exchange: 'amq.topic' })],
    ];
    for (const [resource, frames] of cases) {
      const client = await served.client(bob);
      client.send(frames);
      const text = `ACCESS_REFUSED - access to ${resource} in vhost '/' refused for user 'bob'`;
      assertClose(await client.expect('channel.close'), 403, text);
      client.end();
    }
  });

  test('that are changed hold at once, for what was published to as well', async () => {
    const cat = await withUser('cat');
    const client = await served.client(cat);
    await client.declare('cats');
    client.send(publish('cats', 'one'), publish('cats', 'two'));
    await client.call(1, queuePurge, { queue: 'cats', noWait: false }, 'queue.purge_ok');
    await users.setPermissions('cat', '/', { ...all, write: '' }, hasVhost);
    client.send(publish('cats', 'three'));
    assertClose(
      await client.expect('channel.close'),
      403,
      "ACCESS_REFUSED - access to exchange 'amq.default' in vhost '/' refused for user 'cat'",
    );
  });

  test('that are taken end the consumers that they let consume', async () => {
    const dan = await withUser('dan');
    const client = await served.client(dan);
    await client.declare('dans');
    await client.declare('open');
    await client.consume('dans', 'gone');
    await client.consume('open', 'stays');
    await users.setPermissions('dan', '/', { ...all, read: '^open$' }, hasVhost);
    assert.equal((await client.expect('basic.cancel')).args['consumerTag'], 'gone');
    const owner = await served.client();
    owner.send(publish('dans', 'secret'), publish('open', 'known'));
    assert.equal((await client.message('basic.deliver')).body.toString(), 'known');
    await users.clearPermissions('dan', '/');
    assert.equal((await client.expect('basic.cancel')).args['consumerTag'], 'stays');
    const again = served.raw();
    await again.startOk(dan);
    await again.expect('connection.tune');
    again.tuneOk(dan);
    assertClose(
      await again.expect('connection.close'),
      530,
      "NOT_ALLOWED - access to vhost '/' refused for user 'dan'",
    );
  });
});

describe('what goes', () => {
  test('a deleted user: its connections are closed', async () => {
    const eve = await withUser('eve');
    const client = await served.client(eve);
    await users.delete('eve');
    assertClose(await client.expect('connection.close'), 320, "CONNECTION_FORCED - user 'eve' is deleted");
    const again = served.raw();
    await again.startOk(eve);
    assert.equal((await again.expect('connection.close')).args['replyCode'], 403);
    await assert.rejects(users.delete('eve'), { code: 'NOT_FOUND', message: "no user 'eve'" });
  });

  test('a deleted vhost: its connections, queues and permissions', async () => {
    await broker.createVhost('tmp/1');
    const fay = await withUser('fay', {}, 'tmp/1');
    const client = await served.client(fay);
    await client.declare('q');
    await client.call(
      1,
      queueBind,
      { queue: 'q', exchange: 'amq.topic', routingKey: '#', noWait: false, arguments: {} },
      'queue.bind_ok',
    );
    client.send(publish('q', 'm'));
    await broker.deleteVhost('tmp/1');
    assertClose(await client.expect('connection.close'), 320, "CONNECTION_FORCED - vhost 'tmp/1' is deleted");
    assert.equal(
      users.listPermissions().some(({ vhost }) => vhost === 'tmp/1'),
      false,
    );
    const again = served.raw();
    await again.startOk(fay);
    await again.expect('connection.tune');
    again.tuneOk(fay);
    assertClose(await again.expect('connection.close'), 530, 'NOT_ALLOWED - vhost tmp/1 not found');
    // Another of that name begins with nothing.
    await broker.createVhost('tmp/1');
    await users.setPermissions('fay', 'tmp/1', all, hasVhost);
    const fresh = await served.client(fay);
    fresh.send(queueDeclare.frame(1, { ...declaration, queue: 'q', passive: true }));
    assertClose(await fresh.expect('channel.close'), 404, "NOT_FOUND - no queue 'q' in vhost 'tmp/1'");
    await assert.rejects(broker.deleteVhost('/'), { code: 'PRECONDITION_FAILED' });
    await assert.rejects(broker.deleteVhost('none'), { code: 'NOT_FOUND', message: "no vhost 'none'" });
  });
});

describe('control requests', () => {
  test('manage users, vhosts and permissions', async () => {
    const admin = await asker();
    assert.deepEqual(await ask(admin, { verb: 'add-user', user: 'gil', password: 'p', tags: ['monitoring'] }), {
      ok: true,
    });
    assert.deepEqual(await ask(admin, { verb: 'add-vhost', vhost: 'gils' }), { ok: true });
    const permissions = { user: 'gil', vhost: 'gils', configure: '', write: '^a', read: '.*' };
    assert.deepEqual(await ask(admin, { verb: 'set-permissions', ...permissions }), { ok: true });
    assert.deepEqual(await ask(admin, { verb: 'list-permissions', user: 'gil' }), {
      ok: true,
      permissions: [permissions],
    });
    const { users: listed } = (await ask(admin, { verb: 'list-users' })) as { users: { user: string }[] };
    assert.deepEqual(
      listed.find(({ user }) => user === 'gil'),
      { user: 'gil', tags: ['monitoring'] },
    );
    assert.ok(!JSON.stringify(listed).includes('scrypt'));
    const { vhosts } = (await ask(admin, { verb: 'list-vhosts' })) as { vhosts: { vhost: string }[] };
    assert.deepEqual(
      vhosts.find(({ vhost }) => vhost === 'gils'),
      { vhost: 'gils', queues: 0, exchanges: 6 },
    );
    await served.client({ user: 'gil', password: 'p', virtualHost: 'gils' });
    assert.deepEqual(await ask(admin, { verb: 'change-user', user: 'gil', password: 'new' }), { ok: true });
    await served.client({ user: 'gil', password: 'new', virtualHost: 'gils' });
    assert.deepEqual(await ask(admin, { verb: 'clear-permissions', user: 'gil', vhost: 'gils' }), { ok: true });
    assert.deepEqual(await ask(admin, { verb: 'delete-vhost', vhost: 'gils' }), { ok: true });
    assert.deepEqual(await ask(admin, { verb: 'delete-user', user: 'gil' }), { ok: true });
    assert.equal(users.get('gil'), undefined);
  });

  test('are refused to whoever is no administrator, and for what can not be', async () => {
    const admin = await asker();
    const hal = await withUser('hal', {}, '/', ['management']);
    const client = await asker(hal);
    const refused = (code: string, message: string) => ({ ok: false, code, message });
    assert.deepEqual(
      await ask(client, { verb: 'add-user', user: 'x', password: 'y', tags: ['administrator'] }),
      refused('ACCESS_REFUSED', "add-user is for administrators, and user 'hal' is none"),
    );
    assert.deepEqual(await ask(client, { verb: 'who-am-i' }), {
      ok: true,
      user: 'hal',
      tags: ['management'],
      vhost: '/',
    });
    const texts = { configure: '', write: '', read: '' };
    for (const [request, code, message] of [
      [{ verb: 'add-user', user: 'hal', password: 'x' }, 'PRECONDITION_FAILED', "user 'hal' exists already"],
      [{ verb: 'add-user', user: 'x' }, 'COMMAND_INVALID', 'add-user: password must be a text'],
      [{ verb: 'add-user', user: 'x', password: '' }, 'PRECONDITION_FAILED', /^a password must have 1 to 1024 bytes/],
      [{ verb: 'add-user', user: 'x\n', password: 'y' }, 'PRECONDITION_FAILED', /^the name of a user must have/],
      [{ verb: 'add-user', user: 'x', password: 'y', tags: ['a b'] }, 'PRECONDITION_FAILED', /^tags must be/],
      [{ verb: 'change-user', user: 'x', tags: [] }, 'NOT_FOUND', "no user 'x'"],
      [{ verb: 'delete-user', user: 'x' }, 'NOT_FOUND', "no user 'x'"],
      [{ verb: 'add-vhost', vhost: '/' }, 'PRECONDITION_FAILED', "vhost '/' exists already"],
      [{ verb: 'add-vhost', vhost: '' }, 'PRECONDITION_FAILED', /^the name of a vhost must have/],
      [{ verb: 'delete-vhost', vhost: 'x' }, 'NOT_FOUND', "no vhost 'x'"],
      [{ verb: 'set-permissions', user: 'hal', vhost: 'x', ...texts }, 'NOT_FOUND', "no vhost 'x'"],
      [{ verb: 'set-permissions', user: 'x', vhost: '/', ...texts }, 'NOT_FOUND', "no user 'x'"],
      [
        { verb: 'set-permissions', user: 'hal', vhost: '/', ...texts, read: '(a' },
        'PRECONDITION_FAILED',
        /^'\(a' can't be used/,
      ],
      [
        { verb: 'clear-permissions', user: 'hal', vhost: 'x' },
        'NOT_FOUND',
        "user 'hal' has no permissions in vhost 'x'",
      ],
    ] as const) {
      const answer = await ask(admin, request);
      assert.equal(answer['code'], code, JSON.stringify(answer));
      if (typeof message === 'string') assert.equal(answer['message'], message);
      else assert.match(String(answer['message']), message);
    }
  });
});
