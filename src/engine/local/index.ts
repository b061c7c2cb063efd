/** The embedded engine: on a directory, or for `memory:` in memory alone. */
import { systemClock, type Clock } from '../clock.ts';
import { DiskStore } from './disk-store.ts';
import { DiskFiles } from './journal/disk-files.ts';
import type { Files } from './journal/files.ts';
import { defaultJournalOptions, type JournalOptions } from './journal/options.ts';
import { LocalEngine } from './local-engine.ts';
import { MemoryStore } from './memory-store.ts';

export type { JournalOptions } from './journal/options.ts';
export { LocalEngine } from './local-engine.ts';

export interface LocalEngineOptions extends Partial<JournalOptions> {
  /** Default: the disk. */
  readonly files?: Files;
  /** Default: the system's. */
  readonly clock?: Clock;
}

/** An engine that keeps its journal in `directory`, which is created where it is absent. Call `open` next. */
export function localEngine(directory: string, options: LocalEngineOptions = {}): LocalEngine {
  const { files = new DiskFiles(), clock = systemClock, ...sizes } = options;
  const journal = { ...defaultJournalOptions, ...sizes };
  return new LocalEngine(new DiskStore(directory, files, clock, journal), clock, journal.behindBytes);
}

/** An engine whose messages live as long as the process. */
export function memoryEngine(clock: Clock = systemClock): LocalEngine {
  return new LocalEngine(new MemoryStore(clock), clock, defaultJournalOptions.behindBytes);
}

/** The engine for a location as users write it: `memory:`, or a directory. */
export function openLocal(location: string, options: LocalEngineOptions = {}): LocalEngine {
  return location === 'memory:' ? memoryEngine(options.clock) : localEngine(location, options);
}
