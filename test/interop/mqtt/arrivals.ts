/** What arrived at a client, to be waited for. */
import assert from 'node:assert/strict';

const patienceMs = 60_000;

export class Arrivals<T> {
  readonly all: T[] = [];
  #wake: (() => void) | null = null;

  add(item: T): void {
    this.all.push(item);
    this.#wake?.();
  }

  /** The first so many, which is all that came within a moment more. */
  async exactly(count: number): Promise<T[]> {
    await this.atLeast(count);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(this.all.length, count, `arrived: ${JSON.stringify(this.all)}`);
    return this.all.splice(0);
  }

  async atLeast(count: number): Promise<void> {
    const end = Date.now() + patienceMs;
    while (this.all.length < count) {
      const leftMs = end - Date.now();
      assert.ok(leftMs > 0, `${this.all.length} of ${count} arrived: ${JSON.stringify(this.all)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = null;
    }
  }
}
