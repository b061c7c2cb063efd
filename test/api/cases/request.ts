import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Bench, rejects, settledTo, sleep } from '../bench.ts';

export function requestCases(bench: Bench): void {
  const { name } = bench;

  describe('requests', () => {
    it('are answered with what the handler returns', async () => {
      const queue = await bench.mq.queue<number>(name());
      const service = await queue.respond(async (payload) => ({ double: payload * 2 }), { concurrency: 10 });
      const answers = await Promise.all(
        Array.from({ length: 100 }, (_, index) => queue.request<{ double: number }>(index)),
      );
      assert.deepEqual(
        answers.map(({ double }) => double),
        Array.from({ length: 100 }, (_, index) => index * 2),
      );
      await service.close();
    });

    it('may be answered by another program', async () => {
      const queue = await bench.mq.queue<string>(name());
      await using other = await bench.other();
      const there = await other.queue<string>(queue.name, { declare: false });
      await there.respond((payload) => `${payload}!`);
      assert.equal(await queue.request('hello'), 'hello!');
    });

    it('fail with the words of the handler', async () => {
      const queue = await bench.mq.queue<number>(name());
      const service = await queue.respond(() => {
        throw new Error('out of stock');
      });
      await rejects(queue.request(1), 'REQUEST_FAILED', /^out of stock$/);
      await service.close();
      await settledTo(queue, 0);
      await settledTo(queue.deadLetters!, 0);
    });

    it('fail where the answer can not be sent', async () => {
      const queue = await bench.mq.queue<string>(name());
      const service = await queue.respond((what) => (what === 'bigint' ? { n: 1n } : Buffer.alloc(17 * 1024 * 1024)));
      await rejects(queue.request('bigint', { timeoutMs: 60_000 }), 'REQUEST_FAILED', /can't be sent: .*BigInt/);
      if (bench.kind === 'postrider') {
        await rejects(queue.request('large', { timeoutMs: 60_000 }), 'REQUEST_FAILED', /can't be sent: .*larger/);
      }
      await service.close();
      await settledTo(queue, 0);
    });

    it('are given up in time', async () => {
      const queue = await bench.mq.queue<number>(name());
      await rejects(queue.request(1, { timeoutMs: 40 }), 'TIMEOUT', /40 ms/);
      // The request expires with whoever asked.
      await settledTo(queue, 0);
      const slow = await queue.respond(() => sleep(100));
      await rejects(queue.request(1, { timeoutMs: 30 }), 'TIMEOUT');
      await slow.close();
    });

    it('are given up by their signal', async () => {
      const queue = await bench.mq.queue<number>(name());
      await rejects(queue.request(1, { signal: AbortSignal.abort() }), 'ABORTED');
      const stop = new AbortController();
      const asked = queue.request(1, { signal: stop.signal });
      setTimeout(() => stop.abort(), 10);
      await rejects(asked, 'ABORTED');
    });

    it('fail at once where nobody could get them', async () => {
      const queue = await bench.mq.queue(name());
      await queue.delete();
      await rejects(queue.request(1), 'UNROUTABLE');
    });
  });
}
