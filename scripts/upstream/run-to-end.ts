import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** What it prints goes to standard error, so that standard output is the list of results. Returns its exit code. */
export async function runToEnd(program: string, args: readonly string[], directory: string): Promise<number | null> {
  const child = spawn(program, args, { cwd: directory, stdio: ['ignore', process.stderr, process.stderr] });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code;
}
