/** The example of README.md, as it is printed there. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { target } from './target.ts';

const { port } = await target();
const root = new URL('../../', import.meta.url);

test("README's example consumes what it publishes", { timeout: 300_000 }, async () => {
  const readme = readFileSync(new URL('README.md', root), 'utf8');
  const example = /```js\n(.*?)```/s.exec(readme)?.[1] ?? '';
  assert.match(example, /noDelay: true/);
  const program = example.replace('127.0.0.1:5672', `127.0.0.1:${port}`);
  const args = ['--input-type=module', '--eval', program];
  const child = spawn(process.execPath, args, { cwd: fileURLToPath(root), stdio: ['ignore', 'pipe', 'inherit'] });
  const printed = await new Promise<string>((resolve) => {
    child.stdout.setEncoding('utf8').once('data', resolve);
    child.once('exit', (code) => resolve(`it ended with code ${code}`));
  });
  child.kill();
  assert.equal(printed, 'order 1\n');
});
