import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BasicProperties } from '../../../src/format/basic-properties.ts';
import { type FieldTable, FieldTimestamp } from '../../../src/format/field-table.ts';
import type { FakeEngine } from '../fake-engine.ts';
import { Bench, type Got, Inbox, rest, until } from '../harness.ts';

function deathsOf(got: Got | null): unknown[] {
  const deaths = (got?.properties.headers?.['x-death'] ?? []) as FieldTable[];
  return deaths.map(({ queue, reason, count }) => [queue, reason, count]);
}

/** Queue a, whose dead letters go to exchange dlx and so to queue d. */
async function withDeadLetters(args: FieldTable = {}) {
  const bench = await new Bench().open();
  const session = bench.session();
  await bench.exchange(session, 'dlx', 'fanout');
  await bench.queue(session, 'd');
  await bench.bind(session, 'd', 'dlx', '');
  await bench.queue(session, 'a', { 'x-dead-letter-exchange': 'dlx', ...args });
  return { bench, session, engine: bench.fake };
}

async function rejectOne(bench: Bench, session: ReturnType<Bench['session']>, queue: string): Promise<Got> {
  const got = await bench.get(session, queue, false);
  assert.ok(got !== null);
  await bench.commit((batch) => assert.ok(session.reject(batch, got.tag, false, false)));
  await rest();
  return got;
}

const properties: BasicProperties = {
  headers: { CC: ['k2'], BCC: ['k3'], h: 1 },
  expiration: '60000',
  messageId: 'm',
  deliveryMode: 2,
};

test('a rejected message goes on with its death, without its expiration', async () => {
  const { bench, session, engine } = await withDeadLetters();
  await bench.publish(session, '', 'a', 'body', properties);
  await rejectOne(bench, session, 'a');
  const got = await bench.get(session, 'd');
  assert.ok(got !== null);
  const { headers, ...others } = got.properties;
  assert.deepEqual([got.body, got.exchange, got.routingKey, got.redelivered], ['body', 'dlx', 'a', false]);
  assert.deepEqual(others, { messageId: 'm', deliveryMode: 2 });
  const [death] = headers!['x-death'] as FieldTable[];
  const { time, ...told } = death!;
  assert.ok(time instanceof FieldTimestamp);
  assert.deepEqual(told, {
    count: 1,
    reason: 'rejected',
    queue: 'a',
    exchange: '',
    'routing-keys': ['a', 'k2'],
    'original-expiration': '60000',
  });
  assert.deepEqual(headers!['CC'], ['k2']);
  assert.equal(headers!['BCC'], undefined, 'nobody sees BCC');
  assert.equal(headers!['x-first-death-reason'], 'rejected');
  assert.deepEqual(
    engine.settled.filter((settled) => settled.settlement === 'drop').map(({ queue, count }) => [queue, count]),
    [['1:/1:a', 1]],
  );
  assert.equal(session.unackedCount, 0);
});

test("the queue's own routing key replaces CC as well", async () => {
  const { bench, session } = await withDeadLetters({ 'x-dead-letter-routing-key': 'own' });
  await bench.publish(session, '', 'a', 'body', properties);
  await rejectOne(bench, session, 'a');
  const got = await bench.get(session, 'd');
  assert.equal(got?.routingKey, 'own');
  assert.equal(got?.properties.headers?.['CC'], undefined);
});

test('without its own routing key, CC leads a dead letter too', async () => {
  const bench = await new Bench().open();
  const session = bench.session();
  for (const name of ['d', 'cc']) await bench.queue(session, name);
  await bench.exchange(session, 'dlx', 'direct');
  await bench.bind(session, 'd', 'dlx', 'a');
  await bench.bind(session, 'cc', 'dlx', 'copy');
  await bench.queue(session, 'a', { 'x-dead-letter-exchange': 'dlx' });
  await bench.publish(session, '', 'a', 'body', { headers: { CC: ['copy'] } });
  await rejectOne(bench, session, 'a');
  assert.deepEqual([await bench.count('d'), await bench.count('cc')], [1, 1]);
});

test('expired and overflown messages go on with their reasons', async () => {
  const { bench, session } = await withDeadLetters({ 'x-max-length': 1 });
  await bench.publish(session, '', 'a', 'one');
  await bench.publish(session, '', 'a', 'two', { expiration: '10' });
  await until(() => bench.fake.queues.get('1:/1:d')!.ready.length === 2, 'both dead letters');
  assert.deepEqual(deathsOf(await bench.get(session, 'd')), [['a', 'maxlen', 1]]);
  const expired = await bench.get(session, 'd');
  assert.deepEqual(deathsOf(expired), [['a', 'expired', 1]]);
  assert.equal(expired?.properties.expiration, undefined);
});

