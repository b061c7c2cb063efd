import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Holder } from '../../src/broker/holder.ts';
import { Holders } from '../../src/broker/holders.ts';
import { Ledger } from '../../src/broker/ledger.ts';
import { OldestDeliveries } from '../../src/broker/oldest-deliveries.ts';

function books(timeouts: readonly (number | null)[]) {
  const ledger = new Ledger();
  const holders = new Holders();
  const made = timeouts.map((timeoutMs) => ({ timeoutMs, unacked: 0 }));
  for (const holder of made) holders.set(holders.take(), holder as unknown as Holder);
  const add = (holder: number): number => {
    made[holder]!.unacked += 1;
    return ledger.add(holder, 1);
  };
  const settle = (tag: number): void => {
    const holder = ledger.take(tag);
    if (holder >= 0) made[holder]!.unacked -= 1;
  };
  return { ledger, holders, add, settle };
}

test('a look passes nothing that the last one has passed', (context) => {
  const { ledger, holders, add, settle } = books([100, 0, 200]);
  const oldest = new OldestDeliveries();
  for (let i = 0; i < 1_000; i++) add(i === 0 ? 0 : 1);
  const last = add(2);
  const at = context.mock.method(holders, 'at');
  const find = (): [number | null, number][] => [...oldest.find(holders, ledger, [], null)];
  assert.deepEqual(find(), [
    [100, 1],
    [200, last],
  ]);
  at.mock.resetCalls();
  find();
  settle(last);
  const later = add(2);
  assert.deepEqual(find(), [
    [100, 1],
    [200, later],
  ]);
  settle(later);
  assert.deepEqual(find(), [[100, 1]]);
  const newest = add(2);
  assert.deepEqual(find(), [
    [100, 1],
    [200, newest],
  ]);
  assert.ok(at.mock.callCount() < 30, `${at.mock.callCount()} deliveries were looked at`);
});

test('it finds what a look at all deliveries finds', () => {
  const step = fc.record({ op: fc.constantFrom('add', 'add', 'settle', 'take', 'putBack', 'look'), at: fc.nat(200) });
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 150 }),
      fc.uniqueArray(fc.integer({ min: 1, max: 60 })),
      (steps, extended) => {
        const timeouts = [null, 0, 100, 200, 200];
        const { ledger, holders, add, settle } = books(timeouts);
        const oldest = new OldestDeliveries();
        let taken: { tag: number; holder: number; number: number }[] = [];
        const except = new Map(extended.map((tag) => [tag, 1]));
        for (const { op, at } of steps) {
          if (op === 'add') add(at % timeouts.length);
          else if (op === 'settle') settle(at);
          else if (op === 'take') {
            const holder = ledger.take(at);
            if (holder >= 0) taken.push({ tag: at, holder, number: 1 });
          } else if (op === 'putBack') {
            ledger.putBack(taken.sort((a, b) => a.tag - b.tag));
            taken = [];
          } else {
            const expected = new Map<number | null, number>();
            const given = at % 2 === 0 ? except : null;
            const visit = (tag: number, holder: number): void => {
              const timeoutMs = timeouts[holder]!;
              if (timeoutMs === 0 || given?.has(tag) === true) return;
              expected.set(timeoutMs, Math.min(tag, expected.get(timeoutMs) ?? tag));
            };
            ledger.each(visit);
            for (const { tag, holder } of taken) visit(tag, holder);
            assert.deepEqual(oldest.find(holders, ledger, taken, given), expected);
          }
        }
      },
    ),
    { numRuns: 300 },
  );
});
