import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crashing } from './crashing.ts';

const texts = (count: number): string[] => Array.from({ length: count }, (_, n) => `m${n}`);

test('a deleted queue takes only its own living messages out of the count of a segment', async (t) => {
  const { fixture, engine } = await crashing(t);
  const [gone, stays] = [await fixture.declare(), await fixture.declare()];
  await fixture.fill(gone, ...texts(20));
  await fixture.fill(stays, ...texts(20));
  const { lease, sink } = await fixture.held(gone, 10);
  await fixture.settle(lease, sink.deliveries, 'ack');
  await fixture.change({ op: 'delete-queue', key: gone.key });
  await fixture.crash();
  const alive = [...engine().segments.values()].reduce((sum, segment) => sum + segment.alive, 0);
  assert.equal(alive, 20);
});
