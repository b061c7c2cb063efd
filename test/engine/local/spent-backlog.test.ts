import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../../conformance/fixture.ts';
import { crashing } from './crashing.ts';

test('what came to its delivery limit is read from disk beside what is to be delivered again', async (t) => {
  const { fixture } = await crashing(t);
  const queue = await fixture.declare({ deliveryLimit: 2 });
  const other = await fixture.declare();
  // Each a run that is read in two steps, and none in memory any more.
  for (const letter of ['a', 'b']) {
    await fixture.fill(queue, { body: Buffer.alloc(3000, letter) });
    for (let n = 0; n < 40; n++) await fixture.fill(other, { body: Buffer.alloc(2000) });
  }
  const { lease, sink, consumer } = await fixture.held(queue, 2);
  consumer.cancel();
  await fixture.settle(lease, sink.deliveries, 'requeue');
  const again = (await fixture.take(queue, lease))!;
  assert.equal(again.body.toString()[0], 'a');
  await fixture.settle(lease, [again], 'requeue');
  const last = await fixture.consume(queue);
  await until('the delivery', () => last.sink.deliveries.length === 1);
  assert.deepEqual(
    last.sink.deliveries.map(({ body, deliveryCount }) => [body.toString()[0], deliveryCount]),
    [['b', 1]],
  );
  await fixture.untilStats(queue, { ready: 0, unacked: 1 });
});
