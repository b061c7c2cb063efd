import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ReadPace } from '../../../../src/engine/local/journal/read-pace.ts';

describe('the pace of short reads', () => {
  let now = 0;
  const paceOf = (): ReadPace => {
    now = 1000;
    return new ReadPace(() => now);
  };
  const never = (): never => assert.fail('it was read at once');

  it('reads nothing at once before the thread pool was quick', () => {
    const pace = paceOf();
    assert.equal(pace.whileQuick(3, never), 0);
    pace.pooled(100, 50);
    assert.equal(pace.whileQuick(3, never), 0);
  });

  it('reads all at once while reads are quick', () => {
    const pace = paceOf();
    pace.pooled(100, 1);
    const seen: number[] = [];
    const done = pace.whileQuick(3, (at) => {
      seen.push(at);
      now += 0.002;
    });
    assert.deepEqual([done, seen], [3, [0, 1, 2]]);
  });

  it('stops after a slow one, for ten times as long and until the thread pool is quick again', () => {
    const pace = paceOf();
    pace.pooled(100, 1);
    const first = pace.whileQuick(5, (at) => (now += at === 1 ? 2 : 0.002));
    assert.equal(first, 2);
    now += 19;
    pace.pooled(100, 1);
    assert.equal(pace.whileQuick(5, never), 0);
    now += 2;
    assert.equal(pace.whileQuick(5, never), 0);
    pace.pooled(100, 1);
    assert.equal(
      pace.whileQuick(5, () => undefined),
      5,
    );
  });
});
