import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Principal, Session } from '../../src/broker/index.ts';
import { guest } from '../../src/broker/principal.ts';
import { Bench, Inbox, messageOf, rest } from './harness.ts';

async function withQueue(count: number, args = {}) {
  const bench = await new Bench().open();
  const session = bench.session();
  await bench.queue(session, 'q', args);
  for (let i = 1; i <= count; i++) await bench.publish(session, '', 'q', `m${i}`);
  return {
    bench,
    session,
    engine: bench.fake,
    queue: bench.fake.queues.get('1:/1:q')!,
  };
}

test('deliveries are tagged densely from 1 and acknowledged in runs', async () => {
  const { bench, session, engine } = await withQueue(10);
  const inbox = new Inbox();
  await bench.consume(session, 'q', inbox);
  await rest();
  assert.deepEqual(
    inbox.got.map((got) => got.tag),
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  );
  await bench.commit((batch) => {
    assert.equal(session.ack(batch, 3, false), true);
    assert.equal(session.ack(batch, 8, true), true);
    assert.equal(session.ack(batch, 8, true), false);
    assert.equal(session.ack(batch, 3, false), false);
    assert.equal(session.ack(batch, 11, false), false);
  });
  assert.deepEqual(
    engine.settled.map(({ first, count }) => [first, count]),
    [
      [3, 1],
      [1, 2],
      [4, 5],
    ],
  );
  assert.equal(session.unackedCount, 2);
});

test('a prefetch bounds what is unacknowledged, and credit comes back once a turn', async () => {
  const { bench, session, queue } = await withQueue(100);
  const inbox = new Inbox();
  session.setPrefetch(10, false);
  await bench.consume(session, 'q', inbox);
  session.setPrefetch(3, false);
  await rest();
  assert.equal(inbox.got.length, 10, 'a later prefetch is for later consumers');
  const [consumer] = queue.consumers;
  await bench.commit((batch) => {
    for (let tag = 1; tag <= 5; tag++) session.ack(batch, tag, false);
  });
  await rest();
  assert.equal(inbox.got.length, 15);
  assert.equal(consumer!.creditCalls, 1);
});

test('a shared prefetch bounds all consumers of the session together', async () => {
  const { bench, session } = await withQueue(40);
  await bench.queue(session, 'r');
  for (let i = 1; i <= 40; i++) await bench.publish(session, '', 'r', `r${i}`);
  const [one, two, free] = [new Inbox(), new Inbox(), new Inbox()];
  session.setPrefetch(5, true);
  await bench.consume(session, 'q', one, { prefetch: 3 });
  await bench.consume(session, 'r', two);
  await rest();
  assert.equal(one.got.length + two.got.length, 5);
  assert.ok(one.got.length <= 3);
  const tags = [...one.got, ...two.got].map((got) => got.tag);
  await bench.commit((batch) => session.ack(batch, Math.max(...tags), true));
  await rest();
  assert.equal(one.got.length + two.got.length, 10);
  await bench.consume(session, 'q', free, { noAck: true });
  await rest();
  assert.ok(free.got.length > 30, 'no-ack consumers need no credit');
  session.setPrefetch(0, true);
  await rest();
  assert.equal(two.got.length, 40, 'without a limit all come');
  assert.ok(one.got.length <= 6, 'its own prefetch holds on');
});

test('of equal consumers that share a prefetch of 1, each delivery waits for the last acknowledgement', async () => {
  const { bench, session } = await withQueue(6);
  const inboxes = [new Inbox(), new Inbox(), new Inbox()];
  session.setPrefetch(1, true);
  for (const inbox of inboxes) await bench.consume(session, 'q', inbox);
  for (let taken = 1; taken <= 6; taken++) {
    await rest();
    assert.equal(
      inboxes.reduce((sum, inbox) => sum + inbox.got.length, 0),
      taken,
    );
    await bench.commit((batch) => session.ack(batch, taken, false));
  }
});

test('a full output stops deliveries until it resumes', async () => {
  const { bench, session } = await withQueue(5);
  const inbox = new Inbox();
  inbox.room = false;
  const consumer = await bench.consume(session, 'q', inbox);
  await rest();
  assert.deepEqual(inbox.bodies, ['m1']);
  inbox.room = true;
  consumer.resume();
  await rest();
  assert.equal(inbox.got.length, 5);
});

