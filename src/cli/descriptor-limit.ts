/** How many files and connections this process may have open: connections must leave the journal what it needs. */
import { readFileSync } from 'node:fs';

/** For segments, checkpoints, reading ahead and what Node itself has open. */
const keptForFiles = 256;

/** Undefined where the system does not tell. */
export function descriptorLimit(): number | undefined {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    return undefined;
  }
}

/** The most connections that leave enough of `limit`. */
export function connectionsWithin(limit: number): number {
  return Math.max(1, limit - Math.min(keptForFiles, Math.ceil(limit / 2)));
}
