import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';
import { postrider } from './postrider.ts';
import { fileBroker, jsonLines } from './verb.ts';

const ten = Array.from({ length: 10 }, (_, index) => `message ${index}`);

async function filled(context: TestContext, payloads: readonly unknown[]) {
  const broker = await fileBroker(context, { orders: {} });
  await broker.open(async (mq) => (await mq.queue('orders')).publishAll(payloads));
  return broker;
}

/** A shell's pipeline behind `postrider consume`; stdout is the pipeline's, the code that of `postrider`. */
async function pipeline(
  args: readonly string[],
  rest: string,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const command = [...postrider, ...args].map((word) => `'${word}'`).join(' ');
  const shell = spawn('bash', ['-c', `${command} ${rest}; exit "\${PIPESTATUS[0]}"`], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr, [code]] = await Promise.all([
    shell.stdout.toArray(),
    shell.stderr.toArray(),
    once(shell, 'close') as Promise<[number]>,
  ]);
  return { code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() };
}

describe('consume', { timeout: 300_000 }, () => {
  it('writes payloads, a line each, and acknowledges them', async (context) => {
    const broker = await filled(context, ['text', { n: 1 }, Buffer.from([0xff, 0x41])]);
    const { code, stdout, stderr } = await broker.run(['consume', 'orders', '--no-wait']);
    assert.deepEqual([code, stdout, stderr], [0, '"text"\n{"n":1}\n\ufffdA\n', '']);
    assert.deepEqual(await broker.ready('orders'), []);
  });

  it('writes objects with --json', async (context) => {
    const broker = await filled(context, []);
    await broker.open(async (mq) => {
      const queue = await mq.queue('orders');
      await queue.publish({ n: 1 }, { id: 'a', headers: { tenant: 'acme', large: 2n ** 60n }, correlationId: 'c' });
      await queue.publish(Buffer.from([0xff]));
    });
    const { stdout } = await broker.run(['consume', 'orders', '--json', '--timeout', '100ms']);
    const [first, second] = jsonLines(stdout);
    assert.match(String(first?.['publishedAt']), /^\d{4}-.*Z$/);
    assert.deepEqual(first, {
      publishedAt: first?.['publishedAt'],
      id: 'a',
      payload: { n: 1 },
      headers: { tenant: 'acme', large: String(2n ** 60n) },
      redelivered: false,
      deliveryCount: 0,
      attempt: 1,
      priority: 0,
      contentType: 'application/json',
      correlationId: 'c',
      queue: 'orders',
      topic: 'orders',
    });
    assert.equal(second?.['payloadBase64'], '/w==');
  });

  it('takes no more than --count, and touches nothing else', async (context) => {
    const broker = await filled(context, ten);
    const { code, stdout } = await broker.run(['consume', 'orders', '--count', '3']);
    assert.deepEqual([code, stdout], [0, '"message 0"\n"message 1"\n"message 2"\n']);
    const left = await broker.run(['consume', 'orders', '--count', '7', '--json']);
    assert.deepEqual(
      jsonLines(left.stdout).map(({ payload, redelivered }) => [payload, redelivered]),
      ten.slice(3).map((payload) => [payload, false]),
    );
  });

  it('takes exactly --count out of many', async (context) => {
    const many = Array.from({ length: 2_000 }, (_, index) => index);
    const broker = await filled(context, many);
    const { code, stdout } = await broker.run(['consume', 'orders', '--count', '1500']);
    assert.deepEqual([code, stdout], [0, `${many.slice(0, 1500).join('\n')}\n`]);
    assert.deepEqual(await broker.ready('orders'), many.slice(1500));
  });

  it('says when fewer came than --count asked for', async (context) => {
    const broker = await filled(context, ['one']);
    const { code, stdout, stderr } = await broker.run(['consume', 'orders', '--count', '2', '--no-wait']);
    assert.deepEqual([code, stdout], [1, '"one"\n']);
    assert.equal(stderr, "postrider: 1 of 2 messages came from queue 'orders'\n");
    assert.deepEqual(await broker.ready('orders'), []);
  });

  it('gives the rest back when its reader goes', async (context) => {
    // More than a pipe holds, so that not all can have been written.
    const large = Array.from({ length: 100 }, (_, index) => `${index} ${'x'.repeat(20_000)}`);
    const broker = await filled(context, large);
    const { code, stdout, stderr } = await pipeline(
      ['consume', 'orders', '--url', broker.url],
      '| head -1 | cut -c 1-3',
    );
    assert.deepEqual([code, stdout, stderr], [0, '"0 \n', '']);
    const left = await broker.ready('orders');
    assert.ok(left.length >= 90 && left.length < 100, String(left.length));
    assert.deepEqual(left, large.slice(-left.length));
  });

  it('gives everything back when its output fails', async (context) => {
    const broker = await filled(context, ten);
    const { code, stderr } = await pipeline(['consume', 'orders', '--url', broker.url], '> /dev/full');
    assert.equal(code, 1);
    assert.match(stderr, /^postrider: can't write standard output: ENOSPC.*; the rest was given back\n$/);
    assert.deepEqual(await broker.ready('orders'), ten);
  });

  it('writes into a file', async (context) => {
    const broker = await filled(context, ten);
    const file = `${broker.url.slice('file:'.length)}.txt`;
    const { code, stdout } = await pipeline(
      ['consume', 'orders', '--no-wait', '--url', broker.url],
      `>> '${file}'; status=$?; cat '${file}'; (exit $status)`,
    );
    assert.deepEqual([code, stdout], [0, ten.map((text) => `"${text}"\n`).join('')]);
  });

  it('settles before it writes with --at-most-once', async (context) => {
    const broker = await filled(context, ten);
    const full = await pipeline(['consume', 'orders', '--at-most-once', '--url', broker.url], '> /dev/full');
    assert.equal(full.code, 1);
    assert.match(full.stderr, /; messages on their way are lost\n$/);
    assert.ok((await broker.ready('orders')).length < 10);
  });

  it('refuses what contradicts itself, and a queue that is not there', async (context) => {
    const broker = await fileBroker(context, { orders: {} });
    const [both, two, unknown] = await Promise.all([
      broker.run(['consume', 'orders', '--count', '1', '--at-most-once']),
      broker.run(['consume', 'orders', '--no-wait', '--timeout', '1s']),
      broker.run(['consume', 'order']),
    ]);
    assert.deepEqual([both.code, two.code, unknown.code], [2, 2, 1]);
    assert.match(both.stderr, /^postrider: --at-most-once with --count would lose .*\n$/);
    assert.equal(unknown.stderr, "postrider: there is no queue 'order'; postrider queues lists what is there\n");
  });
});
