/** Waiting that ends: with what was waited for, with a time-out that says what did not come, or with the user's Ctrl-C. */
import { setTimeout as sleep } from 'node:timers/promises';

/** @throws Error when `timeoutMs` are over, whatever `watch` throws, and the signal's reason when it is aborted */
export async function until(
  what: string,
  condition: () => boolean,
  timeoutMs: number,
  signal: AbortSignal,
  watch: () => void,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    watch();
    if (performance.now() > deadline) throw new Error(`gave up after ${timeoutMs / 1000} s: ${what}`);
    await sleep(10, undefined, { signal });
  }
}
