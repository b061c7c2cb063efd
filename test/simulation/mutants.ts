/** Planted bugs, each of which the simulation must catch. */
import { type Patch } from './build.ts';
import { type FilesMutation } from './mutated-files.ts';

export interface Mutant {
  readonly name: string;
  /** What is wrong, in a line. */
  readonly bug: string;
  readonly files?: FilesMutation;
  readonly patches?: readonly Patch[];
}

export const mutants: readonly Mutant[] = [
  {
    name: 'confirm-before-sync',
    bug: 'a group counts as durable once it was written',
    files: 'append-confirmed-before-sync',
  },
  { name: 'no-file-sync', bug: 'files other than the journal are never synced', files: 'sync-skipped' },
  {
    name: 'no-directory-sync',
    bug: 'created, renamed and removed names are never synced',
    files: 'directory-never-synced',
  },
  { name: 'failed-sync-ignored', bug: 'a failed sync is taken for a good one', files: 'failed-sync-ignored' },
  {
    name: 'failed-append-ignored',
    bug: 'a failed write of the journal is taken for a good one',
    files: 'failed-append-ignored',
  },
];
