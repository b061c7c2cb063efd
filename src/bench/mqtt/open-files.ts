import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** What a process has open beside the connections that are counted. */
const others = 400;

/**
 * How many connections a process of this machine may hold, up to `wanted`. Where too few are allowed it asks for more, which root
 * may get; the processes that are started afterwards have what this one has.
 */
export function connectionsAllowed(wanted: number): number {
  if (hardLimit() < wanted + others) raise(wanted + others);
  return Math.min(wanted, hardLimit() - others);
}

function hardLimit(): number {
  const match = /^Max open files\s+\S+\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
  const limit = match?.[1];
  return limit === undefined || limit === 'unlimited' ? Number.POSITIVE_INFINITY : Number(limit);
}

function raise(files: number): void {
  try {
    execFileSync('prlimit', ['--pid', String(process.pid), `--nofile=${files}:${files}`], { stdio: 'ignore' });
  } catch {
    // The caller sees how many there are.
  }
}
