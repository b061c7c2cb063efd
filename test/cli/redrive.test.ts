import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { Mq } from '../../src/index.ts';
import { fileBroker, jsonLines, servedBroker } from './verb.ts';

/** Three orders whose handlers failed. */
async function failed(mq: Mq): Promise<void> {
  const orders = await mq.queue<string>('orders');
  for (const [id, tenant] of [
    ['a1', 'acme'],
    ['a2', 'acme'],
    ['b1', 'blue'],
  ] as const) {
    await orders.publish(`order ${id}`, { id, headers: { tenant } });
  }
  const consumer = await orders.consume(
    (order) => {
      throw new Error(order.includes('b1') ? 'card refused' : 'timeout of the bank');
    },
    { retry: false },
  );
  while ((await orders.deadLetters!.stats()).ready < 3) await new Promise((resolve) => setTimeout(resolve, 10));
  await consumer.close();
}

async function payloads(mq: Mq, name: string): Promise<unknown[]> {
  return (await (await mq.queue(name, { declare: false })).peek(100)).map(({ payload }) => payload);
}

async function served(context: TestContext) {
  const broker = await servedBroker(context);
  await failed(broker.mq);
  return broker;
}

describe('peek', { timeout: 300_000 }, () => {
  it('shows dead letters with their reason, and leaves them', async (context) => {
    const broker = await fileBroker(context);
    await broker.open(failed);
    const { code, stdout, stderr } = await broker.run(['peek', 'orders.dead', '--count', '2']);
    assert.deepEqual([code, stderr], [0, '']);
    assert.equal(
      stdout,
      [
        'ID  REASON                       HEADERS      SIZE  PAYLOAD',
        'a1  failed: timeout of the bank  tenant=acme  10 B  "order a1"',
        'a2  failed: timeout of the bank  tenant=acme  10 B  "order a2"',
        '',
      ].join('\n'),
    );
    const records = jsonLines((await broker.run(['peek', 'orders.dead', '--json'])).stdout);
    assert.deepEqual(
      records.map(({ id, payload, redelivered }) => [id, payload, redelivered]),
      [
        ['a1', 'order a1', false],
        ['a2', 'order a2', false],
        ['b1', 'order b1', false],
      ],
    );
  });

  it('works over AMQP, and tells of an empty queue', async (context) => {
    const { mq, run } = await served(context);
    assert.match(
      (await run(['peek', 'orders.dead'])).stdout,
      /\nb1 +failed: card refused +tenant=blue +10 B +"order b1"\n$/,
    );
    assert.deepEqual(await payloads(mq, 'orders.dead'), ['order a1', 'order a2', 'order b1']);
    const empty = await run(['peek', 'orders']);
    assert.deepEqual([empty.code, empty.stdout, empty.stderr], [0, '', "queue 'orders' is empty\n"]);
  });
});

describe('purge', { timeout: 300_000 }, () => {
  it('removes what waits, and says how many', async (context) => {
    const { mq, run } = await served(context);
    const { code, stdout } = await run(['purge', 'orders.dead']);
    assert.deepEqual([code, stdout], [0, "3 messages removed from queue 'orders.dead'\n"]);
    assert.deepEqual(await payloads(mq, 'orders.dead'), []);
    assert.deepEqual(jsonLines((await run(['purge', 'orders.dead', '--json'])).stdout), [
      { queue: 'orders.dead', removed: 0 },
    ]);
    assert.equal((await run(['purge', 'other'])).code, 1);
  });
});

describe('redrive', { timeout: 300_000 }, () => {
  it('sends back what matches', async (context) => {
    const { mq, run } = await served(context);
    const some = await run(['redrive', 'orders.dead', '--match', 'reason=failed', '--match', 'error=*BANK', '--json']);
    assert.deepEqual(jsonLines(some.stdout), [{ queue: 'orders.dead', redriven: 0, left: 3 }]);
    const bank = await run(['redrive', 'orders.dead', '--match', 'error=*bank', '--limit', '1']);
    assert.deepEqual([bank.code, bank.stdout], [0, "1 message sent back from queue 'orders.dead', 2 messages left\n"]);
    assert.deepEqual(await payloads(mq, 'orders'), ['order a1']);
    const rest = await run(['redrive', 'orders.dead', '--rate', '100']);
    assert.deepEqual([rest.code, rest.stdout], [0, "2 messages sent back from queue 'orders.dead', none left\n"]);
    assert.deepEqual(await payloads(mq, 'orders'), ['order a1', 'order a2', 'order b1']);
  });

  it('leaves alone what came from nowhere else', async (context) => {
    const { mq, run } = await servedBroker(context, { orders: {} });
    await (await mq.queue('orders')).publish('fresh');
    const { code, stdout, stderr } = await run(['redrive', 'orders']);
    assert.deepEqual([code, stdout], [0, "0 messages sent back from queue 'orders', 1 message left\n"]);
    assert.equal(stderr, "1 message there came from no other queue; dead letters of 'orders' are in 'orders.dead'\n");
  });

  it('refuses a match that it does not know', async (context) => {
    const { run } = await servedBroker(context);
    const { code, stderr } = await run(['redrive', 'orders.dead', '--match', 'tenant=acme']);
    assert.equal(code, 2);
    assert.match(
      stderr,
      /^postrider: --match must be reason, id, error, queue = a text, such as reason=failed, not "tenant=acme"\n$/,
    );
  });
});
