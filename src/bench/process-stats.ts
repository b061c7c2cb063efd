import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds a clock tick lasts; Linux has 100 a second on every platform that Node runs on. */
const tickMs = 10;

/** Resident memory of a process in bytes. */
export function residentBytes(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  if (match === null) throw new Error(`process ${pid} has no resident memory: it ended`);
  return Number(match[1]) * 1024;
}

/** Processor time that a process has used, all its threads together. */
export function processCpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * tickMs;
}

/** Waits until the processes together use less than 5 % of a processor, or until patience ends. */
export async function untilQuiet(pids: readonly number[], patienceMs = 20_000): Promise<void> {
  const intervalMs = 400;
  const used = (): number => pids.reduce((sum, pid) => sum + processCpuMs(pid), 0);
  let before = used();
  for (let waitedMs = 0; waitedMs < patienceMs; waitedMs += intervalMs) {
    await sleep(intervalMs);
    const now = used();
    if (now - before <= intervalMs * 0.05) return;
    before = now;
  }
}

/** Resident memory once the process is quiet: the median of a second. */
export async function settledBytes(pid: number): Promise<number> {
  await untilQuiet([pid]);
  await sleep(1000);
  const samples: number[] = [];
  for (let index = 0; index < 5; index++) {
    samples.push(residentBytes(pid));
    await sleep(200);
  }
  return samples.sort((a, b) => a - b)[2] ?? 0;
}
