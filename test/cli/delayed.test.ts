import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fileBroker, jsonLines, runVerb, servedBroker } from './verb.ts';

describe('delayed messages', { timeout: 300_000 }, () => {
  it('of a broker that runs are listed and cancelled', async (context) => {
    const broker = await servedBroker(context);
    const published = await broker.run([
      'publish',
      'jobs',
      '--create',
      '--header',
      'x-delay=3600000',
      '--id',
      'm1',
      'x',
    ]);
    assert.equal(published.code, 0, published.stderr);
    const listed = await broker.run(['delayed', 'list', 'jobs']);
    assert.match(listed.stdout, /^ID +DUE +SIZE +MESSAGE ID +TO\n1 +\d{4}-\d\d-\d\dT[\d:.]+Z +\d+ B +m1 +jobs\n$/);
    const [object] = jsonLines((await broker.run(['delayed', 'list', 'jobs', '--json'])).stdout) as { id: number }[];
    assert.equal(object?.id, 1);
    const cancelled = await broker.run(['delayed', 'cancel', 'jobs', '1']);
    assert.deepEqual([cancelled.code, cancelled.stdout], [0, "message 1 in 'jobs' cancelled\n"]);
    const again = await broker.run(['delayed', 'cancel', 'jobs', '1']);
    assert.deepEqual(
      [again.code, again.stderr],
      [1, 'postrider: no delayed message 1: it was cancelled, or is due already\n'],
    );
    assert.equal((await broker.run(['delayed', 'list', 'jobs'])).stderr, "nothing waits in 'jobs'\n");
  });

  it('of a directory', async (context) => {
    const { url, open } = await fileBroker(context);
    await open(async (mq) => {
      const queue = await mq.queue<string>('q', { deadLetter: false });
      for (const text of ['a', 'b', 'c']) await queue.publish(text, { delayMs: 60_000 });
    });
    const listed = await runVerb(['delayed', 'list', 'q', '--url', url, '--limit', '2']);
    assert.deepEqual([listed.stdout.split('\n').length, listed.stderr], [4, 'and more: --limit shows them\n']);
    assert.equal((await runVerb(['delayed', 'cancel', 'q', '2', '--url', url])).code, 0);
    const left = jsonLines((await runVerb(['delayed', 'list', 'q', '--json', '--url', url])).stdout) as {
      id: number;
    }[];
    assert.deepEqual(
      left.map(({ id }) => id),
      [1, 3],
    );
    const refused = await runVerb(['delayed', 'list', 'amq.topic', '--exchange', '--url', url]);
    assert.match(refused.stderr, /holds no messages: its type is not x-delayed-message/);
    assert.equal((await runVerb(['delayed', 'cancel', 'q', 'x', '--url', url])).code, 2);
  });
});
