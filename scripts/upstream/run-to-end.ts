import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** What it prints goes to standard error, so that standard output is the list of results. Returns its exit code; null: it was killed, as it is after `timeLimitMs`. */
export async function runToEnd(
  program: string,
  args: readonly string[],
  directory: string,
  timeLimitMs = 0,
): Promise<number | null> {
  const options = { cwd: directory, timeout: timeLimitMs, killSignal: 'SIGKILL' } as const;
  const child = spawn(program, args, { ...options, stdio: ['ignore', process.stderr, process.stderr] });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code;
}
