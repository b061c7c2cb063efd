import type { EngineError } from '../errors.ts';
import type { SegmentReader } from './backlog-reader.ts';
import type { Identities } from './identities.ts';
import type { Journal } from './journal/journal.ts';
import type { KeyedState } from './keyed-state.ts';
import type { LocalQueue } from './queue.ts';
import type { SegmentTable } from './segments.ts';
import type { LocalTopology } from './topology.ts';

/** The state that a store brings back, and whom it tells what. */
export interface StoreHost {
  readonly topology: LocalTopology;
  readonly identities: Identities;
  readonly keyed: KeyedState;
  failed(error: EngineError): void;
  blocked(): void;
  unblocked(): void;
  /** Some of what waited for the disk is durable. */
  caughtUp(): void;
  damaged(queue: LocalQueue, error: EngineError): void;
  notice(line: string): void;
}

/** Where the embedded engine keeps its bytes: on disk, or nowhere. */
export interface LocalStore {
  readonly volatile: boolean;
  readonly journal: Journal;
  readonly segments: SegmentTable;
  /** How many bytes may wait for the disk, where these are as many as usual. */
  mayWait(usual: number): number;
  /** Null: nothing ever leaves memory. */
  readonly reader: SegmentReader | null;
  open(host: StoreHost): Promise<void>;
  close(): Promise<void>;
}
