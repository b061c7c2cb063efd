import assert from 'node:assert/strict';
import { performance } from 'node:perf_hooks';
import { test } from 'node:test';
import { Rest } from '../../src/demo/rest.ts';

test('is reached when nothing has changed for a while, by several answers of each who is asked', (t) => {
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  const rest = new Rest();
  assert.equal(rest.isReached(7, [0, 0]), false);
  now = 60_000;
  assert.equal(rest.isReached(7, [100, 3]), false, 'one of them gets no time');
  assert.equal(rest.isReached(7, [100, 4]), true);
  assert.equal(rest.isReached(8, [101, 5]), false, 'something came');
  assert.equal(rest.isReached(8, [200, 200]), false, 'a moment ago');
  now = 61_000;
  assert.equal(rest.isReached(null, [300, 300]), false, 'something is still to be done');
  assert.equal(rest.isReached(8, [300, 300]), false);
  now = 62_000;
  assert.equal(rest.isReached(8, [304, 304]), true);
});
