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

test('one small message takes little of what all transactions may keep', () => {
  const budget = new TransactionBudget(1_000_000);
  const all = Array.from({ length: 1000 }, () => new KeptMessages(budget));
  for (const kept of all) assert.ok(kept.add(route, messageOf('x'), 0));
  for (const kept of all) kept.clear();
  assert.equal(budget.bytes, 0);
});

test('messages of all sizes are read as they were kept, in blocks that were used before', () => {
  const budget = new TransactionBudget(1_000_000);
  const sizes = [0, 1, 300, 200, 510, 511, 3000, 8190, 8191, 9000, 5000, 16_382, 7];
  const view = messageOf('');
  for (let round = 0; round < sizes.length; round++) {
    const kept = new KeptMessages(budget);
    const bodies = [...sizes.slice(round), ...sizes.slice(0, round)].map((size, at) => String(at % 10).repeat(size));
    for (const body of bodies) assert.ok(kept.add(route, messageOf(body), 0));
    const read = bodies.map((_, index) => {
      kept.read(index, view, 0);
      return view.body.toString('utf8', view.bodyStart, view.bodyEnd);
    });
    assert.deepEqual(read, bodies);
    kept.clear();
  }
  assert.equal(budget.bytes, 0);
});
