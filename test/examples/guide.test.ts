/** The guide shows the programs of examples/ as they are, its links lead somewhere, and its first program does what it says. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runProgram } from './program.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const guide = join(root, 'docs/guide');
const documents = [
  ...readdirSync(guide)
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(guide, name)),
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name === 'ERRORS.md' || name.startsWith('moving-from-'))
    .map((name) => join(root, 'docs', name)),
  join(root, 'README.md'),
  join(root, 'examples/README.md'),
].map((path) => ({ path, name: path.slice(root.length), text: readFileSync(path, 'utf8') }));

/** `<!-- examples/x.ts -->`, and the code below it. */
const shown = /<!-- (examples\/[\w.-]+) -->\n(?:```ts\n(.*?)```)?/gs;

test('code in the guide is that of the examples', () => {
  const seen = new Set<string>();
  for (const { name, text } of documents) {
    for (const [, file = '', code] of text.matchAll(shown)) {
      seen.add(file);
      assert.equal(code, readFileSync(join(root, file), 'utf8'), `${name} shows another ${file}: copy the file`);
    }
  }
  const programs = readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.ts'));
  assert.deepEqual([...seen].sort(), programs.map((name) => `examples/${name}`).sort());
});

test('an example is short enough to be copied', () => {
  for (const name of readdirSync(join(root, 'examples')).filter((entry) => entry.endsWith('.ts'))) {
    const lines = readFileSync(join(root, 'examples', name), 'utf8')
      .trimEnd()
      .split('\n').length;
    assert.ok(lines <= 40, `${name} has ${lines} lines`);
  }
});

test('links and pictures lead to files that are there', () => {
  for (const { path, name, text } of documents) {
    for (const [, to = ''] of text.replace(/```.*?```/gs, '').matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
      if (/^https?:/.test(to)) continue;
      assert.ok(existsSync(resolve(dirname(path), to)), `${name}: ${to}`);
    }
  }
});

/** What goes on until Ctrl-C is closed after a while. */
async function runShown(document: string, block: RegExp): Promise<readonly string[]> {
  const { text } = documents.find(({ name }) => name === document)!;
  const program = block.exec(text)?.[1] ?? '';
  const folder = mkdtempSync(join(tmpdir(), 'postrider-shown-'));
  try {
    writeFileSync(join(folder, 'program.mts'), `${program}\nsetTimeout(() => mq.close(), 200);\n`);
    const { code, lines, stderr } = await runProgram(join(folder, 'program.mts'));
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
    return lines;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('the first program of the guide', async () => {
  assert.deepEqual(await runShown('docs/guide/README.md', /```js\n(.*?)```/s), ['handling order 1']);
});

test('the first program of the README', async () => {
  assert.deepEqual(await runShown('README.md', /```ts\n(.*?)```/s), ['handling order 1: lamp']);
});

test('every example is run', () => {
  const tested = readFileSync(join(root, 'test/examples/examples.test.ts'), 'utf8');
  for (const file of readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.ts'))) {
    // The worker is started by the program that has the broker.
    if (file === 'embedded-worker.ts') continue;
    assert.match(tested, new RegExp(`^ {2}'?${file.slice(0, -3)}'?: \\{`, 'm'), file);
  }
});
