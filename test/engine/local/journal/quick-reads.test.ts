import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { QuickReads } from '../../../../src/engine/local/journal/quick-reads.ts';

/** Reads that take `tookMs` each, as many as are allowed at once, and no more than `most`. */
class Setting {
  nowMs = 1000;
  readonly #tasks: (() => void)[] = [];
  readonly reads = new QuickReads(
    () => this.nowMs,
    (task) => this.#tasks.push(task),
  );

  async read(tookMs: number, most = 1000): Promise<number> {
    if (!(await this.reads.turn())) return 0;
    let count = 0;
    do {
      this.nowMs += tookMs;
      count++;
    } while (this.reads.goOn() && count < most);
    return count;
  }

  async nextTurn(): Promise<void> {
    for (const task of this.#tasks.splice(0)) task();
    await Promise.resolve();
  }

  get turnsAskedFor(): number {
    return this.#tasks.length;
  }
}

describe('quick reads', () => {
  test('take a slice of each turn, over all that read', async () => {
    const setting = new Setting();
    const first = await setting.read(0.002, 100);
    assert.equal(first, 100);
    const second = await setting.read(0.002);
    assert.ok(first + second >= 249 && first + second <= 251, `${first + second} reads of 2 us in a slice of 0.5 ms`);
    let third = -1;
    const waits = setting.read(0.002).then((count) => (third = count));
    await Promise.resolve();
    assert.equal(third, -1, 'the slice is spent');
    assert.equal(setting.turnsAskedFor, 1);
    await setting.nextTurn();
    await waits;
    assert.ok(third >= 249 && third <= 251, `${third} reads in the next turn`);
  });

  test('those that wait share the next turn', async () => {
    const setting = new Setting();
    await setting.read(0.002);
    const counts: number[] = [];
    const both = [0, 1].map(() => setting.read(0.002, 200).then((count) => counts.push(count)));
    await setting.nextTurn();
    await both[0];
    await setting.nextTurn();
    await both[1];
    assert.equal(counts.length, 2);
    assert.ok(counts[1]! <= 200);
  });

  test('after a very slow one the pool reads, ten times as long as it took', async () => {
    const setting = new Setting();
    assert.equal(await setting.read(8), 1, 'no second one that may be as slow');
    await setting.nextTurn();
    for (const waitedMs of [0, 40, 39]) {
      setting.nowMs += waitedMs;
      assert.equal(await setting.read(0.002), 0);
    }
    setting.nowMs += 2;
    assert.ok((await setting.read(0.002)) > 100);
  });

  test('one slow read among quick ones is a hiccup, a second one soon after it is the disk', async () => {
    const setting = new Setting();
    assert.equal(await setting.read(0.2, 1), 1);
    assert.equal(await setting.read(0.002, 20), 20);
    assert.equal(await setting.read(0.2, 1), 1);
    assert.equal(await setting.read(0.002, 10), 10);
    await setting.nextTurn();
    assert.equal(await setting.read(0.2), 1);
    await setting.nextTurn();
    assert.equal(await setting.read(0.002), 0);
    setting.nowMs += 2.1;
    assert.equal(await setting.read(0.2), 1, 'it is still the disk');
    assert.equal(await setting.read(0.002), 0);
  });
});
