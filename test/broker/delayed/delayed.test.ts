import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { answerControl, Broker, controlVerbs, describe } from '../../../src/broker/index.ts';
import { delayOf } from '../../../src/broker/delayed/delay-header.ts';
import { delayAt, mayNameRoutes } from '../../../src/broker/publish-properties.ts';
import type { ItemOutcome } from '../../../src/engine/engine.ts';
import { localEngine, memoryEngine } from '../../../src/engine/local/index.ts';
import { encodeProperties } from '../../../src/format/basic-properties.ts';
import { FieldTimestamp, type FieldTable, type FieldValue } from '../../../src/format/field-table.ts';
import { Bench, rest, until } from '../harness.ts';
import { ManualClock } from '../../conformance/manual-clock.ts';

const day = 86_400_000;

async function opened(engine?: (clock: ManualClock) => ReturnType<typeof memoryEngine>) {
  const clock = new ManualClock();
  const bench = new Bench((engine ?? memoryEngine)(clock));
  // The bench's broker tells the time by the system's clock.
  const broker = new Broker({ engine: bench.engine, clock, log: (line) => bench.lines.push(line) });
  Object.assign(bench, { broker });
  await bench.open();
  return { bench, clock, session: bench.session() };
}

const delayed = (ms: FieldValue, more: FieldTable = {}) => ({ headers: { 'x-delay': ms, ...more } });
const heldBy = async (bench: Bench, name: string) =>
  (await describe(bench.broker, bench.vhost)).exchanges.find((exchange) => exchange.name === name)?.delayed;

test('x-delay is read as the plugin reads it', () => {
  const of = (value: FieldValue) => delayOf({ 'x-delay': value });
  assert.deepEqual(
    [of(5), of(2n ** 60n), of('250'), of(Buffer.from('7')), of(12.9)],
    [5, Number.MAX_SAFE_INTEGER, 250, 7, 12],
  );
  for (const value of [0, -5, '-5', 0.5, NaN, '', 'soon', '1.5', true, null, [5], { ms: 5 }, new FieldTimestamp(5)]) {
    assert.equal(of(value), 0, JSON.stringify(value));
  }
  assert.equal(delayOf(null), 0);
});

test('only headers that may name routes or a delay are looked at', () => {
  const others = {
    n: null,
    t: true,
    i: -5,
    l: 2n ** 40n,
    d: 1.5,
    s: 'CC',
    x: Buffer.from('BCC'),
    T: new FieldTimestamp(1),
    A: ['CC', 1],
    F: { CC: ['k'], 'x-delay': 5 },
    'x-death': [],
    'x-delaz': 1,
    xx: 1,
    yyy: 2,
  };
  const looks = (headers: FieldTable): boolean => {
    const bytes = encodeProperties({ contentType: 'a', contentEncoding: 'b', headers, messageId: 'CC' });
    return mayNameRoutes(bytes, 0, bytes.length);
  };
  assert.equal(looks(others), false);
  for (const name of ['CC', 'BCC', 'x-delay']) {
    assert.equal(looks({ [name]: [] }), true, name);
    assert.equal(looks({ ...others, [name]: 1 }), true, name);
    assert.equal(looks({ [name]: 1, ...others }), true, name);
  }
});

test('a plain delay is found where it lies, as a proper look finds it, and nothing else is', () => {
  const value = fc.oneof(fc.integer(), fc.bigInt(-(2n ** 62n), 2n ** 62n), fc.string(), fc.double(), fc.constant([]));
  const names = fc.constantFrom('CC', 'BCC', 'x-delay', 'x-delaz', 'C', 'aCC', 'h');
  fc.assert(
    fc.property(fc.dictionary(names, value), (headers) => {
      const bytes = Buffer.concat([
        Buffer.alloc(3, 0x43),
        encodeProperties({ contentType: 'a', headers, messageId: 'm' }),
      ]);
      const at = delayAt(bytes, 3, bytes.length);
      const given = headers['x-delay'];
      const isPlain = (typeof given === 'number' && Number.isInteger(given)) || typeof given === 'bigint';
      if (headers['CC'] !== undefined || headers['BCC'] !== undefined) assert.equal(at, -1);
      if (at < 0) return;
      assert.ok(isPlain);
      const found = bytes[at] === 0x49 ? BigInt(bytes.readInt32BE(at + 1)) : bytes.readBigInt64BE(at + 1);
      assert.equal(found, BigInt(given));
    }),
    { numRuns: 500 },
  );
  const plain = encodeProperties({ headers: { a: 1, 'x-delay': 5 } });
  assert.ok(delayAt(plain, 0, plain.length) > 0);
});

