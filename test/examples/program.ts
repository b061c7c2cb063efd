/** Runs a program of examples/ in an empty folder, on the sources of this checkout. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = new URL('../../', import.meta.url);

export interface Ended {
  readonly code: number | null;
  readonly lines: string[];
  readonly stderr: string;
}

export function runExample(name: string): Promise<Ended> {
  return runProgram(fileURLToPath(new URL(`examples/${name}`, root)));
}

/** `import 'postrider'` is src/index.ts, by the paths of tsconfig.json. */
export async function runProgram(path: string): Promise<Ended> {
  const cwd = mkdtempSync(join(tmpdir(), 'postrider-example-'));
  try {
    const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), path], {
      cwd,
      env: { ...process.env, TSX_TSCONFIG_PATH: fileURLToPath(new URL('tsconfig.json', root)) },
      stdio: ['ignore', 'pipe', 'pipe'],
      // It has to end by itself; this is for the day when it doesn't.
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
    return { code, lines: stdout.split('\n').filter(Boolean), stderr };
  } finally {
    rmSync(cwd, { recursive: true, force: true });
  }
}
