import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { systemClock } from '../../../../src/engine/clock.ts';
import { DiskFiles, type DiskFile } from '../../../../src/engine/local/journal/disk-files.ts';
import type { Files, OpenMode } from '../../../../src/engine/local/journal/files.ts';
import { defaultJournalOptions } from '../../../../src/engine/local/journal/options.ts';
import { SEGMENT_HEADER_BYTES } from '../../../../src/engine/local/journal/segment-file.ts';
import { SegmentFiles } from '../../../../src/engine/local/journal/segment-files.ts';
import { turn } from '../../../conformance/fixture.ts';
import { Quota, full } from './full-disks.ts';

const KiB = 1024;
const sizes = { ...defaultJournalOptions, firstSegmentBytes: 16 * KiB, segmentBytes: 16 * KiB };

interface Made {
  readonly directory: string;
  readonly files: SegmentFiles;
  readonly failures: Error[];
  /** What publishers were told. */
  readonly told: string[];
}

async function segmentFiles(
  test: TestContext,
  disk: Files = new DiskFiles(),
  giveUpReserve: () => Promise<boolean> = () => Promise.resolve(false),
): Promise<Made> {
  const directory = await mkdtemp(join(tmpdir(), 'postrider-segments-'));
  const failures: Error[] = [];
  const told: string[] = [];
  const files = new SegmentFiles(directory, disk, systemClock, sizes, {
    blocked: () => told.push('blocked'),
    unblocked: () => told.push('unblocked'),
    failed: (error) => failures.push(error),
    giveUpReserve,
  });
  test.after(async () => {
    await files.close();
    await rm(directory, { recursive: true });
  });
  return { directory, files, failures, told };
}

test('a reader is not shown what an earlier life left behind the last group of a segment', async (t) => {
  const { directory, files } = await segmentFiles(t);
  await writeFile(join(directory, 'spare-1.seg'), Buffer.alloc(16 * KiB, 'old'));
  await files.adoptSpares(['spare-1.seg']);
  await files.begin(1);
  const place = files.place(null, KiB, () => undefined);
  assert.deepEqual([place.segment, place.offset], [1, SEGMENT_HEADER_BYTES]);
  assert.equal((await files.read(1, place.offset, KiB)).length, 0);
  const end = place.offset + 100;
  await new Promise<void>((resolve, reject) => {
    files.withFile(1, end, (file) =>
      file.append(Buffer.alloc(100, 'new'), 0, 100, place.offset, true, (error) =>
        error === null ? resolve() : reject(error),
      ),
    );
  });
  files.wrote(1, end);
  assert.equal((await files.read(1, place.offset, KiB)).toString(), Buffer.alloc(100, 'new').toString());
  assert.deepEqual((await files.readEach(1, [place.offset, end], 64)).counts, [64, 0]);
});

class NoDirectorySync extends DiskFiles {
  override syncDirectory(): Promise<void> {
    return Promise.reject(new Error('EIO: i/o error, fsync'));
  }
}