test('nothing is delivered before whoever asked to consume has gone on', async () => {
  const { bench, session } = await withQueue(1);
  const inbox = new Inbox();
  await bench.consume(session, 'q', inbox);
  await Promise.resolve();
  assert.equal(inbox.got.length, 0);
  await rest();
  assert.equal(inbox.got.length, 1);
});

test('given back and closed, messages come again, flagged', async () => {
  const { bench, session } = await withQueue(3);
  await bench.consume(session, 'q', new Inbox(), { consumerTag: 'c' });
  await rest();
  await session.cancel('c');
  assert.equal(session.unackedCount, 3, 'what a cancelled consumer was given stays its session’s');
  await bench.commit((batch) => session.reject(batch, 2, false, true));
  const other = bench.session();
  assert.deepEqual((await bench.get(other, 'q'))?.redelivered, true);
  await session.close();
  await session.close();
  assert.deepEqual([(await bench.get(other, 'q'))?.body, (await bench.get(other, 'q'))?.body], ['m1', 'm3']);
});

test('recover gives everything back, and tags go on', async () => {
  const { bench, session } = await withQueue(2);
  const inbox = new Inbox();
  await bench.consume(session, 'q', inbox);
  await rest();
  await bench.commit((batch) => session.recover(batch));
  await rest();
  assert.deepEqual(
    inbox.got.map((got) => [got.tag, got.body, got.redelivered]),
    [
      [1, 'm1', false],
      [2, 'm2', false],
      [3, 'm1', true],
      [4, 'm2', true],
    ],
  );
});

test('get takes one, says how many remain, and is acknowledged like any delivery', async () => {
  const { bench, session, queue } = await withQueue(3);
  const remaining: number[] = [];
  const sink = { deliver: (_tag: number, _delivery: unknown, left: number) => remaining.push(left) };
  assert.deepEqual(await session.get('q', false, sink), { remaining: 2 });
  assert.deepEqual(await session.get('q', true, sink), { remaining: 1 });
  assert.deepEqual(await session.get('q', false, sink), { remaining: 0 });
  assert.equal(await session.get('q', false, sink), null);
  assert.deepEqual(remaining, [2, 1, 0]);
  assert.equal(session.unackedCount, 2);
  await bench.commit((batch) => assert.ok(session.ack(batch, 0, true)));
  assert.equal(queue.held.size, 0);
  await bench.commit((batch) => assert.ok(!session.ack(batch, 2, false), 'that one was not to be acknowledged'));
});

test('a deleted queue cancels its consumers, and late acknowledgements are no error', async () => {
  const { bench, session } = await withQueue(2);
  const inbox = new Inbox();
  await bench.consume(session, 'q', inbox, { consumerTag: 'c' });
  await rest();
  await bench.vhost.deleteQueue(bench.session(), 'q', { ifUnused: false, ifEmpty: false });
  await rest();
  assert.equal(inbox.cancelledCount, 1);
  assert.equal(await bench.commit((batch) => assert.ok(session.ack(batch, 0, true))), null);
  await bench.queue(session, 'q');
  await bench.consume(session, 'q', inbox, { consumerTag: 'c' });
  await session.cancel('unknown');
});

test('who may consume', async () => {
  const { bench, session } = await withQueue(0);
  const inUse = { code: 'ACCESS_REFUSED', message: "queue 'q' in vhost '/' in exclusive use" };
  await bench.consume(session, 'q', new Inbox(), { consumerTag: 'a' });
  await assert.rejects(bench.consume(session, 'q', new Inbox(), { consumerTag: 'a' }), {
    code: 'NOT_ALLOWED',
    message: "attempt to reuse consumer tag 'a'",
  });
  await assert.rejects(bench.consume(session, 'q', new Inbox(), { exclusive: true }), inUse);
  await session.cancel('a');
  await bench.consume(session, 'q', new Inbox(), { consumerTag: 'a', exclusive: true });
  await assert.rejects(bench.consume(bench.session(), 'q', new Inbox()), inUse);
  await session.cancel('a');
  await assert.rejects(bench.consume(session, 'q', new Inbox(), { arguments: { 'x-priority': 'a' } }), {
    code: 'PRECONDITION_FAILED',
    message: `invalid arg 'x-priority' for queue 'q' in vhost '/': "expected integer, got longstr"`,
  });
  await bench.queue(session, 'single', { 'x-single-active-consumer': true });
  await assert.rejects(bench.consume(session, 'single', new Inbox(), { exclusive: true }), {
    message: "queue 'single' in vhost '/' in exclusive use",
  });
  const unnamed = await bench.consume(session, 'q', new Inbox());
  assert.match(unnamed.consumerTag, /^amq\.ctag-/);
});

