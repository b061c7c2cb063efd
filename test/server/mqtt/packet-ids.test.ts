import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PacketIds } from '../../../src/server/mqtt/packet-ids.ts';

/** Ids that come, and ids that go; few of them or many at a time. */
const step = fc.record({
  first: fc.integer({ min: 1, max: 700 }),
  count: fc.integer({ min: 1, max: 300 }),
  adds: fc.boolean(),
});

test('a set of packet ids is a set, whether they are few or many', () => {
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const ids = new PacketIds();
      const expected = new Set<number>();
      for (const { first, count, adds } of steps) {
        for (let id = first; id < first + count; id++) {
          if (adds) {
            ids.add(id);
            expected.add(id);
          } else assert.equal(ids.delete(id), expected.delete(id));
        }
        assert.equal(ids.size, expected.size);
        assert.deepEqual(new Set(ids), expected);
        for (let id = 1; id <= 1_000; id++) assert.equal(ids.has(id), expected.has(id));
      }
    }),
    { numRuns: 50 },
  );
});

test('all ids that there are', () => {
  const ids = new PacketIds();
  for (let id = 1; id <= 0xffff; id++) ids.add(id);
  assert.equal(ids.size, 0xffff);
  for (let id = 1; id <= 0xffff; id++) assert.ok(ids.delete(id));
  assert.equal(ids.size, 0);
  assert.deepEqual([...ids], []);
});
