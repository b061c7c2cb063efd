import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { Broker, describe } from '../../src/broker/index.ts';
import { localEngine, memoryEngine } from '../../src/engine/local/index.ts';
import type { FieldTable, FieldValue } from '../../src/format/field-table.ts';
import { ManualClock } from '../conformance/manual-clock.ts';
import { Bench, messageOf, rest } from './harness.ts';

async function opened(directory?: string) {
  const clock = new ManualClock();
  const engine = directory === undefined ? memoryEngine(clock) : localEngine(directory, { clock });
  const bench = new Bench(engine);
  Object.assign(bench, { broker: new Broker({ engine, clock, log: (line) => bench.lines.push(line) }) });
  await bench.open();
  return { bench, clock, session: bench.session() };
}

type Opened = Awaited<ReturnType<typeof opened>>;
const id = (value: FieldValue, more: FieldTable = {}) => ({ headers: { 'x-deduplication-header': value, ...more } });
const on = { 'x-message-deduplication': true };

async function texts({ bench, session }: Opened, queue: string): Promise<string[]> {
  const found: string[] = [];
  for (let got = await bench.get(session, queue); got !== null; got = await bench.get(session, queue))
    found.push(got.body);
  return found;
}

async function duplicatesOf({ bench }: Opened, name: string): Promise<number | undefined> {
  const { exchanges, queues } = await describe(bench.broker, bench.vhost);
  return [...exchanges, ...queues].find((thing) => thing.name === name)?.duplicates;
}

test('a queue keeps repeats away as long as the message is in it', async () => {
  const all = await opened();
  const { bench, session } = all;
  await bench.queue(session, 'q', on);
  await bench.queue(session, 'plain');
  for (const queue of ['q', 'plain']) await bench.bind(session, queue, 'amq.fanout', '');
  const publish = (body: string, value: FieldValue) => bench.publish(session, 'amq.fanout', '', body, id(value));
  await publish('one', 'a');
  await publish('two', 'a');
  assert.equal((await publish('three', 'a'))?.length ?? 0, 0, 'the other queue gets it');
  await publish('number', 1);
  await publish('text', '1');
  await bench.publish(session, '', 'q', 'no id');
  await bench.publish(session, '', 'q', 'no id', id(null));
  assert.deepEqual(await bench.publish(session, '', 'q', 'again', id('a')), [
    { item: 0, outcome: 'duplicate', reason: null },
  ]);
  assert.deepEqual([await bench.count('q'), await bench.count('plain')], [5, 5]);
  assert.equal(await duplicatesOf(all, 'q'), 3);
  const got = await bench.get(session, 'q', false);
  assert.equal(got?.body, 'one');
  await bench.publish(session, '', 'q', 'while it is held', id('a'));
  await bench.commit((batch) => session.reject(batch, got.tag, false, true));
  await bench.publish(session, '', 'q', 'when it was given back', id('a'));
  const again = await bench.get(session, 'q', false);
  await bench.commit((batch) => session.ack(batch, again!.tag, false));
  await bench.publish(session, '', 'q', 'after', id('a'));
  assert.deepEqual(await texts(all, 'q'), ['number', 'text', 'no id', 'no id', 'after']);
  await bench.publish(session, '', 'q', 'purged', id('a'));
  await bench.vhost.purgeQueue(session, 'q');
  await bench.publish(session, '', 'q', 'expires', { ...id('a'), expiration: '5' });
  await all.clock.advance(10);
  await rest();
  await bench.publish(session, '', 'q', 'last', id('a'));
  assert.deepEqual(await texts(all, 'q'), ['last']);
});

test('with a cache, ids are remembered by number and time, whether their messages are there or not', async () => {
  const all = await opened();
  const { bench, session, clock } = all;
  await bench.queue(session, 'q', { ...on, 'x-cache-size': 2, 'x-cache-ttl': 1000, 'x-deduplication-header': 'key' });
  const publish = (body: string, key: string, more: FieldTable = {}) =>
    bench.publish(session, '', 'q', body, { headers: { key, ...more } });
  await publish('a1', 'a');
  assert.deepEqual(await texts(all, 'q'), ['a1']);
  await publish('a2', 'a');
  await publish('b1', 'b');
  await publish('c1', 'c');
  await publish('a3', 'a');
  await clock.advance(999);
  await publish('c2', 'c');
  await clock.advance(1);
  await publish('c3', 'c');
  await publish('d1', 'd', { 'x-cache-ttl': 5000 });
  await clock.advance(2000);
  await publish('d2', 'd');
  await clock.advance(3000);
  await publish('d3', 'd', { 'x-cache-ttl': 10 });
  await clock.advance(10);
  await publish('d4', 'd');
  assert.deepEqual(await texts(all, 'q'), ['b1', 'c1', 'a3', 'c3', 'd1', 'd3', 'd4']);
});

