/** A broker that hangs: its connections stay open, and it answers nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '../../../src/index.ts';
import { until } from '../bench.ts';
import { CuttableProxy } from '../cuttable-proxy.ts';

test('a close waits for a broker that does not answer once on each connection', async (context) => {
  const broker = await connect('memory:', { log: () => undefined });
  const { amqp } = await broker.listen({ amqp: { port: 0 } });
  const proxy = new CuttableProxy(() => amqp!.port);
  const mq = await connect(`amqp://127.0.0.1:${await proxy.listen()}`);
  context.after(async () => {
    context.mock.timers.reset();
    await proxy.close();
    await broker.close();
  });
  const queue = await mq.queue<number>('silent');
  let handled = 0;
  for (let n = 0; n < 3; n++) await queue.consume(() => void (handled += 1));
  await queue.publish(1);
  await until('it is handled', () => handled === 1);
  proxy.silence();

  context.mock.timers.enable({ apis: ['setTimeout'] });
  let closed = false;
  void mq.close({ graceMs: 100 }).then(() => (closed = true));
  let passedMs = 0;
  for (; !closed && passedMs < 60_000; passedMs += 100) {
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
    if (!closed) context.mock.timers.tick(100);
  }
  assert.ok(closed && passedMs <= 11_000, `it took ${passedMs} ms`);
});
