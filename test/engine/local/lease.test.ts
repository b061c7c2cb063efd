import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memoryEngine } from '../../../src/engine/local/index.ts';
import type { LocalLease } from '../../../src/engine/local/lease.ts';
import { Fixture, until } from '../../conformance/fixture.ts';
import { crashing } from './crashing.ts';

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

test('what comes back from a lease that counts no deliveries was not delivered, after a restart either', async (t) => {
  for (const restart of [false, true]) {
    for (const limits of [{}, { deliveryLimit: 2 }]) {
      const { fixture } = await crashing(t);
      let queue = await fixture.declare(limits);
      await fixture.fill(queue, 'gone', 'once');
      const counting = await fixture.held(queue, 2);
      assert.deepEqual(await fixture.settle(counting.lease, [counting.sink.deliveries[1]!], 'requeue'), []);
      await fixture.settle(counting.lease, [counting.sink.deliveries[0]!], 'ack');
      await fixture.release(counting.lease);
      await fixture.fill(queue, 'new');
      for (let times = 0; times < 3; times++) {
        const lease = fixture.engine.lease(false);
        for (let n = 0; n < 2; n++) assert.ok(await fixture.take(queue, lease));
        await fixture.release(lease);
      }
      if (restart) await fixture.reopen();
      queue = fixture.queue(queue.key);
      const { sink } = await fixture.consume(queue);
      await until('both are delivered', () => sink.deliveries.length === 2);
      assert.deepEqual(
        sink.deliveries.map(({ text, deliveryCount }) => [text, deliveryCount]),
        [
          ['once', 1],
          ['new', 0],
        ],
      );
      if (!restart)
        assert.deepEqual(
          sink.deliveries.map(({ redelivered }) => redelivered),
          [true, false],
        );
    }
  }
});
