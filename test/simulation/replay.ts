import { engineUnderTest } from './engine-under-test.ts';
import { type FilesMutation, mutatedFiles } from './mutated-files.ts';
import { type SeedResult, simulate } from './simulation.ts';

/** Runs one seed and prints its whole history as it comes. */
export function replaySeed(seed: number, mutation: FilesMutation | null): Promise<SeedResult> {
  const factory: typeof engineUnderTest =
    mutation === null
      ? engineUnderTest
      : (files, clock, random, roomy) => engineUnderTest(mutatedFiles(files, mutation), clock, random, roomy);
  return simulate(seed, factory, { print: (line) => console.log(line) });
}
