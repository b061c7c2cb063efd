import type { OutputBudget, Waiting } from '../socket/output-budget.ts';
import type { Output } from '../socket/output.ts';

/** What waits for room in the output of a connection. */
export interface Stopped {
  resume(): void;
}

/**
 * The gets of one connection, on whatever channels: one after the other, and none while the client leaves answers untaken. A
 * get is a few bytes and its answer may be the largest message, so a client that asks and never reads would cost any memory.
 */
export class GetTurns {
  readonly #output: Output;
  readonly #budget: OutputBudget;
  readonly #whenRoom: (stopped: Stopped) => void;
  #waiting: Waiting | null = null;
  #last: Promise<unknown> = Promise.resolve();

  /** `whenRoom` resumes what it is given once the socket took most of the output. */
  constructor(output: Output, budget: OutputBudget, whenRoom: (stopped: Stopped) => void) {
    this.#output = output;
    this.#budget = budget;
    this.#whenRoom = whenRoom;
  }

  /** Calls `get` when it is its turn, and answers what that does. */
  take<T>(get: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(() => this.#room()).then(get);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** The connection is gone: who waits for his turn gets none. */
  end(): void {
    if (this.#waiting !== null) this.#budget.forget(this.#waiting);
  }

  async #room(): Promise<void> {
    for (;;) {
      if (this.#output.unsent >= this.#output.limit) {
        await new Promise<void>((resolve) => this.#whenRoom({ resume: resolve }));
      } else if (!this.#budget.hasRoom(0)) {
        await new Promise<void>((resolve) => {
          this.#waiting = { bytes: 0, proceed: resolve };
          this.#budget.wait(this.#waiting);
        });
      } else {
        return;
      }
    }
  }
}
