/** What the engine takes out by itself: expired, overflown and over-delivered messages, dropped or handed over. */
import assert from 'node:assert/strict';
import type { EngineQueue, Lease } from '../../../src/engine/engine.ts';
import type { Check } from '../engine-suite.ts';
import { type Fixture, type RemovalCollector, stale, until } from '../fixture.ts';

const handOverRemoved = true;

/** What a broker does with what was handed over: one batch that drops it there and appends it elsewhere. */
async function deadLetter(fixture: Fixture, sink: RemovalCollector, lease: Lease, to: EngineQueue): Promise<void> {
  const taken = sink.removed.splice(0);
  assert.deepEqual(
    await fixture.commit((batch) => {
      for (const delivery of taken) {
        fixture.append(batch, to, { body: delivery.body });
        batch.settle(lease, delivery.queue, delivery.number, 1, 'drop');
      }
    }),
    [],
  );
}

/** Delivers the only message of the queue to a new holder and gives it back. */
async function deliverOnce(fixture: Fixture, queue: EngineQueue, how: 'requeue' | 'release'): Promise<void> {
  const lease = fixture.engine.lease();
  const delivery = await fixture.take(queue, lease);
  assert.ok(delivery, 'a message was there');
  if (how === 'release') await fixture.release(lease);
  else assert.deepEqual(await fixture.settle(lease, [delivery], 'requeue'), []);
}