test('a start without a first segment is refused, and fails nothing that serves', async (t) => {
  const { files, failures } = await segmentFiles(t, new NoDirectorySync());
  await assert.rejects(files.begin(1), { code: 'UNWRITABLE', message: /journal-0000000001\.seg can't be made: EIO/ });
  assert.deepEqual(failures, []);
});

/** Resolves when the segment has space up to `end`. */
function extended(files: SegmentFiles, end: number): Promise<void> {
  return new Promise((resolve) => files.withFile(1, end, () => resolve()));
}

test('a group that passes the end of its segment as the disk fills takes the space of a spare', async (t) => {
  const disk = new Quota();
  const { directory, files } = await segmentFiles(t, disk);
  await files.begin(1);
  for (const name of ['spare-1.seg', 'spare-2.seg']) await writeFile(join(directory, name), Buffer.alloc(16 * KiB));
  await files.adoptSpares(['spare-1.seg', 'spare-2.seg']);
  disk.freeBytes = 0;
  files.place(null, KiB, () => undefined);
  await extended(files, 30 * KiB);
  assert.equal(files.blocked, false);
  const names = async (): Promise<string[]> => (await readdir(directory)).sort();
  // One becomes the next segment, the other gave its space.
  while ((await names()).join() !== 'journal-0000000001.seg,journal-0000000002.seg') await turn();
});

test('without a spare it takes the reserve', async (t) => {
  const disk = new Quota();
  let reserveBytes = 20 * KiB;
  const { files, told } = await segmentFiles(t, disk, () => {
    disk.freeBytes += reserveBytes;
    const had = reserveBytes > 0;
    reserveBytes = 0;
    return Promise.resolve(had);
  });
  await files.begin(1);
  disk.freeBytes = 0;
  files.place(null, KiB, () => undefined);
  await extended(files, 30 * KiB);
  assert.equal(reserveBytes, 0);
  // The next segment still lacks its space: what is there is for settlements.
  await turn();
  assert.deepEqual([files.blocked, told], [true, ['blocked']]);
  disk.freeBytes = Infinity;
  while (files.blocked) await turn();
  assert.deepEqual(told, ['blocked', 'unblocked']);
});

test('a segment that was waited for lets publishers go on when the one after it is there too', async (t) => {
  const disk = new Quota();
  const { files, told } = await segmentFiles(t, disk);
  await files.begin(1);
  disk.freeBytes = 0;
  const first = files.place(null, KiB, () => undefined);
  while (!files.blocked) await turn();
  // Settlements have filled it.
  files.place(first, 16 * KiB, () => undefined);
  // Both have found no space; the one that waits longer tries again first.
  await new Promise((resolve) => setTimeout(resolve, 100));
  disk.freeBytes = 20 * KiB;
  let made = false;
  files.withFile(2, KiB, () => (made = true));
  while (!made) await turn();
  assert.deepEqual([files.blocked, told], [true, ['blocked']]);
  disk.freeBytes = Infinity;
  while (files.blocked) await turn();
  assert.deepEqual(told, ['blocked', 'unblocked']);
});

class NoReuse extends DiskFiles {
  override open(path: string, mode: OpenMode): Promise<DiskFile> {
    return path.includes('spare-') && mode === 'update' ? Promise.reject(full()) : super.open(path, mode);
  }
}

test('a spare that can not be used again is deleted', async (t) => {
  const { directory, files } = await segmentFiles(t, new NoReuse());
  await writeFile(join(directory, 'spare-1.seg'), Buffer.alloc(16 * KiB));
  await files.adoptSpares(['spare-1.seg']);
  await files.begin(1);
  // The next segment may be on its way already.
  const names = await readdir(directory);
  assert.ok(names.includes('journal-0000000001.seg') && !names.includes('spare-1.seg'), names.join());
});

/** Tells of renames and synced directories. */
class ToldDisk extends DiskFiles {
  readonly calls: string[] = [];

  override async rename(from: string, to: string): Promise<void> {
    this.calls.push(`${basename(from)} to ${basename(to)}`);
    await super.rename(from, to);
  }

  override async syncDirectory(path: string): Promise<void> {
    await super.syncDirectory(path);
    this.calls.push('synced');
  }
}

test('a spare found at a start is used again when its name is durable, not before', async (t) => {
  const disk = new ToldDisk();
  const { directory, files } = await segmentFiles(t, disk);
  await writeFile(join(directory, 'spare-1.seg'), Buffer.alloc(16 * KiB));
  await files.adoptSpares(['spare-1.seg']);
  await files.begin(1);
  assert.deepEqual(disk.calls, ['synced', 'spare-1.seg to journal-0000000001.seg', 'synced']);
});

test('a segment that became a spare is used again when that is durable, not before', async (t) => {
  const disk = new ToldDisk();
  const { files } = await segmentFiles(t, disk);
  await files.begin(1);
  let place = files.place(null, 1, () => undefined);
  /** Leaves the segment in use; resolves when the one behind the next is there. */
  const roll = async (): Promise<void> => {
    place = files.place(place, 16 * KiB, () => undefined);
    const made = `journal-000000000${place.segment + 1}.seg`;
    while (!disk.calls.some((call) => call.endsWith(`to ${made}`))) await turn();
  };
  await roll();
  await files.closeOlder(2);
  await files.release(1);
  await roll();
  await files.released();
  await roll();
  assert.deepEqual(
    disk.calls.filter((call) => call.includes('spare')),
    ['journal-0000000001.seg to spare-1.seg', 'spare-1.seg to journal-0000000005.seg'],
  );
});
