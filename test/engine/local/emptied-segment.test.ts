/** A segment that is emptied while a checkpoint is written goes at once, though the checkpoint says that something lived in it. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { DiskFiles, type DiskFile } from '../../../src/engine/local/journal/disk-files.ts';
import type { OpenMode } from '../../../src/engine/local/journal/files.ts';
import { segmentName } from '../../../src/engine/local/journal/segment-file.ts';
import { until } from '../../conformance/fixture.ts';
import { crashing, small } from './crashing.ts';

/** A disk on which the next checkpoint takes as long as the test wants. */
class SlowCheckpoints extends DiskFiles {
  goOn: Promise<void> | null = null;
  waits = false;

  override async open(path: string, mode: OpenMode): Promise<DiskFile> {
    if (this.goOn !== null && mode === 'create' && path.includes('.ckpt')) {
      this.waits = true;
      await this.goOn;
    }
    return super.open(path, mode);
  }
}

test('a start after a crash misses no segment that was emptied and has gone', async (t) => {
  const disk = new SlowCheckpoints();
  const { fixture, directory } = await crashing(t, { ...small, checkpointBytes: 100 * 1024, files: disk });
  const checkpoints = (): string[] => readdirSync(directory()).filter((name) => name.endsWith('.ckpt'));
  const queue = await fixture.declare();
  const body = Buffer.alloc(2_000);
  const seen = new Set<string>();
  // One goes when nothing lives in it and both of the newest checkpoints are past it.
  while (seen.size < 4) {
    await fixture.fill(queue, { body });
    for (const name of checkpoints()) seen.add(name);
  }
  let writeOne = (): void => undefined;
  disk.goOn = new Promise((resolve) => (writeOne = resolve));
  while (!disk.waits) await fixture.fill(queue, { body });
  await fixture.drain(queue);
  // The one after it is not written before the crash.
  let writeNext = (): void => undefined;
  disk.goOn = new Promise((resolve) => (writeNext = resolve));
  writeOne();
  await until('the first segment to go', () => !existsSync(join(directory(), segmentName(1))));
  disk.goOn = null;
  await fixture.crash();
  writeNext();
  await fixture.fill(fixture.queue(queue.key), 'next');
  await fixture.quiet();
  await until('a checkpoint', () => checkpoints().length > 0);
  await fixture.reopen();
  assert.deepEqual(
    fixture.listener.lines.filter((line) => line.startsWith('notice')),
    [],
  );
});
