import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { segmentName } from '../../../src/engine/local/journal/segment-file.ts';
import { crashing } from './crashing.ts';

test('browsing ends where a message is damaged, and the queue stops', async (t) => {
  const { fixture, engine, directory } = await crashing(t);
  const queue = await fixture.declare();
  await fixture.fill(queue, 'a'.repeat(100));
  await fixture.fill(queue, 'b'.repeat(100));
  await fixture.reopen();
  const { id } = [...engine().segments.values()].find(({ alive }) => alive > 0)!;
  const path = join(directory(), segmentName(id));
  const bytes = await readFile(path);
  bytes[bytes.indexOf('bbbb')]! ^= 1;
  await writeFile(path, bytes);
  const again = fixture.queue(queue.key);
  const browsed = await fixture.browse(again);
  assert.deepEqual(
    browsed.map(({ number }) => number),
    [1],
  );
  assert.match(again.damage!.message, /are not what was written/);
});
