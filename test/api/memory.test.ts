/** What is over is not kept in memory. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { connect, type Mq } from '../../src/index.ts';
import { until } from './bench.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Consumers that have handled a message and were closed: by `close`, and by a signal that lives on. */
async function closedConsumers(mq: Mq, signal: AbortSignal): Promise<WeakRef<object>[]> {
  const queue = await mq.queue<number>('orders');
  const refs: WeakRef<object>[] = [];
  for (let n = 0; n < 10; n++) {
    let handled = 0;
    const handler = (): void => void (handled += 1);
    const consumer = await queue.consume(handler, n % 2 === 0 ? {} : { signal });
    await queue.publish(n);
    await until('it is handled', () => handled === 1);
    await consumer.close();
    refs.push(new WeakRef(consumer), new WeakRef(handler));
  }
  return refs;
}

for (const kind of ['embedded', 'amqp:']) {
  it(`a consumer that was closed is not kept, nor its handler (${kind})`, { timeout: 300_000 }, async (context) => {
    const here = await connect('memory:', { log: () => undefined });
    const { amqp } = await here.listen({ amqp: { port: 0 } });
    const mq = kind === 'embedded' ? here : await connect(`amqp://127.0.0.1:${amqp!.port}`);
    context.after(async () => {
      await mq.close();
      await here.close();
    });
    const { signal } = new AbortController();
    const refs = await closedConsumers(mq, signal);
    let kept = refs.length;
    await until('all but what the last turn still holds is collected', () => {
      collect();
      kept = refs.filter((ref) => ref.deref() !== undefined).length;
      return kept <= 2;
    });
    assert.ok(kept <= 2);
  });
}
