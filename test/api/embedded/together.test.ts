/** What is published, handled and acknowledged within a turn goes the short way: together. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { connect, type Mq } from '../../../src/index.ts';
import { take, until } from '../bench.ts';

describe('messages of one turn', () => {
  let mq!: Mq;

  beforeEach(async () => {
    mq = await connect('memory:', { log: () => undefined });
  });

  afterEach(() => mq.close());

  const long = 'l'.repeat(70_000);
  const cases: Record<string, readonly unknown[]> = {
    'plain texts, more than are written at once': Array.from(
      { length: 2_000 },
      (_, n) => `text ${n} ${'.'.repeat(n % 97)}`,
    ),
    'texts of several bytes a character among plain ones': Array.from(
      { length: 2_000 },
      (_, n) => `${n % 500 === 499 ? 'ä€😀' : 'a'} ${n}`,
    ),
    'texts that end where the room does': [
      'a'.repeat(65_531),
      'b'.repeat(65_530),
      'c'.repeat(65_529),
      'ä'.repeat(32_766),
      'd',
    ],
    'half a character': ['a', '\ud83d', '\ude00', 'b'],
    'long texts and bytes among others': [
      1,
      long,
      2,
      Buffer.from([1, 255]),
      3,
      'ä'.repeat(70_000),
      4,
      Buffer.alloc(100_000, 7),
      5,
    ],
    'objects that look like others': [
      { constructor: 'a' },
      { constructor: null },
      Object.create(null),
      { toString: 1 },
      [],
    ],
  };
  for (const [what, payloads] of Object.entries(cases)) {
    it(`come as they were, in their order: ${what}`, async () => {
      const queue = await mq.queue('orders');
      await Promise.all(payloads.map((payload) => queue.publish(payload)));
      const got = (await take(queue, payloads.length)).map(({ payload }) => payload);
      const sent = payloads.map((payload) =>
        Buffer.isBuffer(payload) ? payload : (JSON.parse(JSON.stringify(payload)) as unknown),
      );
      assert.deepEqual(got, sent);
    });
  }

  it('come as they were where some of them can be published nowhere', async () => {
    const [queue, gone] = [await mq.queue('orders'), await mq.queue('gone')];
    await gone.delete();
    const answers = await Promise.allSettled(
      Array.from({ length: 100 }, (_, n) => (n % 3 === 1 ? gone : queue).publish(`${n % 30 === 0 ? 'ä' : 'a'} ${n}`)),
    );
    const stored = answers.flatMap(({ status }, n) => (status === 'fulfilled' ? [n] : []));
    assert.deepEqual(
      stored,
      Array.from({ length: 100 }, (_, n) => n).filter((n) => n % 3 !== 1),
    );
    const got = (await take(queue, stored.length)).map(({ payload }) => payload);
    assert.deepEqual(
      got,
      stored.map((n) => `${n % 30 === 0 ? 'ä' : 'a'} ${n}`),
    );
  });

  for (const holding of [[7, 30], [0], [0, 1, 49], [49], []]) {
    it(`are acknowledged but for those that are still handled (${holding.join(', ') || 'none'})`, async () => {
      const queue = await mq.queue<number>('orders');
      const never = new Promise<void>(() => undefined);
      let begun = 0;
      const consumer = await queue.consume(
        (n) => {
          begun += 1;
          return holding.includes(n) ? never : n % 3 === 0 ? Promise.resolve() : undefined;
        },
        { concurrency: 100 },
      );
      await queue.publishAll(Array.from({ length: 50 }, (_, n) => n));
      await until('all have begun', () => begun === 50);
      await until('the others are acknowledged', async () => (await queue.stats()).unacked === holding.length);
      await consumer.close({ graceMs: 0 });
      const left = (await queue.peek(50)).map(({ payload }) => payload);
      assert.deepEqual(left, holding);
    });
  }
});
