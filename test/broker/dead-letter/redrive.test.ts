import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { answerControl, controlVerbs } from '../../../src/broker/index.ts';
import { memoryEngine } from '../../../src/engine/local/index.ts';
import type { BasicProperties } from '../../../src/format/basic-properties.ts';
import type { FieldTable } from '../../../src/format/field-table.ts';
import { Bench, rest } from '../harness.ts';

/** Queues a and b, whose dead letters go to queue dead. */
async function opened(args: FieldTable = {}) {
  const bench = await new Bench(memoryEngine()).open();
  const session = bench.session();
  await bench.queue(session, 'dead');
  const dead = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' };
  for (const queue of ['a', 'b']) await bench.queue(session, queue, { ...dead, ...args });
  const ask = (request: object) =>
    answerControl(JSON.stringify({ verb: 'redrive', queue: 'dead', ...request }), controlVerbs, session, (error) => {
      throw error;
    });
  const kill = async (queue: string, body: string, properties: BasicProperties = {}) => {
    await bench.publish(session, '', queue, body, properties);
    const got = await bench.get(session, queue, false);
    await bench.commit((batch) => session.reject(batch, got!.tag, false, false));
    await rest();
  };
  const texts = async (queue: string): Promise<string[]> => {
    const found: string[] = [];
    for (let got = await bench.get(session, queue); got !== null; got = await bench.get(session, queue)) {
      found.push(got.body);
    }
    return found;
  };
  return { bench, session, ask, kill, texts };
}

test('dead letters go back where they came from, as they were', async () => {
  const { bench, session, ask, kill, texts } = await opened();
  await kill('a', '1', { headers: { h: 1, CC: ['nowhere'] }, messageId: 'm' });
  await kill('b', '2');
  await kill('a', '3');
  await bench.publish(session, '', 'dead', 'never died');
  assert.deepEqual(await ask({}), { ok: true, moved: 3, stayed: 1, stopped: null });
  const got = await bench.get(session, 'a');
  assert.deepEqual([got?.body, got?.exchange, got?.routingKey, got?.redelivered], ['1', '', 'a', false]);
  assert.deepEqual({ ...got?.properties.headers }, { h: 1 });
  assert.equal(got?.properties.messageId, 'm');
  assert.deepEqual([await texts('a'), await texts('b'), await texts('dead')], [['3'], ['2'], ['never died']]);
});

test('a part of them: by number, reason, origin and id', async () => {
  const { bench, session, ask, kill, texts } = await opened({ 'x-max-length': 1 });
  for (const [queue, body] of [
    ['a', '1'],
    ['b', '2'],
    ['a', '3'],
  ] as const) {
    await kill(queue, body, { messageId: `m${body}` });
  }
  await bench.publish(session, '', 'b', 'out', { messageId: 'm4' });
  await bench.publish(session, '', 'b', 'in');
  await rest();
  await texts('b');
  assert.deepEqual(await ask({ messageId: 'm3' }), { ok: true, moved: 1, stayed: 3, stopped: null });
  assert.deepEqual(await texts('a'), ['3']);
  assert.deepEqual(await ask({ reason: 'maxlen' }), { ok: true, moved: 1, stayed: 2, stopped: null });
  assert.deepEqual(await texts('b'), ['out']);
  assert.deepEqual(await ask({ from: 'b' }), { ok: true, moved: 1, stayed: 1, stopped: null });
  assert.deepEqual(await texts('b'), ['2']);
  assert.deepEqual(await ask({ limit: 1 }), { ok: true, moved: 1, stayed: 0, stopped: null });
  assert.deepEqual([await texts('a'), await texts('dead')], [['1'], []]);
});

test('what its origin refuses stays, and so does what has none', async () => {
  const { bench, session, ask, kill, texts } = await opened({ 'x-max-length': 2, 'x-overflow': 'reject-publish' });
  for (let i = 0; i < 5; i++) await kill('a', `a${i}`);
  await kill('b', 'b0');
  await bench.vhost.deleteQueue(session, 'b', { ifUnused: false, ifEmpty: false });
  assert.deepEqual(await ask({}), { ok: true, moved: 2, stayed: 4, stopped: null });
  assert.deepEqual(
    [await texts('a'), await texts('dead')],
    [
      ['a0', 'a1'],
      ['a2', 'a3', 'a4', 'b0'],
    ],
  );
});

test('what is looked at and stays was not delivered', async () => {
  for (const limit of [2, null]) {
    const { bench, session, ask, kill } = await opened();
    await bench.vhost.deleteQueue(session, 'dead', { ifUnused: false, ifEmpty: false });
    await bench.queue(session, 'dead', limit === null ? {} : { 'x-delivery-limit': limit });
    for (const body of ['1', '2']) await kill('a', body);
    for (let times = 0; times < 4; times++) {
      assert.deepEqual(await ask({ reason: 'expired' }), { ok: true, moved: 0, stayed: 2, stopped: null });
    }
    for (const body of ['1', '2']) {
      const got = await bench.get(session, 'dead');
      assert.deepEqual([got?.body, got?.redelivered], [body, false]);
    }
  }
});

test('a rate is kept, and ends with the session that asked', async (t: TestContext) => {
  // The broker's timers keep no process alive.
  const alive = setInterval(() => undefined, 1_000);
  t.after(() => clearInterval(alive));
  const { bench, session, ask, kill } = await opened();
  for (let i = 0; i < 4; i++) await kill('a', `${i}`);
  const since = performance.now();
  assert.deepEqual(await ask({ limit: 3, ratePerSecond: 50 }), { ok: true, moved: 3, stayed: 0, stopped: null });
  assert.ok(performance.now() - since >= 38);
  await kill('b', 'more');
  const slow = ask({ ratePerSecond: 0.5 });
  while ((await bench.count('dead')) > 1) await new Promise((resolve) => setTimeout(resolve, 5));
  await session.close();
  assert.deepEqual(await slow, { ok: true, moved: 1, stayed: 0, stopped: 'gone' });
  assert.equal(await bench.count('dead'), 1);
});

test('requests that can not be are refused', async () => {
  const { bench, session, ask } = await opened();
  await bench.queue(session, 's', { 'x-queue-type': 'stream' });
  for (const [request, code, message] of [
    [{ queue: 'no' }, 'NOT_FOUND', "no queue 'no' in vhost '/'"],
    [{ queue: 's' }, 'PRECONDITION_FAILED', "queue 's' in vhost '/' is a stream, from which nothing is taken"],
    [{ ratePerSecond: 0 }, 'COMMAND_INVALID', 'redrive: ratePerSecond must be a number of at least 0.001'],
    [{ limit: 0 }, 'COMMAND_INVALID', 'redrive: limit must be a whole number from 1 to 9007199254740991'],
  ] as const) {
    assert.deepEqual(await ask(request), { ok: false, code, message });
  }
});
