/** What waits for its time in an embedded queue is on disk: a delayed message, and one that is tried again. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { connect } from '../../src/index.ts';
import { take, until } from './bench.ts';

it('a delay and the wait for another attempt go on over a restart', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'postrider-api-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const open = (): ReturnType<typeof connect> => connect(`file:${directory}`, { log: () => undefined });

  let mq = await open();
  const jobs = await mq.queue<string>('jobs');
  await jobs.publish('later', { delayMs: 3_000 });
  await jobs.publish('now');
  const consumer = await jobs.consume(
    () => {
      throw new Error('busy');
    },
    { retry: { attempts: 3, minDelayMs: 3_000, jitter: 0 } },
  );
  await until('it waits for its second attempt', async () => (await jobs.stats()).delayed === 2);
  await consumer.close();
  assert.deepEqual(await jobs.stats(), { ready: 0, unacked: 0, delayed: 2, consumers: 0 });
  await mq.close();

  mq = await open();
  const again = await mq.queue<string>('jobs');
  const got = await take(again, 2);
  assert.deepEqual(got.map(({ payload, attempt, redelivered }) => [payload, attempt, redelivered]).sort(), [
    ['later', 1, false],
    ['now', 2, false],
  ]);
  assert.deepEqual(await again.stats(), { ready: 0, unacked: 0, delayed: 0, consumers: 0 });
  await mq.close();
});
