/** What waits for a broker that is away, and when it is told to be back. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { connect, type EmbeddedMq } from '../../../src/index.ts';
import { rejects, settledTo, sleep, until } from '../bench.ts';
import { CuttableProxy } from '../cuttable-proxy.ts';

describe('a broker that was away', () => {
  let broker!: EmbeddedMq;
  let proxy!: CuttableProxy;
  let url = '';

  before(async () => {
    broker = await connect('memory:', { log: () => undefined });
    const { amqp } = await broker.listen({ amqp: { port: 0 } });
    proxy = new CuttableProxy(() => amqp!.port);
    url = `amqp://127.0.0.1:${await proxy.listen()}`;
  });
  after(async () => {
    await proxy.close();
    await broker.close();
  });
  beforeEach(() => {
    proxy.refusing = false;
  });

  it('is told to be back once consumers are', async () => {
    await using mq = await connect(url);
    const queues = await Promise.all(['back-1', 'back-2', 'back-3'].map((name) => broker.queue(name)));
    for (const { name } of queues) await (await mq.queue(name)).consume(() => undefined);
    const consumers: Promise<number[]>[] = [];
    mq.on('reconnected', () => {
      consumers.push(Promise.all(queues.map(async (queue) => (await queue.stats()).consumers)));
    });
    for (const round of [1, 2, 3]) {
      proxy.cut();
      await until('it is told', () => consumers.length === round);
      assert.deepEqual(await consumers.at(-1), [1, 1, 1]);
    }
  });

  it('gets delayed messages too, however long it was away', async () => {
    await using mq = await connect(url, { connectTimeoutMs: 1_000 });
    const queue = await mq.queue<number>('delayed');
    proxy.refusing = true;
    proxy.cut();
    await until('it is gone', () => proxy.open === 0);
    let answered = false;
    const published = queue.publish(1, { delayMs: 20 }).finally(() => (answered = true));
    await sleep(1_300);
    assert.ok(!answered);
    proxy.refusing = false;
    await published;
    await settledTo(await broker.queue('delayed'), 1);
  });

  it('is not waited for by a close: delayed messages are rejected', async () => {
    const mq = await connect(url);
    const queue = await mq.queue<number>('closed');
    proxy.refusing = true;
    proxy.cut();
    await until('it is gone', () => proxy.open === 0);
    const given = rejects(queue.publish(1, { delayMs: 20 }), 'CLOSED');
    await sleep(50);
    await mq.close();
    await given;
  });

  it('is waited for by each question for as long as connecting may take, however many there are', async () => {
    await using mq = await connect(url, { connectTimeoutMs: 2_000 });
    const queue = await mq.queue<number>('questions');
    proxy.refusing = true;
    proxy.cut();
    await until('it is gone', () => proxy.open === 0);
    const start = performance.now();
    const questions = [queue.stats(), queue.purge(), queue.stats(), queue.peek(), queue.consume(() => undefined)];
    await Promise.all(questions.map((question) => rejects(question, 'UNREACHABLE')));
    const took = performance.now() - start;
    // One after the other would be five times that.
    assert.ok(took > 1_950 && took < 9_000, `it took ${took} ms`);
  });

  it('is not waited for by a close beside a request that waits', async () => {
    const mq = await connect(url);
    const queue = await mq.queue<number>('closing');
    await (await broker.queue<number>('closing')).respond((payload) => payload);
    assert.equal(await queue.request(1), 1);
    proxy.refusing = true;
    proxy.cut();
    await until('it is gone', () => proxy.open === 0);
    const asked = rejects(queue.request(2, { timeoutMs: 300_000 }), 'CLOSED');
    await mq.close({ graceMs: 100 });
    await asked;
  });

  it('is asked for as long as a request may take, and not later', async () => {
    await using mq = await connect(url, { connectTimeoutMs: 1_000 });
    const queue = await mq.queue<number>('asked');
    proxy.refusing = true;
    proxy.cut();
    await until('it is gone', () => proxy.open === 0);
    await rejects(queue.request(1, { timeoutMs: 50 }), 'TIMEOUT');
    await rejects(queue.request(2, { signal: AbortSignal.timeout(20) }), 'ABORTED');
    const asked = queue.request(3, { timeoutMs: 60_000 });
    await sleep(1_300);
    proxy.refusing = false;
    const got: number[] = [];
    await (await broker.queue<number>('asked')).respond((payload) => got.push(payload));
    assert.equal(await asked, 1);
    // Not sent any more when nobody waits for it: it would come before this one.
    proxy.refusing = true;
    proxy.cut();
    await until('it is gone', () => proxy.open === 0);
    await sleep(50);
    await rejects(queue.request(4, { timeoutMs: 50 }), 'TIMEOUT');
    proxy.refusing = false;
    assert.equal(await queue.request(5), 2);
    assert.deepEqual(got, [3, 5]);
  });
});