test('a consumer of higher priority is served while it has credit', async () => {
  const { bench, session } = await withQueue(0);
  const [low, high] = [new Inbox(), new Inbox()];
  await bench.consume(session, 'q', low);
  await bench.consume(session, 'q', high, { prefetch: 2, arguments: { 'x-priority': 10 } });
  await rest();
  for (let i = 1; i <= 4; i++) await bench.publish(session, '', 'q', `m${i}`);
  await rest();
  assert.deepEqual(
    [high.bodies, low.bodies],
    [
      ['m1', 'm2'],
      ['m3', 'm4'],
    ],
  );
});

test('CC and BCC lead to more queues, and only CC is seen', async () => {
  const { bench, session } = await withQueue(0);
  for (const name of ['cc', 'bcc']) await bench.queue(session, name);
  await bench.publish(session, '', 'q', 'x', { headers: { CC: ['cc'], BCC: ['bcc', 'cc'], h: 'BCC' }, messageId: 'm' });
  for (const name of ['q', 'cc', 'bcc']) {
    const got = await bench.get(session, name);
    assert.deepEqual([got?.routingKey, got?.properties.messageId], ['q', 'm']);
    assert.deepEqual({ ...got?.properties.headers }, { CC: ['cc'], h: 'BCC' });
    assert.equal(await bench.count(name), 0);
  }
  assert.throws(
    () => session.resolve(bench.vhost.route(session.principal, '', 'q'), messageOf('x', { headers: { CC: 'cc' } })),
    {
      code: 'PRECONDITION_FAILED',
      message: 'invalid message: {unacceptable_type_in_header,"CC",longstr}',
    },
  );
});

test('properties that a message cannot have are refused', async () => {
  const { bench, session } = await withQueue(0);
  const route = bench.vhost.route(session.principal, '', 'q');
  const cases: [string, string][] = [
    ['abc', 'no_integer'],
    [' ', 'no_integer'],
    ['', 'no_integer'],
    ['-5', '{value_negative,-5}'],
    ['1.5', '{leftover_string,".5"}'],
    ['12x', '{leftover_string,"x"}'],
    ['99999999999999', '{value_too_large,99999999999999}'],
  ];
  for (const [expiration, reason] of cases) {
    assert.throws(() => session.resolve(route, messageOf('', { expiration })), {
      code: 'PRECONDITION_FAILED',
      message: `invalid expiration '${expiration}': ${reason}`,
    });
  }
  for (const expiration of ['007', '+7']) {
    const message = messageOf('', { contentType: 'text/plain', headers: { a: 1 }, priority: 3, expiration });
    session.resolve(route, message);
    assert.ok(Math.abs(message.expiresAt - Date.now() - 7) < 1000);
    assert.equal(message.priority, 0, 'nobody on this route looks at priorities');
  }
  assert.throws(() => session.resolve(route, messageOf('', { userId: 'bob' })), {
    message: "user_id property set to 'bob' but authenticated user was 'guest'",
  });
  session.resolve(route, messageOf('', { userId: 'guest' }));
  const impersonator = { ...guest, tags: ['impersonator'] };
  const other = new Session(bench.broker, bench.vhost, impersonator, bench.scope());
  other.resolve(route, messageOf('', { userId: 'bob' }));
});

test('priority is read where a target keeps it apart', async () => {
  const { bench, session } = await withQueue(0, { 'x-max-priority': 5 });
  for (const priority of [1, 9, 3]) await bench.publish(session, '', 'q', `p${priority}`, { priority });
  const inbox = new Inbox();
  await bench.consume(session, 'q', inbox, { noAck: true });
  await rest();
  assert.deepEqual(inbox.bodies, ['p9', 'p3', 'p1']);
});

