import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrokerError, RefusedMessages, type Session } from '../../../src/broker/index.ts';
import { guest, type Principal } from '../../../src/broker/principal.ts';
import { routingKeyOf, topicHeader } from '../../../src/broker/subscription/topic-key.ts';
import { EngineError } from '../../../src/engine/errors.ts';
import { memoryEngine, type LocalEngine } from '../../../src/engine/local/index.ts';
import type { LocalQueue } from '../../../src/engine/local/queue.ts';
import { Bench, type Got, Inbox, messageOf, rest, until } from '../harness.ts';
import { publish, publishTo, Reader, requestOf } from './reader.ts';

async function opened(settings = {}): Promise<{ bench: Bench; session: Session }> {
  const bench = await new Bench(memoryEngine(), settings).open();
  return { bench, session: bench.session() };
}

test('who does not wait in a queue gets messages at once, and only while it is connected', async () => {
  const { bench, session } = await opened();
  const reader = new Reader(bench, 'r');
  assert.equal(await publish(bench, session, 'a/b', 'nobody'), false);
  assert.equal(await reader.subscribe('a/+'), true);
  assert.equal(await publish(bench, session, 'a/b', 'one'), true);
  assert.deepEqual(reader.live, ['a/b: one']);
  reader.subscriber.sink = null;
  assert.equal(await publish(bench, session, 'a/b', 'missed'), true);
  reader.subscriber.sink = reader;
  assert.equal(await reader.subscribe('a/+'), false);
  assert.deepEqual(await reader.unsubscribe('a/+'), [true]);
  assert.deepEqual(await reader.unsubscribe('a/+'), [false]);
  assert.equal(await publish(bench, session, 'a/b', 'nobody'), false);
  assert.deepEqual(reader.live, ['a/b: one']);
  assert.equal(reader.subscriber.queue, null);
});

test('an AMQP publisher reaches subscribers, and its message counts as routed', async () => {
  const { bench, session } = await opened();
  const reader = new Reader(bench, 'r');
  await reader.subscribe('a/#');
  const route = bench.vhost.route(session.principal, 'amq.topic', 'a.b');
  assert.equal(route.targets, null);
  assert.equal(route.unroutable, false);
  await bench.exchange(session, 'first', 'fanout');
  await bench.vhost.bindExchange(session, { source: 'first', destination: 'amq.topic', routingKey: '', arguments: {} });
  const message = messageOf('through another');
  const through = session.resolve(bench.vhost.route(session.principal, 'first', 'a.c'), message);
  assert.equal(await bench.commit((batch) => session.publish(batch, through, message)), null);
  assert.deepEqual(reader.live, ['a/c: through another']);
});

test('an alternate exchange gets what nobody subscribes to, and nothing else', async () => {
  const { bench, session } = await opened({ mqttExchange: 'topics' });
  await bench.exchange(session, 'rest', 'fanout');
  await bench.queue(session, 'rest');
  await bench.bind(session, 'rest', 'rest', '');
  await bench.vhost.deleteExchange(session, 'topics', { ifUnused: false });
  await bench.exchange(session, 'topics', 'topic', { 'alternate-exchange': 'rest' });
  const reader = new Reader(bench, 'r');
  await reader.subscribe('a');
  for (const key of ['a', 'b']) {
    const message = messageOf(key);
    const route = session.resolve(bench.vhost.route(guest, 'topics', key), message);
    await bench.commit((batch) => session.publish(batch, route, message));
  }
  assert.deepEqual(reader.live, ['a: a']);
  assert.equal((await bench.get(session, 'rest'))?.body, 'b');
  assert.equal(await bench.get(session, 'rest'), null);
});

test('who waits in a queue has a mailbox from its first queued subscription on', async () => {
  const { bench, session } = await opened();
  const reader = new Reader(bench, 'r');
  await reader.subscribe('a/+');
  assert.equal(reader.subscriber.queue, null);
  await reader.subscribe('q/#', { queued: true });
  assert.ok(reader.subscriber.queue !== null);
  assert.equal(await publish(bench, session, 'q/1', 'one'), true);
  assert.equal(await publish(bench, session, 'a/1', 'live'), true);
  await reader.consume(session);
  await until(() => reader.inbox.got.length === 1, 'the mailbox');
  const [got] = reader.inbox.got as [Got];
  assert.deepEqual([got.body, got.exchange, got.routingKey], ['one', 'amq.topic', 'q.1']);
  assert.deepEqual(reader.live, ['a/1: live']);
  await bench.commit((batch) => assert.ok(session.ack(batch, got.tag, false)));
  await session.close();
});

