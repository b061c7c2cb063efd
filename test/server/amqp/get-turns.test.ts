import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GetTurns } from '../../../src/server/amqp/get-turns.ts';
import { OutputBudget } from '../../../src/server/socket/output-budget.ts';
import { chunkBytes, type Output } from '../../../src/server/socket/output.ts';

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

function turnsOf(budget: OutputBudget): GetTurns {
  return new GetTurns({ unsent: 0, limit: budget.limit } as Output, budget, () => undefined);
}

test('a get waits while all clients together have twice what they may, and is forgotten with its connection', async () => {
  const budget = new OutputBudget({ maxUnsentBytes: chunkBytes, maxUnsentBytesOfAll: chunkBytes });
  for (let n = 0; n < 3; n++) budget.take();
  const got: string[] = [];
  const [stays, goes] = [turnsOf(budget), turnsOf(budget)];
  void stays.take(() => Promise.resolve(got.push('stays')));
  void goes.take(() => Promise.resolve(got.push('goes')));
  await pause();
  assert.deepEqual([got.length, budget.waitingCount], [0, 2]);
  goes.end();
  assert.equal(budget.waitingCount, 1);
  budget.giveBack();
  await pause();
  assert.deepEqual([got, budget.waitingCount], [['stays'], 0]);
});
