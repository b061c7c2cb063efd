import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pressure } from '../../../src/broker/pressure.ts';
import { brokerSettings } from '../../../src/broker/broker-settings.ts';
import { RetainedTurns } from '../../../src/server/mqtt/retained-turns.ts';
import { systemClock } from '../../../src/engine/clock.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function begin(): { readonly pressure: Pressure; readonly turns: RetainedTurns } {
  const pressure = new Pressure(systemClock, brokerSettings());
  return { pressure, turns: new RetainedTurns(pressure) };
}

/** Takes all that may be taken. */
function takeAll(turns: RetainedTurns): number {
  let count = 0;
  while (turns.take()) count++;
  return count;
}

test('a turn has room for so much, whoever takes it, and the next one again', async () => {
  const { turns } = begin();
  const first = takeAll(turns);
  assert.ok(first > 0);
  assert.equal(takeAll(turns), 0);
  await turn();
  assert.equal(takeAll(turns), first);
});

test('who waits comes in order, each once it may take something', async () => {
  const { turns } = begin();
  const seen: string[] = [];
  for (const name of ['a', 'b', 'c']) {
    turns.wait(() => {
      seen.push(name);
      takeAll(turns);
    });
  }
  await turn();
  assert.deepEqual(seen, ['a']);
  await turn();
  await turn();
  assert.deepEqual(seen, ['a', 'b', 'c']);
});

test('what is to be written waits for a disk that is behind or full, and nothing else does', async () => {
  const { pressure, turns } = begin();
  const seen: string[] = [];
  pressure.setBehind(true);
  assert.equal(turns.hasDisk, false);
  turns.waitForDisk(() => seen.push('written'));
  turns.wait(() => seen.push('sent'));
  await turn();
  pressure.setDisk(true);
  pressure.setBehind(false);
  turns.pressureChanged();
  await turn();
  assert.deepEqual(seen, ['sent']);
  pressure.setDisk(false);
  turns.pressureChanged();
  await turn();
  assert.deepEqual(seen, ['sent', 'written']);
});
