/** Clients that other ecosystems' registries carry, installed once for all runs, each in a directory of its own. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { absent } from './program.ts';

const cache = fileURLToPath(new URL('../../node_modules/.cache/interop', import.meta.url));
const commandTimeoutMs = 300_000;

export interface Client {
  /** Where it is installed. */
  readonly directory: string;
  /** False where it is there, else the line that says why its tests are skipped. */
  readonly skip: string | false;
}

export interface Recipe {
  readonly name: string;
  /** What it is installed with, as a line that skips its tests calls it, and a command that fails where it is absent. */
  readonly needs: string;
  readonly probe: readonly [string, ...string[]];
  /** It is installed anew when one of them changes. */
  readonly files: readonly URL[];
  /** Where the commands run. */
  readonly cwd: URL;
  readonly env?: NodeJS.ProcessEnv;
  commands(directory: string): readonly (readonly [string, ...string[]])[];
}

export function installed({ name, needs, probe, files, cwd, env, commands }: Recipe): Client {
  const directory = join(cache, name);
  const missing = absent(needs, probe);
  if (missing !== false) return { directory, skip: missing };
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(file));
  const wanted = hash.digest('hex');
  const marker = join(directory, 'installed');
  if (existsSync(marker) && readFileSync(marker, 'utf8') === wanted) return { directory, skip: false };
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  for (const [command, ...args] of commands(directory)) {
    const { status, stdout, stderr, error } = spawnSync(command, args, {
      cwd,
      env: { ...process.env, ...env },
      encoding: 'utf8',
      timeout: commandTimeoutMs,
    });
    if (status === 0) continue;
    console.error(error?.message ?? `${stdout}${stderr}`);
    return { directory, skip: `${name} could not be installed: ${command} ${args[0] ?? ''} failed` };
  }
  writeFileSync(marker, wanted);
  return { directory, skip: false };
}
