/** How often and when a message is tried again whose handler failed. */
export interface RetryPolicy {
  /** Times that a message is tried in all. Default 5; 1: never again. */
  readonly attempts?: number;
  /** Before the second attempt, in milliseconds. Default 1,000. */
  readonly minDelayMs?: number;
  /** Most that one wait may last. Default 300,000 (five minutes). */
  readonly maxDelayMs?: number;
  /** By how much each wait is longer than the one before. Default 2. */
  readonly factor?: number;
  /** Share of each wait that is drawn at random, so that what failed together does not come again together: 0 to 1. Default 0.5. */
  readonly jitter?: number;
}

export const defaultRetry: Required<RetryPolicy> = {
  attempts: 5,
  minDelayMs: 1_000,
  maxDelayMs: 300_000,
  factor: 2,
  jitter: 0.5,
};

/** Milliseconds to wait after the given attempt (from 1) failed. `draw` is in [0, 1). */
export function retryDelayMs(policy: Required<RetryPolicy>, attempt: number, draw: number): number {
  const { minDelayMs, maxDelayMs, factor, jitter } = policy;
  const longest = Math.min(maxDelayMs, minDelayMs * factor ** (attempt - 1));
  return Math.round(longest * (1 - jitter * draw));
}
