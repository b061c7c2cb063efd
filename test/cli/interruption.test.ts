import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { start } from './postrider.ts';
import { servedBroker } from './verb.ts';

const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

describe('Ctrl-C', { timeout: 300_000 }, () => {
  it('ends publish once everything that was sent is stored', async (context) => {
    const { mq, url } = await servedBroker(context, { orders: {} });
    const queue = await mq.queue('orders');
    const publishing = start(['publish', 'orders', '--url', url, '--json']);
    publishing.child.stdin?.write('1\n2\n3');
    while ((await queue.stats()).ready < 2) await soon();
    publishing.child.kill('SIGINT');
    const { code, stdout, stderr } = await publishing.finished;
    assert.deepEqual([code, stdout, stderr], [130, '{"stored":2,"failed":[]}\n', '']);
    assert.equal((await queue.stats()).ready, 2);
  });

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    it(`(${signal}) ends consume, and what was not written is given back`, async (context) => {
      const { mq, url } = await servedBroker(context, { orders: {} });
      const queue = await mq.queue('orders');
      const consuming = start(['consume', 'orders', '--url', url]);
      await queue.publish('one');
      assert.equal(await consuming.line(), '"one"');
      // Nobody reads on, so this can't be written whole.
      consuming.child.stdout?.pause();
      await queue.publish('x'.repeat(5_000_000));
      while ((await queue.stats()).unacked !== 1) await soon();
      consuming.child.kill(signal);
      const [code] = (await once(consuming.child, 'exit')) as [number];
      consuming.child.stdout?.resume();
      assert.deepEqual([code, (await consuming.finished).stderr], [0, '']);
      assert.deepEqual(await queue.stats(), { ready: 1, unacked: 0, delayed: 0, consumers: 0 });
    });
  }

  it('ends redrive between two messages', async (context) => {
    const { mq, url } = await servedBroker(context, { orders: {} });
    const dead = await mq.queue('orders.dead', { declare: false, deadLetter: false });
    for (const letter of ['a', 'b', 'c']) await dead.publish(letter);
    const redriving = start(['redrive', 'orders.dead', '--url', url, '--rate', '0.5']);
    const orders = await mq.queue('orders');
    while ((await orders.stats()).ready < 1) await soon();
    redriving.child.kill('SIGINT');
    const { code, stderr } = await redriving.finished;
    assert.deepEqual(
      [code, stderr],
      [130, "postrider: stopped; 1 message sent back, the rest is still in queue 'orders.dead'\n"],
    );
    assert.equal((await orders.stats()).ready + (await dead.stats()).ready, 3);
  });
});
