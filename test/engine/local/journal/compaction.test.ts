import assert from 'node:assert/strict';
import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../../../../src/engine/clock.ts';
import { ChunkPage } from '../../../../src/engine/local/chunk-page.ts';
import { Compaction } from '../../../../src/engine/local/journal/compaction.ts';
import { segmentName } from '../../../../src/engine/local/journal/segment-file.ts';
import type { StoreHost } from '../../../../src/engine/local/store.ts';
import { messageOf } from '../../../conformance/fixture.ts';
import { crashing, small } from '../crashing.ts';

test('what is moved goes where space is allocated, not beyond the end of a segment', async (t) => {
  const { fixture, engine, directory } = await crashing(t, small);
  const queue = await fixture.declare();
  await fixture.fill(queue, ...Array.from({ length: 4 }, () => ({ body: Buffer.alloc(7000) })));
  const { journal, topology, segments } = engine();
  await new Promise((resolve) => journal.whenSynced(resolve));
  const segment = [...segments.values()].find(({ alive }) => alive > 0)!;
  // Less than the run takes is left of another segment then.
  const other = await fixture.declare();
  while (journal.tail!.segment === segment.id || journal.tail!.offset < journal.tail!.end - 20_000)
    await fixture.fill(other, { body: Buffer.alloc(3000) });
  const bytes = await readFile(join(directory(), segmentName(segment.id)));
  const before = journal.tail!.segment;
  const failed = (_queue: number, error: Error): never => {
    throw error;
  };
  await new Compaction(directory(), journal, { topology } as StoreHost, systemClock, failed).move(segment, bytes);
  assert.equal(journal.tail!.segment, before + 1);
  for (const name of (await readdir(directory())).filter((each) => each.endsWith('.seg')))
    assert.equal((await stat(join(directory(), name))).size, small.segmentBytes, name);
  await fixture.crash();
  assert.equal((await fixture.drain(fixture.queue(queue.key))).length, 4);
});

test('what was delayed is found a few pages at a time', async (t) => {
  let now = Date.now();
  const clock = { ...systemClock, now: () => now };
  const options = { ...small, segmentBytes: 16e6, windowBytes: 32e6, blockBytes: 1e6, sparseShare: 0, clock };
  const { fixture, engine, directory } = await crashing(t, options);
  const [queue, other] = [await fixture.declare(), await fixture.declare()];
  const dueAt = now + 500;
  await fixture.publish(queue, { body: 'soon', dueAt }, { body: 'late', dueAt: dueAt + 100_000 });
  const { journal, topology, segments } = engine();
  const segment = [...segments.values()].find(({ alive }) => alive > 0)!;
  // Each a chunk of its own, over many pages; the message is the last to come.
  const targets = [queue, other].map((each) => fixture.engine.targets([each], Buffer.from('e')));
  const view = messageOf({ body: 'x' });
  for (let n = 0; n < 50; n++) {
    await fixture.commit((batch) => {
      for (let at = 0; at < 1000; at++) for (const each of targets) batch.append(each, view);
    });
  }
  now += 1000;
  await fixture.untilStats(queue, { ready: 50_001, delayed: 1 });
  await new Promise((resolve) => journal.whenSynced(resolve));
  assert.notEqual(journal.tail!.segment, segment.id);
  const bytes = await readFile(join(directory(), segmentName(segment.id)));
  let looks = 0;
  let total = 0;
  let most = 0;
  const ended = (): void => {
    most = Math.max(most, looks);
    total += looks;
    looks = 0;
  };
  const { segmentOf } = ChunkPage.prototype;
  t.after(() => (ChunkPage.prototype.segmentOf = segmentOf));
  ChunkPage.prototype.segmentOf = function (chunk) {
    looks++;
    return segmentOf.call(this, chunk);
  };
  const counting = {
    ...clock,
    defer: (task: () => void) => {
      ended();
      clock.defer(task);
    },
  };
  const failed = (_queue: number, error: Error): never => {
    throw error;
  };
  await new Compaction(directory(), journal, { topology } as StoreHost, counting, failed).move(segment, bytes);
  ended();
  ChunkPage.prototype.segmentOf = segmentOf;
  assert.equal(segment.alive, 0);
  assert.ok(most <= 60_000, `${most} looked at in one turn`);
  assert.ok(total >= 50_000, `${total} looked at`);
  await fixture.crash();
  assert.equal((await fixture.browse(fixture.queue(queue.key), 50_000))[0]?.body.toString(), 'soon');
});
