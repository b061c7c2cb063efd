import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { build, type Build } from './build.ts';
import { runFleet } from './fleet.ts';
import { mutants } from './mutants.ts';
import type { FilesMutation } from './mutated-files.ts';
import type { SeedReport } from './worker.ts';

/** What is wrong, without the numbers and names of one history. */
function kindOf(violation: string): string {
  return violation
    .split(':', 1)[0]!
    .replace(/\d+/g, 'N')
    .replace(/\b(dead-letters|qN)\b/g, 'Q');
}

/** No mutant is about space: what is said of it shows no more than that the history is another. */
const ofSpace = /^(settlements wait|the disk did not shrink)/;

const mostSeeds = 150;
const threads = 2;

describe('simulation of a planted bug', () => {
  /** Seeds in which the engine itself fails say nothing about a mutant, nor does another seed that fails in the same way. */
  let holding: readonly number[] = [];
  const known = new Set<string>();
  let whole: Build;

  before(async () => {
    whole = build();
    const seeds = Array.from({ length: mostSeeds }, (_, seed) => seed);
    const { failures } = await runFleet(whole, seeds, { threads, mostFailures: Infinity });
    const failing = new Set(failures.map(({ seed }) => seed));
    for (const { violations } of failures) known.add(kindOf(violations[0]!));
    holding = seeds.filter((seed) => !failing.has(seed));
  });
  after(() => whole.remove());

  async function firstFailure(built: Build, mutation: FilesMutation | undefined): Promise<SeedReport | null> {
    for (let seeds = holding; seeds.length > 0;) {
      const options = { threads, mostFailures: 1, ...(mutation === undefined ? {} : { mutation }) };
      const failure = (await runFleet(built, seeds, options)).failures[0];
      if (failure === undefined) return null;
      if (!known.has(kindOf(failure.violations[0]!)) && !ofSpace.test(failure.violations[0]!)) return failure;
      seeds = seeds.filter((seed) => seed > failure.seed);
    }
    return null;
  }

  for (const { name, bug, files, patches } of mutants) {
    it(`${name}: ${bug}`, async (context) => {
      const built = patches === undefined ? whole : build(patches);
      try {
        const caught = await firstFailure(built, files);
        assert.ok(caught !== null, `survived ${holding.length} seeds`);
        context.diagnostic(`${name} was caught by seed ${caught.seed}: ${caught.violations[0]!.split('\n', 1)[0]!}`);
      } finally {
        if (built !== whole) built.remove();
      }
    });
  }
});
