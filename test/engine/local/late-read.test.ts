/** What is read for somebody may be settled meanwhile, and its segment gone; or the engine is closed. Neither is damage. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DiskFiles, type DiskFile } from '../../../src/engine/local/journal/disk-files.ts';
import type { OpenMode } from '../../../src/engine/local/journal/files.ts';
import { until } from '../../conformance/fixture.ts';
import { crashing, small } from './crashing.ts';

/** A disk that takes its time to open a segment for reading, and then does not find it. */
class LateDisk extends DiskFiles {
  late: Promise<void> | null = null;
  asked = 0;

  override async open(path: string, mode: OpenMode): Promise<DiskFile> {
    if (mode === 'read' && path.endsWith('.seg') && this.late !== null) {
      this.asked++;
      await this.late;
      throw Object.assign(new Error('ENOENT: no such file'), { code: 'ENOENT' });
    }
    return super.open(path, mode);
  }
}

for (const end of ['settled', 'closed'] as const) {
  test(`a message that is ${end} while it is read`, async (t) => {
    const disk = new LateDisk();
    const { fixture, engine } = await crashing(t, { ...small, files: disk });
    const queue = await fixture.declare();
    await fixture.fill(queue, 'm');
    const { lease, sink } = await fixture.held(queue, 1);
    // Beyond the window of what is in memory.
    for (let n = 0; n < 20; n++) await fixture.fill(await fixture.declare(), { body: Buffer.alloc(5_000) });
    let goOn = (): void => undefined;
    disk.late = new Promise((resolve) => (goOn = resolve));
    const loaded = fixture.load(queue, lease, [sink.deliveries[0]!.number]);
    await until('it is read', () => disk.asked > 0);
    const ended =
      end === 'settled' ? fixture.settle(lease, sink.deliveries, 'ack') : (setImmediate(goOn), fixture.engine.close());
    if (end === 'settled') await ended;
    goOn();
    assert.deepEqual(await loaded, []);
    await ended;
    assert.deepEqual(
      fixture.listener.lines.filter((line) => line.startsWith('damaged')),
      [],
    );
    assert.equal(engine().topology.queues.get(queue.key)!.damage, null);
  });
}