test('x-delay delays on any exchange: routed when published, there when it is due', async () => {
  const { bench, clock, session } = await opened();
  for (const queue of ['a', 'b', 'late']) await bench.queue(session, queue);
  await bench.bind(session, 'a', 'amq.fanout', '');
  await bench.bind(session, 'b', 'amq.fanout', '');
  const outcomes = await bench.publish(session, 'amq.fanout', 'k', 'later', delayed(5 * 365 * day, { h: 1 }));
  assert.ok(Array.isArray(outcomes) && (outcomes as readonly ItemOutcome[])[0]?.outcome === 'waiting');
  await bench.publish(session, 'amq.fanout', 'k', 'now', delayed(-3));
  await bench.bind(session, 'late', 'amq.fanout', '');
  assert.deepEqual([await bench.count('a'), await bench.count('b')], [1, 1]);
  assert.equal((await bench.get(session, 'a'))?.body, 'now');
  await clock.jump(5 * 365 * day - 1);
  await rest();
  assert.equal(await bench.count('a'), 0);
  await clock.jump(1);
  await rest();
  const got = await bench.get(session, 'a');
  assert.deepEqual([got?.body, got?.exchange, got?.routingKey, got?.redelivered], ['later', 'amq.fanout', 'k', false]);
  assert.deepEqual({ ...got?.properties.headers }, { h: 1, 'x-delay': -5 * 365 * day });
  assert.deepEqual([await bench.count('b'), await bench.count('late')], [2, 0]);
});

test('a time to live begins when the message is due', async () => {
  const { bench, clock, session } = await opened();
  await bench.queue(session, 'q');
  await bench.publish(session, '', 'q', 'brief', { ...delayed(1000), expiration: '500' });
  await clock.jump(1400);
  await rest();
  assert.equal(await bench.count('q'), 1);
  await clock.jump(200);
  await rest();
  assert.equal(await bench.get(session, 'q'), null);
});

test('CC and BCC count for what is delayed too', async () => {
  const { bench, clock, session } = await opened();
  for (const queue of ['q', 'cc', 'bcc']) await bench.queue(session, queue);
  await bench.publish(session, '', 'q', 'x', delayed(10, { CC: ['cc'], BCC: ['bcc'] }));
  await clock.jump(10);
  await rest();
  for (const queue of ['q', 'cc', 'bcc']) {
    const headers = (await bench.get(session, queue))?.properties.headers;
    assert.deepEqual({ ...headers }, { CC: ['cc'], 'x-delay': -10 }, queue);
  }
});

test('an x-delayed-message exchange holds the message, and routes it by the bindings of then', async () => {
  const { bench, clock, session } = await opened();
  await bench.exchange(session, 'later', 'x-delayed-message', { 'x-delayed-type': 'topic' });
  for (const queue of ['early', 'between', 'other']) await bench.queue(session, queue);
  await bench.bind(session, 'early', 'later', 'a.*');
  await bench.publish(session, 'later', 'a.b', 'held', delayed(1000));
  await bench.publish(session, 'later', 'a.c', 'at once');
  assert.deepEqual([await bench.count('early'), await heldBy(bench, 'later')], [1, 1]);
  await bench.vhost.unbindQueue(session, { queue: 'early', exchange: 'later', routingKey: 'a.*', arguments: {} });
  await bench.bind(session, 'between', 'later', '#.b');
  await bench.bind(session, 'other', 'later', 'c.*');
  await clock.jump(999);
  await rest();
  assert.equal(await bench.count('between'), 0);
  await clock.jump(1);
  await until(() => bench.engine.queue('1:/7:between') !== undefined, 'the queue');
  await rest();
  const got = await bench.get(session, 'between');
  assert.deepEqual([got?.body, got?.exchange, got?.routingKey, got?.redelivered], ['held', 'later', 'a.b', false]);
  assert.deepEqual({ ...got?.properties.headers }, { 'x-delay': -1000 });
  assert.deepEqual([await bench.count('early'), await bench.count('other'), await heldBy(bench, 'later')], [1, 0, 0]);
});

