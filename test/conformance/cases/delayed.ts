/** Messages with `dueAt`. */
import assert from 'node:assert/strict';
import type { Check } from '../engine-suite.ts';
import { type Fixture, type Outcome, until } from '../fixture.ts';

const delayed = {
  needs: 'delayed',
  refusal: async (fixture: Fixture) =>
    fixture.publish(await fixture.declare(), { body: 'x', dueAt: fixture.now() + 60_000 }),
} as const;

function numbersOf(outcome: Outcome | undefined, count: number): readonly number[] {
  assert.equal(outcome?.outcome, 'waiting');
  assert.equal(outcome.numbers?.length, count);
  return outcome.numbers;
}

export function delayedCases(check: Check): void {
  check(
    'a message is not ready before it is due, and comes when it is',
    async (fixture) => {
      const queue = await fixture.declare();
      const outcomes = await fixture.publish(queue, { body: 'later', dueAt: fixture.now() + 100 }, 'now');
      assert.equal(outcomes.length, 1);
      numbersOf(outcomes[0], 1);
      // Waiting is neither ready nor held.
      await fixture.expectStats(queue, { ready: 1, unacked: 0, readyBytes: 3 });
      const { sink } = await fixture.consume(queue);
      await until('the first', () => sink.deliveries.length === 1);
      await fixture.quiet();
      assert.deepEqual(sink.texts, ['now']);
      await fixture.advance(150);
      await until('the second', () => sink.deliveries.length === 2);
      assert.deepEqual(sink.texts, ['now', 'later']);
      assert.deepEqual([sink.deliveries[1]!.redelivered, sink.deliveries[1]!.deliveryCount], [false, 0]);
    },
    delayed,
  );

  check(
    'they become ready in the order in which they are due',
    async (fixture) => {
      const queue = await fixture.declare();
      const now = fixture.now();
      const dueAfter = [300, 100, 200, 100];
      for (const [at, ms] of dueAfter.entries()) await fixture.publish(queue, { body: `${ms}/${at}`, dueAt: now + ms });
      const { sink } = await fixture.consume(queue);
      for (const [ms, count] of [
        [150, 2],
        [100, 3],
        [100, 4],
      ] as const) {
        await fixture.advance(ms);
        await until(`${count} delivered`, () => sink.deliveries.length === count);
      }
      assert.deepEqual(sink.texts, ['100/1', '100/3', '200/2', '300/0']);
    },
    delayed,
  );

  check(
    'due already: ready at once',
    async (fixture) => {
      const queue = await fixture.declare();
      await fixture.publish(queue, { body: 'past', dueAt: fixture.now() - 1 });
      assert.deepEqual(await fixture.drainTexts(queue), ['past']);
    },
    delayed,
  );

  check(
    'cancel takes it out before it is due, and only then',
    async (fixture) => {
      const queue = await fixture.declare();
      const dueAt = fixture.now() + 100;
      const [first, second] = await fixture.publish(queue, { body: 'a', dueAt }, { body: 'b', dueAt });
      const [a] = numbersOf(first, 1);
      const [b] = numbersOf(second, 1);
      assert.equal(await fixture.engine.cancel(queue, a!), true);
      assert.equal(await fixture.engine.cancel(queue, a!), false);
      assert.equal(await fixture.engine.cancel(queue, b! + 1_000), false);
      await fixture.advance(150);
      await fixture.untilStats(queue, { ready: 1 });
      assert.equal(await fixture.engine.cancel(queue, b!), false);
      assert.deepEqual(await fixture.drainTexts(queue), ['b']);
    },
    delayed,
  );

  check(
    'bound for several queues it has a number in each, cancelled one by one',
    async (fixture) => {
      const a = await fixture.declare();
      const b = await fixture.declare();
      await fixture.fill(a, 'x'); // so that the numbers differ
      const [outcome] = await fixture.publish([a, b], { body: 'later', dueAt: fixture.now() + 100 });
      const [inA] = numbersOf(outcome, 2);
      assert.equal(await fixture.engine.cancel(a, inA!), true);
      await fixture.advance(150);
      await fixture.untilStats(b, { ready: 1 });
      assert.deepEqual(await fixture.drainTexts(a), ['x']);
      assert.deepEqual(await fixture.drainTexts(b), ['later']);
    },
    delayed,
  );

  check(
    'purge leaves what is not ready',
    async (fixture) => {
      const queue = await fixture.declare();
      await fixture.publish(queue, { body: 'later', dueAt: fixture.now() + 100 }, 'now');
      assert.equal(await fixture.engine.purge(queue), 1);
      await fixture.advance(150);
      await fixture.untilStats(queue, { ready: 1 });
      assert.deepEqual(await fixture.drainTexts(queue), ['later']);
    },
    delayed,
  );

  check(
    'outlives restarts and death, due meanwhile or not',
    async (fixture) => {
      let queue = await fixture.declare();
      const now = fixture.now();
      const outcomes = await fixture.publish(
        queue,
        { body: 'soon', dueAt: now + 100 },
        { body: 'cancelled', dueAt: now + 100 },
        { body: 'late', dueAt: now + 60_000 },
      );
      assert.equal(await fixture.engine.cancel(queue, numbersOf(outcomes[1], 1)[0]!), true);
      await fixture.reopen();
      if (fixture.canCrash) await fixture.crash();
      queue = fixture.queue(queue.key);
      await fixture.expectStats(queue, { ready: 0, unacked: 0 });
      await fixture.advance(150);
      await fixture.untilStats(queue, { ready: 1 });
      const [delivery] = await fixture.drain(queue);
      assert.deepEqual([delivery?.text, delivery?.redelivered], ['soon', false]);
      assert.equal(await fixture.engine.cancel(queue, numbersOf(outcomes[2], 1)[0]!), true);
    },
    { ...delayed, across: 'reopen' },
  );
}
