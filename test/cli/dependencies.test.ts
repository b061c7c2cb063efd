import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { test } from 'node:test';

const root = new URL('../../', import.meta.url);

/** Of the benchmark's peers, which take part where they are installed; it looks for them first. */
const peers = new Set(['aedes', 'bullmq', 'ioredis']);

test('whatever the program imports is installed with it', () => {
  const { dependencies } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  const source = new URL('src/', root);
  const imported = new Set<string>();
  for (const file of readdirSync(source, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts')) continue;
    const text = readFileSync(new URL(file, source), 'utf8');
    for (const [, name] of text.matchAll(/(?:\bfrom|\bimport|\bimport\()\s*'([@a-z][\w@/:.-]*)'/g)) {
      if (!isBuiltin(name!)) imported.add(name!.startsWith('@') ? name!.split('/', 2).join('/') : name!.split('/')[0]!);
    }
  }
  assert.deepEqual([...imported].filter((name) => !peers.has(name)).sort(), Object.keys(dependencies).sort());
});
