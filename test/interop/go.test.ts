import { test } from 'node:test';
import { join } from 'node:path';
import { installed } from './client-install.ts';
import { assertServed, playStore } from './store.ts';

const source = (name: string): URL => new URL(`go/${name}`, import.meta.url);
const { directory, skip } = installed({
  name: 'go',
  needs: 'Go',
  probe: ['go', 'version'],
  files: ['go.mod', 'go.sum', 'main.go'].map(source),
  cwd: source(''),
  env: { CGO_ENABLED: '0', GOTOOLCHAIN: 'local' },
  commands: (into) => [['go', 'build', '-o', join(into, 'store'), '.']],
});

test('a store in Go: payment down, then the broker killed', { skip, timeout: 300_000 }, async (context) => {
  assertServed(await playStore(context, [join(directory, 'store')]));
});
