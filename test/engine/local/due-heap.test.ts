import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DueHeap } from '../../../src/engine/local/due-heap.ts';

type Entry = readonly [dueAt: number, number: number, queue: number];

function drained(heap: DueHeap): Entry[] {
  const entries: Entry[] = [];
  while (heap.dueAt !== Infinity) {
    entries.push([heap.dueAt, heap.number, heap.queue]);
    heap.pop();
  }
  return entries;
}

const byTime = (a: Entry, b: Entry): number => a[0] - b[0] || a[1] - b[1];

test('entries come by time, then by number, whatever was dropped between', () => {
  const due = fc.oneof(fc.nat(20), fc.integer({ min: 0, max: 2 ** 52 }));
  const script = fc.array(fc.oneof(due, due, fc.constant('pop' as const), fc.constant('sweep' as const)), {
    maxLength: 600,
    size: 'max',
  });
  fc.assert(
    fc.property(script, fc.integer({ min: 2, max: 5 }), (steps, divisor) => {
      const heap = new DueHeap();
      let expected: Entry[] = [];
      for (const [at, step] of steps.entries()) {
        if (step === 'pop') {
          if (expected.length === 0) continue;
          assert.deepEqual([heap.dueAt, heap.number, heap.queue], expected.shift());
          heap.pop();
        } else if (step === 'sweep') {
          for (let below = heap.size; below > 0;) below = heap.sweep(below, 3, (number) => number % divisor !== 0);
          expected = expected.filter(([, number]) => number % divisor !== 0);
        } else {
          heap.push(step, at, 0xffff_fff0 + (at % 8));
          expected.push([step, at, 0xffff_fff0 + (at % 8)]);
          expected.sort(byTime);
        }
        assert.equal(heap.size, expected.length);
      }
      assert.deepEqual(drained(heap), expected);
    }),
    { numRuns: 150 },
  );
});

test('it has what it needs for its pages, and looks at no more than it was told', () => {
  const heap = new DueHeap();
  const count = 20_000;
  for (let n = 0; n < count; n++) heap.push((n * 7919) % count, n, n % 3);
  let looked = 0;
  let most = 0;
  for (let below = heap.size; below > 0;) {
    const before = looked;
    below = heap.sweep(below, 100, (number) => {
      looked++;
      return number % 100 === 0;
    });
    most = Math.max(most, looked - before);
  }
  assert.equal(most, 100);
  assert.ok(looked < 2 * count, `${looked} looks at ${count}`);
  assert.equal(heap.size, count / 100);
  const entries = drained(heap);
  assert.deepEqual(entries, [...entries].sort(byTime));
});