test('BCC leads on from an exchange that holds the message, and nobody sees it', async () => {
  const { bench, clock, session } = await opened();
  await bench.exchange(session, 'later', 'x-delayed-message', { 'x-delayed-type': 'direct' });
  for (const queue of ['to', 'cc', 'bcc']) {
    await bench.queue(session, queue);
    await bench.bind(session, queue, 'later', queue);
  }
  await bench.publish(session, 'later', 'to', 'x', delayed(10, { h: 1, CC: ['cc'], BCC: ['bcc'] }));
  const list = JSON.stringify({ verb: 'list-delayed', exchange: 'later' });
  const listed = await answerControl(list, controlVerbs, session, (error) => {
    throw error;
  });
  const [shown] = (listed as unknown as { messages: { properties: { headers: object } }[] }).messages;
  assert.deepEqual(shown?.properties.headers, { h: 1, CC: ['cc'], 'x-delay': -10 });
  await clock.jump(10);
  await rest();
  for (const queue of ['to', 'cc', 'bcc']) {
    const headers = (await bench.get(session, queue))?.properties.headers;
    assert.deepEqual({ ...headers }, { h: 1, CC: ['cc'], 'x-delay': -10 }, queue);
  }
});

test('nobody sees BCC of a message that is held and goes past as well', async () => {
  const { bench, clock, session } = await opened();
  await bench.exchange(session, 'later', 'x-delayed-message', { 'x-delayed-type': 'direct' });
  await bench.vhost.bindExchange(session, {
    destination: 'later',
    source: 'amq.direct',
    routingKey: 'to',
    arguments: {},
  });
  for (const queue of ['past', 'through', 'bcc']) await bench.queue(session, queue);
  await bench.bind(session, 'past', 'amq.direct', 'to');
  await bench.bind(session, 'bcc', 'amq.direct', 'bcc');
  await bench.bind(session, 'through', 'later', 'to');
  await bench.publish(session, 'amq.direct', 'to', 'at once', { headers: { h: 1, BCC: ['bcc'] } });
  await bench.publish(session, 'amq.direct', 'to', 'later', delayed(10, { h: 1, BCC: ['bcc'] }));
  await clock.jump(10);
  await rest();
  for (const queue of ['past', 'through', 'bcc']) {
    assert.deepEqual({ ...(await bench.get(session, queue))?.properties.headers }, { h: 1 }, queue);
    assert.deepEqual({ ...(await bench.get(session, queue))?.properties.headers }, { h: 1, 'x-delay': -10 }, queue);
  }
});

test('one is held wherever on its way it comes to such an exchange, with what goes past it delayed as well', async () => {
  const { bench, clock, session } = await opened();
  await bench.exchange(session, 'later', 'x-delayed-message', { 'x-delayed-type': 'fanout' });
  await bench.vhost.bindExchange(session, {
    destination: 'later',
    source: 'amq.direct',
    routingKey: 'k',
    arguments: {},
  });
  for (const queue of ['through', 'past']) await bench.queue(session, queue);
  await bench.bind(session, 'past', 'amq.direct', 'k');
  await bench.bind(session, 'through', 'later', '');
  await bench.publish(session, 'amq.direct', 'k', 'x', delayed(10));
  await bench.publish(session, 'amq.direct', 'k', 'now');
  assert.deepEqual([await bench.count('through'), await bench.count('past')], [1, 1]);
  await clock.jump(10);
  await rest();
  assert.deepEqual([await bench.count('through'), await bench.count('past')], [2, 2]);
  await bench.get(session, 'through');
  assert.equal((await bench.get(session, 'through'))?.exchange, 'amq.direct');
});

