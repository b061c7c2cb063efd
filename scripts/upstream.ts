/**
 * Runs the tests that a client's authors wrote for RabbitMQ against a Postrider, from a checkout of the client:
 *
 *   npm run test:upstream -- amqplib DIR
 *   npm run test:upstream -- pika DIR
 *   npm run test:upstream -- paho DIR [--port PORT]
 *   npm run test:upstream -- amqplib DIR --list     prints the results as a list, to be kept in scripts/upstream/NAME.txt
 *
 * Port 5672 must be free (and for pika 5671): the suites want it, but for paho's, which take any; PORT is that of another broker to run them against. Each test's result must be the one that scripts/upstream/NAME.txt expects; docs/COMPATIBILITY.md
 * says which versions the lists are of.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runAmqplib } from './upstream/amqplib.ts';
import { runPaho } from './upstream/paho.ts';
import { compare, readExpectations, writeExpectations, type Result } from './upstream/expectations.ts';
import { pikaTls, runPika } from './upstream/pika.ts';
import { serveOnStandardPort } from './upstream/serve.ts';

interface Suite {
  run(checkout: string, scratch: string, port: number | undefined): Promise<Result[]>;
  /** Options of `serve` that its tests want. */
  options?(checkout: string): string[];
  /** It starts its servers itself. */
  servesItself?: boolean;
}

const suites: Readonly<Record<string, Suite>> = {
  amqplib: { run: runAmqplib },
  pika: { run: runPika, options: pikaTls },
  paho: { run: runPaho, servesItself: true },
};

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { list: { type: 'boolean' }, port: { type: 'string' } },
});
const [name, directory] = positionals;
const suite = Object.entries(suites).find(([known]) => known === name)?.[1];
if (suite === undefined || directory === undefined || !existsSync(directory)) {
  console.error(
    `usage: npm run test:upstream -- ${Object.keys(suites).join('|')} DIR [--list]; DIR is a checkout of it`,
  );
  process.exit(2);
}

const scratch = mkdtempSync(join(tmpdir(), 'postrider-upstream-'));
const checkout = resolve(directory);
const stop =
  suite.servesItself === true ? undefined : await serveOnStandardPort(scratch, suite.options?.(checkout) ?? []);
try {
  const results = await suite.run(checkout, scratch, values.port === undefined ? undefined : Number(values.port));
  const listPath = fileURLToPath(new URL(`upstream/${name}.txt`, import.meta.url));
  const expected = existsSync(listPath) ? readExpectations(readFileSync(listPath, 'utf8')) : [];
  if (values.list === true) process.stdout.write(writeExpectations(results, expected));
  else report(results);

  function report(all: readonly Result[]): void {
    for (const { outcome, test } of all) console.log(`${outcome.padEnd(5)} ${test}`);
    const { apart, wrong } = compare(all, expected);
    console.log(`\nnot applying (${apart.length}), see docs/COMPATIBILITY.md:`);
    for (const line of apart) console.log(`  ${line}`);
    const count = (outcome: string): number => all.filter((result) => result.outcome === outcome).length;
    console.log(
      `\n${all.length} tests of ${name}: ${count('pass')} passed, ${count('skip')} left out by the suite itself`,
    );
    if (wrong.length === 0) return;
    console.error(`\nnot as expected (${wrong.length}):`);
    for (const line of wrong) console.error(`  ${line}`);
    process.exitCode = 1;
  }
} finally {
  await stop?.();
  rmSync(scratch, { recursive: true, force: true });
}
