/**
 * The package as users get it: built, packed, installed in a project of its own, and used as an ES module, from CommonJS, from
 * plain JavaScript and from TypeScript in each way of resolving modules.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'postrider-package-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  version: string;
  files: string[];
  dependencies: Record<string, string>;
};
const app: string = await install();

describe('the packed package', () => {
  test('has what it needs and nothing else', async () => {
    const { stdout } = await run('tar', ['-tzf', join(scratch, `postrider-${manifest.version}.tgz`)]);
    const files = stdout.split('\n').map((path) => path.replace('package/', ''));
    for (const wanted of [
      'package.json',
      'README.md',
      'LICENSE',
      'bin/postrider.js',
      'dist/index.js',
      'dist/index.d.ts',
    ]) {
      assert.ok(files.includes(wanted), wanted);
    }
    const folders = new Set(files.filter((path) => path.includes('/')).map((path) => path.split('/')[0]));
    assert.deepEqual([...folders].sort(), ['bin', 'dist', 'docs']);
  });

  test('is an ES module', async () => {
    await use('esm.mjs', "import { connect, PostriderError, version } from 'postrider';");
  });

  test('can be required', async () => {
    await use('commonjs.cjs', "const { connect, PostriderError, version } = require('postrider');");
  });

  test('can be imported by CommonJS', async () => {
    await use('dynamic.cjs', '', "const { connect, PostriderError, version } = await import('postrider');");
  });

  test('is one module, however it is loaded', async () => {
    const program = `
      const assert = require('node:assert/strict');
      const required = require('postrider');
      import('postrider').then((imported) => assert.equal(imported.PostriderError, required.PostriderError));
    `;
    writeFileSync(join(app, 'same.cjs'), program);
    assert.deepEqual(await node('same.cjs'), { code: 0, stdout: '', stderr: '' });
  });

  test('tells JavaScript what TypeScript would have told', async () => {
    const program = `
      import { connect } from 'postrider';
      const mq = await connect('memory:');
      const queue = await mq.queue('orders');
      const wrong = [
        () => connect('redis://localhost'),
        () => connect(7),
        () => mq.queue('orders', { durabel: true }),
        () => mq.queue(7),
        () => queue.publish({}, { delay: 5 }),
        () => queue.publish(undefined),
        () => queue.consume('handler'),
        () => queue.consume(() => {}, { concurrency: '5' }),
        () => queue.peek('all'),
      ];
      for (const call of wrong) console.log(await call().then(() => 'nothing', (error) => error.code));
      await mq.close();
    `;
    writeFileSync(join(app, 'plain.mjs'), program);
    const { code, stdout, stderr } = await node('plain.mjs');
    assert.deepEqual(stdout.trim().split('\n'), [
      ...['INVALID_URL', 'INVALID_URL', 'INVALID_OPTION', 'INVALID_NAME', 'INVALID_OPTION', 'INVALID_PAYLOAD'],
      ...['INVALID_OPTION', 'INVALID_OPTION', 'INVALID_OPTION'],
    ]);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  });

  test('brings its command', async () => {
    const { stdout } = await run(process.execPath, [join(app, 'node_modules/.bin/postrider'), '--version']);
    assert.equal(stdout.trim(), manifest.version);
  });

  const modes = [
    { module: 'nodenext', moduleResolution: 'nodenext', file: 'app.mts' },
    { module: 'nodenext', moduleResolution: 'nodenext', file: 'app.cts' },
    { module: 'esnext', moduleResolution: 'bundler', file: 'app.ts' },
    // It knows no `exports`.
    { module: 'commonjs', moduleResolution: 'node10', ignoreDeprecations: '6.0', file: 'app.ts' },
  ];
  for (const { file, ...options } of modes) {
    test(`declares its types: ${options.moduleResolution}, ${file}`, async () => {
      const project = join(app, `types-${options.moduleResolution}-${file}`);
      mkdirSync(project);
      const declarations = readFileSync(join(root, 'test/types/declarations.ts'), 'utf8');
      const equal = readFileSync(join(root, 'test/types/equal.ts'), 'utf8');
      // In one file, since how a file imports its neighbour differs, and is not what is looked at.
      const program = `${declarations.replace(/^import type .* from '.\/equal.ts';$/m, '')}\n${equal}`;
      writeFileSync(join(project, file), program);
      const compilerOptions = {
        ...{
          ...options,
          target: 'es2022',
          lib: ['es2023'],
          types: ['node'],
          typeRoots: [join(root, 'node_modules/@types')],
        },
        ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, noEmit: true },
        // Of others' declarations too: those of the package must stand on their own.
        skipLibCheck: false,
      };
      writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: [file] }));
      await run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', project]);
    });
  }
});

/** Publishes and consumes on a durable queue, with `load` at the head of the program. */
async function use(file: string, load: string, first = ''): Promise<void> {
  const program = `
    ${load}
    async function main() {
      ${first}
      const mq = await connect('file:./data-${file}');
      const queue = await mq.queue('orders');
      await queue.publish({ id: 1 });
      for await (const message of queue.messages()) {
        console.log(JSON.stringify(message.payload), version);
        await message.ack();
        break;
      }
      await mq.close();
      await queue.publish({ id: 2 }).catch((error) => console.log(error instanceof PostriderError, error.code));
    }
    main();
  `;
  writeFileSync(join(app, file), program);
  assert.deepEqual(await node(file), { code: 0, stdout: `{"id":1} ${manifest.version}\ntrue CLOSED\n`, stderr: '' });
}

/** Builds and packs beside the checkout, which stays as it is, and installs that in a new project. Resolves with its folder. */
async function install(): Promise<string> {
  const source = join(scratch, 'source');
  const project = join(scratch, 'app');
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  await run(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json'), '--outDir', join(source, 'dist')]);
  for (const path of ['package.json', 'README.md', 'LICENSE', ...manifest.files.filter((name) => name !== 'dist/')]) {
    cpSync(join(root, path), join(source, path), { recursive: true });
  }
  const quiet = ['--ignore-scripts', '--loglevel=error'];
  await run('npm', ['pack', ...quiet, '--pack-destination', scratch], source);
  mkdirSync(project);
  // Its dependencies are those of the checkout, so that nothing is fetched.
  const overrides = Object.fromEntries(
    Object.keys(manifest.dependencies).map((name) => [name, `file:${join(root, 'node_modules', name)}`]),
  );
  const dependencies = { postrider: `file:${join(scratch, `postrider-${manifest.version}.tgz`)}` };
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'app', private: true, dependencies, overrides }));
  await run('npm', ['install', ...quiet, '--offline', '--no-audit', '--no-fund'], project);
  return project;
}

function node(file: string): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return end(process.execPath, [file], app);
}

/** As `end`, of what must succeed. */
async function run(command: string, args: readonly string[], cwd: string = tmpdir()): Promise<{ stdout: string }> {
  const { code, stdout, stderr } = await end(command, args, cwd);
  assert.equal(code, 0, `${command} ${args.join(' ')}\n${stdout}${stderr}`);
  return { stdout };
}

async function end(
  command: string,
  args: readonly string[],
  cwd: string | undefined,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(command, args, {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 300_000,
    killSignal: 'SIGKILL',
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  return { code, stdout, stderr };
}
