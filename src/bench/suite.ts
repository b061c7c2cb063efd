import type { Contender, Running } from './broker.ts';
import type { Row } from './row.ts';

/** Whose figures the ratios are multiples of. */
export interface Reference {
  /** Among the contenders, or what the best of `among` is called. */
  readonly name: string;
  /** For each figure the reference is the best of these. */
  readonly among?: readonly string[];
  /** As people write it. */
  readonly label: string;
}

/** Rows that the same contenders run, and whom they are compared with. */
export interface Suite<R extends Running> {
  /** Names the files of its result. */
  readonly id: string;
  /** What is measured, in words. */
  readonly title: string;
  readonly reference: Reference;
  /** The first is the subject. */
  readonly contenders: readonly Contender<R>[];
  readonly rows: readonly Row<R>[];
}
