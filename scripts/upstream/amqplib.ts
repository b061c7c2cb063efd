import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Result } from './expectations.ts';
import { runToEnd } from './run-to-end.ts';

/** Those that need a broker; the others test the client alone. */
const files = ['channel_api', 'callback_api', 'connect'].map((name) => `test/${name}.test.js`);
const reporter = fileURLToPath(new URL('json-reporter.js', import.meta.url));

/** amqplib's own suite, with Node's test runner: it needs nothing installed. */
export async function runAmqplib(checkout: string, scratch: string): Promise<Result[]> {
  const resultPath = join(scratch, 'amqplib.jsonl');
  const args = ['--test', '--test-timeout=10000', '--test-concurrency=1'];
  args.push('--test-reporter=spec', '--test-reporter-destination=stderr');
  args.push(`--test-reporter=${reporter}`, `--test-reporter-destination=${resultPath}`);
  await runToEnd(process.execPath, [...args, ...files], checkout);
  const lines = readFileSync(resultPath, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Result);
}
