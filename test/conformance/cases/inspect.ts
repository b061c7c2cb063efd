/** `stats`, `purge`, `browse`, `read`. */
import assert from 'node:assert/strict';
import type { Check } from '../engine-suite.ts';
import { type Fixture, until } from '../fixture.ts';

const bodies = async (fixture: Fixture, key: string, offset?: number, limit?: number): Promise<string[]> =>
  (await fixture.browse(fixture.queue(key), offset, limit)).map(({ body }) => body.toString());

export function inspectCases(check: Check): void {
  check("stats at every step of a message's life", async (fixture) => {
    const queue = await fixture.declare();
    await fixture.expectStats(queue, { ready: 0, unacked: 0, readyBytes: 0, consumers: 0 });
    await fixture.fill(queue, '123', { body: '12345', properties: Buffer.alloc(99) });
    await fixture.expectStats(queue, { ready: 2, unacked: 0, readyBytes: 8, consumers: 0 });
    const { sink, lease, consumer } = await fixture.held(queue, 1);
    await fixture.expectStats(queue, { ready: 1, unacked: 1, readyBytes: 5, consumers: 1 });
    await fixture.settle(lease, sink.deliveries, 'requeue');
    await fixture.expectStats(queue, { ready: 2, unacked: 0, readyBytes: 8, consumers: 1 });
    consumer.addCredit(2);
    await until('both', () => sink.deliveries.length === 3);
    await fixture.expectStats(queue, { ready: 0, unacked: 2, readyBytes: 0 });
    await fixture.settle(lease, sink.deliveries.slice(1, 2), 'ack');
    await fixture.expectStats(queue, { ready: 0, unacked: 1, readyBytes: 0 });
    consumer.cancel();
    await fixture.expectStats(queue, { consumers: 0 });
    await fixture.release(lease);
    await fixture.expectStats(queue, { ready: 1, unacked: 0, readyBytes: 5 });
    await fixture.drain(queue);
    await fixture.expectStats(queue, { ready: 0, unacked: 0, readyBytes: 0, consumers: 0 });
  });

  check('stats see what was committed before, without waiting for the report', async (fixture) => {
    const queue = await fixture.declare();
    const report = fixture.publish(queue, 'a');
    await fixture.expectStats(queue, { ready: 1 });
    await report;
  });

  check('purge removes what is ready, tells how many, and leaves what is held', async (fixture) => {
    const queue = await fixture.declare();
    assert.equal(await fixture.engine.purge(queue), 0);
    await fixture.fill(queue, 'held', 'a', 'requeued', 'b', 'c');
    const { sink, lease } = await fixture.held(queue, 3);
    await fixture.settle(lease, sink.deliveries.slice(2), 'requeue');
    assert.equal(await fixture.engine.purge(queue), 3);
    await fixture.expectStats(queue, { ready: 0, unacked: 2, readyBytes: 0 });
    await fixture.fill(queue, 'new');
    await fixture.release(lease);
    assert.deepEqual(await fixture.drainTexts(queue), ['held', 'a', 'new']);
  });

  check('purge and then publish, without waiting: the new one stays', async (fixture) => {
    const queue = await fixture.declare();
    await fixture.fill(queue, 'old');
    const [purged] = await Promise.all([fixture.engine.purge(queue), fixture.fill(queue, 'new')]);
    assert.equal(purged, 1);
    assert.deepEqual(await fixture.drainTexts(queue), ['new']);
  });

  check('purge of one queue leaves the others, of a fan-out too', async (fixture) => {
    const a = await fixture.declare();
    const b = await fixture.declare();
    await fixture.fill([a, b], '1', '2');
    assert.equal(await fixture.engine.purge(a), 2);
    assert.deepEqual(await fixture.drainTexts(b), ['1', '2']);
  });

  check('browse shows ready messages from the head and takes none', async (fixture) => {
    const queue = await fixture.declare();
    assert.deepEqual(await fixture.browse(queue), []);
    await fixture.fill(queue, '0', '1', '2', '3', '4');
    assert.deepEqual(await bodies(fixture, queue.key), ['0', '1', '2', '3', '4']);
    assert.deepEqual(await bodies(fixture, queue.key, 1, 2), ['1', '2']);
    assert.deepEqual(await bodies(fixture, queue.key, 4, 10), ['4']);
    assert.deepEqual(await bodies(fixture, queue.key, 5, 10), []);
    assert.deepEqual(await bodies(fixture, queue.key, 0, 0), []);
    const { sink, lease } = await fixture.held(queue, 3);
    assert.deepEqual(await bodies(fixture, queue.key), ['3', '4']);
    await fixture.settle(lease, sink.deliveries.slice(1, 2), 'requeue');
    const browsed = await fixture.browse(queue);
    assert.deepEqual(
      browsed.map(({ body, redelivered }) => [body.toString(), redelivered]),
      [
        ['1', true],
        ['3', false],
        ['4', false],
      ],
    );
    await fixture.expectStats(queue, { ready: 3, unacked: 2 });
    await fixture.release(lease);
    const drained = await fixture.drain(queue);
    assert.deepEqual(
      drained.map(({ text, deliveryCount }) => [text, deliveryCount]),
      [
        ['0', 1],
        ['1', 1],
        ['2', 1],
        ['3', 0],
        ['4', 0],
      ],
      'browsing counts no delivery',
    );
  });

  check('browse shows a message whole, in buffers of its own', async (fixture) => {
    const queue = await fixture.declare();
    const body = Buffer.alloc(300_000, 'b');
    const properties = Buffer.from('properties');
    const envelope = Buffer.from('envelope');
    await fixture.commit((batch) => fixture.append(batch, queue, { body, properties }, envelope));
    const [browsed] = await fixture.browse(queue);
    assert.ok(browsed, 'a message was shown');
    assert.ok(browsed.body.equals(body), 'the body is the same');
    assert.deepEqual(browsed.properties, properties);
    assert.deepEqual(browsed.envelope, envelope);
    browsed.body.fill(0);
    browsed.properties.fill(0);
    const [delivery] = await fixture.drain(queue);
    assert.ok(delivery, 'a message was there');
    assert.equal(delivery.number, browsed.number);
    assert.equal(delivery.storedAt, browsed.storedAt);
    assert.ok(delivery.body.equals(body), 'the body is the same');
    assert.deepEqual(delivery.properties, properties);
  });
}
