import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { claimDirectory } from '../../../../src/engine/local/journal/data-directory.ts';
import { DiskFiles } from '../../../../src/engine/local/journal/disk-files.ts';

/** A disk on which the next rename is done and yet fails, and that tells which directories were synced. */
class FailingFiles extends DiskFiles {
  failsNextRename = false;
  readonly synced: string[] = [];

  override async rename(from: string, to: string): Promise<void> {
    await super.rename(from, to);
    if (!this.failsNextRename) return;
    this.failsNextRename = false;
    throw Object.assign(new Error('EIO: i/o error, rename'), { code: 'EIO' });
  }

  override async syncDirectory(path: string): Promise<void> {
    this.synced.push(path);
    await super.syncDirectory(path);
  }
}

test('a marker that a start finds is durable before anything is made beside it', async (context) => {
  const directory = await mkdtemp(join(tmpdir(), 'postrider-'));
  context.after(() => rm(directory, { recursive: true }));
  const files = new FailingFiles();
  files.failsNextRename = true;
  await assert.rejects(claimDirectory(directory, files), { code: 'UNWRITABLE' });
  assert.deepEqual(files.synced, []);
  const { lock } = await claimDirectory(directory, files);
  assert.deepEqual(files.synced, [directory]);
  await lock.release();
});