test('what is held keeps priority, headers routing and its time to live for when it is due', async () => {
  const { bench, clock, session } = await opened();
  await bench.exchange(session, 'later', 'x-delayed-message', { 'x-delayed-type': 'headers' });
  await bench.queue(session, 'q', { 'x-max-priority': 5 });
  await bench.bind(session, 'q', 'later', '', { colour: 'red' });
  await assert.rejects(bench.bind(session, 'q', 'later', '', { 'x-match': 'some' }), /Invalid x-match field value/);
  await bench.publish(session, 'later', '', 'low', { ...delayed(10, { colour: 'red' }), expiration: '500' });
  await bench.publish(session, 'later', '', 'high', { ...delayed(10, { colour: 'red' }), priority: 4 });
  await bench.publish(session, 'later', '', 'blue', delayed(10, { colour: 'blue' }));
  await clock.jump(10);
  await rest();
  assert.equal((await bench.get(session, 'q'))?.body, 'high');
  await clock.jump(499);
  await rest();
  assert.equal(await bench.count('q'), 1);
  await clock.jump(2);
  await rest();
  assert.equal(await bench.get(session, 'q'), null);
  assert.equal(await heldBy(bench, 'later'), 0);
});

test('what is due together is routed in several turns where that takes long, in its order', async () => {
  const clock = new ManualClock();
  const bench = new Bench(memoryEngine(clock));
  const broker = new Broker({ engine: bench.engine, clock, settings: { longSearchMs: -1 } });
  Object.assign(bench, { broker });
  await bench.open();
  const session = bench.session();
  await bench.exchange(session, 'later', 'x-delayed-message', { 'x-delayed-type': 'headers' });
  await bench.queue(session, 'q');
  await bench.bind(session, 'q', 'later', '', { 'x-match': 'all' });
  for (let n = 0; n < 50; n++) await bench.publish(session, 'later', '', `${n}`, delayed(10));
  await clock.jump(10);
  while ((await bench.count('q')) === 0) await rest(1);
  assert.ok((await bench.count('q')) < 50, 'all in one turn');
  await rest(100);
  for (let n = 0; n < 50; n++) assert.equal((await bench.get(session, 'q'))?.body, `${n}`);
  assert.equal(await heldBy(bench, 'later'), 0);
  await broker.close();
});

test('a queue that refuses a message keeps it from no other', async () => {
  const { bench, clock, session } = await opened();
  await bench.exchange(session, 'later', 'x-delayed-message', { 'x-delayed-type': 'fanout' });
  await bench.queue(session, 'small', { 'x-max-length': 1, 'x-overflow': 'reject-publish' });
  await bench.queue(session, 'large');
  for (const queue of ['small', 'large']) await bench.bind(session, queue, 'later', '');
  for (let i = 0; i < 600; i++) await bench.publish(session, 'later', '', `m${i}`, delayed(10));
  assert.equal(await heldBy(bench, 'later'), 600);
  await clock.jump(10);
  for (let i = 0; i < 200 && (await heldBy(bench, 'later')) !== 0; i++) await rest();
  assert.deepEqual([await bench.count('small'), await bench.count('large')], [1, 600]);
});

test('the default exchange leads to no queue of an exchange, and the exchange takes what it holds with it', async () => {
  const { bench, clock, session } = await opened();
  await bench.exchange(session, 'later', 'x-delayed-message', { 'x-delayed-type': 'direct' });
  await bench.queue(session, 'q');
  await bench.bind(session, 'q', 'later', 'k');
  await bench.publish(session, 'later', 'k', 'gone', delayed(10));
  assert.deepEqual([...bench.vhost.graph.queues.keys()], ['q']);
  assert.equal(bench.engine.queue('exchange:1:/5:later')?.deleted, false);
  await bench.vhost.deleteExchange(session, 'later', { ifUnused: false });
  assert.equal(bench.engine.queue('exchange:1:/5:later'), undefined);
  await bench.exchange(session, 'later', 'x-delayed-message', { 'x-delayed-type': 'direct' });
  await bench.bind(session, 'q', 'later', 'k');
  await bench.publish(session, 'later', 'k', 'kept', delayed(20));
  await clock.jump(20);
  await rest();
  assert.equal((await bench.get(session, 'q'))?.body, 'kept');
  assert.equal(await bench.count('q'), 0);
});

