import assert from 'node:assert/strict';
import { test } from 'node:test';
import { turn, until } from '../../conformance/fixture.ts';
import { crashing } from './crashing.ts';

for (const turns of [0, 1, 2]) {
  test(`a consumer after the sync gets what was on its way to the disk when it got credit, ${turns} turns later`, async (t) => {
    const { fixture } = await crashing(t);
    const queue = await fixture.declare();
    const { sink, consumer } = await fixture.consume(queue, { credit: 0, afterSync: true });
    // A checkpoint closes groups too: the first one is over by then.
    await fixture.advance(50);
    const filled = fixture.fill(queue, 'm');
    for (let n = 0; n < turns; n++) await turn();
    consumer.setCredit(1);
    await filled;
    await until('the delivery', () => sink.deliveries.length === 1);
  });
}

test('a lease that is released while it takes gets nothing and holds nothing', async (t) => {
  const { fixture } = await crashing(t);
  const queue = await fixture.declare();
  await fixture.fill(queue, 'm');
  const lease = fixture.engine.lease();
  const taken = fixture.take(queue, lease);
  await turn();
  await fixture.release(lease);
  assert.equal(await taken, null);
  await fixture.expectStats(queue, { ready: 1, unacked: 0 });
});
