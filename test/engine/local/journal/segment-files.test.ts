import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { systemClock } from '../../../../src/engine/clock.ts';
import { DiskFiles } from '../../../../src/engine/local/journal/disk-files.ts';
import type { Files } from '../../../../src/engine/local/journal/files.ts';
import { defaultJournalOptions } from '../../../../src/engine/local/journal/options.ts';
import { SEGMENT_HEADER_BYTES } from '../../../../src/engine/local/journal/segment-file.ts';
import { SegmentFiles } from '../../../../src/engine/local/journal/segment-files.ts';

const KiB = 1024;
const sizes = { ...defaultJournalOptions, firstSegmentBytes: 16 * KiB, segmentBytes: 16 * KiB };

interface Made {
  readonly directory: string;
  readonly files: SegmentFiles;
  readonly failures: Error[];
}

async function segmentFiles(test: TestContext, disk: Files = new DiskFiles()): Promise<Made> {
  const directory = await mkdtemp(join(tmpdir(), 'postrider-segments-'));
  const ignore = (): void => undefined;
  const failures: Error[] = [];
  const files = new SegmentFiles(directory, disk, systemClock, sizes, {
    blocked: ignore,
    unblocked: ignore,
    failed: (error) => failures.push(error),
    giveUpReserve: () => Promise.resolve(false),
  });
  test.after(async () => {
    await files.close();
    await rm(directory, { recursive: true });
  });
  return { directory, files, failures };
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
