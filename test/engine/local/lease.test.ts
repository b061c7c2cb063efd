import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memoryEngine } from '../../../src/engine/local/index.ts';
import type { LocalLease } from '../../../src/engine/local/lease.ts';
import { Fixture } from '../../conformance/fixture.ts';

test('a lease keeps no queue that is deleted, and no queue a lease that is released', async () => {
  const engine = memoryEngine();
  const fixture = await Fixture.open({ engine, cleanup: () => Promise.resolve() });
  const lease = engine.lease() as LocalLease;
  const removal = fixture.onRemoval(engine.lease()).lease as LocalLease;
  const stays = await fixture.declare();
  await fixture.fill(stays, 'm');
  await fixture.take(stays, lease);
  for (let round = 0; round < 3; round++) {
    const reply = await fixture.declare({ maxLength: 2, handOverRemoved: true }, { durable: false });
    await fixture.fill(reply, '1', '2', '3');
    await fixture.take(reply, lease);
    assert.deepEqual([lease.queues.size, removal.queues.size], [2, 1]);
    await fixture.change({ op: 'delete-queue', key: reply.key });
    assert.deepEqual([[...lease.queues], removal.queues.size], [[stays], 0]);
  }
  await fixture.release(lease);
  assert.deepEqual([lease.queues.size, engine.topology.queues.get(stays.key)?.leases.size], [0, 0]);
  await fixture.dispose();
});