test('an exchange that goes with its last queue takes its messages with it', async () => {
  const { bench, session } = await opened();
  const traits = { name: 'auto', type: 'x-delayed-message', durable: true, autoDelete: true, internal: false };
  await bench.vhost.declareExchange(session, { ...traits, arguments: { 'x-delayed-type': 'direct' } });
  await bench.queue(session, 'q');
  await bench.bind(session, 'q', 'auto', 'k');
  await bench.vhost.deleteQueue(session, 'q', { ifUnused: true, ifEmpty: true });
  assert.equal(bench.vhost.graph.exchanges.has('auto'), false);
  assert.equal(bench.engine.queue('exchange:1:/4:auto'), undefined);
});

test('arguments are refused in the words of the plugin', async () => {
  const { bench, session } = await opened();
  const declare = (args: FieldTable) => bench.exchange(session, 'later', 'x-delayed-message', args);
  const missing = {
    code: 'PRECONDITION_FAILED',
    message: "Invalid argument, 'x-delayed-type' must be an existing exchange type",
  };
  await assert.rejects(declare({}), missing);
  await assert.rejects(declare({ 'x-delayed-type': 5 }), missing);
  await assert.rejects(declare({ 'x-delayed-type': 'x-delayed-message' }), {
    code: 'PRECONDITION_FAILED',
    message: "Invalid argument, 'x-delayed-message' can't be used for 'x-delayed-type'",
  });
  await assert.rejects(declare({ 'x-delayed-type': 'sideways' }), {
    code: 'PRECONDITION_FAILED',
    message: "unknown exchange type 'sideways'",
  });
  await declare({ 'x-delayed-type': 'direct' });
  await declare({});
});

test('what is held outlives a restart, due meanwhile or later', async (t: TestContext) => {
  const directory = await mkdtemp(join(tmpdir(), 'delayed-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const first = await opened((clock) => localEngine(directory, { clock }));
  await first.bench.exchange(first.session, 'later', 'x-delayed-message', { 'x-delayed-type': 'direct' });
  await first.bench.queue(first.session, 'q');
  await first.bench.bind(first.session, 'q', 'later', 'k');
  await first.bench.publish(first.session, 'later', 'k', 'soon', delayed(1000));
  await first.bench.publish(first.session, 'later', 'k', 'far', delayed(day));
  await first.bench.broker.close();

  const again = await opened((clock) => localEngine(directory, { clock }));
  const { bench, clock, session } = again;
  assert.deepEqual([...bench.vhost.graph.queues.keys()], ['q']);
  assert.equal(await heldBy(bench, 'later'), 2);
  await clock.jump(1000);
  await bench.engine.stats(bench.engine.queue('1:/1:q')!);
  for (let i = 0; i < 100 && (await bench.count('q')) === 0; i++) await rest();
  assert.equal((await bench.get(session, 'q'))?.body, 'soon');
  assert.equal(await heldBy(bench, 'later'), 1);
  await clock.jump(day);
  for (let i = 0; i < 100 && (await bench.count('q')) === 0; i++) await rest();
  assert.equal((await bench.get(session, 'q'))?.body, 'far');
  await bench.broker.close();
});

test('a page of what is delayed ends at a megabyte, and a connection gets one page at a time', async () => {
  const { bench, session } = await opened();
  await bench.queue(session, 'q');
  for (let i = 0; i < 7; i++) {
    await bench.publish(session, '', 'q', `${i}`, delayed(day, { h: 'h'.repeat(300_000) }));
  }
  let underWay = 0;
  let most = 0;
  const { engine } = bench;
  const waiting = engine.waiting.bind(engine);
  engine.waiting = async (...args) => {
    most = Math.max(most, ++underWay);
    await rest();
    const found = await waiting(...args);
    underWay--;
    return found;
  };
  const list = async (after: number) => {
    const request = JSON.stringify({ verb: 'list-delayed', queue: 'q', after });
    const { messages, next } = (await answerControl(request, controlVerbs, session, (error) => {
      throw error;
    })) as unknown as { messages: { id: number }[]; next: number | null };
    return [messages.map(({ id }) => id), next];
  };
  assert.deepEqual(await Promise.all([list(0), list(4), list(3)]), [
    [[1, 2, 3, 4], 4],
    [[5, 6, 7], null],
    [[4, 5, 6, 7], 7],
  ]);
  assert.deepEqual(await list(7), [[], null]);
  assert.equal(most, 1);
});
