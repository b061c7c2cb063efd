/** Space beyond a segment's end is had by asking for it, which a full disk refuses: only what can't be divided may need it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CommitReceiver } from '../../../../src/engine/engine.ts';
import { DiskFiles, type DiskFile } from '../../../../src/engine/local/journal/disk-files.ts';
import type { OpenMode } from '../../../../src/engine/local/journal/files.ts';
import { until } from '../../../conformance/fixture.ts';
import { ScratchJournal, smallSizes } from './scratch-journal.ts';

/** Where groups were written, in any segment. */
class WatchedDisk extends DiskFiles {
  readonly writes: { readonly from: number; readonly to: number }[] = [];

  override async open(path: string, mode: OpenMode): Promise<DiskFile> {
    const file = await super.open(path, mode);
    const append = file.append.bind(file);
    file.append = (bytes, offset, length, position, sync, done) => {
      this.writes.push({ from: position, to: position + length });
      append(bytes, offset, length, position, sync, done);
    };
    return file;
  }
}

/** Holds all messages of the queue; returns a function that acknowledges some of them, as one. */
async function holding(journal: ScratchJournal, count: number): Promise<(numbers: number[]) => Promise<void>> {
  const { engine } = journal;
  const queue = engine.queue('q')!;
  const lease = engine.lease();
  let held = 0;
  const sink = { deliver: () => ++held < Infinity, cancelled: () => undefined };
  await engine.consume(queue, lease, { credit: Infinity, noAck: false }, sink);
  await until('all are held', () => held === count);
  return (numbers) =>
    new Promise((resolve, reject) => {
      const receiver: CommitReceiver<null> = { committed: () => resolve(), failed: (_, error) => reject(error) };
      const batch = engine.begin();
      for (const number of numbers) batch.settle(lease, queue, number, 1, 'ack');
      batch.commit(receiver, null);
    });
}

test('groups behind one that passed the end of its segment begin in the next', async (t) => {
  const journal = await ScratchJournal.make();
  t.after(() => journal.remove());
  const files = new WatchedDisk();
  await journal.open({ files, spareSegments: 0, checkpointBytes: 1e9 });
  await journal.declare('q');
  const count = 1_800;
  await journal.publish('q', count, 0);
  const settle = await holding(journal, count);
  // In the group of a message, and a range each: what it notes is larger than a segment.
  const published = journal.publish('q', 1, 0);
  await settle(Array.from({ length: 850 }, (_, n) => 2 * n + 1));
  await published;
  for (let number = 2; number < 80; number += 2) await settle([number]);
  const passing = files.writes.filter(({ to }) => to > smallSizes.segmentBytes);
  assert.equal(passing.length, 1);
  await journal.engine.close();
});

test('notes fill a segment to its end, and do not pass it', async (t) => {
  const journal = await ScratchJournal.make();
  t.after(() => journal.remove());
  const files = new WatchedDisk();
  await journal.open({ files, spareSegments: 0, checkpointBytes: 1e9 });
  await journal.declare('q');
  const count = 400;
  await journal.publish('q', count, 0);
  const settle = await holding(journal, count);
  const { length } = files.writes;
  for (let number = 1; number <= count; number++) await settle([number]);
  const notes = files.writes.slice(length);
  const last = notes.filter((_, n) => n + 1 < notes.length && notes[n + 1]!.from < notes[n]!.from);
  assert.ok(last.length > 3);
  for (const { to } of last) {
    assert.ok(to <= smallSizes.segmentBytes, `a group ends at ${to}`);
    assert.ok(to > smallSizes.segmentBytes - 300, `a segment was left at ${to}`);
  }
  await journal.engine.close();
});
