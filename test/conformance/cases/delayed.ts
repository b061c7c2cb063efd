/** Messages with `dueAt`. */
import assert from 'node:assert/strict';
import type { Check } from '../engine-suite.ts';
import { duplicate, type Fixture, type Outcome, refused, stale, until } from '../fixture.ts';

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
      await fixture.expectStats(queue, { ready: 1, unacked: 0, readyBytes: 3, delayed: 1 });
      const { sink } = await fixture.consume(queue);
      await until('the first', () => sink.deliveries.length === 1);
      await fixture.quiet();
      assert.deepEqual(sink.texts, ['now']);
      await fixture.advance(150);
      await until('the second', () => sink.deliveries.length === 2);
      assert.deepEqual(sink.texts, ['now', 'later']);
      assert.deepEqual([sink.deliveries[1]!.redelivered, sink.deliveries[1]!.deliveryCount], [false, 0]);
      await fixture.expectStats(queue, { ready: 0, unacked: 2, delayed: 0 });
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
    'due already: ready at once, like any other',
    async (fixture) => {
      const queue = await fixture.declare();
      assert.deepEqual(await fixture.publish(queue, { body: 'past', dueAt: fixture.now() - 1 }), []);
      assert.deepEqual(
        await fixture.commit(
          (batch) => fixture.append(batch, queue, { body: 'now', dueAt: fixture.now() }),
          fixture.engine.capabilities.atomic,
        ),
        [],
      );
      assert.deepEqual(await fixture.drainTexts(queue), ['past', 'now']);
    },
    delayed,
  );

  check(
    'one that is due has its place behind what was appended before, and comes back to it',
    async (fixture) => {
      const queue = await fixture.declare();
      await fixture.publish(queue, { body: 'late', dueAt: fixture.now() + 100 });
      await fixture.fill(queue, 'a', 'b');
      await fixture.advance(150);
      await fixture.untilStats(queue, { ready: 3 });
      await fixture.fill(queue, 'c');
      const { sink, lease } = await fixture.held(queue, 4);
      assert.deepEqual(sink.texts, ['a', 'b', 'late', 'c']);
      await fixture.release(lease);
      const again = await fixture.drain(queue);
      assert.deepEqual(
        again.map(({ text, deliveryCount }) => [text, deliveryCount]),
        [
          ['a', 1],
          ['b', 1],
          ['late', 1],
          ['c', 1],
        ],
      );
    },
    delayed,
  );

  check(
    'what waits counts in no limit; what is due does',
    async (fixture) => {
      const dueAt = fixture.now() + 100;
      const dropping = await fixture.declare({ maxLength: 2 });
      const rejecting = await fixture.declare({ maxLength: 1, overflow: 'reject' });
      await fixture.publish([dropping, rejecting], { body: 'late', dueAt });
      await fixture.fill(dropping, 'a', 'b');
      await fixture.fill(rejecting, 'a');
      // At its limit, and yet: it can't be refused when it is due, so it is not refused now.
      const [outcome] = await fixture.publish(rejecting, { body: 'later', dueAt: dueAt + 1 });
      numbersOf(outcome, 1);
      await fixture.expectStats(dropping, { ready: 2, delayed: 1 });
      await fixture.advance(150);
      await fixture.untilStats(rejecting, { ready: 3, delayed: 0 });
      await fixture.untilStats(dropping, { ready: 2, delayed: 0 });
      assert.deepEqual(await fixture.publish(rejecting, 'b'), [refused(0, 'max-length')]);
      assert.deepEqual(await fixture.drainTexts(dropping), ['b', 'late']);
      assert.deepEqual(await fixture.drainTexts(rejecting), ['a', 'late', 'later']);
    },
    { ...delayed, needs: 'readyLimits', refusal: (fixture) => fixture.declare({ maxLength: 1 }) },
  );

  check(
    'the time to live of its queue begins when it is due, its own expiry is the moment that it says',
    async (fixture) => {
      const { sink } = fixture.onRemoval();
      const queue = await fixture.declare({ messageTtlMs: 200, handOverRemoved: true });
      const now = fixture.now();
      await fixture.publish(queue, { body: 'over', dueAt: now + 300, expiresAt: now + 250 });
      await fixture.publish(queue, { body: 'long', dueAt: now + 300 });
      await fixture.advance(310);
      await until('the expired one', () => sink.removed.length === 1);
      await fixture.untilStats(queue, { ready: 1, delayed: 0 });
      await fixture.advance(180);
      await fixture.quiet();
      await fixture.expectStats(queue, { ready: 1 });
      await fixture.advance(20);
      await until('the other', () => sink.removed.length === 2);
      assert.deepEqual(
        sink.removed.map(({ text, reason }) => [text, reason]),
        [
          ['over', 'expired'],
          ['long', 'expired'],
        ],
      );
    },
    delayed,
  );

  check(
    'one that is due goes to its priority',
    async (fixture) => {
      const queue = await fixture.declare({ maxPriority: 5 });
      await fixture.publish(
        queue,
        { body: 'low, late', priority: 1, dueAt: fixture.now() + 100 },
        { body: 'high, late', priority: 4, dueAt: fixture.now() + 100 },
        { body: 'low', priority: 1 },
        { body: 'high', priority: 4 },
      );
      await fixture.advance(150);
      await fixture.untilStats(queue, { ready: 4 });
      assert.deepEqual(await fixture.drainTexts(queue), ['high', 'high, late', 'low', 'low, late']);
    },
    { ...delayed, needs: 'priorities', refusal: (fixture) => fixture.declare({ maxPriority: 5 }) },
  );

  check(
    'in an atomic batch: all of it, or nothing waits',
    async (fixture) => {
      const queue = await fixture.declare();
      await fixture.fill(queue, 'input');
      const lease = fixture.engine.lease();
      const input = await fixture.take(queue, lease);
      const dueAt = fixture.now() + 100;
      const attempt = (number: number): Promise<readonly Outcome[]> =>
        fixture.commit((batch) => {
          fixture.append(batch, queue, { body: 'retry', dueAt });
          batch.settle(lease, queue, number, 1, 'ack');
        }, 'required');
      assert.deepEqual(await attempt(input!.number + 1), [stale(1)]);
      await fixture.expectStats(queue, { ready: 0, unacked: 1, delayed: 0 });
      const outcomes = await attempt(input!.number);
      assert.equal(outcomes.length, 1);
      numbersOf(outcomes[0], 1);
      await fixture.expectStats(queue, { ready: 0, unacked: 0, delayed: 1 });
      await fixture.advance(150);
      await fixture.untilStats(queue, { ready: 1 });
      assert.deepEqual(await fixture.drainTexts(queue), ['retry']);
    },
    { ...delayed, needs: 'atomic-required', refusal: (fixture) => fixture.commit(() => undefined, 'required') },
  );

  check(
    'its identity is remembered from its append on',
    async (fixture) => {
      const queue = await fixture.declare();
      const identity = { kind: 'id', scope: 's', id: 'once', windowMs: 60_000, windowCount: 100 } as const;
      const dueAt = fixture.now() + 100;
      numbersOf((await fixture.publish(queue, { body: 'x', dueAt, identity }))[0], 1);
      assert.deepEqual(await fixture.publish(queue, { body: 'x', dueAt, identity }), [duplicate(0)]);
      assert.deepEqual(await fixture.publish(queue, { body: 'x', identity }), [duplicate(0)]);
      await fixture.advance(150);
      await fixture.untilStats(queue, { ready: 1 });
    },
    { ...delayed, needs: 'messageIds' },
  );

  check(
    'they go with their queue',
    async (fixture) => {
      const queue = await fixture.declare({}, { key: 'q' });
      const other = await fixture.declare();
      await fixture.publish([queue, other], { body: 'late', dueAt: fixture.now() + 100 });
      const { removed } = await fixture.change({ op: 'delete-queue', key: 'q', ifEmpty: true });
      assert.equal(removed, 0);
      const anew = await fixture.declare({}, { key: 'q' });
      await fixture.advance(150);
      await fixture.untilStats(other, { ready: 1, delayed: 0 });
      await fixture.expectStats(anew, { ready: 0, delayed: 0 });
    },
    delayed,
  );

  check(
    'due while nobody was there: ready after the start, in their order',
    async (fixture) => {
      let queue = await fixture.declare();
      const now = fixture.now();
      for (const ms of [300, 100, 60_000, 200])
        await fixture.publish(queue, { body: `${ms}`, dueAt: now + ms }, { body: `${ms} as well`, dueAt: now + ms });
      await fixture.fill(queue, 'before');
      await fixture.reopen(350);
      queue = fixture.queue(queue.key);
      await fixture.expectStats(queue, { ready: 7, unacked: 0, delayed: 2 });
      assert.deepEqual(await fixture.drainTexts(queue), [
        'before',
        '100',
        '100 as well',
        '200',
        '200 as well',
        '300',
        '300 as well',
      ]);
    },
    { ...delayed, across: 'reopen' },
  );

  check(
    'a thousand due at once, in many queues: all come, in the order of their appends',
    async (fixture) => {
      const queues = await Promise.all(Array.from({ length: 5 }, () => fixture.declare()));
      const dueAt = fixture.now() + 100;
      for (let n = 0; n < 250; n++)
        await fixture.publish(queues, { body: `${n}`, dueAt: n % 2 === 0 ? dueAt : dueAt - 1 });
      await fixture.advance(150);
      const texts = Array.from({ length: 250 }, (_, at) => `${at < 125 ? 2 * at + 1 : 2 * (at - 125)}`);
      for (const queue of queues) {
        await fixture.untilStats(queue, { ready: 250, delayed: 0 });
        assert.deepEqual(await fixture.drainTexts(queue), texts);
      }
    },
    delayed,
  );

  check(
    'a consumer at most once, and one that waits for the disk, get what is due',
    async (fixture) => {
      for (const traits of [{ noAck: true }, { afterSync: true }]) {
        const queue = await fixture.declare();
        const { sink } = await fixture.consume(queue, traits);
        await fixture.publish(queue, { body: 'late', dueAt: fixture.now() + 100 }, 'now');
        await fixture.advance(150);
        await until('both', () => sink.deliveries.length === 2);
        assert.deepEqual(sink.texts, ['now', 'late']);
      }
    },
    delayed,
  );

  check(
    'of a transient queue too',
    async (fixture) => {
      const queue = await fixture.declare({}, { durable: false });
      const [outcome] = await fixture.publish(
        queue,
        { body: 'cancelled', dueAt: fixture.now() + 100 },
        { body: 'late', dueAt: fixture.now() + 100 },
      );
      assert.equal(await fixture.engine.cancel(queue, numbersOf(outcome, 1)[0]!), true);
      await fixture.advance(150);
      await fixture.untilStats(queue, { ready: 1, delayed: 0 });
      assert.deepEqual(await fixture.drainTexts(queue), ['late']);
    },
    delayed,
  );

  check(
    'delivered since it was due, it comes back after death as what it is',
    async (fixture) => {
      let queue = await fixture.declare();
      const dueAt = fixture.now() + 100;
      await fixture.publish(queue, { body: 'a', dueAt }, { body: 'b', dueAt }, { body: 'c', dueAt: dueAt + 60_000 });
      const { sink, lease } = await fixture.consume(queue, { credit: 2 });
      await fixture.advance(150);
      await until('both', () => sink.deliveries.length === 2);
      await fixture.settle(lease, sink.deliveries.slice(0, 1), 'ack');
      await fixture.crash();
      queue = fixture.queue(queue.key);
      await fixture.expectStats(queue, { ready: 1, delayed: 1 });
      const [delivery] = await fixture.drain(queue);
      assert.deepEqual([delivery?.text, delivery?.redelivered], ['b', true]);
    },
    { ...delayed, across: 'crash' },
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
    'shows what waits, in the order of its numbers, a part at a time',
    async (fixture) => {
      let queue = await fixture.declare();
      const now = fixture.now();
      const bodies = ['a', 'b', 'c', 'd'];
      for (const [at, body] of bodies.entries()) await fixture.publish(queue, { body, dueAt: now + 60_000 - at });
      await fixture.publish(queue, { body: 'x'.repeat(10_000), dueAt: now + 60_000 }, 'ready');
      const all = await fixture.engine.waiting(queue, 0, 100);
      assert.equal(await fixture.engine.cancel(queue, all[1]!.number), true);
      for (const reopened of [false, true]) {
        if (reopened) await fixture.reopen();
        queue = fixture.queue(queue.key);
        const first = await fixture.engine.waiting(queue, 0, 2);
        const rest = await fixture.engine.waiting(queue, first.at(-1)!.number, 100);
        const shown = [...first, ...rest];
        assert.deepEqual(
          shown.map(({ dueAt, bodyBytes }) => [dueAt, bodyBytes]),
          [
            [now + 60_000, 1],
            [now + 59_998, 1],
            [now + 59_997, 1],
            [now + 60_000, 10_000],
          ],
        );
        for (const { storedAt, number, envelope, properties } of shown) {
          assert.equal(storedAt, now);
          const before = all.find((message) => message.number === number)!;
          assert.deepEqual([envelope, properties], [before.envelope, before.properties]);
        }
      }
    },
    { ...delayed, across: 'reopen' },
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