test('overlapping subscriptions give one copy, through the mailbox if one of them is queued', async () => {
  const { bench, session } = await opened();
  const both = new Reader(bench, 'both');
  await both.subscribe('a/#');
  await both.subscribe('a/+', { queued: true, options: 1 });
  await both.subscribe('a/b', { queued: true, options: 2 });
  const live = new Reader(bench, 'live');
  await live.subscribe('a/#', { options: 3 });
  await live.subscribe('a/+', { options: 4 });
  await publish(bench, session, 'a/b', 'once');
  await publish(bench, session, 'a/b/c', 'deep');
  await both.consume(session);
  await until(() => both.inbox.got.length > 0, 'the mailbox');
  await rest();
  assert.deepEqual(both.inbox.bodies, ['once']);
  assert.deepEqual(both.live, ['a/b/c: deep']);
  assert.deepEqual(live.live, ['a/b: once', 'a/b/c: deep']);
  const options = both.subscriber.matching('a/b').map((subscription) => subscription.options);
  assert.deepEqual(options.sort(), [0, 1, 2]);
});

test('what a subscriber publishes itself comes by those of its subscriptions that want it', async () => {
  const { bench, session } = await opened();
  const self = new Reader(bench, 'self');
  const other = new Reader(bench, 'other');
  session.subscriber = self.subscriber;
  await self.subscribe('a/#', { noLocal: true });
  await other.subscribe('a/#', { noLocal: true });
  assert.equal(await publish(bench, session, 'a/b', 'one'), true);
  assert.deepEqual(self.live, []);
  assert.deepEqual(other.live, ['a/b: one from self']);
  await other.unsubscribe('a/#');
  assert.equal(await publish(bench, session, 'a/b', 'two'), false);
  // Another that wants it, and then one that is queued.
  await self.subscribe('a/+');
  assert.equal(await publish(bench, session, 'a/b', 'three'), true);
  assert.deepEqual(self.live, ['a/b: three from self']);
  await self.unsubscribe('a/+');
  await self.subscribe('a/b', { queued: true, noLocal: true });
  assert.equal(await publish(bench, session, 'a/b', 'four'), false);
  const stranger = bench.session();
  assert.equal(await publish(bench, stranger, 'a/b', 'five'), true);
  await self.subscribe('+/b', { queued: true });
  assert.equal(await publish(bench, session, 'a/b', 'six'), true);
  await self.consume(session);
  await until(() => self.inbox.got.length === 2, 'the mailbox');
  assert.deepEqual(self.inbox.bodies, ['five', 'six']);
  assert.equal(self.live.length, 1);
});

