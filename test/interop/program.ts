/** Programs from outside of npm, which a machine may not have. */
import { spawn, spawnSync } from 'node:child_process';

/** False where the program runs, else the line that says why its tests are skipped. */
export function absent(name: string, command: readonly [string, ...string[]]): string | false {
  const [program, ...args] = command;
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0 ? false : `${name} is not installed`;
}

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, while this process serves it. */
export async function run(program: string, args: readonly string[], input = ''): Promise<Ended> {
  const child = spawn(program, args, { stdio: 'pipe', timeout: 300_000 });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  return { code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() };
}
