import type { CommitReceiver, ItemOutcome } from '../engine.ts';
import type { Identities } from './identities.ts';
import type { Journal } from './journal/journal.ts';
import type { KeyedState } from './keyed-state.ts';
import type { LocalTopology } from './topology.ts';

/** What a batch needs of its engine. */
export interface BatchHost {
  readonly journal: Journal;
  readonly topology: LocalTopology;
  readonly identities: Identities;
  readonly keyed: KeyedState;
  /** The batch is over. */
  committed(
    receiver: CommitReceiver<unknown>,
    token: unknown,
    outcomes: readonly ItemOutcome[] | null,
    durable: boolean,
  ): void;
}
