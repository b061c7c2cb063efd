/**
 * The seeded crash simulation of the embedded engine.
 *
 *   npm run test:simulation                          20,000 seeds: half fixed, half drawn from the commit
 *   npm run test:simulation -- --seeds 1000          so many
 *   npm run test:simulation -- --fixed 1000          the first so many of the fixed ones, and none that is drawn
 *   npm run test:simulation -- --seed 4711           that one, its whole history printed: replays exactly
 *   npm run test:simulation -- --from 1f2e3d4        the drawn half of another commit
 *   npm run test:simulation -- --mutant NAME         with a planted bug (docs/SIMULATION.md)
 *   npm run test:simulation -- --damage              every bit of a small store turned, every file cut at every length
 */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { build } from './build.ts';
import { runFleet } from './fleet.ts';
import { mutants } from './mutants.ts';
import type { replaySeed as replaySeedType } from './replay.ts';
import { currentCommit, drawSeeds } from './seeds.ts';
import type { SeedReport } from './worker.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    fixed: { type: 'string' },
    seed: { type: 'string' },
    from: { type: 'string' },
    mutant: { type: 'string' },
    threads: { type: 'string' },
    damage: { type: 'boolean', default: false },
  },
});

if (values.damage) {
  const { status } = spawnSync(process.execPath, ['--import', 'tsx', '--test', 'test/simulation/damage.test.ts'], {
    stdio: 'inherit',
    env: { ...process.env, POSTRIDER_EVERY_BIT: '1' },
  });
  process.exit(status ?? 1);
}

function count(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) {
    console.error(`--${name} wants a number, not '${text}'`);
    process.exit(2);
  }
  return value;
}

function replay(seed: number): string {
  return `npm run test:simulation -- --seed ${seed}${values.mutant === undefined ? '' : ` --mutant ${values.mutant}`}`;
}

function tell({ seed, violations, last, operations }: SeedReport): void {
  console.log(`\nseed ${seed} failed after ${operations} operations:`);
  for (const violation of violations.slice(0, 5)) console.log(`  ${violation}`);
  if (violations.length > 5) console.log(`  and ${violations.length - 5} more`);
  console.log('  its last steps:');
  for (const line of last) console.log(`    ${line.slice(0, 200)}`);
  console.log(`  replay: ${replay(seed)}`);
}

const mutant = mutants.find(({ name }) => name === values.mutant);
if (values.mutant !== undefined && mutant === undefined) {
  console.error(`no such mutant: ${values.mutant}\nthere are: ${mutants.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}
const built = build(mutant?.patches ?? []);
process.on('exit', () => built.remove());
const mutation = mutant?.files === undefined ? {} : { mutation: mutant.files };

if (values.seed !== undefined) {
  const seed = count('seed', values.seed, 0);
  const { replaySeed } = (await import(`${built.directory}/test/simulation/replay.js`)) as {
    replaySeed: typeof replaySeedType;
  };
  const result = await replaySeed(seed, mutant?.files ?? null);
  if (result.violations.length > 0) {
    tell(result);
    process.exitCode = 1;
  } else {
    console.log(`\nseed ${seed} held: ${result.operations} operations, history ${(result.hash >>> 0).toString(16)}`);
  }
} else {
  const commit = values.from ?? currentCommit();
  const fixed = count('fixed', values.fixed, 0);
  const seeds =
    fixed > 0
      ? Array.from({ length: fixed }, (_, seed) => seed)
      : drawSeeds(count('seeds', values.seeds, 20_000), commit);
  const threads = Math.max(
    1,
    Math.min(count('threads', values.threads, Math.min(availableParallelism(), 8)), seeds.length),
  );
  console.log(
    fixed > 0
      ? `${seeds.length} seeds: 0 to ${seeds.length - 1}; ${threads} threads`
      : `${seeds.length} seeds: 0 to ${Math.ceil(seeds.length / 2) - 1}, and as many drawn from ${commit}; ${threads} threads`,
  );
  const began = performance.now();
  const terminal = process.stdout.isTTY;
  const result = await runFleet(built, seeds, {
    threads,
    ...mutation,
    progress: (ran, failed) => {
      if (terminal) process.stdout.write(`\r${ran} of ${seeds.length} seeds, ${failed} failed `);
    },
  });
  const seconds = (performance.now() - began) / 1000;
  if (terminal) process.stdout.write('\r');
  console.log(result.coverage.table());
  for (const failure of result.failures) tell(failure);
  console.log(
    `\n${result.ran} seeds in ${seconds.toFixed(1)} s (${(result.ran / seconds).toFixed(0)} seeds/s): ${result.operations} operations, ` +
      `${result.steps} steps, ${(result.virtualMs / 3_600_000).toFixed(1)} hours of virtual time; ${result.failures.length} seeds failed`,
  );
  if (result.failures.length > 0) process.exitCode = 1;
  if (values.mutant !== undefined)
    console.log(result.failures.length > 0 ? `mutant ${values.mutant} was caught` : `mutant ${values.mutant} SURVIVED`);
}
