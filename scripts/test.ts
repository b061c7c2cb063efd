/**
 * Runs one group of tests with `node --test` through tsx. Node 20 knows no globs in `--test`, hence this list-maker.
 *
 *   node --import tsx scripts/test.ts unit               all tests but those of the other groups
 *   node --import tsx scripts/test.ts interop            other people's clients and brokers
 *   node --import tsx scripts/test.ts package          the package, packed and installed elsewhere
 *   node --import tsx scripts/test.ts simulation         the simulated disk, the crash simulation and its planted bugs
 *   node --import tsx scripts/test.ts unit journal wire  only files whose path contains one of the words
 *
 * With POSTRIDER_REQUIRE_ALL=1 a skipped test fails the run: a machine that promises every program must not skip.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
/** Folders of test/ that are a group of their own; everything else is `unit`. */
const apart = ['interop', 'package', 'simulation'];

const [group = 'unit', ...words] = process.argv.slice(2);
if (group !== 'unit' && !apart.includes(group)) {
  console.error(`scripts/test.ts: no such group: ${group} (there are: unit, ${apart.join(', ')})`);
  process.exit(2);
}

const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.test.ts'))
  .filter((path) => {
    const folder = path.split(sep)[0]!;
    return group === 'unit' ? !apart.includes(folder) : folder === group;
  })
  .map((path) => join('test', path))
  .filter((path) => words.length === 0 || words.some((word) => path.includes(word)))
  .sort();
if (files.length === 0) {
  console.error(`scripts/test.ts: no test file of group ${group} matches ${words.join(', ') || 'test/'}`);
  process.exit(2);
}

const scratch = mkdtempSync(join(tmpdir(), 'postrider-test-'));
const skippedPath = join(scratch, 'skipped');
try {
  const run = spawnSync(
    process.execPath,
    [
      ...['--import', 'tsx', '--test', `--test-concurrency=${availableParallelism()}`],
      ...['--test-reporter', 'spec', '--test-reporter-destination', 'stdout'],
      ...['--test-reporter', './scripts/skipped-reporter.js', '--test-reporter-destination', skippedPath],
      ...files,
    ],
    { cwd: root, stdio: 'inherit' },
  );
  if (run.error !== undefined) throw run.error;

  const skipped = readFileSync(skippedPath, 'utf8').split('\n').filter(Boolean);
  if (skipped.length > 0) {
    console.log(`\nnot run (${skipped.length}):`);
    for (const line of skipped) console.log(`  ${relative(root, line)}`);
  }
  process.exitCode = run.status ?? 1;
  if (process.env.POSTRIDER_REQUIRE_ALL === '1' && skipped.length > 0) {
    console.error('POSTRIDER_REQUIRE_ALL=1: every test must run here');
    process.exitCode = 1;
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
