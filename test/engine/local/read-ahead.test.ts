/** Queues that need nothing of the backlog any more give back what was read ahead for them. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { EngineQueue } from '../../../src/engine/engine.ts';
import { systemClock } from '../../../src/engine/clock.ts';
import { DiskStore } from '../../../src/engine/local/disk-store.ts';
import { LocalEngine } from '../../../src/engine/local/local-engine.ts';
import { DiskFiles } from '../../../src/engine/local/journal/disk-files.ts';
import { defaultJournalOptions } from '../../../src/engine/local/journal/options.ts';
import { Fixture, until } from '../../conformance/fixture.ts';
import { small } from './crashing.ts';

async function open(test: TestContext): Promise<{ fixture: Fixture; held: () => number }> {
  const root = await mkdtemp(join(tmpdir(), 'postrider-read-ahead-'));
  const store = new DiskStore(root, new DiskFiles(), systemClock, { ...defaultJournalOptions, ...small });
  const engine = new LocalEngine(store, systemClock, defaultJournalOptions.behindBytes);
  const fixture = await Fixture.open({ engine, cleanup: () => Promise.resolve() });
  const all = store.reader.readAhead.left;
  test.after(async () => {
    await engine.close();
    await rm(root, { recursive: true, force: true });
  });
  return { fixture, held: () => all - store.reader.readAhead.left };
}

const count = 300;

/** One by one, so that the first are in no block of the window any more when the last one comes. */
async function fill(fixture: Fixture, queue: EngineQueue): Promise<void> {
  for (let n = 0; n < count; n++) await fixture.fill(queue, { body: Buffer.alloc(1000) });
}

for (const [what, end] of Object.entries<(fixture: Fixture, queue: string) => Promise<unknown>>({
  'that was emptied': (fixture, queue) => fixture.engine.purge(fixture.queue(queue)),
  'that was deleted': (fixture, queue) => fixture.engine.change([{ op: 'delete-queue', key: queue }]),
})) {
  test(`a queue ${what} holds nothing read ahead`, async (t) => {
    const { fixture, held } = await open(t);
    const queue = await fixture.declare();
    await fill(fixture, queue);
    const { sink } = await fixture.consume(queue, { credit: 1 });
    await until('the first is delivered', () => sink.deliveries.length === 1);
    assert.ok(held() > 0);
    await end(fixture, queue.key);
    await until('nothing is held', () => held() === 0);
  });
}

test('a queue whose last consumer is gone holds nothing read ahead', async (t) => {
  const { fixture, held } = await open(t);
  const queue = await fixture.declare();
  await fill(fixture, queue);
  const one = await fixture.consume(queue, { credit: 1 });
  const other = await fixture.consume(queue, { credit: 1 });
  await until('both have one', () => one.sink.deliveries.length + other.sink.deliveries.length === 2);
  one.consumer.cancel();
  assert.ok(held() > 0);
  other.consumer.cancel();
  await until('nothing is held', () => held() === 0);
});

test('a queue that was drained holds nothing read ahead', async (t) => {
  const { fixture, held } = await open(t);
  const queue = await fixture.declare();
  await fill(fixture, queue);
  const { sink } = await fixture.consume(queue, { credit: 1000 });
  await until('all is delivered', () => sink.deliveries.length === count);
  await until('nothing is held', () => held() === 0);
});
