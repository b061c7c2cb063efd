import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HeldWindow } from '../../../src/engine/local/held-window.ts';
import { IndexRanges } from '../../../src/engine/local/index-ranges.ts';

type Owner = 'ready' | 'held' | 'settled';

/** What the window says about each number below `end`, by each of its ways to say it. */
function owners(window: HeldWindow, end: number): Owner[][] {
  const each = Array.from({ length: end }, (_, number): Owner =>
    window.isSettled(number) ? 'settled' : window.holder(number) === 0 ? 'ready' : 'held',
  );
  const living = each.map((): Owner => 'settled');
  for (const [first, count] of window.living(0, end))
    for (let number = first; number < first + count; number++)
      living[number] = window.holder(number) === 0 ? 'ready' : 'held';
  const ranges = each.map((_, number): Owner =>
    number < window.floor ? 'settled' : window.holder(number) === 0 ? 'ready' : 'held',
  );
  const settled = window.settledRanges();
  for (let at = 0; at < settled.length; at += 2)
    ranges.fill('settled', settled[at], Math.min(end, settled[at]! + settled[at + 1]!));
  return [each, living, ranges];
}

test('whatever is held, settled and given back, the window says so', () => {
  const end = 2_000;
  const step = fc.record({
    kind: fc.constantFrom('hold', 'hold', 'settle', 'give back'),
    first: fc.integer({ min: 1, max: end - 1 }),
    count: fc.integer({ min: 1, max: 700 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const window = new HeldWindow(1);
      const expected = Array.from({ length: end }, (_, number): Owner => (number === 0 ? 'settled' : 'ready'));
      for (const { kind, first, count } of steps) {
        for (let number = first; number < Math.min(end, first + count); number++) {
          if (kind === 'hold' && expected[number] === 'ready') {
            window.hold(number, 7, number);
            expected[number] = 'held';
          } else if (kind === 'give back' && expected[number] === 'held') {
            assert.equal(window.giveBack(number), number);
            expected[number] = 'ready';
          }
        }
        if (kind !== 'settle') continue;
        // Runs of what is held, and of what is not.
        for (let number = first; number < Math.min(end, first + count);) {
          let stop = number + 1;
          while (stop < Math.min(end, first + count) && expected[stop] === expected[number]) stop++;
          if (expected[number] === 'held') window.settleHeld(number, stop - number);
          else window.settleReady(number, stop - number);
          expected.fill('settled', number, stop);
          number = stop;
        }
      }
      for (const said of owners(window, end)) assert.deepEqual(said, expected);
      assert.equal(window.held, expected.filter((owner) => owner === 'held').length);
      assert.equal(window.settledIn(0, end), expected.filter((owner) => owner === 'settled').length);
      assert.equal(
        window.floor,
        expected.findIndex((owner) => owner !== 'settled'),
      );
      const restored = new HeldWindow(1);
      restored.restoreFloor(window.floor);
      const ranges = window.settledRanges();
      for (let at = 0; at < ranges.length; at += 2) restored.settleReady(ranges[at]!, ranges[at + 1]!);
      assert.deepEqual(
        owners(restored, end)[0],
        expected.map((owner) => (owner === 'held' ? 'ready' : owner)),
      );
    }),
  );
});

test('a message that is held while billions behind it are settled costs next to nothing', { timeout: 60_000 }, () => {
  const window = new HeldWindow(1);
  window.hold(1, 7, 100);
  const count = 5e9;
  const step = 2 ** 30;
  for (let first = 2; first < count; first += step) window.settleReady(first, Math.min(step, count - first));
  assert.equal(window.settledIn(1, count), count - 2);
  assert.deepEqual(window.living(1, count + 1), [
    [1, 1],
    [count, 2],
  ]);
  const ranges = window.settledRanges();
  assert.ok(ranges.length <= 6, 'few ranges');
  assert.ok(
    ranges.every((value, at) => at % 2 === 0 || value <= 0xffff_ffff),
    'each count has 32 bits',
  );
  window.settleHeld(1, 1);
  assert.equal(window.floor, count);
});

test('ranges of indexes', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(40)), fc.nat(41), (indexes, below) => {
      const ranges = new IndexRanges();
      for (const index of indexes) ranges.add(index);
      const sorted = [...indexes].sort((a, b) => a - b);
      const listed = [...ranges.ranges()].flatMap(([first, end]) =>
        Array.from({ length: end - first }, (_, at) => first + at),
      );
      assert.deepEqual(listed, sorted);
      assert.equal(ranges.end, sorted.length === 0 ? 0 : sorted.at(-1)! + 1);
      for (let index = 0; index < 42; index++) {
        assert.equal(ranges.has(index), indexes.includes(index));
        let end = index;
        while (indexes.includes(end)) end++;
        assert.equal(ranges.endOf(index), end);
      }
      const whole = [...ranges.ranges()].filter(([, end]) => end > below);
      ranges.dropBelow(below);
      assert.deepEqual([...ranges.ranges()], whole);
    }),
  );
});
