import { localEngine } from './engine-under-test.ts';
import { type FilesMutation, mutatedFiles } from './mutated-files.ts';
import { type SeedResult, simulate } from './simulation.ts';

/** Runs one seed and prints its whole history as it comes. */
export function replaySeed(seed: number, mutation: FilesMutation | null): Promise<SeedResult> {
  const factory: typeof localEngine =
    mutation === null
      ? localEngine
      : (files, clock, random) => localEngine(mutatedFiles(files, mutation), clock, random);
  return simulate(seed, factory, { print: (line) => console.log(line) });
}