test('permission is asked on every path, and once for a route', async () => {
  const { bench } = await withQueue(0);
  const asked: string[] = [];
  const principal: Principal & { permissions: number; refuse: string } = {
    user: 'ann',
    permissions: 1,
    tags: [],
    entersVhost: () => true,
    refuse: '',
    limitsTopics: () => false,
    allowsTopic: () => true,
    allows: (vhost, permission, resource) => {
      asked.push(`${permission} ${resource}`);
      return vhost === '/' && `${permission} ${resource}` !== principal.refuse;
    },
  };
  const session = new Session(bench.broker, bench.vhost, principal, bench.scope());
  bench.vhost.route(principal, '', 'q');
  bench.vhost.route(principal, '', 'other');
  assert.deepEqual(asked.splice(0), ['write amq.default']);
  await bench.exchange(session, 'x', 'direct', { 'alternate-exchange': 'alt' });
  assert.deepEqual(asked.splice(0), ['configure x', 'read x', 'write alt']);
  await bench.queue(session, 'mine', { 'x-dead-letter-exchange': 'x' });
  assert.deepEqual(asked.splice(0), ['configure mine', 'read mine', 'write x']);
  await bench.bind(session, 'mine', 'x', 'k');
  assert.deepEqual(asked.splice(0), ['write mine', 'read x']);
  principal.refuse = 'write x';
  bench.vhost.route(principal, 'amq.direct', 'k');
  principal.permissions += 1;
  assert.throws(() => bench.vhost.route(principal, 'x', 'k'), {
    code: 'ACCESS_REFUSED',
    message: "access to exchange 'x' in vhost '/' refused for user 'ann'",
  });
  principal.refuse = 'read mine';
  await assert.rejects(bench.get(session, 'mine'), { code: 'ACCESS_REFUSED' });
  await assert.rejects(bench.vhost.purgeQueue(session, 'mine'), { code: 'ACCESS_REFUSED' });
  await assert.rejects(bench.consume(session, 'mine', new Inbox()), { code: 'ACCESS_REFUSED' });
});

test('a lost lease ends the session’s consumers', async () => {
  const { bench, session, engine, queue } = await withQueue(2);
  const inbox = new Inbox();
  await bench.consume(session, 'q', inbox);
  await rest();
  const { lease } = queue.consumers[0]!;
  await engine.release(lease);
  engine.listener!.leaseLost(lease);
  assert.equal(inbox.cancelledCount, 1);
  assert.equal(await bench.commit((batch) => session.ack(batch, 0, true)), null);
  await bench.consume(session, 'q', inbox);
  await rest();
  assert.deepEqual(inbox.bodies, ['m1', 'm2', 'm1', 'm2']);
});

test('deliveries through many consumers that come and go leave nothing behind', async () => {
  const { bench, session } = await withQueue(0);
  for (let round = 0; round < 50; round++) {
    const inbox = new Inbox();
    await bench.consume(session, 'q', inbox, { consumerTag: 'c' });
    await bench.publish(session, '', 'q', 'x');
    await rest(4);
    await session.cancel('c');
    await bench.commit((batch) => session.ack(batch, inbox.got[0]!.tag, false));
  }
  assert.equal(session.unackedCount, 0);
  assert.equal(session.ledger.capacity, 64);
});

test('a permission that is taken while a consumer is made holds for it', async (context) => {
  const { bench, engine, queue } = await withQueue(1);
  let allowed = true;
  const reader: Principal = { ...guest, user: 'reader', allows: () => allowed };
  const session = new Session(bench.broker, bench.vhost, reader, bench.scope());
  const consume = engine.consume.bind(engine);
  context.mock.method(engine, 'consume', (...given: Parameters<typeof consume>) => {
    allowed = false;
    return consume(...given);
  });
  const inbox = new Inbox();
  await assert.rejects(bench.consume(session, 'q', inbox), {
    code: 'ACCESS_REFUSED',
    message: "access to queue 'q' in vhost '/' refused for user 'reader'",
  });
  await rest();
  assert.deepEqual([inbox.got.length, queue.consumers.length, [...session.consumers].length], [0, 0, 0]);
});
