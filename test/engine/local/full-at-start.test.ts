import assert from 'node:assert/strict';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { systemClock } from '../../../src/engine/clock.ts';
import type { EngineQueue } from '../../../src/engine/engine.ts';
import type { Fixture } from '../../conformance/fixture.ts';
import { until } from '../../conformance/fixture.ts';
import { crashing, small, type Crashing } from './crashing.ts';
import { Quota } from './journal/full-disks.ts';

const KiB = 1024;
const sizes = {
  ...small,
  firstSegmentBytes: 1024 * KiB,
  segmentBytes: 1024 * KiB,
  reserveBytes: 512 * KiB,
  spareSegments: 0,
};

interface Full extends Crashing {
  readonly disk: Quota;
}

/** A store with messages in it, killed. */
async function killed(t: TestContext): Promise<Full> {
  const disk = new Quota();
  const made = await crashing(t, { ...sizes, files: disk });
  const queue = await made.fixture.declare({}, { key: 'q' });
  for (let n = 0; n < 20; n++) await made.fixture.fill(queue, { body: Buffer.alloc(20_000) });
  while (!(await readdir(made.directory())).includes('reserve')) await new Promise((resolve) => setTimeout(resolve, 5));
  return { ...made, disk };
}

async function consumeAll(fixture: Fixture, queue: EngineQueue): Promise<void> {
  const { lease, sink } = await fixture.consume(queue);
  await until('all is delivered', () => sink.deliveries.length === 20);
  for (const delivery of sink.deliveries) assert.deepEqual(await fixture.settle(lease, [delivery], 'ack'), []);
}

async function sizeOfNewest(directory: string): Promise<number> {
  const names = (await readdir(directory)).filter((name) => name.startsWith('journal-')).sort();
  return (await stat(join(directory, names.at(-1)!))).size;
}

test('a start on a full disk begins a smaller segment, and what is there can be consumed', async (t) => {
  const { fixture, directory, disk } = await killed(t);
  disk.freeBytes = 600 * KiB;
  await fixture.crash();
  assert.equal(await sizeOfNewest(directory()), 512 * KiB);
  await consumeAll(fixture, fixture.queue('q'));
});

test('a start on a disk with no space at all gives up the reserve', async (t) => {
  const { fixture, directory, disk } = await killed(t);
  disk.freeBytes = 10 * KiB;
  await fixture.crash();
  assert.equal(await sizeOfNewest(directory()), 256 * KiB);
  await consumeAll(fixture, fixture.queue('q'));
});

test('what a small segment has no room for is refused, and does not hold up what is consumed', async (t) => {
  const { fixture, disk } = await killed(t);
  disk.freeBytes = 10 * KiB;
  await fixture.crash();
  const queue = fixture.queue('q');
  const refused = await fixture.commit((batch) => fixture.append(batch, queue, { body: Buffer.alloc(600 * KiB) }));
  assert.deepEqual(
    refused.map(({ reason }) => reason),
    ['full'],
  );
  await consumeAll(fixture, queue);
  disk.freeBytes = Infinity;
  await until('publishers may go on', () => fixture.listener.lines.includes('unblocked'));
  assert.deepEqual(
    await fixture.commit((batch) => fixture.append(batch, queue, { body: Buffer.alloc(600 * KiB) })),
    [],
  );
});

test('a start without any space says how much it needs', async (t) => {
  const { fixture, disk } = await killed(t);
  const unlink = disk.unlink.bind(disk);
  disk.unlink = (path) => (path.endsWith('reserve') ? Promise.reject(new Error('ENOENT')) : unlink(path));
  disk.freeBytes = 10 * KiB;
  await assert.rejects(fixture.crash(), {
    code: 'FULL',
    message: /can't be made: ENOSPC: .*: free 262144 bytes, or more, on its disk$/,
  });
  disk.freeBytes = Infinity;
  await fixture.crash();
  await consumeAll(fixture, fixture.queue('q'));
});

test('a start on a full disk uses a spare', async (t) => {
  const disk = new Quota();
  const { fixture, directory } = await crashing(t, { ...small, spareSegments: 2, files: disk });
  const queue = await fixture.declare();
  while (!(await readdir(directory())).some((name) => name.startsWith('spare-'))) {
    for (let n = 0; n < 20; n++) await fixture.fill(queue, { body: Buffer.alloc(5000) });
    await fixture.engine.purge(queue);
  }
  await fixture.fill(queue, 'kept');
  disk.freeBytes = 0;
  await fixture.reopen();
  assert.deepEqual(await fixture.drainTexts(fixture.queue(queue.key)), ['kept']);
});

test('of what came due meanwhile a full disk takes as much as leaves settlements their space, and the rest later', async (t) => {
  const disk = new Quota();
  let aheadMs = 0;
  const clock = { ...systemClock, now: () => Date.now() + aheadMs };
  const { fixture } = await crashing(t, { ...sizes, files: disk, clock });
  const { key } = await fixture.declare({}, { key: 'q' });
  const count = 32_000;
  const specs = Array.from({ length: 1000 }, () => ({ body: 'm', dueAt: clock.now() + 3_600_000 }));
  for (let n = 0; n < count; n += specs.length)
    assert.equal((await fixture.publish(fixture.queue(key), ...specs)).length, 1000);
  await fixture.reopen();
  aheadMs = 7_200_000;
  // Room for a segment of 256 KiB, and none for another, whatever is deleted later.
  disk.freeBytes = 300 * KiB;
  const rename = disk.rename.bind(disk);
  disk.rename = async (from, to) => {
    if (from.endsWith('.seg.new') && disk.freeBytes < Infinity) disk.freeBytes = -Infinity;
    await rename(from, to);
  };
  await fixture.reopen();
  const queue = fixture.queue(key);
  assert.ok(fixture.listener.lines.includes('blocked disk'));
  const { ready, delayed } = await fixture.stats(queue);
  assert.ok(ready > 0 && delayed > 0 && ready + delayed === count, `${ready} are ready`);
  const { lease, sink } = await fixture.held(queue, 50);
  for (const delivery of sink.deliveries) assert.deepEqual(await fixture.settle(lease, [delivery], 'ack'), []);
  assert.ok((await fixture.stats(queue)).delayed > 0);
  disk.freeBytes = Infinity;
  await until('publishers may go on', () => fixture.listener.lines.includes('unblocked'));
  for (let waited = 0; (await fixture.stats(queue)).delayed > 0; waited += 10) {
    assert.ok(waited < 5000, 'the rest becomes ready');
    await fixture.advance(10);
  }
});
