import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Collector, messageOf, until } from '../../conformance/fixture.ts';
import { crashing, groupsIn, small } from './crashing.ts';

const MiB = 1024 * 1024;
const roomy = { ...small, windowBytes: 8 * MiB, blockBytes: MiB, firstSegmentBytes: 4 * MiB, segmentBytes: 4 * MiB };

test('a sink that commits gets no further ahead of what the journal says', async (t) => {
  const { fixture, directory } = await crashing(t, roomy);
  const [queue, other] = [await fixture.declare(), await fixture.declare()];
  const sink = new Collector(fixture);
  const large = messageOf({ body: Buffer.alloc(MiB - 64 * 1024) });
  sink.onDeliver = () => {
    // It does not fit into the open group: that one is closed, with what was delivered so far.
    if (sink.deliveries.length > 1) return true;
    const batch = fixture.engine.begin();
    batch.append(fixture.engine.targets([other], Buffer.from('e')), large);
    batch.commit({ committed: () => undefined, failed: () => undefined }, 0);
    return true;
  };
  await fixture.consume(queue, { sink });
  const targets = fixture.engine.targets([queue], Buffer.from('e'));
  const message = messageOf({ body: 'm' });
  const filled = fixture.commit((batch) => {
    for (let n = 0; n < 10_000; n++) batch.append(targets, message);
  });
  assert.equal(sink.deliveries.length, 1);
  await filled;
  await until('the rest', () => sink.deliveries.length === 10_000);
  const [group] = (await groupsIn(directory())).filter((entries) => entries.some((entry) => entry.kind === 'run'));
  const delivered = group?.find((entry) => entry.kind === 'delivered');
  assert.deepEqual(delivered?.delivered, 2);
});

for (const [limits, counted] of [
  [{}, 300],
  [{ deliveryLimit: 5 }, 1],
] as const) {
  test(`of what came back ${counted} are counted at once, limits ${JSON.stringify(limits)}`, async (t) => {
    const { fixture, directory } = await crashing(t, roomy);
    const queue = await fixture.declare(limits);
    await fixture.fill(queue, ...Array.from({ length: 300 }, () => 'm'));
    const { lease } = await fixture.held(queue, 300);
    await fixture.release(lease);
    await fixture.held(queue, 1);
    const groups = (await groupsIn(directory()))
      .map((entries) => entries.filter((entry) => entry.kind === 'counted').length)
      .filter((count) => count > 0);
    assert.deepEqual(groups, [counted]);
  });
}
