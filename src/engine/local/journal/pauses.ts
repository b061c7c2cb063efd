import type { Clock } from '../../clock.ts';

/** Waits before another try, which end at once when there will be none. */
export class Pauses {
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const goOn = (): void => {
        timer.cancel();
        this.#waiting.delete(goOn);
        resolve();
      };
      const timer = this.#clock.after(delayMs, goOn);
      this.#waiting.add(goOn);
    });
  }

  end(): void {
    for (const goOn of this.#waiting) goOn();
  }
}