test('members of a shared group get each message once, whoever of them is there', async () => {
  const { bench, session } = await opened();
  const [first, second] = [new Reader(bench, 'first'), new Reader(bench, 'second')];
  const alone = new Reader(bench, 'alone');
  await first.subscribe('a/+', { share: 'g' });
  await second.subscribe('a/+', { share: 'g' });
  await alone.subscribe('a/+', { share: 'h' });
  const groupOf = (reader: Reader) => Array.from(reader.subscriber.subscriptions.values())[0]!.group!;
  assert.equal(groupOf(first), groupOf(second));
  assert.notEqual(groupOf(first), groupOf(alone));
  for (let i = 0; i < 10; i++) assert.equal(await publish(bench, session, `a/${i}`, String(i)), true);
  const sessions = [bench.session(), bench.session(), bench.session()] as const;
  const request = { consumerTag: 'g', noAck: false, afterSync: false, prefetch: 3 };
  await sessions[0].consumeMailbox(groupOf(first), request, first.inbox);
  await sessions[1].consumeMailbox(groupOf(second), request, second.inbox);
  await sessions[2].consumeMailbox(groupOf(alone), { ...request, prefetch: 0 }, alone.inbox);
  await until(() => first.inbox.got.length === 3 && second.inbox.got.length === 3, 'their shares');
  await until(() => alone.inbox.got.length === 10, 'the other group');
  // What one of them held goes to the other.
  await sessions[0].close();
  while (second.inbox.got.length < 10) {
    await bench.commit((batch) => sessions[1].ack(batch, 0, true));
    await rest();
  }
  assert.deepEqual(second.inbox.bodies.sort(), ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
  const { queue } = groupOf(second);
  await second.unsubscribe('a/+', 'g');
  assert.equal(queue.deleted, false);
  await bench.vhost.subscribers.remove(first.subscriber);
  assert.equal(queue.deleted, true);
  assert.equal(bench.engine.queue(queue.key), undefined);
  assert.equal(second.inbox.cancelledCount, 1);
});

test('a session that ends leaves nothing, and one with the same names begins with nothing', async () => {
  const { bench, session } = await opened();
  const before = new Reader(bench, 'r', true);
  await before.subscribe('a', { queued: true });
  await bench.vhost.subscribers.setRecord(before.subscriber, 'session', Buffer.from('x'));
  await publish(bench, session, 'a', 'of the session before');
  const after = new Reader(bench, 'r', true);
  await after.subscribe('a', { queued: true });
  await publish(bench, session, 'a', 'of the session after');
  await after.consume(session);
  await until(() => after.inbox.got.length === 1, 'the mailbox');
  await rest();
  assert.deepEqual(after.inbox.bodies, ['of the session after']);
  assert.equal(before.subscriber.removed, true);
  assert.equal(bench.vhost.subscribers.find('guest', 'r'), after.subscriber);
  assert.deepEqual(await bench.engine.state(before.subscriber.stateKey('session')), []);
  await assert.rejects(before.subscribe('a'), /session has ended/);
  await bench.vhost.subscribers.remove(after.subscriber);
  assert.deepEqual(await bench.engine.state('subscri'), []);
  assert.equal(bench.vhost.subscribers.find('guest', 'r'), undefined);
  assert.equal(await publish(bench, session, 'a', 'nobody'), false);
});

test('no names imitate those of another', async () => {
  const { bench } = await opened();
  const names = [
    ['a', 'b/c'],
    ['a/b', 'c'],
    ['a', '1:b'],
    ['a1:', 'b'],
    ['', 'ab'],
  ] as const;
  const readers = names.map(([user, clientId]) => new Reader(bench, clientId, true, user));
  for (const reader of readers) await reader.subscribe('t', { queued: true });
  assert.equal(new Set(readers.map(({ subscriber }) => subscriber.queue!.key)).size, names.length);
  assert.equal(new Set(readers.map(({ subscriber }) => subscriber.stateKey('x'))).size, names.length);
  for (const [at, [user, clientId]] of names.entries()) {
    assert.equal(bench.vhost.subscribers.find(user, clientId), readers[at]!.subscriber);
  }
});

test('a mailbox has no name for AMQP', async () => {
  const { bench, session } = await opened();
  const reader = new Reader(bench, 'r');
  await reader.subscribe('a', { queued: true });
  await reader.subscribe('a', { share: 'g' });
  const { queue } = reader.subscriber;
  assert.equal(bench.vhost.graph.queues.size, 0);
  for (const name of [queue!.name, queue!.key]) {
    await assert.rejects(bench.consume(session, name, new Inbox()), /no queue/);
    assert.equal(bench.vhost.route(session.principal, '', name).unroutable, true);
    assert.equal(await bench.vhost.deleteQueue(session, name, { ifUnused: false, ifEmpty: false }), 0);
  }
  assert.equal(queue!.resource, "mailbox of client 'r' of user 'guest' in vhost '/'");
});

test('one that ends with its connection keeps so much and drops the oldest', async () => {
  const { bench, session } = await opened({ maxMailboxLength: 3 });
  const brief = new Reader(bench, 'brief');
  const lasting = new Reader(bench, 'lasting', true);
  await brief.subscribe('a', { queued: true });
  await lasting.subscribe('a', { queued: true });
  for (let i = 0; i < 5; i++) await publish(bench, session, 'a', String(i));
  await brief.consume(session);
  const other = bench.session();
  await lasting.consume(other);
  await until(() => lasting.inbox.got.length === 5 && brief.inbox.got.length === 3, 'the mailboxes');
  assert.deepEqual(brief.inbox.bodies, ['2', '3', '4']);
  await Promise.all([session.close(), other.close()]);
});

test('a topic that is too long for a routing key is matched whole, and by AMQP publishers who name it', async () => {
  const { bench, session } = await opened();
  const topic = `long/${'x'.repeat(300)}/temperature`;
  const key = routingKeyOf(topic);
  const reader = new Reader(bench, 'r');
  await reader.subscribe('long/+/temperature');
  await reader.subscribe('secret');
  assert.equal(await publish(bench, session, topic, 'one', { headers: { [topicHeader]: topic } }), true);
  // Its key alone says not where it belongs.
  for (const headers of [{}, { [topicHeader]: 'secret' }]) {
    const lie = messageOf('lie', { headers });
    assert.equal(session.resolve(bench.vhost.route(session.principal, 'amq.topic', key), lie).unroutable, true);
  }
  const message = messageOf('two', { headers: { [topicHeader]: topic } });
  const route = session.resolve(bench.vhost.route(session.principal, 'amq.topic', key), message);
  await bench.commit((batch) => session.publish(batch, route, message));
  assert.deepEqual(reader.live, [`${topic}: one`, `${topic}: two`]);
  await reader.unsubscribe('long/+/temperature');
  assert.equal(await publish(bench, session, topic, 'three', { headers: { [topicHeader]: topic } }), false);
  await reader.subscribe(topic);
  assert.equal(await publish(bench, session, topic, 'four', { headers: { [topicHeader]: topic } }), true);
});

test('a subscription to one topic leaves the routes of others as they are', async () => {
  const { bench } = await opened();
  const reader = new Reader(bench, 'r');
  const { vhost } = bench;
  const [a, b] = [vhost.route(guest, 'amq.topic', 'a'), vhost.route(guest, 'amq.topic', 'b')];
  await reader.subscribe('a');
  assert.notEqual(a.version, vhost.version);
  assert.equal(vhost.route(guest, 'amq.topic', 'b'), b);
  const after = vhost.route(guest, 'amq.topic', 'a');
  assert.deepEqual(after.live, [reader.subscriber]);
  await reader.unsubscribe('a');
  assert.equal(vhost.route(guest, 'amq.topic', 'a').live, null);
  await reader.subscribe('+');
  assert.deepEqual(vhost.route(guest, 'amq.topic', 'b').live, [reader.subscriber]);
  // Two keys are of this topic, of which one is AMQP's own.
  await reader.unsubscribe('+');
  for (const key of ['*', '%2A']) assert.equal(vhost.route(guest, 'amq.topic', key).live, null);
  await reader.subscribe('*');
  for (const key of ['*', '%2A']) assert.deepEqual(vhost.route(guest, 'amq.topic', key).live, [reader.subscriber]);
});

test('what is dead, delayed or in a transaction reaches subscribers when it is routed', async () => {
  const { bench, session } = await opened();
  const reader = new Reader(bench, 'r');
  const queued = new Reader(bench, 'q');
  await reader.subscribe('#');
  await queued.subscribe('dead/#', { queued: true });
  await bench.queue(session, 'work', {
    'x-dead-letter-exchange': 'amq.topic',
    'x-dead-letter-routing-key': 'dead.work',
  });
  await bench.publish(session, '', 'work', 'bad');
  const inbox = new Inbox();
  await bench.consume(session, 'work', inbox);
  await until(() => inbox.got.length === 1, 'the delivery');
  await bench.commit((batch) => assert.ok(session.reject(batch, inbox.got[0]!.tag, false, false)));
  await until(() => reader.live.length === 1, 'the dead letter');
  assert.deepEqual(reader.live, ['dead/work: bad']);
  await queued.consume(session);
  await until(() => queued.inbox.got.length === 1, 'the dead letter in the mailbox');

  await bench.queue(session, 'brief', { 'x-dead-letter-exchange': 'amq.topic', 'x-message-ttl': 0 });
  await bench.publish(session, '', 'brief', 'late');
  await until(() => reader.live.length === 2, 'the letter that expired');
  assert.equal(reader.live[1], 'brief: late');
  assert.equal(await bench.count('brief'), 0);

  await bench.exchange(session, 'later', 'x-delayed-message', { 'x-delayed-type': 'fanout' });
  await bench.vhost.bindExchange(session, { source: 'later', destination: 'amq.topic', routingKey: '', arguments: {} });
  await bench.publish(session, 'later', 'soon', 'due', { headers: { 'x-delay': 30 } });
  assert.equal(reader.live.length, 2);
  await until(() => reader.live.length === 3, 'the delayed message');
  assert.equal(reader.live[2], 'soon: due');

  const other = bench.session();
  const transaction = other.transact();
  for (const [key, body] of [
    ['t.1', 'one'],
    ['dead.t', 'two'],
  ] as const) {
    const message = messageOf(body);
    transaction.publish(other.resolve(bench.vhost.route(guest, 'amq.topic', key), message), message);
  }
  assert.equal(reader.live.length, 3);
  await transaction.commit();
  assert.deepEqual(reader.live.slice(3), ['t/1: one', 'dead/t: two']);
  await until(() => queued.inbox.got.length === 2, 'the one of the transaction');
  const message = messageOf('undone');
  transaction.publish(other.resolve(bench.vhost.route(guest, 'amq.topic', 't.1'), message), message);
  transaction.rollback();
  await transaction.commit();
  assert.equal(reader.live.length, 5);
});

test('what is delayed reaches subscribers when it is due, those who are there by then', async () => {
  const { bench, session } = await opened();
  const [live, queued, gone, late] = [
    new Reader(bench, 'live'),
    new Reader(bench, 'queued'),
    new Reader(bench, 'gone'),
    new Reader(bench, 'late'),
  ];
  await live.subscribe('a/#');
  await live.subscribe('a/b');
  await gone.subscribe('a/b');
  await queued.subscribe('a/b', { queued: true });
  await queued.consume(session);
  for (let i = 0; i < 2; i++) {
    const { routed } = await publishTo(bench, session, 'a/b', String(i), { headers: { 'x-delay': 40 } });
    assert.equal(routed, true);
  }
  await gone.unsubscribe('a/b');
  await late.subscribe('+/b');
  assert.deepEqual(live.live, []);
  await until(() => live.live.length === 2 && queued.inbox.got.length === 2, 'what is due');
  await rest();
  assert.deepEqual(live.live, ['a/b: 0', 'a/b: 1']);
  assert.deepEqual(late.live, ['a/b: 0', 'a/b: 1']);
  assert.deepEqual(gone.live, []);
  assert.deepEqual(queued.inbox.bodies, ['0', '1']);
  assert.deepEqual(queued.live, []);
  await bench.broker.createVhost('v');
  const { subscribers, delayedLive } = bench.broker.vhost('v')!;
  await subscribers.subscribe(guest, subscribers.create('guest', 'c', { durable: false }), [requestOf('a')]);
  const route = bench.broker.vhost('v')!.route(guest, 'amq.topic', 'a');
  const [waitsIn] = delayedLive.routeOf(route).queues;
  assert.equal(delayedLive.routeOf(route), delayedLive.routeOf(route));
  assert.ok(bench.engine.queue(waitsIn!.key) !== undefined);
  await bench.broker.deleteVhost('v');
  assert.equal(bench.engine.queue(waitsIn!.key), undefined);
});

test('a letter that a full queue refuses may go to subscribers alone', async () => {
  const { bench, session } = await opened();
  const reader = new Reader(bench, 'r');
  await reader.subscribe('refused');
  await bench.queue(session, 'full', {
    'x-max-length': 0,
    'x-overflow': 'reject-publish-dlx',
    'x-dead-letter-exchange': 'amq.topic',
    'x-dead-letter-routing-key': 'refused',
  });
  const message = messageOf('no room');
  const route = session.resolve(bench.vhost.route(guest, '', 'full'), message);
  const refused = new RefusedMessages(bench.broker);
  refused.keep(0, route, message);
  refused.answered(await bench.commit((batch) => session.publish(batch, route, message)));
  await until(() => reader.live.length === 1, 'the letter');
});

test('a mailbox that was stopped keeps nothing from others', async () => {
  const { bench, session } = await opened();
  const [stopped, other] = [new Reader(bench, 'stopped', true), new Reader(bench, 'other', true)];
  await stopped.subscribe('a/#', { queued: true });
  await stopped.subscribe('a/#', { share: 'g' });
  await other.subscribe('a/#', { queued: true });
  await stopped.consume(session);
  assert.equal(await publish(bench, session, 'a/b', 'before'), true);
  await rest();
  const engine = bench.engine as LocalEngine;
  const { queue } = stopped.subscriber;
  const groups = Array.from(stopped.subscriber.subscriptions.values()).flatMap(({ group }) => group?.queue ?? []);
  for (const mailbox of [queue!, ...groups]) {
    engine.damaged(mailbox.handle as LocalQueue, new EngineError('CORRUPT', 'segment 3 is damaged'));
  }
  assert.deepEqual(bench.lines, [
    "mailbox of client 'stopped' of user 'guest' in vhost '/' stopped: segment 3 is damaged",
    "mailbox of shared subscription 'g' to 'a/#' in vhost '/' stopped: segment 3 is damaged",
  ]);
  assert.equal(await publish(bench, session, 'a/b', 'goes on'), true);
  const second = bench.session();
  await other.consume(second);
  await until(() => other.inbox.got.length === 2, 'the other mailbox');
  await until(() => stopped.inbox.cancelledCount === 1, 'the end of its consumer');
  await assert.rejects(stopped.consume(bench.session()), /stopped, because its data is damaged/);
  // With its session it goes, and the next one's works.
  const next = new Reader(bench, 'stopped', true);
  await next.subscribe('a/#', { queued: true });
  assert.equal(await publish(bench, session, 'a/b', 'again'), true);
  await next.consume(bench.session());
  await until(() => next.inbox.got.length === 1, 'its next mailbox');
});

test('a full disk refuses what a mailbox would take, and no one else is asked', async () => {
  const bench = await new Bench().open();
  const session = bench.session();
  const [queued, live] = [new Reader(bench, 'queued'), new Reader(bench, 'live')];
  await queued.subscribe('a', { queued: true });
  await live.subscribe('b');
  bench.fake.full = true;
  const { outcomes } = await publishTo(bench, session, 'a', 'no space');
  assert.deepEqual(outcomes, [{ item: 0, outcome: 'refused', reason: 'full' }]);
  assert.equal(await publish(bench, session, 'b', 'needs none'), true);
  assert.deepEqual(live.live, ['b: needs none']);
});

test('permission is asked of whoever subscribes, and of whoever publishes to a topic', async () => {
  const { bench } = await opened();
  const asked: string[] = [];
  const limited: Principal = {
    ...guest,
    user: 'limited',
    allows: (_vhost, permission, resource) => permission !== 'read' || resource !== 'amq.topic' || asked.length < 100,
    limitsTopics: () => true,
    allowsTopic: (_vhost, exchange, access, key, clientId) => {
      asked.push(`${exchange} ${access} ${key} ${clientId}`);
      return key.startsWith('open.');
    },
  };
  const { subscribers } = bench.vhost;
  const subscriber = subscribers.create('limited', 'c', { durable: false });
  const requests = [requestOf('open/+/#'), requestOf('shut'), requestOf('shut', { share: 'g' }), requestOf('bad#')];
  const outcomes = await subscribers.subscribe(limited, subscriber, requests);
  assert.deepEqual(
    outcomes.map((outcome) => (outcome instanceof BrokerError ? outcome.code : outcome.isNew)),
    [true, 'ACCESS_REFUSED', 'ACCESS_REFUSED', 'COMMAND_INVALID'],
  );
  assert.deepEqual(asked, ['amq.topic read open.*.# c', 'amq.topic read shut c', 'amq.topic read shut c']);
  bench.vhost.routeTopic(limited, 'amq.topic', 'open/a', 'c');
  assert.throws(() => bench.vhost.routeTopic(limited, 'amq.topic', 'shut', 'c'), { code: 'ACCESS_REFUSED' });
  assert.deepEqual(asked.slice(3), ['amq.topic write open.a c', 'amq.topic write shut c']);
  const noReader: Principal = { ...guest, allows: () => false };
  const [refused] = await subscribers.subscribe(noReader, subscriber, [requestOf('open/x')]);
  assert.ok(refused instanceof BrokerError && refused.code === 'ACCESS_REFUSED');
});

test('the exchange that is set is there, in each vhost, and what is asked of another reaches nobody', async () => {
  const { bench, session } = await opened({ mqttExchange: 'topics' });
  await bench.broker.createVhost('v');
  for (const { graph } of bench.broker.vhosts) assert.equal(graph.exchanges.get('topics')?.traits.type, 'topic');
  const reader = new Reader(bench, 'r');
  await reader.subscribe('a');
  const route = bench.vhost.route(guest, 'topics', 'a');
  await bench.commit((batch) => session.publish(batch, route, messageOf('x')));
  assert.equal(bench.vhost.route(guest, 'amq.topic', 'a').unroutable, true);
  await bench.vhost.deleteExchange(session, 'topics', { ifUnused: false });
  assert.throws(() => bench.vhost.routeTopic(guest, 'topics', 'a', null), { code: 'NOT_FOUND' });
  assert.deepEqual(reader.live, ['a: x']);
});

test('a mailbox that cannot be made refuses its subscription, and leaves nothing', async () => {
  const bench = await new Bench().open();
  const reader = new Reader(bench, 'r', true);
  const { fake } = bench;
  const { change } = fake;
  fake.change = () => Promise.reject(new EngineError('UNSUPPORTED', 'no more queues'));
  for (const more of [{ queued: true }, { share: 'g' }]) {
    await assert.rejects(reader.subscribe('a', more), { code: 'PRECONDITION_FAILED' });
  }
  fake.change = change;
  assert.equal(reader.subscriber.subscriptions.size, 0);
  assert.equal(bench.vhost.graph.subscriptions.size, 0);
  assert.equal(await publish(bench, bench.session(), 'a', 'nobody'), false);
  await reader.subscribe('a', { queued: true });
  await reader.subscribe('a', { share: 'g' });
  assert.equal(await publish(bench, bench.session(), 'a', 'both'), true);
  assert.deepEqual(
    Array.from(fake.queues.values(), ({ ready }) => ready.length),
    [1, 1],
  );
});

test('a vhost has as many subscriptions as it may have', async () => {
  const { bench } = await opened({ maxSubscriptions: 2 });
  const reader = new Reader(bench, 'r');
  await reader.subscribe('a');
  await reader.subscribe('b');
  await assert.rejects(reader.subscribe('c'), { code: 'PRECONDITION_FAILED' });
  assert.equal(await reader.subscribe('a', { queued: true }), false);
  await reader.unsubscribe('a');
  await reader.subscribe('c');
  const small = await opened({ maxSubscriptionBytes: 2_000 });
  const other = new Reader(small.bench, 'r');
  await other.subscribe('a');
  await assert.rejects(other.subscribe(`b/${'x'.repeat(400)}`), { code: 'PRECONDITION_FAILED' });
  const shared = await opened({ maxSubscriptionBytes: 10_000 });
  const member = new Reader(shared.bench, 'r');
  await member.subscribe('a', { share: 'short' });
  await assert.rejects(member.subscribe('a', { share: 'x'.repeat(2_000) }), { code: 'PRECONDITION_FAILED' });
});

test('a subscriber has as many subscriptions as one may have', async () => {
  const { bench } = await opened({ maxSubscriptionsEach: 2 });
  const reader = new Reader(bench, 'r');
  await reader.subscribe('a');
  await reader.subscribe('b', { share: 'g' });
  await assert.rejects(reader.subscribe('c'), { code: 'PRECONDITION_FAILED' });
  assert.equal(await reader.subscribe('a', { queued: true }), false);
  await new Reader(bench, 'other').subscribe('c');
  await reader.unsubscribe('a');
  await reader.subscribe('c');
});

test("a user's and a vhost's sessions go with it", async () => {
  const { bench } = await opened();
  await bench.broker.createVhost('v');
  await bench.broker.users.put('u', { password: 'a password that is long', tags: [] }, 'new');
  const { subscribers } = bench.broker.vhost('v')!;
  const requests = [requestOf('a', { queued: true }), requestOf('b', { share: 'g' })];
  const of = async (user: string) => {
    const subscriber = subscribers.create(user, 'c', { durable: true });
    await subscribers.subscribe(guest, subscriber, requests);
    return subscriber;
  };
  const [gone, stays] = [await of('u'), await of('guest')];
  await bench.broker.users.delete('u');
  await rest();
  assert.equal(gone.removed, true);
  assert.equal(subscribers.find('u', 'c'), undefined);
  assert.equal(bench.engine.queue(gone.queue!.key), undefined);
  assert.ok(bench.engine.queue(stays.queue!.key) !== undefined);
  const group = stays.subscriptions.get('$share/g/b')!.group!;
  assert.equal(group.members.size, 1);
  await bench.broker.deleteVhost('v');
  await rest();
  for (const { key } of [stays.queue!, group.queue]) assert.equal(bench.engine.queue(key), undefined);
  assert.deepEqual(await bench.engine.state('subscri'), []);
});
