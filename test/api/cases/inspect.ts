import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Bench, settledTo, take, until } from '../bench.ts';

export function inspectCases(bench: Bench): void {
  const { name } = bench;

  describe('looking', () => {
    it('peeks at the first messages and leaves them', async () => {
      const queue = await bench.mq.queue<number>(name());
      assert.deepEqual(await queue.peek(), []);
      await queue.publishAll(Array.from({ length: 15 }, (_, index) => index));
      const seen = await queue.peek();
      assert.deepEqual(
        seen.map(({ payload }) => payload),
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
      );
      assert.equal(seen[0]!.settled, true);
      assert.equal((await queue.peek(100)).length, 15);
      await settledTo(queue, 15);
      const got = await take(queue, 15);
      assert.deepEqual(
        got.map(({ payload }) => payload),
        Array.from({ length: 15 }, (_, index) => index),
      );
    });

    it('counts', async () => {
      const queue = await bench.mq.queue<number>(name());
      await queue.publishAll([1, 2, 3]);
      const consumer = await queue.consume(() => new Promise(() => undefined), { prefetch: 1 });
      await settledTo(queue, 2);
      await until('one consumes', async () => (await queue.stats()).consumers === 1);
      assert.equal((await queue.stats()).unacked, bench.kind === 'embedded' ? 1 : null);
      await consumer.close({ graceMs: 0 });
    });

    it('counts what waits for its time apart', async () => {
      const queue = await bench.mq.queue<number>(name());
      await queue.publish(1, { delayMs: 60_000 });
      await queue.publish(2);
      await settledTo(queue, 1);
      assert.equal((await queue.stats()).delayed, bench.kind === 'embedded' ? 1 : null);
      assert.equal((await queue.peek()).length, 1);
      assert.equal(await queue.purge(), 1);
      assert.equal((await queue.stats()).delayed, bench.kind === 'embedded' ? 1 : null);
    });

    it('purges and deletes', async () => {
      const queue = await bench.mq.queue<number>(name());
      await queue.publishAll([1, 2, 3]);
      assert.equal(await queue.purge(), 3);
      assert.equal(await queue.purge(), 0);
      await queue.publish(4);
      assert.equal(await queue.delete(), 1);
      assert.equal(await queue.delete(), 0);
    });

    it('lets other programs see the same', async () => {
      const queue = await bench.mq.queue<{ n: number }>(name());
      await using other = await bench.other();
      const there = await other.queue<{ n: number }>(queue.name);
      await there.publish({ n: 1 }, { headers: { from: 'there' } });
      const [message] = await take(queue, 1);
      assert.deepEqual(message!.payload, { n: 1 });
      assert.equal(message!.headers['from'], 'there');
      await queue.publish({ n: 2 });
      assert.deepEqual((await take(there, 1))[0]!.payload, { n: 2 });
    });
  });
}
