import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ReadPace } from '../../../../src/engine/local/journal/read-pace.ts';

describe('the pace of short reads', () => {
  let now = 0;
  const pace = (): ReadPace => {
    now = 1000;
    return new ReadPace(() => now);
  };

  it('reads all at once while reads are quick', () => {
    const seen: number[] = [];
    const done = pace().whileQuick(3, (at) => {
      seen.push(at);
      now += 0.002;
    });
    assert.deepEqual([done, seen], [3, [0, 1, 2]]);
  });

  it('stops after a slow one, and lets a hundred times as long go by', () => {
    const reads = pace();
    const first = reads.whileQuick(5, (at) => (now += at === 1 ? 2 : 0.002));
    assert.equal(first, 2);
    now += 199;
    assert.equal(
      reads.whileQuick(5, () => assert.fail('too early')),
      0,
    );
    now += 2;
    assert.equal(
      reads.whileQuick(5, () => undefined),
      5,
    );
  });
});
