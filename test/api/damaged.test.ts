/** A queue whose data is damaged says so, with file and range and the same code everywhere, and never looks empty or absent. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { describe as describeVhost } from '../../src/broker/index.ts';
import { connect, type EmbeddedMq, type Queue } from '../../src/index.ts';
import { rejects } from './bench.ts';

const log = (): void => undefined;
const words = /^(?!.*1:\/)queue 'q' stopped, .*\/journal-0000000001\.seg, bytes \d+ to \d+: .*; postrider inspect/;

async function damaged(context: TestContext): Promise<{ mq: EmbeddedMq; queue: Queue<number> }> {
  const directory = await mkdtemp(join(tmpdir(), 'postrider-damaged-'));
  {
    await using mq = await connect(`file:${directory}`, { log });
    await (await mq.queue<number>('q')).publishAll(Array.from({ length: 2_000 }, (_, index) => index));
  }
  const path = join(directory, 'journal-0000000001.seg');
  const bytes = await readFile(path);
  bytes[20_000]! ^= 1;
  await writeFile(path, bytes);
  const mq = await connect(`file:${directory}`, { log });
  context.after(async () => {
    await mq.close();
    await rm(directory, { recursive: true, force: true });
  });
  return { mq, queue: await mq.queue<number>('q') };
}

describe('a queue whose data is damaged', { timeout: 300_000 }, () => {
  it('says so when it is looked at, and to whatever is asked of it then', async (context) => {
    const { mq, queue } = await damaged(context);
    await rejects(queue.peek(), 'DATA_CORRUPT', words);
    await rejects(queue.peek(), 'DATA_CORRUPT', words);
    await rejects(queue.publish(1), 'DATA_CORRUPT', words);
    await rejects(queue.publishAll([1]), 'DATA_CORRUPT', /journal-0000000001\.seg, bytes/);
    await rejects(queue.purge(), 'DATA_CORRUPT', words);
    await rejects(
      queue.consume(() => undefined),
      'DATA_CORRUPT',
      words,
    );
    await rejects(
      async () => {
        for await (const message of queue.messages()) assert.ok(message);
      },
      'DATA_CORRUPT',
      words,
    );
    assert.equal((await queue.stats()).ready, 2_000);
    const { queues } = await describeVhost(mq.broker!, mq.broker!.vhost('/')!);
    assert.deepEqual(
      queues.map(({ name, damage = 'none' }) => [name, /^segment .*, bytes/.test(damage)]),
      [
        ['q', true],
        ['q.dead', false],
      ],
    );
    await (await mq.queue('other')).publish('it goes on');
    assert.equal(await queue.delete(), 2_000);
  });

  it('ends the consumer that comes upon it with that', async (context) => {
    const { queue } = await damaged(context);
    const consumer = await queue.consume(() => undefined);
    await rejects(consumer.closed, 'DATA_CORRUPT', words);
  });

  it('ends a loop that waits for an empty queue with that', async (context) => {
    const { queue } = await damaged(context);
    await rejects(
      async () => {
        for await (const message of queue.messages({ idleMs: 0 })) assert.ok(message);
      },
      'DATA_CORRUPT',
      words,
    );
  });

  it('is told to others over the network too', async (context) => {
    const { mq, queue } = await damaged(context);
    const { amqp } = await mq.listen({ amqp: { port: 0 } });
    const other = await connect(`amqp://127.0.0.1:${amqp!.port}`);
    context.after(() => other.close());
    const there = await other.queue<number>('q', { declare: false });
    const consumer = await there.consume(() => undefined);
    await rejects(consumer.closed, 'DATA_CORRUPT', words);
    await rejects(there.peek(), 'DATA_CORRUPT', words);
    await rejects(there.purge(), 'DATA_CORRUPT', words);
    await rejects(
      there.consume(() => undefined),
      'DATA_CORRUPT',
      words,
    );
    await (await other.queue('another')).publish('it goes on');
    await rejects(queue.peek(), 'DATA_CORRUPT', words);
  });

  it('is told when it is only looked at over the network', async (context) => {
    const { mq } = await damaged(context);
    const { amqp } = await mq.listen({ amqp: { port: 0 } });
    const other = await connect(`amqp://127.0.0.1:${amqp!.port}`);
    context.after(() => other.close());
    await rejects((await other.queue('q', { declare: false })).peek(), 'DATA_CORRUPT', words);
  });
});
