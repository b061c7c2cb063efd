/**
 * A message that was given back at its delivery limit is gone at once, and that is noted lazily. A crash before brings it back as one
 * whose last delivery was counted before it happened: so it goes again at the start, and nobody gets it once more.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crashing, small } from './crashing.ts';
import { HandClock } from './journal/scratch-journal.ts';

for (const deliveryLimit of [1, 3]) {
  for (const how of ['requeue', 'release'] as const) {
    test(`${how} at the delivery limit of ${deliveryLimit}, then a crash`, async (t) => {
      // What is noted lazily waits for a timer that never runs.
      const { fixture } = await crashing(t, { ...small, clock: new HandClock() });
      const queue = await fixture.declare({ deliveryLimit });
      await fixture.fill(queue, 'poison', 'good');
      for (let n = 1; n <= deliveryLimit; n++) {
        const { lease, sink } = await fixture.held(queue, 1);
        assert.equal(sink.texts[0], 'poison');
        if (how === 'requeue') assert.deepEqual(await fixture.settle(lease, sink.deliveries, 'requeue'), []);
        await fixture.release(lease);
      }
      await fixture.expectStats(queue, { ready: 1, unacked: 0 });
      await fixture.crash();
      const again = fixture.queue(queue.key);
      await fixture.untilStats(again, { ready: 1 });
      assert.deepEqual(await fixture.drainTexts(again), ['good']);
      await fixture.crash();
      assert.deepEqual(await fixture.drainTexts(fixture.queue(queue.key)), []);
    });
  }
}

test('where one delivery is the limit, a crash takes no message that nobody could have got', async (t) => {
  const { fixture } = await crashing(t);
  const queue = await fixture.declare({ deliveryLimit: 1 });
  await fixture.fill(queue, ...Array.from({ length: 50 }, (_, n) => String(n)));
  await fixture.held(queue, 3);
  const { sink, lease } = await fixture.held(queue, 2);
  await fixture.settle(lease, sink.deliveries, 'ack');
  await fixture.crash();
  const left = (await fixture.drainTexts(fixture.queue(queue.key))).map(Number);
  assert.deepEqual(
    left,
    Array.from({ length: 45 }, (_, n) => 5 + n),
  );
});
