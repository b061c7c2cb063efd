import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isOrder, type Order, orderOf, type OrderQueue } from '../../src/bench/api/orders.ts';
import { runOrders, runOrdersApart } from '../../src/bench/api/orders-run.ts';

const timing = { warmupMs: 20, measuredMs: 50 };

/** Hands each order to the handler in a later turn, as `spoil` leaves it. */
function queueOf(spoil: (order: Order) => Order[] = (order) => [order]): OrderQueue {
  const waiting: Order[] = [];
  let handler: ((order: Order) => Promise<void>) | null = null;
  const handOver = (): void => {
    if (handler !== null) for (const order of waiting.splice(0)) void handler(order);
  };
  return {
    async publish(order) {
      waiting.push(...spoil(order));
      setImmediate(handOver);
      await new Promise((resolve) => setImmediate(resolve));
    },
    async consume(handle) {
      handler = handle;
      setImmediate(handOver);
    },
    close: async () => undefined,
  };
}

for (const [name, run] of Object.entries({ runOrders, runOrdersApart })) {
  test(`${name} counts what is published and handled`, async () => {
    const { publishedPerS, handledPerS, integrity } = await run(queueOf(), timing);
    assert.ok(publishedPerS > 0 && handledPerS > 0);
    assert.equal(integrity.problem, '');
    assert.ok(integrity.received > 0 && integrity.received === integrity.sent);
  });

  test(`${name} notices what comes twice, and what was altered`, async () => {
    const twice = await run(
      queueOf((order) => (order.id === 5 ? [order, order] : [order])),
      timing,
    );
    assert.match(twice.integrity.problem, /lost 0, duplicated 1, .*altered 0/);
    const altered = await run(
      queueOf((order) => (order.id === 5 ? [order, { ...order, customer: 'nobody' }] : [order])),
      timing,
    );
    assert.match(altered.integrity.problem, /altered 1/);
  });
}

test('runOrders notices what comes in another order', async () => {
  const kept: Order[] = [];
  const { integrity } = await runOrders(
    queueOf((order) => {
      if (order.id !== 5) return [order, ...kept.splice(0)];
      kept.push(order);
      return [];
    }),
    timing,
  );
  assert.match(integrity.problem, /lost 0, duplicated 0, reordered 1, altered 0/);
});

test('an order is known by its number', () => {
  assert.ok(isOrder(orderOf(4711)));
  assert.ok(!isOrder({ ...orderOf(4711), items: [1, 2] }));
});
