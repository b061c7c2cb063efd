import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Queue } from '../../../src/index.ts';
import { type Bench, rejects, settledTo, take, until } from '../bench.ts';

export function redriveCases(bench: Bench): void {
  const { name } = bench;

  /** A queue whose messages 1 to `count` are dead. */
  async function withDead(count: number): Promise<Queue<number>> {
    const queue = await bench.mq.queue<number>(name());
    for (let number = 1; number <= count; number++)
      await queue.publish(number, { id: `m-${number}`, headers: { number } });
    const consumer = await queue.consume(
      (payload) => {
        throw new Error(`no ${payload}`);
      },
      { retry: false },
    );
    await settledTo(queue.deadLetters!, count);
    await consumer.close();
    return queue;
  }

  describe('redriving', () => {
    it('sends dead letters back as they were', async () => {
      const queue = await withDead(3);
      assert.equal(await queue.deadLetters!.redrive(), 3);
      await settledTo(queue.deadLetters!, 0);
      const got = await take(queue, 3);
      assert.deepEqual(
        got.map(({ payload, id }) => [payload, id]),
        [
          [1, 'm-1'],
          [2, 'm-2'],
          [3, 'm-3'],
        ],
      );
      assert.deepEqual({ ...got[0]!.headers }, { number: 1 });
      assert.equal(got[0]!.attempt, 1);
      assert.equal(await queue.deadLetters!.redrive(), 0);
    });

    it('sends so many, and those that it is told', async () => {
      const queue = await withDead(5);
      const dead = queue.deadLetters!;
      assert.equal(await dead.redrive({ limit: 2 }), 2);
      await settledTo(dead, 3);
      const seen: string[] = [];
      const moved = await dead.redrive({
        filter: ({ queue: origin, reason, error, id, body }) => {
          assert.equal(origin, queue.name);
          seen.push(`${reason} ${error} ${id} ${body.toString()}`);
          return id === 'm-4';
        },
      });
      assert.equal(moved, 1);
      assert.deepEqual(seen, ['failed no 3 m-3 3', 'failed no 4 m-4 4', 'failed no 5 m-5 5']);
      await settledTo(dead, 2);
      await settledTo(queue, 3);
    });

    it('looks at more than are held at a time', async () => {
      const queue = await bench.mq.queue<number>(name());
      const dead = queue.deadLetters!;
      await dead.publishAll(Array.from({ length: 450 }, (_, index) => index));
      assert.equal(await dead.redrive({ filter: ({ body }) => body.toString() === '449' }), 1);
      await settledTo(queue, 1);
      await settledTo(dead, 449);
    });

    it('looks at more than one consumer may hold', async () => {
      // Not in a quorum queue, which would take minutes.
      if (bench.kind === 'rabbitmq') return;
      const queue = await bench.mq.queue<number>(name());
      const dead = queue.deadLetters!;
      const count = 66_000;
      for (let at = 0; at < count; at += 6_000)
        await dead.publishAll(Array.from({ length: 6_000 }, (_, index) => at + index));
      assert.equal(await dead.redrive({ filter: ({ body }) => body.toString() === String(count - 1) }), 1);
      await settledTo(queue, 1);
      await settledTo(dead, count - 1);
      assert.equal((await dead.peek(1))[0]!.payload, 0);
    });

    it('says how many it had sent back when it was stopped', async () => {
      const queue = await withDead(4);
      const dead = queue.deadLetters!;
      const stop = new AbortController();
      let looked = 0;
      const stopped = dead.redrive({
        signal: stop.signal,
        ratePerSecond: 20,
        filter: () => (looked += 1) > 0,
      });
      await until('one was sent back', async () => (await queue.stats()).ready === 1);
      stop.abort(new Error('enough'));
      const error = await rejects(stopped, 'ABORTED', /; 1 message was sent back before$/);
      assert.equal(error.moved, 1);
      assert.match(String(error.cause), /enough/);
      await settledTo(dead, 3);
      // At once, however slow it is.
      const slow = dead.redrive({ signal: AbortSignal.timeout(500), ratePerSecond: 0.001 });
      assert.equal((await rejects(slow, 'ABORTED')).moved, 1);
      await settledTo(dead, 2);
      await queue.delete();
      assert.equal((await rejects(dead.redrive(), 'UNROUTABLE')).moved, 0);
    });

    it('takes its time', async () => {
      const queue = await withDead(4);
      const begun = performance.now();
      assert.equal(await queue.deadLetters!.redrive({ ratePerSecond: 50 }), 4);
      assert.ok(performance.now() - begun >= 55);
    });

    it('stops at a filter that throws, and by its signal', async () => {
      const queue = await withDead(2);
      const dead = queue.deadLetters!;
      const thrown = dead.redrive({
        filter: () => {
          throw new Error('oops');
        },
      });
      await rejects(thrown, 'INVALID_OPTION', /oops/);
      await settledTo(dead, 2);
      const later = dead.redrive({ filter: (() => Promise.resolve(false)) as unknown as () => boolean });
      await rejects(later, 'INVALID_OPTION', /not with a promise/);
      await settledTo(dead, 2);
      await rejects(dead.redrive({ signal: AbortSignal.abort() }), 'ABORTED');
      await settledTo(dead, 2);
      assert.equal(await dead.redrive(), 2);
    });

    it('sends back what a broker dead-lettered', async () => {
      const queue = await bench.mq.queue<string>(name(), { maxLength: 1, overflow: 'drop-oldest' });
      await queue.publish('first');
      await queue.publish('second');
      await settledTo(queue.deadLetters!, 1);
      await queue.purge();
      let reason = '';
      const moved = await queue.deadLetters!.redrive({
        filter: (letter) => {
          reason = letter.reason;
          return letter.queue === queue.name;
        },
      });
      assert.equal(moved, 1);
      assert.equal(reason, 'max-length');
      assert.deepEqual({ ...(await take(queue, 1))[0]!.headers }, {});
    });

    it('leaves what came from no other queue', async () => {
      const queue = await bench.mq.queue<number>(name());
      await queue.publishAll([1, 2, 3]);
      assert.equal(await queue.redrive(), 0);
      await settledTo(queue, 3);
      assert.equal((await queue.peek(1))[0]!.payload, 1);
    });

    it('says so where the origin is gone, and keeps the letter', async () => {
      const queue = await withDead(1);
      await queue.delete();
      await rejects(queue.deadLetters!.redrive(), 'UNROUTABLE');
      await settledTo(queue.deadLetters!, 1);
    });
  });
}