test('a message that kills its consumers reaches its delivery limit', async () => {
  const { bench, session } = await withDeadLetters({ 'x-delivery-limit': 2 });
  await bench.publish(session, '', 'a', 'poison', { headers: { h: 1 } });
  const counts: unknown[] = [];
  for (let i = 0; i < 3; i++) {
    const got = await bench.get(session, 'a', false);
    counts.push([got?.redelivered, got?.properties.headers?.['x-delivery-count']]);
    await bench.commit((batch) => session.reject(batch, got!.tag, false, true));
    await rest();
  }
  assert.deepEqual(counts, [
    [false, undefined],
    [true, 1],
    [true, 2],
  ]);
  assert.equal(await bench.get(session, 'a'), null);
  assert.deepEqual(deathsOf(await bench.get(session, 'd')), [['a', 'delivery_limit', 1]]);
});

test('redeliveries of a queue that counts them say how many there were', async () => {
  const bench = await new Bench().open();
  const session = bench.session();
  await bench.queue(session, 'q', { 'x-delivery-limit': 5 });
  await bench.publish(session, '', 'q', 'x', { messageId: 'm' });
  const inbox = new Inbox();
  await bench.consume(session, 'q', inbox, { prefetch: 1 });
  await rest();
  await bench.commit((batch) => session.reject(batch, 1, false, true));
  await rest();
  const said = inbox.got.map(({ properties: { headers, messageId } }) => [headers?.['x-delivery-count'], messageId]);
  assert.deepEqual(said, [
    [undefined, 'm'],
    [1, 'm'],
  ]);
  assert.equal(inbox.got[1]?.routingKey, 'q');
});

test('a cycle goes on while a client rejects in it, and ends when nobody does', async () => {
  const bench = await new Bench().open();
  const session = bench.session();
  await bench.queue(session, 'wait', {
    'x-dead-letter-exchange': '',
    'x-dead-letter-routing-key': 'work',
    'x-message-ttl': 5,
  });
  await bench.queue(session, 'work', { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'wait' });
  await bench.publish(session, '', 'work', 'job');
  const ready = (queue: string) => bench.fake.queues.get(`1:/4:${queue}`)!.ready.length;
  for (let round = 0; round < 3; round++) {
    await until(() => ready('work') === 1, 'the job to come back');
    await rejectOne(bench, session, 'work');
  }
  await until(() => ready('work') === 1, 'the job to come back');
  assert.deepEqual(deathsOf(await bench.get(session, 'work')), [
    ['wait', 'expired', 3],
    ['work', 'rejected', 3],
  ]);
  await bench.queue(session, 'self', {
    'x-dead-letter-exchange': '',
    'x-dead-letter-routing-key': 'self',
    'x-message-ttl': 5,
  });
  await bench.publish(session, '', 'self', 'round and round');
  await until(() => ready('self') === 0, 'the cycle to end');
  await rest();
  assert.equal(bench.fake.queues.get('1:/4:self')!.held.size, 0);
});

test('where nobody takes a dead letter it is dropped, and its companions are not', async () => {
  const { bench, session, engine } = await withDeadLetters();
  await bench.queue(session, 'full', { 'x-max-length': 1, 'x-overflow': 'reject-publish' });
  await bench.queue(session, 'b', { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'full' });
  for (const body of ['1', '2', '3']) await bench.publish(session, '', 'b', body);
  const inbox = new Inbox();
  await bench.consume(session, 'b', inbox);
  await rest();
  await bench.commit((batch) => session.reject(batch, 0, true, false));
  await rest(30);
  assert.deepEqual(engine.queues.get('1:/4:full')!.ready.length, 1, 'as many as there was room for');
  assert.equal(engine.queues.get('1:/1:b')!.held.size, 0);
  await bench.queue(session, 'c', { 'x-dead-letter-exchange': 'nowhere' });
  await bench.publish(session, '', 'c', 'lost');
  await rejectOne(bench, session, 'c');
  assert.equal(engine.queues.get('1:/1:c')!.held.size, 0);
});

