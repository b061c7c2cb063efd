/** Time as a parameter, so that a seeded test owns it. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Runs `task` once the events that are ready now have been handled (end of the event loop's turn). */
  defer(task: () => void): void;
  /** Runs `task` after `delayMs`; does not keep the process alive. */
  after(delayMs: number, task: () => void): Timer;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  defer: (task) => {
    setImmediate(task);
  },
  after: (delayMs, task) => {
    const timer = setTimeout(task, delayMs).unref();
    return { cancel: () => clearTimeout(timer) };
  },
};