test('the exchange type of the plugin is a fanout that drops repeats; they are neither returned nor sent elsewhere', async () => {
  const all = await opened();
  const { bench, session, clock } = all;
  await bench.queue(session, 'spare');
  await bench.exchange(session, 'x', 'x-message-deduplication', {
    'x-cache-size': 10,
    'alternate-exchange': 'amq.fanout',
  });
  await bench.bind(session, 'spare', 'amq.fanout', '');
  for (const queue of ['a', 'b']) {
    await bench.queue(session, queue);
    await bench.bind(session, queue, 'x', 'whatever');
  }
  for (const body of ['1', '2', '3']) {
    const outcomes = await bench.publish(session, 'x', 'k', body, id('i', { 'x-cache-ttl': '100' }));
    assert.notEqual(outcomes, 'unroutable');
  }
  await clock.advance(100);
  await bench.publish(session, 'x', 'k', '4', id('i'));
  for (const queue of ['a', 'b']) assert.deepEqual(await texts(all, queue), ['1', '4']);
  assert.deepEqual([await bench.count('spare'), await duplicatesOf(all, 'x')], [0, 2]);
  await bench.vhost.deleteExchange(session, 'x', { ifUnused: false });
  await bench.exchange(session, 'x', 'x-message-deduplication', { 'x-cache-size': 10 });
  await bench.bind(session, 'a', 'x', '');
  await bench.publish(session, 'x', 'k', '5', id('i'));
  assert.deepEqual(await texts(all, 'a'), ['5'], 'the ids went with the exchange');
});

test('any exchange may look for repeats, on whatever way messages come to it', async () => {
  const all = await opened();
  const { bench, session } = all;
  await bench.exchange(session, 'inner', 'topic', { ...on, 'x-cache-size': 100 });
  await bench.vhost.bindExchange(session, {
    destination: 'inner',
    source: 'amq.direct',
    routingKey: 'k',
    arguments: {},
  });
  for (const queue of ['past', 'through', 'own']) await bench.queue(session, queue, queue === 'own' ? on : {});
  await bench.bind(session, 'past', 'amq.direct', 'k');
  for (const queue of ['through', 'own']) await bench.bind(session, queue, 'inner', '#');
  for (const body of ['1', '2']) await bench.publish(session, 'amq.direct', 'k', body, id('i'));
  await bench.publish(session, 'inner', 'other', '3', id('i'));
  await bench.publish(session, 'inner', 'other', '4', id('j'));
  assert.deepEqual(await texts(all, 'past'), ['1', '2']);
  assert.deepEqual(await texts(all, 'through'), ['1', '4']);
  assert.deepEqual(await texts(all, 'own'), ['1', '4']);
  await bench.publish(session, '', 'own', '5', id('i'));
  assert.deepEqual(await texts(all, 'own'), ['5']);
});

test('delayed messages count while they wait, and what is held is looked at when it was published', async () => {
  const all = await opened();
  const { bench, session, clock } = all;
  await bench.exchange(session, 'later', 'x-delayed-message', {
    'x-delayed-type': 'fanout',
    ...on,
    'x-cache-ttl': 1000,
  });
  for (const queue of ['q', 'own']) {
    await bench.queue(session, queue, queue === 'own' ? on : {});
    await bench.bind(session, queue, 'later', '');
  }
  await bench.publish(session, '', 'own', 'there', id('i'));
  for (const body of ['1', '2']) await bench.publish(session, 'later', '', body, id('i', { 'x-delay': 100 }));
  await bench.publish(session, '', 'own', 'd1', id('d', { 'x-delay': 100 }));
  await bench.publish(session, '', 'own', 'd2', id('d'));
  await clock.advance(100);
  await rest();
  await bench.publish(session, '', 'own', 'd3', id('d'));
  assert.deepEqual(await texts(all, 'q'), ['1']);
  assert.deepEqual(await texts(all, 'own'), ['there', 'd1']);
  await bench.publish(session, '', 'own', 'd4', id('d'));
  assert.deepEqual(await texts(all, 'own'), ['d4']);
});

