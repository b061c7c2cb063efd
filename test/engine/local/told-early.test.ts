/** A commit that waits for no disk is told behind the read that made it, not behind all that the turn of the event loop serves. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crashing, small } from './crashing.ts';

test('what needs not be durable is told within the turn, in order, and never within the call', async (t) => {
  const { fixture } = await crashing(t, small);
  const { engine } = fixture;
  const queue = await fixture.declare({}, { durable: false });
  const told: number[] = [];
  const commit = (number: number): void => {
    const batch = engine.begin();
    fixture.append(batch, queue, `m${number}`);
    batch.commit({ committed: () => told.push(number), failed: () => assert.fail() }, null);
  };
  commit(1);
  commit(2);
  assert.deepEqual(told, []);
  await Promise.resolve();
  assert.deepEqual(told, [1, 2]);
});
