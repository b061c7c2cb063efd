import { copyFile, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Engine } from '../../src/engine/engine.ts';
import { localEngine, type LocalEngineOptions } from '../../src/engine/local/index.ts';
import { type Refusal, runEngineConformance } from './engine-suite.ts';
import type { Opened } from './fixture.ts';
import { ManualClock } from './manual-clock.ts';
import { runRandomConformance } from './random-suite.ts';

const expectedRefusals: Refusal[] = [];

/** The files as they are at one moment, without the lock, which dies with its process. */
async function copyStore(from: string, to: string): Promise<void> {
  const names = async (): Promise<string[]> =>
    (await readdir(from, { withFileTypes: true })).filter((entry) => entry.isFile()).map((entry) => entry.name);
  for (;;) {
    await mkdir(to);
    const before = await names();
    // A name that comes or goes meanwhile makes a picture of no moment: once more.
    const copied = await Promise.all(
      before.map((name) =>
        copyFile(join(from, name), join(to, name)).then(
          () => true,
          () => false,
        ),
      ),
    );
    if (copied.every(Boolean) && before.join() === (await names()).join()) return;
    await rm(to, { recursive: true });
  }
}

/** A journal in a directory of its own; death is a copy of what lies in it at that moment. */
const opener = (options: LocalEngineOptions) => async (): Promise<Opened> => {
  const root = await mkdtemp(join(tmpdir(), 'postrider-conformance-'));
  const clock = new ManualClock();
  const abandoned: Engine[] = [];
  let directory = join(root, 'data');
  const make = (): Engine => localEngine(directory, { clock, ...options });
  let engine = make();
  return {
    engine,
    reopen: () => {
      engine = make();
      return Promise.resolve(engine);
    },
    crash: async () => {
      abandoned.push(engine);
      const copy = join(root, `data-${abandoned.length}`);
      await copyStore(directory, copy);
      directory = copy;
      engine = make();
      return engine;
    },
    advance: (ms) => clock.advance(ms),
    now: () => clock.now(),
    cleanup: async () => {
      for (const one of abandoned) await one.close();
      await rm(root, { recursive: true, force: true });
    },
  };
};

const KiB = 1024;
/** As a user's, but for the space that each start sets aside: hundreds of stores are made here. */
const usual: LocalEngineOptions = { firstSegmentBytes: 256 * KiB, reserveBytes: 64 * KiB };
/** So small that a few hundred messages see new segments, checkpoints, compaction and reads from the disk. */
const small: LocalEngineOptions = {
  windowBytes: 8 * KiB,
  blockBytes: 4 * KiB,
  firstSegmentBytes: 16 * KiB,
  segmentBytes: 32 * KiB,
  checkpointBytes: 8 * KiB,
  reserveBytes: 16 * KiB,
  sparseShare: 0.5,
};

runEngineConformance('local', { open: opener(usual), expectedRefusals });
runEngineConformance('local with a small journal', { open: opener(small), expectedRefusals, except: ['large counts'] });
runRandomConformance('local', { open: opener(usual), seeds: [1, 2, 3, 4], steps: 150 });
runRandomConformance('local with a small journal', { open: opener(small), seeds: [5, 6, 7, 8], steps: 150 });
