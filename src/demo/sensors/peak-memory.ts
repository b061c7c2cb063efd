import { readFileSync } from 'node:fs';

/** The most bytes that the process ever had in memory (VmHWM); null where the system does not tell, or the process is gone. */
export function peakMemory(pid: number): number | null {
  try {
    const kib = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kib === undefined ? null : Number(kib) * 1024;
  } catch {
    return null;
  }
}
