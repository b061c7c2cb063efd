/** What the verbs do when the broker goes away while they work. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { CuttableProxy } from '../api/cuttable-proxy.ts';
import { start, type Running } from './postrider.ts';
import { jsonLines, servedBroker } from './verb.ts';

const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

/** What was stored is told by now, unless somebody keeps it from that. */
const answered = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 300));

/** A broker with the queue `orders`, behind a proxy. */
async function proxied(context: TestContext) {
  const { mq, url } = await servedBroker(context, { orders: {} });
  const proxy = new CuttableProxy(() => Number(new URL(url).port));
  const port = await proxy.listen();
  context.after(() => proxy.close());
  const queue = await mq.queue('orders', { declare: false });
  return { proxy, queue, url: `amqp://127.0.0.1:${port}` };
}

function said(running: Running, text: string): Promise<void> {
  let all = '';
  return new Promise((resolve) => {
    running.child.stderr?.on('data', (chunk: string) => {
      all += chunk;
      if (all.includes(text)) resolve();
    });
  });
}

describe('a broker that goes away', { timeout: 300_000 }, () => {
  it('is waited for by a line of publish for 3 seconds', async (context) => {
    const { proxy, queue, url } = await proxied(context);
    const publishing = start(['publish', 'orders', '--url', url, '--json']);
    publishing.child.stdin?.write('1\n');
    while ((await queue.stats()).ready < 1) await soon();
    await answered();
    const lost = said(publishing, 'connecting again');
    proxy.refusing = true;
    proxy.cut();
    await lost;
    publishing.child.stdin?.write('2\n3\n');
    const { code, stdout, stderr } = await publishing.finished;
    assert.equal(code, 1);
    const [told] = jsonLines(stdout) as { stored: number; failed: { line: number; code: string }[] }[];
    assert.equal(told?.stored, 1);
    assert.deepEqual(
      told.failed.map(({ line, code }) => [line, code]),
      [[2, 'UNREACHABLE']],
    );
    assert.match(stderr, /\npostrider: line 2 was not stored in queue 'orders': .* lost.*not back within 3 seconds/);
  });

  it('is not waited for by publish after Ctrl-C', async (context) => {
    const { proxy, queue, url } = await proxied(context);
    const publishing = start(['publish', 'orders', '--url', url, '--json']);
    publishing.child.stdin?.write('1\n');
    while ((await queue.stats()).ready < 1) await soon();
    await answered();
    const lost = said(publishing, 'connecting again');
    proxy.refusing = true;
    proxy.cut();
    await lost;
    publishing.child.stdin?.write('2\n');
    await answered();
    publishing.child.kill('SIGINT');
    const { code, stdout } = await publishing.finished;
    assert.deepEqual([code, stdout], [130, '{"stored":1,"failed":[]}\n']);
  });

  it('gets no line behind those of unknown outcome when it is back', async (context) => {
    const { proxy, queue, url } = await proxied(context);
    const publishing = start(['publish', 'orders', '--url', url]);
    const lines = Array.from({ length: 100_000 }, (_, index) => `${index + 1}`);
    publishing.child.stdin?.on('error', () => undefined).end(lines.join('\n'));
    while ((await queue.stats()).ready < 2_000) await soon();
    // Now some are on their way, and their answers get lost.
    proxy.silence();
    await answered();
    proxy.cut();
    const { code, stderr } = await publishing.finished;
    assert.equal(code, 1, stderr);
    assert.match(stderr, /lines? [\d,-]+ may be stored in queue 'orders', or not: /);
    const { ready } = await queue.stats();
    const there = (await queue.peek(ready)).map(({ payload }) => payload);
    assert.deepEqual(there, lines.slice(0, ready));
  });

  it('or takes no messages is not waited for by publish after Ctrl-C', async (context) => {
    const { mq, url } = await servedBroker(context, { orders: {} });
    const queue = await mq.queue('orders', { declare: false });
    const publishing = start(['publish', 'orders', '--url', url]);
    const blocked = said(publishing, 'low on disk');
    publishing.child.stdin?.write('1\n');
    while ((await queue.stats()).ready < 1) await soon();
    mq.broker!.pressure.setDisk(true);
    await blocked;
    publishing.child.stdin?.write('2\n');
    await answered();
    publishing.child.kill('SIGINT');
    const { code, stderr } = await publishing.finished;
    assert.equal(code, 1);
    assert.match(stderr, /line 2 was not stored in queue 'orders': stopped before it was sent \(1 message stored/);
    assert.equal((await queue.stats()).ready, 1);
  });

  it('is waited for by a message of publish for 3 seconds', async (context) => {
    const { proxy, queue, url } = await proxied(context);
    // The connection for publishing is the second one.
    const closing = setInterval(() => (proxy.refusing = proxy.connections > 0), 1);
    context.after(() => clearInterval(closing));
    const { code, stdout, stderr } = await start(['publish', 'orders', 'x', '--url', url]).finished;
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, /\npostrider: no connection to .* could be made: .*; it was not back within 3 seconds\n$/);
    assert.equal((await queue.stats()).ready, 0);
  });
});
