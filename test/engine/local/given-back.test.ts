/** What nobody got after all: settled for a consumer without acknowledgement that is gone, or journalled as the next delivery. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Sink } from '../../../src/engine/engine.ts';
import { DiskFiles, type DiskFile } from '../../../src/engine/local/journal/disk-files.ts';
import type { OpenMode } from '../../../src/engine/local/journal/files.ts';
import { Collector, turn, until, within } from '../../conformance/fixture.ts';
import { crashing, small } from './crashing.ts';

/** On which no checkpoint can be written, so that what the journal says is all that there is. */
class NoCheckpoints extends DiskFiles {
  override open(path: string, mode: OpenMode): Promise<DiskFile> {
    return mode === 'create' && path.includes('checkpoint')
      ? Promise.reject(new Error('no checkpoint'))
      : super.open(path, mode);
  }
}

const nobody: Sink = { deliver: () => false, cancelled: () => undefined };

test('what was delivered before and is appended again is a redelivery, also after a restart', async (t) => {
  for (const restart of [false, true]) {
    const { fixture } = await crashing(t);
    const queue = await fixture.declare();
    await fixture.fill(queue, 'm');
    const { lease } = await fixture.held(queue, 1);
    await fixture.release(lease);
    const { consumer } = await fixture.consume(queue, { credit: 1, noAck: true });
    await until('it is taken out', () => taken(queue));
    consumer.cancel();
    await fixture.fill(queue, 'n');
    if (restart) await fixture.reopen();
    const { sink } = await fixture.consume(fixture.queue(queue.key));
    await until('both are delivered', () => sink.deliveries.length === 2);
    assert.deepEqual(
      sink.deliveries.map(({ text, redelivered, deliveryCount }) => [text, redelivered, deliveryCount]),
      [
        ['m', true, 1],
        ['n', false, 0],
      ],
    );
  }
});

/** Whether the queue has nothing ready. */
function taken(queue: unknown): boolean {
  return (queue as { ready: number }).ready === 0;
}

test('a take that waits is told when a purge leaves nothing for it', async (t) => {
  const { fixture } = await crashing(t);
  const queue = await fixture.declare();
  await fixture.fill(queue, 'm');
  // That it may be delivered has to be journalled first.
  const take = fixture.engine.take(queue, fixture.engine.lease(), false, nobody);
  await turn();
  await fixture.engine.purge(queue);
  assert.equal(await within('an answer', take), false);
});

test('a delivery that was journalled and did not happen is not counted after a clean stop', async (t) => {
  const { fixture } = await crashing(t, { ...small, files: new NoCheckpoints() });
  const queue = await fixture.declare();
  await fixture.fill(queue, 'a', 'b', 'c');
  const { lease } = await fixture.held(queue, 2);
  await fixture.release(lease);
  const again = fixture.engine.lease();
  assert.equal((await fixture.take(queue, again))!.text, 'a');
  await fixture.reopen();
  const counts = (await fixture.consume(fixture.queue(queue.key))).sink;
  await until('all are delivered', () => counts.deliveries.length === 3);
  assert.deepEqual(
    counts.deliveries.map(({ text, deliveryCount }) => [text, deliveryCount]),
    [
      ['a', 2],
      ['b', 1],
      ['c', 0],
    ],
  );
});

test('what is appended again expires when it would have', async (t) => {
  const { fixture } = await crashing(t);
  const queue = await fixture.declare({ messageTtlMs: 300 });
  const stoppedAtOnce = new Collector(fixture);
  stoppedAtOnce.onDeliver = () => false;
  const { consumer } = await fixture.consume(queue, { noAck: true, sink: stoppedAtOnce });
  await fixture.fill(queue, 'a', 'b');
  await until('one is delivered', () => stoppedAtOnce.deliveries.length === 1);
  await fixture.advance(350);
  consumer.cancel();
  const { sink } = await fixture.consume(queue);
  await fixture.quiet();
  assert.deepEqual(sink.texts, []);
  await fixture.expectStats(queue, { ready: 0, unacked: 0 });
});

test('what comes back from a lease that counts no deliveries was not delivered, after a restart either', async (t) => {
  for (const restart of [false, true]) {
    for (const limits of [{}, { deliveryLimit: 2 }]) {
      const { fixture } = await crashing(t, { ...small, files: new NoCheckpoints() });
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
