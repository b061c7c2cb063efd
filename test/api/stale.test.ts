/** A message that its consumer does not hold any more is not moved: who holds it now will. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { connect, type Mq, type PostriderError } from '../../src/index.ts';
import { rejects, settledTo, until } from './bench.ts';

async function embedded(context: { after(done: () => Promise<void>): void }): Promise<Mq> {
  const mq = await connect('memory:', { log: () => undefined });
  context.after(() => mq.close());
  return mq;
}

it('a message whose queue was deleted while it was handled is not made a dead letter, nor tried again', async (context) => {
  const mq = await embedded(context);
  for (const retry of [false, { attempts: 2, minDelayMs: 1 }] as const) {
    const queue = await mq.queue<number>('orders');
    const told: string[] = [];
    mq.removeAllListeners('handlerFailed').on('handlerFailed', (error, _message, then) => {
      told.push(`${then} ${(error as PostriderError).code ?? error.message}`);
    });
    let fail: (() => void) | null = null;
    await queue.consume(() => new Promise<void>((_resolve, reject) => (fail = () => reject(new Error('no')))), {
      retry,
    });
    await queue.publish(1);
    await until('it is handled', () => fail !== null);
    await queue.delete();
    // Of the same name, and another.
    const next = await mq.queue<number>('orders');
    fail!();
    await until('it is told', () => told.length === 2);
    assert.deepEqual(told, [retry === false ? 'dead-letter no' : 'retry no', 'requeue DELIVERY_LOST']);
    assert.equal((await queue.deadLetters!.stats()).ready, 0);
    assert.equal((await next.stats()).ready, 0);
  }
});

it('a redrive whose queue is deleted ends, and what it had not sent back by then does not come', async (context) => {
  const mq = await embedded(context);
  const queue = await mq.queue<number>('orders');
  const dead = queue.deadLetters!;
  await dead.publishAll([1, 2, 3]);
  const redriving = rejects(dead.redrive({ ratePerSecond: 5 }), 'QUEUE_NOT_FOUND', /1 message was sent back before/);
  await settledTo(queue, 1);
  await dead.delete();
  assert.equal((await redriving).moved, 1);
  await settledTo(queue, 1);
});
