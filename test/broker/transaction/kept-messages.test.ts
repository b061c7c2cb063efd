import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Route } from '../../../src/broker/route.ts';
import { KeptMessages } from '../../../src/broker/transaction/kept-messages.ts';
import { TransactionBudget } from '../../../src/broker/transaction/transaction-budget.ts';
import { messageOf } from '../harness.ts';

const route = {} as Route;

test('a message whose time was over when it was kept is over when it is read', () => {
  const kept = new KeptMessages(new TransactionBudget(100_000));
  for (const expiresAt of [0, 990, 999, 1000, 1010]) kept.add(route, { ...messageOf('body'), expiresAt }, 1000);
  const view = messageOf('');
  const read = Array.from({ length: kept.count }, (_, index) => {
    kept.read(index, view, 5000);
    return view.expiresAt;
  });
  assert.deepEqual(read, [0, 5000, 5000, 5000, 5010]);
});
