/** The embedded engine: `openLocal` for `memory:` and for a directory. */
import { systemClock, type Clock } from '../clock.ts';
import type { Engine } from '../engine.ts';
import { LocalEngine } from './local-engine.ts';
import { MemoryStore } from './memory-store.ts';

const MEMORY_BEHIND_BYTES = 64 * 1024 * 1024;

/** An engine whose messages live as long as the process. */
export function memoryEngine(clock: Clock = systemClock): Engine {
  return new LocalEngine(new MemoryStore(clock), clock, MEMORY_BEHIND_BYTES);
}
