import assert from 'node:assert/strict';
import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../../../../src/engine/clock.ts';
import { Compaction } from '../../../../src/engine/local/journal/compaction.ts';
import { segmentName } from '../../../../src/engine/local/journal/segment-file.ts';
import type { StoreHost } from '../../../../src/engine/local/store.ts';
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
  for (const name of (await readdir(directory())).filter((each) => each.startsWith('journal-')))
    assert.equal((await stat(join(directory(), name))).size, small.segmentBytes, name);
  await fixture.crash();
  assert.equal((await fixture.drain(fixture.queue(queue.key))).length, 4);
});
