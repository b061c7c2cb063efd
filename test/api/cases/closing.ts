import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Bench, rejects, settledTo, sleep, until } from '../bench.ts';

export function closingCases(bench: Bench): void {
  const { name } = bench;

  describe('closing', () => {
    it('waits for handlers, answers what was published, and takes nothing more', async () => {
      const here = await bench.mq.queue<number>(name());
      const other = await bench.other();
      const queue = await other.queue<number>(here.name);
      const answered = Promise.all(Array.from({ length: 200 }, (_, index) => queue.publish(index)));
      let ended = false;
      let begun = false;
      await queue.consume(async () => {
        begun = true;
        await sleep(30);
        ended = true;
      });
      await until('a handler runs', () => begun);
      let closed = 0;
      other.on('closed', () => (closed += 1));
      const [first, second] = [other.close(), other.close()];
      await rejects(queue.publish(7), 'CLOSED');
      await Promise.all([first, second, answered]);
      assert.equal(ended, true);
      assert.equal(other.closed, true);
      assert.equal(closed, 1);
      await rejects(queue.publish(7), 'CLOSED');
      await rejects(
        queue.consume(() => undefined),
        'CLOSED',
      );
      await rejects(other.queue('x'), 'CLOSED');
      await rejects(() => other.topic('x'), 'CLOSED');
      await settledTo(here, 199);
    });

    it('rejects requests that wait, and does not wait for ever', async () => {
      const here = await bench.mq.queue<number>(name());
      const other = await bench.other();
      const queue = await other.queue<number>(here.name);
      const asked = rejects(queue.request(1), 'UNKNOWN_OUTCOME');
      await settledTo(here, 1);
      let begun = false;
      let aborted = false;
      await queue.consume((_payload, { signal }) => {
        begun = true;
        signal.addEventListener('abort', () => (aborted = true));
        return new Promise(() => undefined);
      });
      await until('a handler runs', () => begun);
      await other.close({ graceMs: 20 });
      await asked;
      assert.equal(aborted, true);
      await settledTo(here, 1);
    });

    it('ends with its block', async () => {
      let ended;
      {
        await using other = await bench.other();
        const queue = await other.queue(name());
        await using consumer = await queue.consume(() => undefined);
        assert.equal(consumer.queue, queue.name);
        ended = consumer.closed;
      }
      await ended;
    });
  });
}
