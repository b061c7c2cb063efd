import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { DiskFiles, type DiskFile } from '../../../src/engine/local/journal/disk-files.ts';
import type { OpenMode } from '../../../src/engine/local/journal/files.ts';
import { turn, until } from '../../conformance/fixture.ts';
import { crashing, small } from './crashing.ts';
import { FullDisk, Quota, full } from './journal/full-disks.ts';

/** A disk with room for so many segments, spare ones included. */
class SmallDisk extends DiskFiles {
  readonly segments: number;

  constructor(segments: number) {
    super();
    this.segments = segments;
  }

  override async open(path: string, mode: OpenMode): Promise<DiskFile> {
    if (mode === 'create' && path.endsWith('.seg.new')) {
      const names = await readdir(dirname(path));
      if (names.filter((name) => name.endsWith('.seg')).length >= this.segments) throw full();
    }
    return super.open(path, mode);
  }
}

test('a full disk takes publishes again once what filled it is consumed', async (t) => {
  const { fixture } = await crashing(t, { ...small, checkpointBytes: 32 * 1024, files: new SmallDisk(5) });
  const queue = await fixture.declare();
  const { lines } = fixture.listener;
  while (!lines.includes('blocked disk')) await fixture.fill(queue, { body: Buffer.alloc(10_000) });
  const { lease, sink } = await fixture.consume(queue);
  const { ready } = await fixture.stats(queue);
  await until('all is delivered', () => ready === 0 || sink.deliveries.length >= ready);
  await fixture.settle(lease, sink.deliveries, 'ack');
  await until('publishers may go on', () => lines.includes('unblocked'));
});

for (const atomic of [undefined, 'required'] as const) {
  test(`on a full disk a publish that has no space is refused (${atomic ?? 'plain'}), and settlements go on`, async (t) => {
    const disk = new FullDisk();
    const { fixture } = await crashing(t, { ...small, files: disk });
    disk.full = true;
    const queue = await fixture.declare();
    await until('publishers are blocked', () => fixture.listener.lines.includes('blocked disk'));
    await fixture.fill(queue, 'm');
    const { lease, sink } = await fixture.held(queue, 1);
    const large = await fixture.commit(
      (batch) => fixture.append(batch, queue, { body: Buffer.alloc(100_000) }),
      atomic,
    );
    assert.deepEqual(
      large.map(({ outcome, reason }) => [outcome, reason]),
      [['refused', 'full']],
    );
    assert.deepEqual(await fixture.settle(lease, sink.deliveries, 'ack'), []);
  });
}

test('on a full disk compaction leaves settlements their space', async (t) => {
  const disk = new FullDisk();
  const options = { ...small, files: disk, checkpointBytes: 16 * 1024, sparseShare: 0.9, spareSegments: 0 };
  const { fixture, engine } = await crashing(t, options);
  const queue = await fixture.declare();
  for (let n = 0; n < 130; n++) await fixture.fill(queue, { body: Buffer.alloc(2000) });
  const { lease, sink } = await fixture.held(queue, 130);
  disk.full = true;
  while (!fixture.listener.lines.includes('blocked disk')) await fixture.publish(queue, { body: Buffer.alloc(2000) });
  // The first segment has nothing alive then, and is what sets order in motion; of the others half.
  const settled = sink.deliveries.filter((_, n) => n < 32 || n % 2 === 0);
  await fixture.settle(lease, settled, 'ack');
  await fixture.advance(1000);
  const { tail } = engine().journal;
  assert.ok(tail!.offset < 0.8 * small.segmentBytes!, `${tail!.offset} bytes are used`);
  assert.deepEqual(await fixture.settle(lease, sink.deliveries.slice(-1), 'ack'), []);
});

test('on a full disk what comes back again and again leaves settlements their space', async (t) => {
  const disk = new FullDisk();
  const { fixture, engine } = await crashing(t, { ...small, files: disk });
  const [busy, queue] = [await fixture.declare(), await fixture.declare()];
  await fixture.fill(busy, 'again');
  await fixture.fill(queue, 'm', 'n');
  const { lease, sink } = await fixture.held(queue, 2);
  disk.full = true;
  while (!fixture.listener.lines.includes('blocked disk')) await fixture.publish(busy, { body: Buffer.alloc(2000) });
  const loop = await fixture.consume(busy, { credit: 1 });
  const { deliveries } = loop.sink;
  let last = Date.now();
  const takesMore = (): boolean => Date.now() - last < 300 || engine().journal.takesCounts(32);
  for (let seen = 0; seen < 3000 && (deliveries.length > seen || takesMore());) {
    if (deliveries.length === seen) {
      await turn();
      continue;
    }
    last = Date.now();
    const { number } = deliveries[seen++]!;
    const batch = engine().begin();
    batch.settle(loop.lease, busy, number, 1, 'requeue');
    batch.commit({ committed: () => undefined, failed: () => undefined }, null);
    loop.consumer.addCredit(1);
  }
  assert.ok(deliveries.length > 50);
  assert.deepEqual(await fixture.settle(lease, sink.deliveries.slice(0, 1), 'ack'), []);
  const before = deliveries.length;
  disk.full = false;
  await until('there is space again', () => fixture.listener.lines.includes('unblocked'));
  await until('it comes again', () => deliveries.length > before);
});

/** Makes a segment when it is told to. */
class SlowDisk extends Quota {
  go: (() => void) | null = null;
  isSlow = false;

  override async open(path: string, mode: OpenMode): Promise<DiskFile> {
    if (this.isSlow && path.endsWith('.seg.new')) await new Promise<void>((resolve) => (this.go = resolve));
    return super.open(path, mode);
  }
}

test('what was published before it was known that the disk is full holds up no consumer', async (t) => {
  const disk = new SlowDisk();
  const { fixture, engine } = await crashing(t, { ...small, files: disk, reserveBytes: 64 * 1024 });
  const queue = await fixture.declare();
  await fixture.fill(queue, 'm');
  // Of the segment after the next.
  disk.isSlow = true;
  let told = 0;
  const receiver = { committed: () => (told += 1), failed: () => undefined };
  let sent = 0;
  const { journal } = engine();
  const publish = (): void => {
    sent++;
    const batch = engine().begin();
    fixture.append(batch, queue, { body: Buffer.alloc(2000) });
    batch.commit(receiver, null);
  };
  // Fills the one in use and the next, and begins the one that is not there.
  const first = journal.tail!.segment;
  while (journal.tail!.segment < first + 2) {
    publish();
    await turn();
  }
  for (let n = 0; n < 10; n++) publish();
  await until('the segment is about to be made', () => disk.go !== null);
  disk.isSlow = false;
  disk.freeBytes = 20 * 1024;
  disk.go!();
  await until('publishers are blocked', () => fixture.listener.lines.includes('blocked disk'));
  await until('all that was accepted is there', () => told === sent);
  const { lease, sink } = await fixture.consume(queue);
  await until('consumers go on', () => sink.deliveries.length >= sent);
  assert.deepEqual(await fixture.settle(lease, sink.deliveries, 'ack'), []);
  await until('there is space again', () => fixture.listener.lines.includes('unblocked'));
});
