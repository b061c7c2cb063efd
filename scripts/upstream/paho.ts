import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Result } from './expectations.ts';
import { runToEnd } from './run-to-end.ts';

/** Of 3.1.1 and 5.0. */
const modules = ['client_test', 'client_test5'];
const runner = fileURLToPath(new URL('paho-run.py', import.meta.url));
/** The longest sleeps for half a minute. */
const timeLimitMs = 90_000;
/** Their client waits half a second for an answer, and so do many of the tests: where the machine is busy with something else, that is no failure. */
const tries = 2;

/**
 * Eclipse Paho's interoperability suites: each test in a process of its own, those of one version after another, since they share client
 * ids; each version with a server of its own, unless they are for whatever listens on `port`.
 */
export async function runPaho(checkout: string, scratch: string, port: number | undefined): Promise<Result[]> {
  const folder = join(checkout, 'interoperability');
  const results: Result[] = [];
  if (port !== undefined) {
    for (const module of modules) results.push(...(await runModule(folder, module, port)));
    return results;
  }
  const { servePaho } = await import('./paho-server.ts');
  const runs = modules.map(async (module) => {
    const server = await servePaho(mkdtempSync(join(scratch, `${module}-`)));
    try {
      return await runModule(folder, module, server.port);
    } finally {
      await server.stop();
    }
  });
  return (await Promise.all(runs)).flat();
}

async function runModule(folder: string, module: string, port: number): Promise<Result[]> {
  const results: Result[] = [];
  for (const name of testsOf(folder, module)) {
    results.push({ test: `${module}.${name}`, outcome: (await passes(name)) ? 'pass' : 'fail' });
  }
  return results;

  async function passes(name: string): Promise<boolean> {
    for (let left = tries; left > 0; left--) {
      const code = await runToEnd('python3', ['-B', runner, folder, module, String(port), name], folder, timeLimitMs);
      if (code === 0) return true;
      console.error(`${module}.${name} failed${left > 1 ? ', and is tried again' : ''}`);
    }
    return false;
  }
}

function testsOf(folder: string, module: string): string[] {
  const { status, stdout, stderr } = spawnSync('python3', ['-B', runner, folder, module, '0'], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${module} can't be read: ${stderr}`);
  return stdout.split('\n').filter(Boolean);
}
