import { test } from 'node:test';
import { join } from 'node:path';
import { installed } from './client-install.ts';
import { assertServed, playStore } from './store.ts';

const source = (name: string): URL => new URL(`java/${name}`, import.meta.url);
const copyDependencies = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies';
const { directory, skip } = installed({
  name: 'java',
  needs: 'Maven',
  probe: ['mvn', '--version'],
  files: ['pom.xml', 'Store.java'].map(source),
  cwd: source(''),
  commands: (into) => [
    ['mvn', '--batch-mode', '--quiet', copyDependencies, `-DoutputDirectory=${into}`],
    ['javac', '-cp', join(into, '*'), '-d', into, 'Store.java'],
  ],
});

test('a store in Java: payment down, then the broker killed', { skip, timeout: 300_000 }, async (context) => {
  const classPath = `${join(directory, '*')}:${directory}`;
  assertServed(await playStore(context, ['java', '-cp', classPath, 'Store']));
});
