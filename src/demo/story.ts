/** How a scene is told, line by line, and how it waits: no longer than the user's Ctrl-C. */
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from './patience.ts';
import type { Screen } from './screen.ts';

export class Story {
  readonly screen: Screen;
  readonly #begun = performance.now();
  readonly #nameWidth: number;
  readonly #signal: AbortSignal;
  readonly #watch: () => void;

  /** `watch` throws when the scene can't go on. */
  constructor(screen: Screen, nameWidth: number, signal: AbortSignal, watch: () => void) {
    this.screen = screen;
    this.#nameWidth = nameWidth;
    this.#signal = signal;
    this.#watch = watch;
  }

  tell(who: string, what: string): void {
    const { paint } = this.screen;
    const seconds = ((performance.now() - this.#begun) / 1000).toFixed(1).padStart(5);
    this.screen.say(`${paint.dim(`${seconds} s`)}  ${paint.bold(who.padEnd(this.#nameWidth))}  ${what}`);
  }

  /** @throws Error as `until`, and what the watch throws */
  until(what: string, condition: () => boolean, timeoutMs: number): Promise<void> {
    return until(what, condition, timeoutMs, this.#signal, this.#watch);
  }

  async pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#signal });
  }
}
