import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ReadPace } from '../../../../src/engine/local/journal/read-pace.ts';

describe('the pace of short reads', () => {
  let now = 0;
  const paceOf = (): ReadPace => {
    now = 1000;
    return new ReadPace(() => now);
  };
  /** The thread pool has so many reads, one after the other, and takes so long. */
  const pooled = (pace: ReadPace, count: number, tookMs: number): void => {
    pace.pooled(count);
    now += tookMs;
    pace.came(count);
  };
  const quick = (): number => (now += 0.002);
  const never = (): never => assert.fail('it was read at once');

  it('reads nothing at once before the thread pool was quick', () => {
    const pace = paceOf();
    assert.equal(pace.whileQuick(3, never), 0);
    pooled(pace, 100, 50);
    assert.equal(pace.whileQuick(3, never), 0);
  });

  it('reads all at once while reads are quick', () => {
    const pace = paceOf();
    pooled(pace, 100, 1);
    const seen: number[] = [];
    const done = pace.whileQuick(3, (at) => {
      seen.push(at);
      now += 0.002;
    });
    assert.deepEqual([done, seen], [3, [0, 1, 2]]);
  });

  it('stops after a slow one, for ten times as long and until the thread pool is quick again', () => {
    const pace = paceOf();
    pooled(pace, 100, 1);
    const first = pace.whileQuick(5, (at) => (now += at === 1 ? 2 : 0.002));
    assert.equal(first, 2);
    now += 18;
    pooled(pace, 100, 1);
    assert.equal(pace.whileQuick(5, never), 0);
    now += 2;
    assert.equal(pace.whileQuick(5, never), 0);
    pooled(pace, 100, 1);
    assert.equal(
      pace.whileQuick(5, () => undefined),
      5,
    );
  });

  it('judges reads of many files that the thread pool has at once by how long all of them take', () => {
    const pace = paceOf();
    for (let file = 0; file < 14; file++) pace.pooled(18);
    for (let file = 0; file < 14; file++) {
      now += file === 0 ? 4 : 0.1;
      pace.came(18);
    }
    assert.equal(pace.whileQuick(3, quick), 3);
  });

  it('judges by what came lately where reads never end', () => {
    const pace = paceOf();
    pace.pooled(1);
    pooled(pace, 1024, 10_000);
    assert.equal(pace.whileQuick(3, never), 0);
    for (let round = 0; round < 3; round++) pooled(pace, 512, 5);
    assert.equal(pace.whileQuick(3, quick), 3);
    for (let round = 0; round < 3; round++) pooled(pace, 512, 5_000);
    assert.equal(pace.whileQuick(3, never), 0);
  });

  it('lets one that takes a moment pass among many quick ones, and no second', () => {
    const pace = paceOf();
    pooled(pace, 100, 1);
    assert.equal(
      pace.whileQuick(500, (at) => (now += at === 400 ? 0.8 : 0.002)),
      500,
    );
    assert.equal(
      pace.whileQuick(500, (at) => (now += at % 50 === 49 ? 0.8 : 0.002)),
      100,
    );
    assert.equal(pace.whileQuick(5, never), 0);
  });

  it('lets none pass that takes longer than all that was saved', () => {
    const pace = paceOf();
    pooled(pace, 100, 1);
    assert.equal(
      pace.whileQuick(10_000, (at) => (now += at === 5_000 ? 2 : 0.002)),
      5_001,
    );
  });
});
