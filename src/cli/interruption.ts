/** Ctrl-C ends a verb in order; once more ends it at once. */
import { constants } from 'node:os';

export class Interruption {
  by: 'SIGINT' | 'SIGTERM' | null = null;
  readonly #end: () => void;
  readonly #listener: (signal: 'SIGINT' | 'SIGTERM') => void;

  /** `end` is called at the first signal. */
  constructor(end: () => void) {
    this.#end = end;
    this.#listener = (signal) => {
      // As a shell reports it.
      if (this.by !== null) process.exit(128 + constants.signals[signal]);
      this.by = signal;
      this.#end();
    };
    process.on('SIGINT', this.#listener).on('SIGTERM', this.#listener);
  }

  release(): void {
    process.off('SIGINT', this.#listener).off('SIGTERM', this.#listener);
  }
}
