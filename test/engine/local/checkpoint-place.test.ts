import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { DiskFiles, type DiskFile } from '../../../src/engine/local/journal/disk-files.ts';
import type { OpenMode } from '../../../src/engine/local/journal/files.ts';
import { SEGMENT_HEADER_BYTES } from '../../../src/engine/local/journal/segment-file.ts';
import { until } from '../../conformance/fixture.ts';
import { crashing, small } from './crashing.ts';

const KiB = 1024;

/** A disk on which it takes long to make a second segment. */
class SlowDisk extends DiskFiles {
  slow = true;
  readonly #goOn: Promise<void>;

  constructor(goOn: Promise<void>) {
    super();
    this.#goOn = goOn;
  }

  override async open(path: string, mode: OpenMode): Promise<DiskFile> {
    if (this.slow && mode === 'create' && path.endsWith('0000000002.seg.new')) await this.#goOn;
    return super.open(path, mode);
  }
}

test('a checkpoint continues where its last group ends, not in a segment that is still being made', async (t) => {
  let goOn = (): void => undefined;
  const disk = new SlowDisk(new Promise((resolve) => (goOn = resolve)));
  const { fixture, engine, directory } = await crashing(t, { ...small, checkpointBytes: 40 * KiB, files: disk });
  const queue = await fixture.declare();
  const identity = { kind: 'id', scope: 'scope', id: 'one', windowMs: 1e6, windowCount: 10 } as const;
  await fixture.publish(queue, { body: 'a', identity });
  let count = 1;
  while (engine().journal.tail!.offset < 40 * KiB + SEGMENT_HEADER_BYTES) {
    await fixture.fill(queue, { body: Buffer.alloc(2000) });
    count++;
  }
  // A checkpoint is about to be taken. This asks for room in the next segment, and then needs none.
  const repeated = fixture.commit(
    (batch) => fixture.append(batch, queue, { body: Buffer.alloc(30 * KiB), identity }),
    'required',
  );
  assert.equal(engine().journal.tail!.segment, 2);
  assert.equal((await repeated)[0]?.outcome, 'duplicate');
  const before = (await readdir(directory())).filter((name) => name.endsWith('.ckpt')).length;
  let names: string[] = [];
  const timer = setInterval(() => void readdir(directory()).then((found) => (names = found)), 5);
  await until('the checkpoint', () => names.filter((name) => name.endsWith('.ckpt')).length > before).finally(() =>
    clearInterval(timer),
  );
  disk.slow = false;
  await fixture.crash();
  goOn();
  await fixture.expectStats(fixture.queue(queue.key), { ready: count });
});
