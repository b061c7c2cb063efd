/** The broker on the engine that it is shipped with, in memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memoryEngine } from '../../src/engine/local/index.ts';
import type { FieldTable } from '../../src/format/field-table.ts';
import { Bench, type Got, Inbox, rest, until } from './harness.ts';

async function opened(): Promise<Bench> {
  return new Bench(memoryEngine()).open();
}

function deathsOf(got: Got | null | undefined): unknown[] {
  const deaths = (got?.properties.headers?.['x-death'] ?? []) as FieldTable[];
  return deaths.map(({ queue, reason, count }) => [queue, reason, count]);
}

test('publishes, consumes and acknowledges', async () => {
  const bench = await opened();
  const session = bench.session();
  await bench.queue(session, 'q');
  await bench.bind(session, 'q', 'amq.topic', 'a.*');
  const inbox = new Inbox();
  session.setPrefetch(10, false);
  await bench.consume(session, 'q', inbox);
  for (let i = 0; i < 25; i++) assert.equal(await bench.publish(session, 'amq.topic', `a.${i}`, `m${i}`), null);
  await until(() => inbox.got.length === 10, 'the prefetch');
  while (inbox.got.length < 25) {
    const tag = inbox.got.at(-1)!.tag;
    const before = inbox.got.length;
    await bench.commit((batch) => assert.ok(session.ack(batch, tag, true)));
    await until(() => inbox.got.length > before, 'more');
  }
  assert.deepEqual(
    inbox.bodies,
    Array.from({ length: 25 }, (_, i) => `m${i}`),
  );
  assert.deepEqual(
    inbox.got.map((got) => got.routingKey),
    Array.from({ length: 25 }, (_, i) => `a.${i}`),
  );
  await bench.commit((batch) => assert.ok(session.ack(batch, 0, true)));
  await session.close();
  assert.equal(await bench.count('q'), 0);
  await bench.broker.close();
});

test('consumers that share a prefetch take turns, of several queues and of one', async () => {
  const bench = await opened();
  const session = bench.session();
  session.setPrefetch(1, true);
  const inboxes: Inbox[] = [];
  for (const queue of ['a', 'b', 'c', 'c']) {
    if (!bench.vhost.graph.queues.has(queue)) await bench.queue(session, queue);
    const inbox = new Inbox();
    inboxes.push(inbox);
    await bench.consume(session, queue, inbox, { consumerTag: `of ${queue}, ${inboxes.length}` });
  }
  const got = (): number => inboxes.reduce((sum, inbox) => sum + inbox.got.length, 0);
  for (const queue of ['a', 'b', 'c']) for (let i = 0; i < 20; i++) await bench.publish(session, '', queue, `${i}`);
  for (let count = 1; count <= 20; count++) {
    await until(() => got() === count, 'one more');
    await bench.commit((batch) => assert.ok(session.ack(batch, 0, true)));
  }
  for (const inbox of inboxes) assert.ok(inbox.got.length >= 3, String(inboxes.map((each) => each.got.length)));
  await session.close();
  await bench.broker.close();
});

test('a chain of dead letters: rejected, expired, overflown, over-delivered', async () => {
  const bench = await opened();
  const session = bench.session();
  const to = (key: string, more: FieldTable = {}) => ({
    'x-dead-letter-exchange': '',
    'x-dead-letter-routing-key': key,
    ...more,
  });
  await bench.queue(session, 'end');
  await bench.queue(session, 'limited', to('end', { 'x-delivery-limit': 1 }));
  await bench.queue(session, 'short', to('limited', { 'x-max-length': 1 }));
  await bench.queue(session, 'brief', to('short', { 'x-message-ttl': 10 }));
  await bench.queue(session, 'first', to('brief'));
  await bench.publish(session, '', 'first', 'one', { headers: { h: 1 } });
  const got = await bench.get(session, 'first', false);
  await bench.commit((batch) => session.reject(batch, got!.tag, false, false));
  const ready = (queue: string) => bench.count(queue);
  const reach = async (queue: string) => {
    while ((await ready(queue)) === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    assert.equal(await ready(queue), 1, `a message in ${queue}`);
  };
  await reach('short');
  await bench.publish(session, '', 'short', 'pushes it out');
  await reach('limited');
  const inbox = new Inbox();
  await bench.consume(session, 'limited', inbox, { prefetch: 1 });
  for (let delivery = 1; delivery <= 2; delivery++) {
    await until(() => inbox.got.length === delivery, 'a delivery');
    await bench.commit((batch) => session.reject(batch, inbox.got.at(-1)!.tag, false, true));
  }
  await reach('end');
  const last = await bench.get(session, 'end');
  assert.equal(last?.body, 'one');
  assert.deepEqual(deathsOf(last), [
    ['limited', 'delivery_limit', 1],
    ['short', 'maxlen', 1],
    ['brief', 'expired', 1],
    ['first', 'rejected', 1],
  ]);
  assert.equal(last.properties.headers?.['x-first-death-queue'], 'first');
  assert.deepEqual(
    inbox.got.map(({ properties }) => properties.headers?.['x-delivery-count']),
    [undefined, 1],
  );
  await session.close();
  await bench.broker.close();
});

test('a message’s own time to live is honoured', async () => {
  const bench = await opened();
  const session = bench.session();
  await bench.queue(session, 'd');
  await bench.queue(session, 'q', { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'd' });
  await bench.publish(session, '', 'q', 'x', { contentType: 'text/plain', expiration: '500' });
  assert.equal(await bench.count('q'), 1);
  while ((await bench.count('d')) === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  const got = await bench.get(session, 'd');
  assert.deepEqual(deathsOf(got), [['q', 'expired', 1]]);
  assert.equal((got?.properties.headers?.['x-death'] as FieldTable[])[0]?.['original-expiration'], '500');
  await bench.broker.close();
});

test('an automatic cycle ends', async () => {
  const bench = await opened();
  const session = bench.session();
  const to = (key: string) => ({ 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': key, 'x-message-ttl': 5 });
  await bench.queue(session, 'a', to('b'));
  await bench.queue(session, 'b', to('a'));
  await bench.publish(session, '', 'a', 'x');
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  assert.deepEqual([await bench.count('a'), await bench.count('b')], [0, 0]);
  await bench.broker.close();
});

test('limits: drop-head keeps the newest, reject-publish refuses', async () => {
  const bench = await opened();
  const session = bench.session();
  await bench.queue(session, 'newest', { 'x-max-length': 2 });
  await bench.queue(session, 'firm', { 'x-max-length': 2, 'x-overflow': 'reject-publish' });
  await bench.queue(session, 'bytes', { 'x-max-length-bytes': 10 });
  for (const body of ['1', '2', '3']) await bench.publish(session, '', 'newest', body);
  assert.deepEqual(
    [(await bench.get(session, 'newest'))?.body, (await bench.get(session, 'newest'))?.body],
    ['2', '3'],
  );
  for (const body of ['1', '2']) assert.equal(await bench.publish(session, '', 'firm', body), null);
  assert.deepEqual(await bench.publish(session, '', 'firm', '3'), [
    { item: 0, outcome: 'refused', reason: 'max-length' },
  ]);
  for (const body of ['aaaaaa', 'bbbb', 'cc']) await bench.publish(session, '', 'bytes', body);
  assert.deepEqual(
    [(await bench.get(session, 'bytes'))?.body, (await bench.get(session, 'bytes'))?.body],
    ['bbbb', 'cc'],
  );
  await bench.broker.close();
});

test('priorities, and consumers of higher priority', async () => {
  const bench = await opened();
  const session = bench.session();
  await bench.queue(session, 'q', { 'x-max-priority': 9 });
  for (const priority of [1, 5, 3, 5]) await bench.publish(session, '', 'q', `p${priority}`, { priority });
  const [low, high] = [new Inbox(), new Inbox()];
  await bench.consume(session, 'q', low, { prefetch: 4 });
  await until(() => low.got.length === 4, 'all four');
  assert.deepEqual(low.bodies, ['p5', 'p5', 'p3', 'p1']);
  await bench.commit((batch) => session.ack(batch, 0, true));
  await bench.consume(session, 'q', high, { prefetch: 2, arguments: { 'x-priority': 10 } });
  await rest();
  for (let i = 0; i < 4; i++) await bench.publish(session, '', 'q', `m${i}`);
  await until(() => low.got.length + high.got.length === 8, 'the rest');
  assert.deepEqual(high.bodies, ['m0', 'm1']);
  await session.close();
  await bench.broker.close();
});

test('a single active consumer is followed by the next', async () => {
  const bench = await opened();
  const [first, second] = [bench.session(), bench.session()];
  await bench.queue(first, 'q', { 'x-single-active-consumer': true });
  const [one, two] = [new Inbox(), new Inbox()];
  await bench.consume(first, 'q', one, { prefetch: 5 });
  await bench.consume(second, 'q', two, { prefetch: 5 });
  await rest();
  for (let i = 0; i < 3; i++) await bench.publish(first, '', 'q', `m${i}`);
  await until(() => one.got.length === 3, 'the first to have all');
  await first.close();
  await until(() => two.got.length === 3, 'the second to get what came back');
  assert.deepEqual(
    two.got.map(({ body, redelivered }) => [body, redelivered]),
    [
      ['m0', true],
      ['m1', true],
      ['m2', true],
    ],
  );
  await second.close();
  await bench.broker.close();
});

test('a shared prefetch is never passed', async () => {
  const bench = await opened();
  const session = bench.session();
  const inboxes = [new Inbox(), new Inbox(), new Inbox()];
  await bench.queue(session, 'q');
  session.setPrefetch(4, true);
  for (const inbox of inboxes) await bench.consume(session, 'q', inbox);
  for (let i = 0; i < 20; i++) await bench.publish(session, '', 'q', `m${i}`);
  const taken = () => inboxes.reduce((sum, inbox) => sum + inbox.got.length, 0);
  for (let acknowledged = 0; acknowledged < 20; acknowledged += 4) {
    await until(() => taken() === acknowledged + 4, 'four more');
    await rest();
    assert.equal(taken(), acknowledged + 4);
    await bench.commit((batch) => session.ack(batch, acknowledged + 4, true));
  }
  await session.close();
  await bench.broker.close();
});

test('a full output, a deleted queue, an exclusive one, an auto-delete one', async () => {
  const bench = await opened();
  const scope = bench.scope();
  const session = bench.session(scope);
  const declaration = { durable: false, exclusive: true, autoDelete: false, arguments: {} };
  await bench.vhost.declareQueue(session, { ...declaration, name: 'mine' });
  await bench.vhost.declareQueue(session, { ...declaration, name: 'auto', exclusive: false, autoDelete: true });
  await bench.queue(session, 'q');
  const [slow, auto] = [new Inbox(), new Inbox()];
  slow.room = false;
  const consumer = await bench.consume(session, 'q', slow);
  await bench.consume(session, 'auto', auto, { consumerTag: 'auto' });
  for (let i = 0; i < 3; i++) await bench.publish(session, '', 'q', `m${i}`);
  await until(() => slow.got.length === 1, 'one delivery');
  await rest();
  assert.equal(slow.got.length, 1);
  slow.room = true;
  consumer.resume();
  await until(() => slow.got.length === 3, 'the others');
  assert.equal(await bench.vhost.deleteQueue(session, 'q', { ifUnused: false, ifEmpty: false }), 0);
  await until(() => slow.cancelledCount === 1, 'the cancellation');
  await session.cancel('auto');
  await session.close();
  await scope.close();
  assert.equal(bench.vhost.graph.queues.size, 0);
  await bench.broker.close();
});

test('guarded deletion and purge', async () => {
  const bench = await opened();
  const session = bench.session();
  await bench.queue(session, 'q');
  await bench.publish(session, '', 'q', 'x');
  const remove = (ifUnused: boolean, ifEmpty: boolean) => bench.vhost.deleteQueue(session, 'q', { ifUnused, ifEmpty });
  await assert.rejects(remove(false, true), { message: "queue 'q' in vhost '/' not empty" });
  assert.equal(await bench.publish(session, '', 'q', 'y'), null);
  assert.equal(await bench.vhost.purgeQueue(session, 'q'), 2);
  assert.equal(await remove(true, true), 0);
  assert.equal(await bench.publish(session, '', 'q', 'z'), 'unroutable');
  await bench.broker.close();
});