test('what must not be dropped waits until somebody takes it', async () => {
  const { bench, session, engine } = await withDeadLetters();
  const strategy = { 'x-dead-letter-strategy': 'at-least-once', 'x-dead-letter-exchange': '' };
  await bench.queue(session, 'full', { 'x-max-length': 1, 'x-overflow': 'reject-publish' });
  await bench.queue(session, 'b', { ...strategy, 'x-dead-letter-routing-key': 'full' });
  // Whose end would come before somebody takes it.
  await bench.queue(session, 'c', { ...strategy, 'x-dead-letter-routing-key': 'later', 'x-expires': 1_500 });
  for (const body of ['1', '2']) {
    await bench.publish(session, '', 'b', body);
    await rejectOne(bench, session, 'b');
  }
  await bench.publish(session, '', 'c', 'early');
  await rejectOne(bench, session, 'c');
  const ready = (name: string): number => engine.queues.get(name)!.ready.length;
  await until(() => ready('1:/4:full') === 1, 'the first');
  await until(() => engine.queues.get('1:/1:b')!.held.size === 1, 'the other to wait');
  assert.equal(engine.queues.get('1:/1:c')!.held.size, 1);
  await new Promise((resolve) => setTimeout(resolve, 1_900));
  const got = [(await bench.get(session, 'full'))?.body];
  await bench.queue(session, 'later');
  await until(() => ready('1:/4:full') === 1 && ready('1:/5:later') === 1, 'one of each');
  got.push((await bench.get(session, 'full'))?.body);
  assert.equal((await bench.get(session, 'later'))?.body, 'early');
  assert.deepEqual(got, ['1', '2']);
  assert.equal(engine.queues.get('1:/1:b')!.held.size, 0);
});

test('a session that closes lets its rejected messages arrive first', async () => {
  const { bench, session, engine } = await withDeadLetters();
  for (let i = 0; i < 600; i++) await bench.publish(session, '', 'a', `m${i}`);
  const inbox = new Inbox();
  await bench.consume(session, 'a', inbox);
  await rest();
  await bench.commit((batch) => session.reject(batch, 500, true, false));
  await session.close();
  await rest();
  assert.equal(engine.queues.get('1:/1:d')!.ready.length, 500);
  assert.equal(engine.queues.get('1:/1:a')!.ready.length, 100);
  const dead = bench.session();
  for (let i = 0; i < 500; i++) assert.equal((await bench.get(dead, 'd'))?.body, `m${i}`);
});

for (const full of [false, true]) {
  const how = full ? 'when there is space for it' : 'first';
  test(`a queue that goes with its last consumer lets what that one rejected arrive ${how}`, async () => {
    const { bench, session, engine } = await withDeadLetters();
    const traits = { name: 'last', durable: true, exclusive: false, autoDelete: true };
    await bench.vhost.declareQueue(session, { ...traits, arguments: { 'x-dead-letter-exchange': 'dlx' } });
    await bench.publish(session, '', 'last', 'rejected');
    const inbox = new Inbox();
    await bench.consume(session, 'last', inbox, { consumerTag: 'c' });
    await until(() => inbox.got.length === 1, 'the message');
    engine.full = full;
    const committed = bench.commit((batch) => session.reject(batch, 1, false, false));
    await session.cancel('c');
    await committed;
    await rest();
    engine.full = false;
    await until(() => engine.queues.get('1:/1:d')!.ready.length === 1, 'the dead letter');
    await until(() => !engine.queues.has('1:/4:last'), 'the end of the queue');
  });
}

test('what a full disk has no space for waits, and is not dropped', async () => {
  const { bench, session, engine } = await withDeadLetters();
  await bench.publish(session, '', 'a', 'rejected');
  await bench.publish(session, '', 'a', 'expired', { expiration: '1000' });
  engine.full = true;
  await rejectOne(bench, session, 'a');
  await until(() => engine.queues.get('1:/1:a')!.held.size === 2, 'both to wait');
  engine.full = false;
  await until(() => engine.queues.get('1:/1:d')!.ready.length === 2, 'both dead letters');
  assert.equal(engine.queues.get('1:/1:a')!.held.size, 0);
});

test('a queue does not end by itself (x-expires) while its dead letters wait for space on a full disk', async () => {
  const { bench, session, engine } = await withDeadLetters({ 'x-message-ttl': 400, 'x-expires': 800 });
  await bench.queue(session, 'b', { 'x-dead-letter-exchange': 'dlx', 'x-expires': 800 });
  await bench.publish(session, '', 'a', 'expired');
  await bench.publish(session, '', 'b', 'rejected');
  engine.full = true;
  await rejectOne(bench, session, 'b');
  await new Promise((resolve) => setTimeout(resolve, 2_400));
  assert.deepEqual(
    ['a', 'b'].map((name) => engine.queues.get(`1:/1:${name}`)?.held.size),
    [1, 1],
  );
  engine.full = false;
  await until(() => engine.queues.get('1:/1:d')!.ready.length === 2, 'both dead letters');
  await until(() => !engine.queues.has('1:/1:a') && !engine.queues.has('1:/1:b'), 'the end of both');
});

/** How many messages each call of the engine's `load` showed. */
function loadsOf(engine: FakeEngine): number[] {
  const loads: number[] = [];
  const load = engine.load.bind(engine);
  engine.load = (queue, lease, numbers, sink) => {
    const at = loads.push(0) - 1;
    return load(queue, lease, numbers, {
      ...sink,
      deliver: (delivery) => {
        loads[at]! += 1;
        return sink.deliver(delivery);
      },
    });
  };
  return loads;
}

