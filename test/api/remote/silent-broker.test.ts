/** A broker that hangs: its connections stay open, and it answers nothing. */
import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { connect, type EmbeddedMq, type Mq } from '../../../src/index.ts';
import { rejects, until } from '../bench.ts';
import { CuttableProxy } from '../cuttable-proxy.ts';

describe('a broker that does not answer', () => {
  let broker!: EmbeddedMq;
  let proxy!: CuttableProxy;
  let url = '';

  before(async () => {
    broker = await connect('memory:', { log: () => undefined });
    const { amqp } = await broker.listen({ amqp: { port: 0 } });
    proxy = new CuttableProxy(() => amqp!.port);
    url = `amqp://127.0.0.1:${await proxy.listen()}`;
  });
  after(async () => {
    await proxy.close();
    await broker.close();
  });

  /** How long it takes, on a clock that is wound on here. */
  async function closedAfterMs(mq: Mq, context: TestContext): Promise<number> {
    let closed = false;
    void mq.close({ graceMs: 100 }).then(() => (closed = true));
    let passedMs = 0;
    for (; !closed && passedMs < 60_000; passedMs += 100) {
      for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
      if (!closed) context.mock.timers.tick(100);
    }
    return closed ? passedMs : Infinity;
  }

  it('is waited for by a close once on each connection', async (context) => {
    const mq = await connect(url);
    const queue = await mq.queue<number>('silent');
    let handled = 0;
    for (let n = 0; n < 3; n++) await queue.consume(() => void (handled += 1));
    await queue.publish(1);
    await until('it is handled', () => handled === 1);
    proxy.silence();
    context.mock.timers.enable({ apis: ['setTimeout'] });
    const took = await closedAfterMs(mq, context);
    assert.ok(took <= 11_000, `it took ${took} ms`);
  });

  it('is not waited for by a close to make the queue for answers', async (context) => {
    const mq = await connect(url);
    const queue = await mq.queue<number>('asked');
    proxy.silence();
    context.mock.timers.enable({ apis: ['setTimeout'] });
    const asked = rejects(queue.request(1, { timeoutMs: 600_000 }), 'CLOSED');
    const took = await closedAfterMs(mq, context);
    assert.ok(took <= 6_000, `it took ${took} ms`);
    await asked;
  });
});
