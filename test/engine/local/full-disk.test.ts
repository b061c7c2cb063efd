import { readdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { DiskFiles, type DiskFile } from '../../../src/engine/local/journal/disk-files.ts';
import type { OpenMode } from '../../../src/engine/local/journal/files.ts';
import { until } from '../../conformance/fixture.ts';
import { crashing, small } from './crashing.ts';

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
      if (names.filter((name) => name.endsWith('.seg')).length >= this.segments)
        throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
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
