import assert from 'node:assert/strict';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { until } from '../../conformance/fixture.ts';
import { crashing } from './crashing.ts';

test('what may have been delivered before a crash is flagged after the next clean end too, without its checkpoint', async (t) => {
  const { fixture, engine, directory } = await crashing(t);
  const queue = await fixture.declare();
  await fixture.fill(queue, 'a', 'b', 'c');
  const { sink } = await fixture.consume(queue, { credit: 2 });
  await until('both', () => sink.deliveries.length === 2);
  await fixture.crash();
  await engine().close();
  for (const name of await readdir(directory())) if (name.startsWith('checkpoint-')) await rm(join(directory(), name));
  await fixture.crash();
  const drained = await fixture.drain(fixture.queue(queue.key));
  assert.deepEqual(
    drained.slice(0, 2).map(({ text, redelivered }) => [text, redelivered]),
    [
      ['a', true],
      ['b', true],
    ],
  );
});
