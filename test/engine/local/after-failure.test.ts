import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { DiskFiles, type DiskFile } from '../../../src/engine/local/journal/disk-files.ts';
import type { OpenMode } from '../../../src/engine/local/journal/files.ts';
import { until } from '../../conformance/fixture.ts';
import { crashing, small } from './crashing.ts';
import { HandClock } from './journal/scratch-journal.ts';

/** A disk whose journal can't be written any more once it is broken. */
class BreakingDisk extends DiskFiles {
  broken = false;

  override async open(path: string, mode: OpenMode): Promise<DiskFile> {
    const file = await super.open(path, mode);
    const append = file.append.bind(file);
    file.append = (bytes, offset, length, position, sync, done) => {
      if (this.broken) setImmediate(done, new Error('EIO: the disk is broken'));
      else append(bytes, offset, length, position, sync, done);
    };
    return file;
  }
}

for (const atomic of [undefined, 'required'] as const) {
  test(`what is committed after a failure (${atomic ?? 'plain'}) fails, and takes no memory and no disk`, async (t) => {
    const disk = new BreakingDisk();
    const { fixture, engine, directory } = await crashing(t, { ...small, files: disk });
    const queue = await fixture.declare();
    await fixture.fill(queue, 'held');
    const { lease, sink } = await fixture.held(queue, 1);
    disk.broken = true;
    await assert.rejects(fixture.publish(queue, 'a'), { code: 'IO' });
    await until('the failure is told', () => fixture.listener.lines.some((line) => line.startsWith('failed IO')));
    const { journal, keyed } = engine();
    const state = async (): Promise<unknown> => ({
      files: (await readdir(directory())).length,
      sequence: journal.sequence,
      waiting: journal.waitingBytes,
      window: journal.window.bytes,
      directory: journal.directory.length,
      keys: keyed.values.size,
    });
    // What was being done when it failed is given up by then.
    await fixture.advance(300);
    const before = await state();
    for (let n = 0; n < 500; n++) {
      const committed = fixture.commit((batch) => {
        fixture.append(batch, queue, { body: Buffer.alloc(10_000) });
        fixture.settleIn(batch, lease, sink.deliveries, 'ack');
        batch.put(`key ${n}`, Buffer.alloc(1000));
      }, atomic);
      await assert.rejects(committed, { code: 'IO' });
    }
    assert.deepEqual(await state(), before);
  });
}

for (const end of ['a failure', 'a close'] as const) {
  test(`no timer is left after ${end}`, async (t) => {
    const disk = new BreakingDisk();
    const clock = new HandClock();
    const { fixture } = await crashing(t, { ...small, files: disk, clock, scrubIntervalMs: 7_000 });
    const queue = await fixture.declare({ messageTtlMs: 60_000 });
    await fixture.fill(queue, 'a', 'b');
    await fixture.held(queue, 1);
    assert.ok(clock.waits(100), 'how far deliveries came is to be noted');
    assert.ok(clock.waits(7_000), 'the scrub is to look');
    assert.equal(clock.delays.length, 3, 'and a message is to expire');
    if (end === 'a close') {
      await fixture.engine.close();
    } else {
      disk.broken = true;
      await assert.rejects(fixture.publish(queue, 'c'), { code: 'IO' });
    }
    await fixture.advance(20);
    assert.deepEqual(clock.delays, []);
  });
}
