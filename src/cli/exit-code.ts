/** What the process's exit code says; docs/CLI.md is the users' copy of this table. */
export const exitCode = {
  done: 0,
  /** The command ran and its answer is no: damage found, messages lost, a step of the demo failed. Also: an error nobody foresaw. */
  failed: 1,
  /** Unknown command or option, bad value, invalid configuration file. */
  usage: 2,
  /** The data directory is unwritable, foreign, newer, locked or corrupt. */
  data: 3,
  /** The address can't be listened on. */
  listen: 4,
  /** The engine failed while it served: a write or a sync did not succeed. */
  engine: 5,
} as const;

export type ExitCode = (typeof exitCode)[keyof typeof exitCode];

/** As a shell reports it: the process was ended by a signal. */
export const signalExitCode = { SIGINT: 130, SIGTERM: 143 } as const;