export function removalCases(check: Check): void {
  check('a message that has expired is not delivered, and is gone by itself', async (fixture) => {
    const queue = await fixture.declare();
    await fixture.fill(
      queue,
      { body: 'short', expiresAt: fixture.now() + 50 },
      { body: 'long', expiresAt: fixture.now() + 60_000 },
      'ever',
    );
    await fixture.expectStats(queue, { ready: 3 });
    await fixture.advance(100);
    await fixture.untilStats(queue, { ready: 2, unacked: 0, readyBytes: 8 }); // nobody asked for it
    assert.deepEqual(await fixture.drainTexts(queue), ['long', 'ever']);
  });

  check('where what was delivered lasts, it does not expire when it comes back', async (fixture) => {
    const queue = await fixture.declare({ deliveredLasts: true });
    const expiresAt = fixture.now() + 200;
    await fixture.fill(
      queue,
      { body: 'sent', expiresAt },
      { body: 'too', expiresAt },
      { body: 'never sent', expiresAt },
    );
    await deliverOnce(fixture, queue, 'requeue');
    const lease = fixture.engine.lease();
    for (const text of ['sent', 'too']) assert.equal((await fixture.take(queue, lease))?.text, text);
    await fixture.advance(300);
    await fixture.release(lease);
    await fixture.quiet();
    assert.deepEqual(await fixture.drainTexts(queue), ['sent', 'too']);
    await fixture.untilStats(queue, { ready: 0, unacked: 0 });
  });

  check('behind a living head too, an expired message is never delivered', async (fixture) => {
    // Its count may stay in `ready` until it is at the head: expiry is judged there.
    const queue = await fixture.declare();
    await fixture.fill(queue, 'head', { body: 'short', expiresAt: fixture.now() + 50 }, 'tail');
    await fixture.advance(100);
    const { sink } = await fixture.consume(queue);
    await until('two', () => sink.deliveries.length >= 2);
    await fixture.quiet();
    assert.deepEqual(sink.texts, ['head', 'tail']);
    await fixture.expectStats(queue, { ready: 0, unacked: 2 });
  });

  check('what expired behind a head is gone by itself once that head was taken', async (fixture) => {
    const queue = await fixture.declare();
    await fixture.fill(queue, 'head', { body: 'short', expiresAt: fixture.now() + 50 }, 'tail');
    await fixture.advance(100);
    await fixture.take(queue, fixture.engine.lease());
    await fixture.untilStats(queue, { ready: 1, unacked: 1 });
  });

  check('taking and browsing pass over what has expired', async (fixture) => {
    const queue = await fixture.declare();
    await fixture.fill(
      queue,
      { body: 'a', expiresAt: fixture.now() + 50 },
      { body: 'b', expiresAt: fixture.now() + 50 },
      'c',
    );
    await fixture.advance(100);
    assert.equal((await fixture.take(queue, fixture.engine.lease()))?.text, 'c');
  });

  check('messageTtlMs counts from the append; the earlier of both applies', async (fixture) => {
    const queue = await fixture.declare({ messageTtlMs: 100 });
    await fixture.fill(queue, 'a', { body: 'b', expiresAt: fixture.now() + 60_000 });
    await fixture.fill(queue, { body: 'c', expiresAt: fixture.now() + 1 });
    await fixture.advance(60);
    await fixture.fill(queue, 'd');
    await fixture.advance(60);
    await fixture.untilStats(queue, { ready: 1 });
    assert.deepEqual(await fixture.drainTexts(queue), ['d']);
  });

  check("the queue's time to live is its current one", async (fixture) => {
    const queue = await fixture.declare();
    await fixture.fill(queue, 'a');
    await fixture.change({
      op: 'put-queue',
      queue: { key: queue.key, durable: true, limits: { messageTtlMs: 50 }, value: null },
    });
    await fixture.advance(100);
    assert.deepEqual(await fixture.drainTexts(queue), []);
  });

  check('a time to live of 0: only a consumer that can take it at once gets it', async (fixture) => {
    const queue = await fixture.declare({ messageTtlMs: 0 });
    await fixture.fill(queue, 'nobody');
    await fixture.untilStats(queue, { ready: 0 });
    const { sink } = await fixture.consume(queue, { credit: 2 });
    await fixture.fill(queue, '1', '2', '3');
    await until('two', () => sink.deliveries.length === 2);
    await fixture.untilStats(queue, { ready: 0, unacked: 2 });
    assert.deepEqual(sink.texts, ['1', '2']);
  });

  check('a time to live of 0: what comes back is gone, though a consumer could take it', async (fixture) => {
    const queue = await fixture.declare({ messageTtlMs: 0 });
    const { sink, lease } = await fixture.consume(queue, { credit: 5 });
    assert.deepEqual(await fixture.drainTexts(queue), []);
    await fixture.fill(queue, '1', '2');
    await until('both', () => sink.deliveries.length === 2);
    assert.deepEqual(await fixture.settle(lease, sink.deliveries, 'requeue'), []);
    await fixture.untilStats(queue, { ready: 0, unacked: 0 });
    assert.deepEqual(sink.texts, ['1', '2']);
  });

  check('what is held does not expire; given back late it does', async (fixture) => {
    const queue = await fixture.declare({ messageTtlMs: 50 });
    await fixture.fill(queue, 'acked', 'requeued', 'released');
    const { sink, lease } = await fixture.held(queue, 3);
    await fixture.advance(100);
    await fixture.expectStats(queue, { unacked: 3 });
    assert.deepEqual(await fixture.settle(lease, sink.deliveries.slice(0, 1), 'ack'), []);
    assert.deepEqual(await fixture.settle(lease, sink.deliveries.slice(1, 2), 'requeue'), []);
    await fixture.release(lease);
    await fixture.untilStats(queue, { ready: 0, unacked: 0 });
    assert.deepEqual(await fixture.drainTexts(queue), []);
  });

  check('a message with a time of its own, given back late, is gone by itself too', async (fixture) => {
    const queue = await fixture.declare();
    const expiresAt = fixture.now() + 50;
    await fixture.fill(queue, { body: 'requeued', expiresAt }, { body: 'released', expiresAt });
    const { sink, lease } = await fixture.held(queue, 2);
    await fixture.advance(100);
    assert.deepEqual(await fixture.settle(lease, sink.deliveries.slice(0, 1), 'requeue'), []);
    await fixture.untilStats(queue, { ready: 0, unacked: 1 }); // nobody asks for it
    await fixture.release(lease);
    await fixture.untilStats(queue, { ready: 0, unacked: 0 });
  });

  check('handed over: expired messages come to the removal sink, held under its lease', async (fixture) => {
    const queue = await fixture.declare({ messageTtlMs: 50, handOverRemoved });
    const dead = await fixture.declare();
    const { sink, lease } = fixture.onRemoval();
    await fixture.fill(queue, { body: 'a', properties: Buffer.from('props') }, 'b');
    await fixture.advance(100);
    await until('handed over', () => sink.removed.length === 2 && sink.unflushed === 0);
    assert.deepEqual(
      sink.removed.map(({ text, reason, redelivered, deliveryCount }) => [text, reason, redelivered, deliveryCount]),
      [
        ['a', 'expired', false, 0],
        ['b', 'expired', false, 0],
      ],
    );
    assert.deepEqual(sink.removed[0]!.properties, Buffer.from('props'));
    assert.ok(
      sink.removed.every((removed) => removed.queue === queue),
      'every delivery names its queue',
    );
    await fixture.expectStats(queue, { ready: 0, unacked: 2 });
    const { removed } = sink;
    assert.deepEqual(await fixture.settle(fixture.engine.lease(), removed, 'drop'), [stale(0)]);
    await deadLetter(fixture, sink, lease, dead);
    await fixture.expectStats(queue, { ready: 0, unacked: 0 });
    assert.deepEqual(await fixture.drainTexts(dead), ['a', 'b']);
  });

  check('handed over: without a removal sink they wait, undelivered; once it is set they come', async (fixture) => {
    const queue = await fixture.declare({ messageTtlMs: 50, handOverRemoved });
    await fixture.fill(queue, 'a', 'b');
    await fixture.advance(100);
    await fixture.quiet();
    const { sink: consumer } = await fixture.consume(queue);
    await fixture.quiet();
    assert.deepEqual(consumer.texts, []);
    const { sink } = fixture.onRemoval();
    await until('handed over', () => sink.removed.length === 2);
    assert.deepEqual(sink.texts, ['a', 'b']);
    assert.deepEqual(consumer.texts, []);
  });

  check(
    'handed over: what overflows, oldest first, while the newest stay',
    async (fixture) => {
      const queue = await fixture.declare({ maxLength: 2, handOverRemoved });
      const dead = await fixture.declare();
      const { sink, lease } = fixture.onRemoval();
      await fixture.fill(queue, '1', '2', '3', '4', '5');
      await until('handed over', () => sink.removed.length === 3 && sink.unflushed === 0);
      assert.deepEqual(
        sink.removed.map(({ text, reason }) => [text, reason]),
        [
          ['1', 'max-length'],
          ['2', 'max-length'],
          ['3', 'max-length'],
        ],
      );
      await fixture.expectStats(queue, { ready: 2, unacked: 3 });
      await deadLetter(fixture, sink, lease, dead);
      await fixture.expectStats(queue, { ready: 2, unacked: 0 });
      assert.deepEqual(await fixture.drainTexts(dead), ['1', '2', '3']);
      assert.deepEqual(await fixture.drainTexts(queue), ['4', '5']);
    },
    { needs: 'readyLimits' },
  );

  check(
    'handed over: maxBytes',
    async (fixture) => {
      const queue = await fixture.declare({ maxBytes: 5, handOverRemoved });
      const { sink } = fixture.onRemoval();
      await fixture.fill(queue, '111', '22');
      await fixture.fill(queue, '3');
      await until('handed over', () => sink.removed.length === 1);
      assert.deepEqual(sink.texts, ['111']);
      await fixture.expectStats(queue, { ready: 2, readyBytes: 3, unacked: 1 });
    },
    { needs: 'readyLimits' },
  );

  for (const how of ['requeue', 'release'] as const) {
    check(`delivery limit: ${how} after the last delivery removes the message`, async (fixture) => {
      const queue = await fixture.declare({ deliveryLimit: 2 });
      await fixture.fill(queue, 'poison', 'fine');
      await deliverOnce(fixture, queue, how);
      const lease = fixture.engine.lease();
      const again = await fixture.take(queue, lease);
      assert.deepEqual([again?.text, again?.deliveryCount], ['poison', 1]);
      if (how === 'release') await fixture.release(lease);
      else await fixture.settle(lease, [again!], 'requeue');
      const { sink } = await fixture.consume(queue);
      await until('the next', () => sink.deliveries.length === 1);
      await fixture.quiet();
      assert.deepEqual(sink.texts, ['fine']);
      await fixture.untilStats(queue, { ready: 0, unacked: 1 });
    });
  }

  check('delivery limit, handed over with its count', async (fixture) => {
    const queue = await fixture.declare({ deliveryLimit: 3, handOverRemoved });
    const dead = await fixture.declare();
    const { sink, lease } = fixture.onRemoval();
    await fixture.fill(queue, 'poison');
    for (let count = 0; count < 3; count++) await deliverOnce(fixture, queue, 'requeue');
    // Nobody asks for it: it came back for the last time.
    await until('handed over', () => sink.removed.length === 1 && sink.unflushed === 0);
    const { sink: consumer } = await fixture.consume(queue);
    await fixture.quiet();
    assert.deepEqual(consumer.texts, []);
    const [removed] = sink.removed;
    assert.ok(removed, 'a message was handed over');
    assert.deepEqual(
      [removed.text, removed.reason, removed.deliveryCount, removed.redelivered],
      ['poison', 'delivery-limit', 3, true],
    );
    await deadLetter(fixture, sink, lease, dead);
    await fixture.expectStats(queue, { ready: 0, unacked: 0 });
    assert.deepEqual(await fixture.drainTexts(dead), ['poison']);
  });

  for (const how of ['requeue', 'release'] as const) {
    check(
      `delivery limit: ${how} of the last delivery removes the message at once, wherever it stands`,
      async (fixture) => {
        const queue = await fixture.declare({ deliveryLimit: 2 });
        await fixture.fill(queue, '1', 'poison', '3');
        const first = await fixture.held(queue, 2);
        await fixture.settle(first.lease, first.sink.deliveries.slice(1), 'requeue');
        const { sink, lease } = await fixture.held(queue, 1);
        assert.deepEqual(sink.texts, ['poison']);
        await fixture.settle(first.lease, first.sink.deliveries.slice(0, 1), 'requeue');
        if (how === 'release') await fixture.release(lease);
        else await fixture.settle(lease, sink.deliveries, 'requeue');
        await fixture.expectStats(queue, { ready: 2, unacked: 0, readyBytes: 2 });
        assert.deepEqual(await fixture.drainTexts(queue), ['1', '3']);
      },
    );
  }

  check(
    'delivery limit, handed over: without a removal sink it waits, and what is behind it does not',
    async (fixture) => {
      const queue = await fixture.declare({ deliveryLimit: 1, handOverRemoved });
      await fixture.fill(queue, 'poison');
      await deliverOnce(fixture, queue, 'requeue');
      assert.equal(await fixture.take(queue, fixture.engine.lease()), null);
      await fixture.expectStats(queue, { ready: 1, unacked: 0, readyBytes: 6 });
      await fixture.fill(queue, 'fine');
      assert.equal((await fixture.take(queue, fixture.engine.lease()))?.text, 'fine');
      const { sink } = fixture.onRemoval();
      await until('handed over', () => sink.removed.length === 1);
      assert.deepEqual(sink.texts, ['poison']);
      await fixture.expectStats(queue, { ready: 0, unacked: 2 });
    },
  );

  check('what waits for its removal at the delivery limit is purged with the rest', async (fixture) => {
    const queue = await fixture.declare({ deliveryLimit: 1, handOverRemoved });
    await fixture.fill(queue, 'poison');
    await deliverOnce(fixture, queue, 'requeue');
    await fixture.fill(queue, 'fine');
    assert.deepEqual(
      (await fixture.browse(queue)).map(({ body }) => body.toString()),
      ['poison', 'fine'],
    );
    assert.equal(await fixture.engine.purge(queue), 2);
    const { sink } = fixture.onRemoval();
    await fixture.quiet();
    assert.deepEqual(sink.texts, []);
    await fixture.expectStats(queue, { ready: 0, unacked: 0, readyBytes: 0 });
  });

  check('a delivery limit that was lowered holds from the next delivery on', async (fixture) => {
    const { key } = await fixture.declare({ deliveryLimit: 3 });
    await fixture.fill(fixture.queue(key), 'poison', 'fine');
    await deliverOnce(fixture, fixture.queue(key), 'requeue');
    await fixture.change({ op: 'put-queue', queue: { key, durable: true, limits: { deliveryLimit: 1 }, value: null } });
    assert.equal((await fixture.take(fixture.queue(key), fixture.engine.lease()))?.text, 'fine');
    await fixture.untilStats(fixture.queue(key), { ready: 0, unacked: 1 });
  });

  for (const restart of ['reopen', 'crash'] as const) {
    check(
      `${restart}: what was held for the last time is removed by itself`,
      async (fixture) => {
        const queue = await fixture.declare({ deliveryLimit: 1 });
        const handed = await fixture.declare({ deliveryLimit: 1, handOverRemoved });
        await fixture.fill([queue, handed], 'poison');
        await fixture.held(queue, 1);
        await fixture.held(handed, 1);
        await fixture[restart]();
        await fixture.untilStats(fixture.queue(queue.key), { ready: 0, unacked: 0, readyBytes: 0 });
        const { sink } = fixture.onRemoval();
        await until('handed over', () => sink.removed.length === 1);
        assert.deepEqual(
          sink.removed.map(({ text, reason, deliveryCount }) => [text, reason, deliveryCount]),
          [['poison', 'delivery-limit', 1]],
        );
      },
      { across: restart },
    );
  }

  check('take passes over what reached its delivery limit', async (fixture) => {
    const queue = await fixture.declare({ deliveryLimit: 1 });
    await fixture.fill(queue, 'poison', 'fine');
    await deliverOnce(fixture, queue, 'requeue');
    const lease = fixture.engine.lease();
    assert.equal((await fixture.take(queue, lease))?.text, 'fine');
    assert.equal(await fixture.take(queue, lease), null);
  });

  check('a removal that its holder gives back is removed again', async (fixture) => {
    const queue = await fixture.declare({ messageTtlMs: 50, handOverRemoved });
    const { sink, lease } = fixture.onRemoval();
    await fixture.fill(queue, 'a');
    await fixture.advance(100);
    await until('handed over', () => sink.removed.length === 1 && sink.unflushed === 0);
    assert.deepEqual(await fixture.settle(lease, sink.removed.slice(0, 1), 'requeue'), []);
    await until('handed over again', () => sink.removed.length === 2);
    assert.deepEqual(sink.texts, ['a', 'a']);
  });

  for (const how of ['requeue', 'release', 'reopen'] as const) {
    const was = how === 'reopen' ? 'is there again after a restart' : `comes back by ${how}`;
    check(
      `a removal that ${was} was no delivery`,
      async (fixture) => {
        const { key } = await fixture.declare({ handOverRemoved });
        const { sink, lease } = fixture.onRemoval();
        await fixture.fill(fixture.queue(key), 'twice');
        for (let count = 0; count < 2; count++) await deliverOnce(fixture, fixture.queue(key), 'requeue');
        await fixture.fill(fixture.queue(key), 'never');
        const limited = async (messageTtlMs?: number): Promise<unknown> =>
          fixture.change({
            op: 'put-queue',
            queue: {
              key,
              durable: true,
              limits: messageTtlMs === undefined ? { handOverRemoved } : { handOverRemoved, messageTtlMs },
              value: null,
            },
          });
        await limited(50);
        await fixture.advance(100);
        await until('handed over', () => sink.removed.length === 2 && sink.unflushed === 0);
        await limited();
        if (how === 'requeue') await fixture.settle(lease, sink.removed, 'requeue');
        else if (how === 'release') await fixture.release(lease);
        else await fixture.reopen();
        const again = await fixture.held(fixture.queue(key), 2);
        assert.deepEqual(
          again.sink.deliveries.map(({ text, redelivered, deliveryCount }) => [text, redelivered, deliveryCount]),
          [
            ['twice', true, 2],
            ['never', false, 0],
          ],
        );
      },
      how === 'reopen' ? { across: 'reopen' } : {},
    );
  }

  check(
    'handed over and not settled before death: handed over again',
    async (fixture) => {
      const queue = await fixture.declare({ messageTtlMs: 50, handOverRemoved });
      const first = fixture.onRemoval();
      await fixture.fill(queue, 'a', 'b');
      await fixture.advance(100);
      await until('handed over', () => first.sink.removed.length === 2 && first.sink.unflushed === 0);
      assert.deepEqual(await fixture.settle(first.lease, first.sink.removed.slice(0, 1), 'drop'), []);
      await fixture.crash();
      const second = fixture.onRemoval();
      await until('handed over again', () => second.sink.removed.length === 1);
      assert.deepEqual(second.sink.texts, ['b']);
    },
    { across: 'crash' },
  );

  check(
    'times of their own outlive a restart: ready and held ones go by themselves, without anybody asking',
    async (fixture) => {
      const held = await fixture.declare();
      const ready = await fixture.declare();
      await fixture.fill([held, ready], { body: 'short', expiresAt: fixture.now() + 50 }, 'ever');
      await fixture.held(held, 1);
      await fixture.reopen();
      await fixture.advance(100);
      await fixture.untilStats(fixture.queue(ready.key), { ready: 1 });
      await fixture.untilStats(fixture.queue(held.key), { ready: 1, unacked: 0 });
    },
    { across: 'reopen' },
  );

  check(
    'expired while nobody served: gone after the restart, without being delivered',
    async (fixture) => {
      const queue = await fixture.declare();
      await fixture.fill(queue, { body: 'short', expiresAt: fixture.now() + 50 }, 'ever');
      await fixture.reopen();
      await fixture.advance(100);
      assert.deepEqual(await fixture.drainTexts(fixture.queue(queue.key)), ['ever']);
    },
    { across: 'reopen' },
  );
}
