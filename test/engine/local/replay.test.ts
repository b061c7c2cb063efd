import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../../../src/engine/clock.ts';
import { Compaction } from '../../../src/engine/local/journal/compaction.ts';
import { segmentName } from '../../../src/engine/local/journal/segment-file.ts';
import type { StoreHost } from '../../../src/engine/local/store.ts';
import { messageOf } from '../../conformance/fixture.ts';
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

test('what was settled in the group that moves its run stays settled, and uncounted, when that is replayed', async (t) => {
  const { fixture, engine, directory } = await crashing(t);
  const queue = await fixture.declare();
  const targets = fixture.engine.targets([queue], Buffer.from('e'));
  await fixture.commit((batch) => {
    for (const body of texts(5)) batch.append(targets, messageOf({ body }));
  });
  const { lease, sink } = await fixture.held(queue, 5);
  const { journal, topology } = engine();
  // What the deliveries noted is written a while later: the segment's bytes are read when all of it is there.
  await new Promise((resolve) => journal.whenSynced(resolve));
  const segment = [...engine().segments.values()].find((each) => each.alive > 0)!;
  const bytes = await readFile(join(directory(), segmentName(segment.id)));
  const acked = fixture.settle(lease, sink.deliveries.slice(1, 3), 'ack');
  const moved = new Compaction(directory(), journal, { topology } as StoreHost, systemClock, () => undefined).move(
    segment,
    bytes,
  );
  await Promise.all([acked, moved]);
  await fixture.crash();
  await fixture.expectStats(fixture.queue(queue.key), { ready: 3 });
  const alive = [...engine().segments.values()].reduce((sum, each) => sum + each.alive, 0);
  assert.equal(alive, 3);
  assert.deepEqual(await fixture.drainTexts(fixture.queue(queue.key)), ['m0', 'm3', 'm4']);
});

test('messages that are damaged where compaction finds them are told by file and place', async (t) => {
  const { fixture, engine, directory } = await crashing(t);
  const queue = await fixture.declare();
  await fixture.fill(queue, 'm'.repeat(1000));
  const { journal, topology } = engine();
  await new Promise((resolve) => journal.whenSynced(resolve));
  const segment = [...engine().segments.values()].find((each) => each.alive > 0)!;
  const path = join(directory(), segmentName(segment.id));
  const bytes = await readFile(path);
  bytes[bytes.indexOf('mmmm') + 500]! ^= 1;
  const told: string[] = [];
  const damaged = (_queue: number, error: Error): unknown => told.push(error.message);
  await new Compaction(directory(), journal, { topology } as StoreHost, systemClock, damaged).move(segment, bytes);
  assert.equal(told.length, 1);
  assert.ok(told[0]!.startsWith(`segment ${path}, from byte `), told[0]);
});

test('messages of a priority queue that nobody consumed are not counted as delivered after a crash', async (t) => {
  const { fixture } = await crashing(t);
  const queue = await fixture.declare({ maxPriority: 3, deliveryLimit: 1 });
  await fixture.fill(queue, 'a', 'b');
  await fixture.crash();
  const { sink } = await fixture.held(fixture.queue(queue.key), 2);
  assert.deepEqual(
    sink.deliveries.map(({ text, redelivered, deliveryCount }) => [text, redelivered, deliveryCount]),
    [
      ['a', false, 0],
      ['b', false, 0],
    ],
  );
});

test('bytes of purged messages that had come back are not counted after a restart', async (t) => {
  const { fixture } = await crashing(t);
  const queue = await fixture.declare();
  await fixture.fill(queue, 'x'.repeat(1000));
  const { lease, sink, consumer } = await fixture.held(queue, 1);
  consumer.cancel();
  await fixture.settle(lease, sink.deliveries, 'requeue');
  assert.equal(await fixture.engine.purge(queue), 1);
  await fixture.fill(queue, 'ten bytes.');
  await fixture.reopen();
  await fixture.expectStats(fixture.queue(queue.key), { ready: 1, readyBytes: 10 });
});