test('large rejected messages are in memory a few at a time', async () => {
  const { bench, session, engine } = await withDeadLetters();
  const body = 'x'.repeat(600_000);
  for (let n = 0; n < 9; n++) await bench.publish(session, '', 'a', `${n}${body}`);
  const inbox = new Inbox();
  await bench.consume(session, 'a', inbox);
  await rest();
  const loads = loadsOf(engine);
  await bench.commit((batch) => session.reject(batch, 0, true, false));
  await until(() => engine.queues.get('1:/1:d')!.ready.length === 9, 'all');
  assert.deepEqual(loads, [2, 2, 2, 2, 1]);
  for (let n = 0; n < 9; n++) assert.equal((await bench.get(session, 'd'))?.body[0], String(n));
});

test('what waits for space on a full disk waits as numbers, and is tried in part until there is some', async () => {
  const { bench, session, engine } = await withDeadLetters({ 'x-message-ttl': 2_000 });
  // All before the first of them expires.
  await Promise.all(Array.from({ length: 1_000 }, (_, n) => bench.publish(session, '', 'a', `m${n}`)));
  engine.full = true;
  const loads = loadsOf(engine);
  const queue = engine.queues.get('1:/1:a')!;
  await until(() => queue.held.size === 1_000, 'all are taken out');
  await until(() => loads.length > 0, 'another try');
  await rest(100);
  assert.deepEqual(loads, [256], 'a part shows that there is no space yet');
  engine.full = false;
  await until(() => engine.queues.get('1:/1:d')!.ready.length === 1_000, 'all dead letters');
  assert.deepEqual([queue.held.size, loads.length], [0, 5]);
});

test('what waits is tried queue by queue, however the letters of several alternate', async () => {
  const { bench, session, engine } = await withDeadLetters();
  await bench.queue(session, 'b', { 'x-dead-letter-exchange': 'dlx' });
  const tags: number[] = [];
  for (let n = 0; n < 200; n++) {
    for (const queue of ['a', 'b']) {
      await bench.publish(session, '', queue, `${queue}${n}`);
      tags.push((await bench.get(session, queue, false))!.tag);
    }
  }
  engine.full = true;
  for (const tag of tags) await bench.commit((batch) => session.reject(batch, tag, false, false));
  await rest(30);
  engine.full = false;
  const loads = loadsOf(engine);
  await until(() => engine.queues.get('1:/1:d')!.ready.length === 400, 'all dead letters');
  assert.deepEqual(loads, [200, 200]);
});

/** Queue b, whose dead letters must be kept and go by their key; all those published with `keys` are rejected. */
async function withRejected(keys: readonly string[], bind?: 'first') {
  const { bench, session, engine } = await withDeadLetters();
  await bench.exchange(session, 'in', 'fanout');
  await bench.exchange(session, 'by-key', 'direct');
  await bench.queue(session, 'b', {
    'x-dead-letter-exchange': 'by-key',
    'x-dead-letter-strategy': 'at-least-once',
    'x-overflow': 'reject-publish',
  });
  await bench.bind(session, 'b', 'in', '');
  if (bind === 'first') await bench.bind(session, 'd', 'by-key', 'wanted');
  for (const [n, key] of keys.entries()) await bench.publish(session, 'in', key, `m${n}`);
  const inbox = new Inbox();
  await bench.consume(session, 'b', inbox);
  await until(() => inbox.got.length === keys.length, 'all');
  await bench.commit((batch) => session.reject(batch, 0, true, false));
  return { bench, session, engine };
}

test('those that nobody takes do not keep back those behind them', async () => {
  const keys = Array.from({ length: 600 }, (_, n) => (n < 599 ? 'unwanted' : 'wanted'));
  const { bench, session, engine } = await withRejected(keys, 'first');
  await until(() => engine.queues.get('1:/1:d')!.ready.length === 1, 'the last of them');
  assert.equal((await bench.get(session, 'd'))?.body, 'm599');
  assert.equal(engine.queues.get('1:/1:b')!.held.size, 599);
});

test('once some are taken, the others are tried at once and not a few each second', async () => {
  const keys = Array.from({ length: 3000 }, (_, n) => (n % 3 === 0 ? 'unwanted' : 'wanted'));
  const { bench, session, engine } = await withRejected(keys);
  await rest();
  await bench.bind(session, 'd', 'by-key', 'wanted');
  const boundAt = Date.now();
  await until(() => engine.queues.get('1:/1:d')!.ready.length === 2000, 'all that are wanted');
  assert.ok(Date.now() - boundAt < 2500, `${Date.now() - boundAt} ms`);
  assert.equal(engine.queues.get('1:/1:b')!.held.size, 1000);
});
