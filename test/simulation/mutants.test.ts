import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import { build, type Build } from './build.ts';
import { runFleet } from './fleet.ts';
import { mutants, type Mutant } from './mutants.ts';
import type { Scene, scenes as scenesType } from './scenes.ts';

const mostSeeds = 800;
const threads = 2;
const seeds = Array.from({ length: mostSeeds }, (_, seed) => seed);

async function play(built: Build, scene: Scene): Promise<string | null> {
  const url = pathToFileURL(join(built.directory, 'test/simulation/scenes.js')).href;
  const { scenes } = (await import(url)) as { scenes: typeof scenesType };
  return scenes[scene]();
}

/** Every seed holds without the bug (CI runs them all), so any violation shows it. */
async function caught(built: Build, { files, scene }: Mutant): Promise<string | null> {
  if (scene !== undefined) return play(built, scene);
  const options = { threads, mostFailures: 1, ...(files === undefined ? {} : { mutation: files }) };
  const failure = (await runFleet(built, seeds, options)).failures[0];
  return failure === undefined ? null : `seed ${failure.seed}: ${failure.violations[0]!.split('\n', 1)[0]!}`;
}

describe('simulation of a planted bug', () => {
  let whole: Build;

  before(() => {
    whole = build();
  });
  after(() => whole.remove());

  for (const mutant of mutants) {
    const { name, bug, patches, scene } = mutant;
    it(`${name}: ${bug}`, async (context) => {
      if (scene !== undefined) assert.equal(await play(whole, scene), null, 'the scene holds without the bug');
      const built = patches === undefined ? whole : build(patches);
      try {
        const by = await caught(built, mutant);
        assert.ok(by !== null, scene === undefined ? `survived ${mostSeeds} seeds` : `survived ${scene}`);
        context.diagnostic(`${name} was caught by ${by}`);
      } finally {
        if (built !== whole) built.remove();
      }
    });
  }
});
