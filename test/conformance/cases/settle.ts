/** Settlements, requeues and releases: who holds what, and what comes back where. */
import assert from 'node:assert/strict';
import type { EngineQueue, Lease } from '../../../src/engine/engine.ts';
import type { Check } from '../engine-suite.ts';
import { type Delivery, type Fixture, refused, stale, until } from '../fixture.ts';

/** A queue with ten messages, '0' to '9', all held under one lease. */
async function tenHeld(
  fixture: Fixture,
): Promise<{ queue: EngineQueue; lease: Lease; held: readonly Delivery[]; more: (count: number) => void }> {
  const queue = await fixture.declare();
  await fixture.fill(queue, ...Array.from({ length: 10 }, (_, at) => `${at}`));
  const { sink, lease, consumer } = await fixture.held(queue, 10);
  return { queue, lease, held: sink.deliveries, more: (count) => consumer.addCredit(count) };
}

const texts = (deliveries: readonly Delivery[]): string[] => deliveries.map((delivery) => delivery.text);

export function settleCases(check: Check): void {
  check('each message of a queue has a number of its own', async (fixture) => {
    const { held } = await tenHeld(fixture);
    assert.equal(new Set(held.map((delivery) => delivery.number)).size, 10);
    assert.deepEqual(
      held.map((delivery) => [delivery.redelivered, delivery.deliveryCount]),
      held.map(() => [false, 0]),
    );
  });

  check('ack of the whole range', async (fixture) => {
    const { queue, lease, held } = await tenHeld(fixture);
    assert.deepEqual(await fixture.settle(lease, held, 'ack'), []);
    await fixture.expectStats(queue, { ready: 0, unacked: 0, readyBytes: 0 });
    await fixture.release(lease);
    await fixture.expectStats(queue, { ready: 0, unacked: 0 });
  });

  check('ack of parts of the range, from the middle, the end and the start', async (fixture) => {
    const { queue, lease, held } = await tenHeld(fixture);
    for (const [from, to, unacked] of [
      [4, 6, 8],
      [8, 10, 6],
      [0, 1, 5],
      [6, 8, 3],
    ] as const) {
      assert.deepEqual(await fixture.settle(lease, held.slice(from, to), 'ack'), []);
      await fixture.expectStats(queue, { ready: 0, unacked });
    }
    await fixture.release(lease);
    assert.deepEqual(await fixture.drainTexts(queue), ['1', '2', '3']);
  });

  check('one at a time, out of order', async (fixture) => {
    const { queue, lease, held } = await tenHeld(fixture);
    for (const [at, which] of [7, 2, 9, 0, 5, 1, 8, 3, 6, 4].entries()) {
      assert.deepEqual(await fixture.settle(lease, [held[which]!], 'ack'), []);
      await fixture.expectStats(queue, { unacked: 9 - at });
    }
  });

  check('drop removes as ack does', async (fixture) => {
    const { queue, lease, held } = await tenHeld(fixture);
    assert.deepEqual(await fixture.settle(lease, held.slice(2), 'drop'), []);
    await fixture.release(lease);
    assert.deepEqual(await fixture.drainTexts(queue), ['0', '1']);
  });

  check('different settlements in one batch, with one report', async (fixture) => {
    const { queue, lease, held } = await tenHeld(fixture);
    assert.deepEqual(
      await fixture.commit((batch) => {
        fixture.settleIn(batch, lease, held.slice(0, 3), 'ack');
        fixture.settleIn(batch, lease, held.slice(3, 6), 'requeue');
        fixture.settleIn(batch, lease, held.slice(6, 9), 'drop');
      }),
      [],
    );
    await fixture.expectStats(queue, { ready: 3, unacked: 1 });
    assert.deepEqual(await fixture.drainTexts(queue), ['3', '4', '5']);
  });

  check('settled twice is stale', async (fixture) => {
    const { queue, lease, held } = await tenHeld(fixture);
    for (const [at, settlement] of (['ack', 'drop', 'requeue'] as const).entries()) {
      const one = [held[at]!];
      assert.deepEqual(await fixture.settle(lease, one, settlement), []);
      for (const again of ['ack', 'drop', 'requeue'] as const) {
        assert.deepEqual(await fixture.settle(lease, one, again), [stale(0)], `${settlement}, then ${again}`);
      }
    }
    await fixture.expectStats(queue, { ready: 1, unacked: 7 });
  });

  check('settled twice in one batch: the second is stale', async (fixture) => {
    const { queue, lease, held } = await tenHeld(fixture);
    assert.deepEqual(
      await fixture.commit((batch) => {
        fixture.settleIn(batch, lease, held.slice(0, 1), 'ack');
        fixture.settleIn(batch, lease, held.slice(0, 1), 'requeue');
        fixture.settleIn(batch, lease, held.slice(1, 2), 'ack');
      }),
      [stale(1)],
    );
    await fixture.expectStats(queue, { ready: 0, unacked: 8 });
  });

  check('settled in two batches without waiting: the second is stale', async (fixture) => {
    const { lease, held } = await tenHeld(fixture);
    const outcomes = await Promise.all([
      fixture.settle(lease, held.slice(0, 5), 'ack'),
      fixture.settle(lease, held.slice(4, 6), 'ack'),
    ]);
    assert.deepEqual(outcomes, [[], [stale(0)]]);
  });

  check('a range with one number that is not held is stale as a whole', async (fixture) => {
    const { queue, lease, held } = await tenHeld(fixture);
    assert.deepEqual(await fixture.settle(lease, [held[4]!], 'ack'), []);
    if (held[9]!.number === held[0]!.number + 9) {
      assert.deepEqual(await fixture.commit((batch) => batch.settle(lease, queue, held[0]!.number, 10, 'ack')), [
        stale(0),
      ]);
      await fixture.expectStats(queue, { ready: 0, unacked: 9 });
      assert.deepEqual(
        await fixture.commit((batch) => batch.settle(lease, queue, held[8]!.number, 3, 'ack')),
        [stale(0)], // beyond what was ever delivered
      );
    }
    assert.deepEqual(await fixture.settle(lease, [...held.slice(0, 4), ...held.slice(5)], 'ack'), []);
    await fixture.expectStats(queue, { unacked: 0 });
  });

  check('numbers nobody holds are stale: ready ones, and ones that never were', async (fixture) => {
    const queue = await fixture.declare();
    await fixture.fill(queue, 'a', 'b');
    const { lease, sink } = await fixture.held(queue, 1);
    const [delivery] = sink.deliveries;
    assert.ok(delivery, 'a message was there');
    assert.deepEqual(
      await fixture.commit((batch) => {
        batch.settle(lease, queue, delivery.number + 1, 1, 'ack');
        batch.settle(lease, queue, delivery.number + 1_000_000, 1, 'requeue');
      }),
      [stale(0), stale(1)],
    );
    await fixture.expectStats(queue, { ready: 1, unacked: 1 });
  });

  check("another lease than the holder's is stale", async (fixture) => {
    const { queue, lease, held } = await tenHeld(fixture);
    const other = fixture.engine.lease();
    assert.notEqual(other.id, lease.id);
    assert.deepEqual(await fixture.settle(other, held, 'ack'), [stale(0)]);
    await fixture.expectStats(queue, { unacked: 10 });
    assert.deepEqual(await fixture.settle(lease, held, 'ack'), []);
  });

  check('two leases on one queue hold each their own', async (fixture) => {
    const queue = await fixture.declare();
    await fixture.fill(queue, 'a', 'b', 'c', 'd');
    const [first, second] = [fixture.engine.lease(), fixture.engine.lease()];
    const a = await fixture.take(queue, first);
    const b = await fixture.take(queue, second);
    const c = await fixture.take(queue, first);
    assert.ok(a && b && c, 'all were delivered');
    assert.deepEqual(
      await fixture.commit((batch) => {
        batch.settle(second, queue, a.number, 1, 'ack');
        batch.settle(first, queue, b.number, 1, 'ack');
        batch.settle(first, queue, a.number, 1, 'ack');
      }),
      [stale(0), stale(1)],
    );
    await fixture.release(first);
    assert.deepEqual(await fixture.drainTexts(queue), ['c', 'd']);
    assert.deepEqual(await fixture.settle(second, [b], 'requeue'), []);
    assert.deepEqual(await fixture.drainTexts(queue), ['b']);
  });

  check('release gives everything back in order, counted as delivered, and ends the lease', async (fixture) => {
    const { queue, lease, held } = await tenHeld(fixture);
    await fixture.fill(queue, 'new');
    assert.deepEqual(await fixture.settle(lease, [held[3]!], 'ack'), []);
    await fixture.release(lease);
    await fixture.expectStats(queue, { unacked: 0, consumers: 0 });
    for (const settlement of ['ack', 'drop', 'requeue'] as const) {
      assert.deepEqual(await fixture.settle(lease, [held[0]!], settlement), [stale(0)]);
    }
    const drained = await fixture.drain(queue);
    assert.deepEqual(texts(drained), ['0', '1', '2', '4', '5', '6', '7', '8', '9', 'new']);
    assert.deepEqual(
      drained.map((delivery) => [delivery.redelivered, delivery.deliveryCount]),
      drained.map((delivery) => (delivery.text === 'new' ? [false, 0] : [true, 1])),
    );
  });

  check('release over several queues, and a message that another holder took meanwhile is its own', async (fixture) => {
    const a = await fixture.declare();
    const b = await fixture.declare();
    await fixture.fill([a, b], '1', '2');
    const lease = fixture.engine.lease();
    const inA = await fixture.held(a, 2, lease);
    await fixture.held(b, 1, lease);
    await fixture.release(lease);
    const next = await fixture.held(a, 2);
    assert.deepEqual(texts(next.sink.deliveries), ['1', '2']);
    // The late holder: its settlement must not touch the new holder's.
    assert.deepEqual(await fixture.settle(lease, inA.sink.deliveries, 'ack'), [stale(0)]);
    assert.deepEqual(await fixture.settle(next.lease, next.sink.deliveries, 'ack'), []);
    assert.deepEqual(await fixture.drainTexts(b), ['1', '2']);
  });

  check('release cancels the consumers of the lease and no others', async (fixture) => {
    const queue = await fixture.declare();
    const lease = fixture.engine.lease();
    const gone = await fixture.consume(queue, { lease });
    const stays = await fixture.consume(queue);
    await fixture.expectStats(queue, { consumers: 2 });
    await fixture.release(lease);
    await fixture.expectStats(queue, { consumers: 1 });
    await fixture.fill(queue, 'a', 'b');
    await until('delivered', () => stays.sink.deliveries.length === 2);
    assert.deepEqual(gone.sink.texts, []);
    assert.deepEqual(gone.sink.cancellations, [], 'cancelled() is for deletion and damage');
  });

  check('release of a lease that holds nothing, and twice, does nothing', async (fixture) => {
    const lease = fixture.engine.lease();
    await fixture.release(lease);
    await fixture.release(lease);
    await fixture.quiet();
  });

  check('a lease can be lengthened while it lasts', async (fixture) => {
    const { queue, lease, held } = await tenHeld(fixture);
    assert.equal(await fixture.engine.extend(lease, 60_000), true);
    await fixture.expectStats(queue, { unacked: 10 });
    assert.deepEqual(await fixture.settle(lease, held, 'ack'), []);
    await fixture.release(lease);
    // Decided: a released lease is lost to its holder, whatever it says of itself.
    assert.equal(await fixture.engine.extend(lease, 60_000), false);
  });

  check(
    'requeue comes back to its place: before what is behind it, in the order of the queue',
    async (fixture) => {
      const { queue, lease, held } = await tenHeld(fixture);
      await fixture.fill(queue, 'new');
      assert.deepEqual(await fixture.settle(lease, [held[6]!], 'requeue'), []);
      assert.deepEqual(await fixture.settle(lease, [held[2]!, held[4]!], 'requeue'), []);
      assert.deepEqual(await fixture.settle(lease, [held[3]!], 'requeue'), []);
      await fixture.expectStats(queue, { ready: 5, unacked: 6 });
      const drained = await fixture.drain(queue);
      assert.deepEqual(texts(drained), ['2', '3', '4', '6', 'new']);
      assert.deepEqual(
        drained.map((delivery) => [delivery.redelivered, delivery.deliveryCount]),
        [
          [true, 1],
          [true, 1],
          [true, 1],
          [true, 1],
          [false, 0],
        ],
      );
    },
    { needs: 'requeueInPlace' },
  );

  check('requeued messages are delivered again to whoever has credit, counted each time', async (fixture) => {
    const queue = await fixture.declare();
    await fixture.fill(queue, 'a');
    const { sink, lease, consumer } = await fixture.held(queue, 1);
    for (let count = 1; count <= 4; count++) {
      assert.deepEqual(await fixture.settle(lease, [sink.deliveries.at(-1)!], 'requeue'), []);
      consumer.addCredit(1);
      await until('delivered again', () => sink.deliveries.length === count + 1);
      const again = sink.deliveries.at(-1)!;
      assert.equal(again.text, 'a');
      assert.equal(again.redelivered, true);
      assert.equal(again.deliveryCount, count);
    }
    assert.deepEqual(await fixture.settle(lease, [sink.deliveries.at(-1)!], 'ack'), []);
    await fixture.expectStats(queue, { ready: 0, unacked: 0 });
  });

  check('a requeued message keeps its bytes and the time when it was stored', async (fixture) => {
    const queue = await fixture.declare();
    const body = Buffer.alloc(100_000, 'x');
    await fixture.fill(queue, { body, properties: Buffer.from('prop') });
    const lease = fixture.engine.lease();
    const first = await fixture.take(queue, lease);
    assert.ok(first, 'a first delivery');
    await fixture.advance(5);
    await fixture.settle(lease, [first], 'requeue');
    const second = await fixture.take(queue, lease);
    assert.ok(second, 'a second delivery');
    assert.ok(second.body.equals(body), 'the body is the same');
    assert.deepEqual(second.properties, first.properties);
    assert.deepEqual(second.envelope, first.envelope);
    assert.equal(second.storedAt, first.storedAt);
    assert.equal(second.number, first.number);
  });

  check('a settlement beside a refused append of a plain batch is done all the same', async (fixture) => {
    const { queue, lease, held } = await tenHeld(fixture);
    const deleted = await fixture.declare();
    await fixture.change({ op: 'delete-queue', key: deleted.key });
    assert.deepEqual(
      await fixture.commit((batch) => {
        fixture.append(batch, deleted, 'x');
        fixture.settleIn(batch, lease, held, 'ack');
        fixture.append(batch, queue, 'new');
      }),
      [refused(0, 'gone')],
    );
    await fixture.expectStats(queue, { ready: 1, unacked: 0 });
  });
}
