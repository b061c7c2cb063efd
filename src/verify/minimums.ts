/** When a run had enough to judge. A run without is void: it shows nothing, however clean it looks. */
import type { FaultProof } from './history.ts';
import type { Counts, Guarantee } from './verdict.ts';

export interface Minimums {
  readonly published: number;
  readonly confirmed: number;
  readonly redelivered: number;
  /** Attempts whose outcome the producer never learnt in time. */
  readonly unknown: number;
  /** Messages on their way to a consumer when a proven fault struck. */
  readonly inFlight: number;
}

const ACKNOWLEDGED: Minimums = { published: 0, confirmed: 10_000, redelivered: 1, unknown: 1, inFlight: 0 };

export const DEFAULT_MINIMUMS: Readonly<Record<Guarantee, Minimums>> = {
  'at-most-once': { published: 10_000, confirmed: 0, redelivered: 0, unknown: 0, inFlight: 1 },
  'at-least-once': ACKNOWLEDGED,
  'exactly-once': ACKNOWLEDGED,
};

export const NO_MINIMUMS: Minimums = { published: 0, confirmed: 0, redelivered: 0, unknown: 0, inFlight: 0 };

/** What the run lacks, one sentence each. */
export function shortfalls(counts: Counts, minimums: Minimums): string[] {
  const rows: readonly [number, number, string][] = [
    [counts.published, minimums.published, 'messages published'],
    [counts.confirmed, minimums.confirmed, 'messages confirmed'],
    [counts.redelivered, minimums.redelivered, 'redeliveries seen'],
    [counts.unknownAttempts, minimums.unknown, 'publishes of unknown outcome'],
    [counts.inFlightAtFault, minimums.inFlight, 'messages in flight when a fault struck'],
  ];
  return rows.filter(([is, least]) => is < least).map(([is, least, what]) => `${is} ${what}, at least ${least} wanted`);
}

/** Why a proof proves nothing, or undefined where it shows that the fault bit. */
export function toothless(proof: FaultProof): string | undefined {
  switch (proof.kind) {
    case 'pid':
      return proof.before === proof.after ? `the pid is ${proof.after} as before` : undefined;
    case 'lost-bytes':
      return proof.bytes > 0 ? undefined : 'no unsynced byte was lost';
    case 'counter':
      return proof.after > proof.before ? undefined : `${proof.name} stayed at ${proof.after}`;
  }
}
