import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { roundedDelayMs } from '../../../src/api/remote/delay-queues.ts';
import { deathOf, withoutDelays } from '../../../src/api/message-headers.ts';

test('a delay is rounded up to one of 24 steps a decade, by a tenth at most', () => {
  const samples: [number, number][] = [
    [1, 1],
    [10, 10],
    [0.5, 1],
    [11, 11],
    [14, 15],
    [100, 100],
    [1_000, 1_000],
    [1_234, 1_300],
    [9_200, 10_000],
    [999_999, 1_000_000],
  ];
  for (const [given, rounded] of samples) assert.equal(roundedDelayMs(given), rounded, `${given}`);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4_000_000_000 }), (delayMs) => {
      const rounded = roundedDelayMs(delayMs);
      assert.ok(rounded >= delayMs && Number.isInteger(rounded));
      assert.ok(rounded <= Math.max(delayMs * 1.16, delayMs + 1), `${delayMs} -> ${rounded}`);
    }),
  );
  const steps = new Set(Array.from({ length: 900_000 }, (_, index) => roundedDelayMs(100_000 + index)));
  assert.equal(steps.size, 25);
});

test('a death in a delay queue is nobody’s', () => {
  const waited = { queue: 'postrider.delay.100.5..orders', reason: 'expired', exchange: '', count: 1 };
  const died = { queue: 'orders', reason: 'delivery_limit', exchange: 'shop', count: 1 };
  const first = {
    'x-first-death-queue': waited.queue,
    'x-first-death-reason': 'expired',
    'x-first-death-exchange': '',
  };
  assert.deepEqual(withoutDelays({ mine: 1, 'x-death': [waited], ...first }), { mine: 1 });
  const both = withoutDelays({ mine: 1, 'x-death': [died, waited], ...first });
  assert.deepEqual(both['x-death'], [died]);
  assert.equal(both['x-first-death-queue'], 'orders');
  assert.equal(both['x-last-death-exchange'], 'shop');
  assert.equal(both['mine'], 1);
  assert.deepEqual(deathOf({ 'x-death': [died, waited], ...first }), {
    queue: 'orders',
    reason: 'delivery-limit',
    error: '',
  });
  assert.equal(deathOf({ 'x-death': [waited], ...first }), null);
  const untouched = { 'x-death': [died], 'x-first-death-queue': 'orders' };
  assert.equal(withoutDelays(untouched), untouched);
});