test('dead letters count as publishes do, and leave their queue in any case', async () => {
  const all = await opened();
  const { bench, session } = all;
  await bench.queue(session, 'dead', on);
  await bench.queue(session, 'q', { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' });
  for (const body of ['1', '2']) {
    await bench.publish(session, '', 'q', body, id('i'));
    const got = await bench.get(session, 'q', false);
    await bench.commit((batch) => session.reject(batch, got!.tag, false, false));
    await rest();
  }
  assert.equal(await bench.count('q'), 0);
  assert.deepEqual(await texts(all, 'dead'), ['1']);
});

test('ids outlive a restart, those of queues and exchanges that are gone do not', async (t: TestContext) => {
  const directory = await mkdtemp(join(tmpdir(), 'deduplication-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const first = await opened(directory);
  const declare = async ({ bench, session }: Opened) => {
    await bench.queue(session, 'q', on);
    await bench.queue(session, 'transient', on, false);
    await bench.queue(session, 'cached', { ...on, 'x-cache-size': 5 });
    await bench.exchange(session, 'x', 'x-message-deduplication', { 'x-cache-size': 10 });
    await bench.bind(session, 'q', 'x', '');
  };
  const publish = async ({ bench, session }: Opened, body: string) => {
    await bench.publish(session, 'x', '', body, id('of x'));
    for (const queue of ['q', 'transient', 'cached']) await bench.publish(session, '', queue, body, id('i'));
  };
  await declare(first);
  await publish(first, '1');
  assert.deepEqual(await texts(first, 'cached'), ['1']);
  await first.bench.broker.close();
  for (const body of ['2', '3']) {
    const again = await opened(directory);
    await declare(again);
    await publish(again, body);
    assert.equal(await again.bench.count('q'), 2);
    assert.deepEqual(await texts(again, 'cached'), []);
    assert.deepEqual(await texts(again, 'transient'), [body]);
    await again.bench.broker.close();
  }
  const last = await opened(directory);
  assert.deepEqual(await texts(last, 'q'), ['1', '1']);
  await publish(last, '4');
  assert.deepEqual(await texts(last, 'q'), ['4'], 'it has left the queue, and the exchange has not forgotten');
  await last.bench.broker.close();
});

test('a delayed message keeps its id when it is due, over restarts too', async (t: TestContext) => {
  const directory = await mkdtemp(join(tmpdir(), 'deduplication-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const first = await opened(directory);
  await first.bench.queue(first.session, 'q', on);
  await first.bench.publish(first.session, '', 'q', 'd1', id('d', { 'x-delay': 100 }));
  await first.bench.broker.close();
  const second = await opened(directory);
  await second.clock.advance(100);
  await rest();
  assert.equal(await second.bench.count('q'), 1);
  assert.deepEqual(await second.bench.publish(second.session, '', 'q', 'd2', id('d')), [
    { item: 0, outcome: 'duplicate', reason: null },
  ]);
  await second.bench.broker.close();
  const third = await opened(directory);
  await third.bench.publish(third.session, '', 'q', 'd3', id('d'));
  assert.deepEqual(await texts(third, 'q'), ['d1']);
  await third.bench.publish(third.session, '', 'q', 'd4', id('d'));
  assert.deepEqual(await texts(third, 'q'), ['d4']);
  await third.bench.broker.close();
});

test('many that come and go leave nothing behind', async () => {
  const { bench, session } = await opened();
  await bench.queue(session, 'q', on);
  await bench.publish(session, '', 'q', 'stays', id('stays'));
  const kept = await bench.get(session, 'q', false);
  for (let i = 0; i < 5_000; i++) {
    await bench.publish(session, '', 'q', 'goes', id(`i${i}`));
    await bench.get(session, 'q');
  }
  assert.deepEqual((await bench.publish(session, '', 'q', 'x', id('stays')))?.length, 1);
  const engine = bench.engine as ReturnType<typeof memoryEngine>;
  const [window] = engine.identities.windows.values();
  assert.ok(window!.size < 2_100, `${window!.size} ids`);
  await bench.commit((batch) => session.ack(batch, kept!.tag, false));
  assert.equal(await bench.publish(session, '', 'q', 'x', id('stays')), null);
});

test('arguments are refused in the words of the plugin, those of queues in those of other arguments', async () => {
  const { bench, session } = await opened();
  const declare = (args: FieldTable) => bench.exchange(session, 'x', 'x-message-deduplication', args);
  const refused = (promise: Promise<void>, message: string) =>
    assert.rejects(promise, { code: 'PRECONDITION_FAILED', message });
  const size = "Missing or invalid argument, 'x-cache-size' must be an integer greater than 0";
  for (const wrong of [{}, { 'x-cache-size': 0 }, { 'x-cache-size': 'many' }, { 'x-cache-size': true }])
    await refused(declare(wrong), size);
  await refused(
    declare({ 'x-cache-size': '5', 'x-cache-ttl': -1 }),
    "Invalid argument, 'x-cache-ttl' must be an integer greater than 0",
  );
  await refused(
    declare({ 'x-cache-size': 5, 'x-cache-persistence': 'tape' }),
    "Invalid argument, 'x-cache-persistence' must be either 'disk' or 'memory'",
  );
  await declare({ 'x-cache-size': '5', 'x-cache-ttl': '100', 'x-cache-persistence': 'disk' });
  const queue = (args: FieldTable) => bench.queue(session, 'q', args);
  await refused(
    queue({ 'x-message-deduplication': 'yes' }),
    "invalid arg 'x-message-deduplication' for queue 'q' in vhost '/': {unacceptable_type,longstr}",
  );
  await refused(
    queue({ ...on, 'x-cache-size': -1 }),
    "invalid arg 'x-cache-size' for queue 'q' in vhost '/': {value_negative,-1}",
  );
  await queue({ ...on, 'x-cache-size': 5 });
  await assert.rejects(queue({ ...on, 'x-cache-size': 6 }), /inequivalent arg 'x-cache-size'/);
});

/** Queue q with a message of the id 1, held by a session whose transaction begins. */
async function holding(args: FieldTable) {
  const all = await opened();
  const { bench, session } = all;
  await bench.queue(session, 'q', { ...on, ...args });
  await bench.publish(session, '', 'q', 'before', id('1'));
  const { tag } = (await bench.get(session, 'q', false))!;
  const transaction = session.transact();
  const publish = (body: string) => {
    const message = messageOf(body, id('1'));
    transaction.publish(session.resolve(bench.vhost.route(session.principal, '', 'q'), message), message);
  };
  return { ...all, tag, transaction, publish };
}
const toItself = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'q' };

test('what a transaction puts in the place of a message that it acknowledges is no repeat of that', async () => {
  const all = await holding({});
  all.publish('behind');
  all.transaction.settle(all.tag, false, 'ack');
  all.publish('again');
  await all.transaction.commit();
  assert.deepEqual(await texts(all, 'q'), ['behind']);
});

test('what takes the place of an acknowledged message is judged by the limit of its queue', async () => {
  const all = await holding({ 'x-max-length': 1, 'x-overflow': 'reject-publish' });
  await all.bench.publish(all.session, '', 'q', 'other', id('2'));
  all.transaction.settle(all.tag, false, 'ack');
  all.publish('behind');
  await assert.rejects(all.transaction.commit(), /a queue is full/);
  assert.deepEqual(await texts(all, 'q'), ['other']);
});

test('a message rejected in a transaction goes back to its own queue as its dead letter', async () => {
  const all = await holding(toItself);
  all.transaction.settle(all.tag, false, 'drop');
  await all.transaction.commit();
  assert.deepEqual(await texts(all, 'q'), ['before']);
});

test('a rejected message goes back to its own queue as its dead letter', async () => {
  const all = await holding(toItself);
  await all.bench.commit((batch) => assert.ok(all.session.reject(batch, all.tag, false, false)));
  await rest();
  assert.deepEqual(await texts(all, 'q'), ['before']);
});

test('a transaction is judged by what its own messages push out of the ids that are remembered', async () => {
  const ids = fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { maxLength: 12 });
  const run = async (before: string[], within: string[], size: number): Promise<void> => {
    const all = await opened();
    const { bench, session } = all;
    await bench.exchange(session, 'x', 'x-message-deduplication', { 'x-cache-size': size });
    let remembered: string[] = [];
    const taken = (some: string[]): string[] =>
      some.filter((one) => {
        if (remembered.includes(one)) return false;
        remembered = [...remembered, one].slice(-size);
        return true;
      });
    const first = taken(before);
    const expected = [...first, ...taken(within)];
    for (const [queue, limit] of [
      ['fits', expected.length],
      ['full', expected.length - 1],
    ] as const) {
      if (limit < first.length) continue;
      await bench.queue(session, queue, { 'x-max-length': limit, 'x-overflow': 'reject-publish' });
      await bench.bind(session, queue, 'x', '');
      for (const one of before) await bench.publish(session, 'x', '', one, id(one));
      const transaction = session.transact();
      for (const one of within) {
        const message = messageOf(one, id(one));
        transaction.publish(session.resolve(bench.vhost.route(session.principal, 'x', ''), message), message);
      }
      if (queue === 'full') await assert.rejects(transaction.commit(), /a queue is full/);
      else await transaction.commit();
      assert.deepEqual(await texts(all, queue), queue === 'full' ? first : expected);
      await bench.vhost.deleteExchange(session, 'x', { ifUnused: false });
      await bench.exchange(session, 'x', 'x-message-deduplication', { 'x-cache-size': size });
    }
    await bench.broker.close();
  };
  await fc.assert(fc.asyncProperty(ids, ids, fc.integer({ min: 1, max: 4 }), run), { numRuns: 150 });
});
