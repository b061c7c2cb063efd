import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { DiskFiles, type DiskFile } from '../../../../src/engine/local/journal/disk-files.ts';
import type { OpenMode } from '../../../../src/engine/local/journal/files.ts';
import { ReadingFiles } from '../../../../src/engine/local/journal/reading-files.ts';
import { segmentName } from '../../../../src/engine/local/journal/segment-file.ts';
import { until } from '../../../conformance/fixture.ts';
import { crashing, small } from '../crashing.ts';
import { HandClock } from './scratch-journal.ts';

const segments = 300;
let directory: string;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postrider-reading-'));
  for (let id = 1; id <= segments; id++) await writeFile(join(directory, segmentName(id)), `segment ${id}`);
});
after(() => rm(directory, { recursive: true }));

/** Counts what is open, and has no descriptor to spare for as many opens as it is told. */
class CountingDisk extends DiskFiles {
  nowOpen = 0;
  most = 0;
  shortages = 0;

  override async open(path: string, mode: OpenMode): Promise<DiskFile> {
    if (mode === 'read' && this.shortages > 0 && path.endsWith('.seg')) {
      this.shortages--;
      throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
    }
    const file = await super.open(path, mode);
    this.most = Math.max(this.most, ++this.nowOpen);
    const close = file.close.bind(file);
    file.close = () => {
      this.nowOpen--;
      return close();
    };
    return file;
  }
}

describe('files that are read', () => {
  let disk: CountingDisk;
  let clock: HandClock;
  let reading: ReadingFiles;
  beforeEach(() => {
    disk = new CountingDisk();
    clock = new HandClock();
    reading = new ReadingFiles(directory, disk, clock);
  });

  it('open nothing once they are closed', async () => {
    await read(1);
    const closed = reading.close();
    await assert.rejects(read(1), { code: 'CLOSED' });
    await closed;
    await assert.rejects(read(2), { code: 'CLOSED' });
    assert.equal(disk.nowOpen, 0);
  });

  const read = (id: number): Promise<string> =>
    reading.use(id, async (file) => {
      const bytes = Buffer.alloc(20);
      return bytes.toString('utf8', 0, await file.read(bytes, 0, 20, 0));
    });

  it('are open 192 at a time, those that were read last', async () => {
    for (let id = 1; id <= segments; id++) {
      assert.equal(await read(id), `segment ${id}`);
      assert.equal(await read(1), 'segment 1');
    }
    assert.ok(disk.most <= 193, `${disk.most} were open`);
    const { nowOpen } = disk;
    let opened = false;
    disk.open = () => {
      opened = true;
      return Promise.reject(new Error('it is open'));
    };
    for (const id of [1, segments, segments - 180]) await read(id);
    assert.equal(opened, false);
    assert.equal(disk.nowOpen, nowOpen);
    await reading.close();
    assert.equal(disk.nowOpen, 0);
  });

  it('are all read when more are wanted at once, and closed afterwards', async () => {
    const texts = await Promise.all(Array.from({ length: segments }, (_, at) => read(at + 1)));
    assert.deepEqual(
      texts,
      texts.map((_, at) => `segment ${at + 1}`),
    );
    await read(1);
    await turn();
    assert.ok(disk.nowOpen <= 192, `${disk.nowOpen} stay open`);
    await reading.close();
    assert.equal(disk.nowOpen, 0);
  });

  it('are waited for where there is no descriptor, of which the idle ones are given back first', async () => {
    for (let id = 1; id <= 10; id++) await read(id);
    disk.shortages = 3;
    const text = read(11);
    for (let rings = 0; rings < 2; rings++) {
      while (!clock.waits(500)) await turn();
      assert.equal(disk.nowOpen, 0);
      clock.ring();
    }
    assert.equal(await text, 'segment 11');
    await reading.close();
  });

  it('are waited for no longer once all is closed', async () => {
    disk.shortages = Infinity;
    const text = read(1);
    while (!clock.waits(500)) await turn();
    await reading.close();
    await assert.rejects(text, { code: 'EMFILE' });
    assert.ok(!clock.waits(500));
    assert.equal(disk.nowOpen, 0);
  });

  it('fail as they do', async () => {
    await assert.rejects(read(segments + 1), { code: 'ENOENT' });
    await assert.rejects(
      reading.use(1, () => Promise.reject(new Error('EIO'))),
      /EIO/,
    );
    assert.equal(await read(1), 'segment 1');
    await reading.close();
  });

  it('are closed when their segment goes, once nobody reads', async () => {
    let finish!: () => void;
    const used = reading.use(1, () => new Promise<void>((resolve) => (finish = resolve)));
    while (disk.nowOpen === 0) await turn();
    let stopped = false;
    const stop = reading.stop(1).then(() => (stopped = true));
    await turn();
    assert.equal(stopped, false);
    finish();
    await Promise.all([used, stop]);
    assert.equal(disk.nowOpen, 0);
  });
});

it('a queue whose segments can not be opened for want of descriptors is not damaged', async (t) => {
  const disk = new CountingDisk();
  const { fixture } = await crashing(t, { ...small, files: disk });
  const queue = await fixture.declare();
  for (let n = 0; n < 20; n++) await fixture.fill(queue, { body: Buffer.alloc(5000) });
  disk.shortages = 2;
  const { sink } = await fixture.consume(queue);
  await until('all is delivered', () => sink.deliveries.length === 20);
  assert.equal(disk.shortages, 0);
  assert.deepEqual(
    fixture.listener.lines.filter((line) => line.startsWith('damaged')),
    [],
  );
});
