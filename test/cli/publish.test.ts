import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { postrider, scratch, start } from './postrider.ts';
import { fileBroker, jsonLines, runVerb } from './verb.ts';

describe('publish', { timeout: 300_000 }, () => {
  it('stores a text with its options', async (context) => {
    const broker = await fileBroker(context, { orders: {} });
    const options = ['--id', 'a1', '--header', 'tenant=acme', '--header', 'n=1', '--priority', '3', '--expires', '1h'];
    const { code, stdout, stderr } = await broker.run(['publish', 'orders', 'hello\nworld', ...options]);
    assert.deepEqual([code, stdout, stderr], [0, "1 message stored in queue 'orders'\n", '']);
    await broker.open(async (mq) => {
      const [message] = await (await mq.queue('orders', { declare: false })).peek();
      assert.equal(message?.payload, 'hello\nworld');
      assert.deepEqual([message.id, message.priority, { ...message.headers }], ['a1', 3, { tenant: 'acme', n: '1' }]);
      assert.equal(message.contentType, 'text/plain; charset=utf-8');
    });
  });

  it('stores each line of standard input, JSON where that is said', async (context) => {
    const broker = await fileBroker(context, { orders: {} });
    const text = await broker.run(['publish', 'orders', '--id', 'l'], 'one\n\n{"two"}');
    assert.deepEqual([text.code, text.stdout, text.stderr], [0, "3 messages stored in queue 'orders'\n", '']);
    const json = await broker.run(['publish', 'orders', '--json'], '{"n":1}\n\n"two"\n');
    assert.deepEqual([json.code, json.stdout, json.stderr], [0, '{"stored":2,"failed":[]}\n', '']);
    assert.deepEqual(await broker.ready('orders'), ['one', '', '{"two"}', { n: 1 }, 'two']);
    const ids = await broker.open(async (mq) =>
      (await (await mq.queue('orders', { declare: false })).peek()).map(({ id }) => id),
    );
    assert.deepEqual(ids, ['l-1', 'l-2', 'l-3', undefined, undefined]);
  });

  it('stores many lines in their order', async (context) => {
    const broker = await fileBroker(context, { orders: {} });
    const lines = Array.from({ length: 5_000 }, (_, index) => `line ${index}`);
    assert.equal(
      (await broker.run(['publish', 'orders'], lines.join('\n'))).stdout,
      "5,000 messages stored in queue 'orders'\n",
    );
    assert.deepEqual(await broker.ready('orders'), lines);
  });

  it('tells which lines were not stored, and sends nothing behind them', async (context) => {
    const broker = await fileBroker(context, { small: { maxLength: 2 } });
    const full = await broker.run(['publish', 'small', '--json'], '1\n2\n3\n');
    assert.equal(full.code, 1);
    const failed = [
      {
        line: 3,
        code: 'QUEUE_FULL',
        error: "queue 'small' is at its length limit and took no more; publish again later",
      },
    ];
    assert.deepEqual(jsonLines(full.stdout), [{ stored: 2, failed }]);
    assert.match(
      full.stderr,
      /^postrider: line 3 was not stored in queue 'small': .*length limit.* \(2 messages stored, nothing sent behind line 3\)\n$/,
    );
    const broken = await broker.run(['publish', 'small', '--json'], '{"a":1\n5\n');
    assert.equal(broken.code, 1);
    assert.match(broken.stderr, /^postrider: line 1 was not stored in queue 'small': it is no JSON: .*\n$/);
    assert.deepEqual(await broker.ready('small'), [1, 2]);
  });

  it('ends at a failure while its input goes on', async (context) => {
    const broker = await fileBroker(context, { small: { maxLength: 1 } });
    const failing = start(['publish', 'small', '--url', broker.url]);
    failing.child.stdin?.write('one\ntwo\n');
    assert.equal((await failing.finished).code, 1);
  });

  it('makes neither a queue nor a directory unless it is told to', async () => {
    const url = `file:${await scratch()}/data`;
    const nothing = await runVerb(['publish', 'orders', 'x'], '', { POSTRIDER_URL: url });
    assert.equal(nothing.code, 3);
    assert.match(
      nothing.stderr,
      /^postrider: .*\/data holds no queues: it is empty, or not there; publish --create begins one\n$/,
    );
    assert.equal(existsSync(fileURLToPath(`file://${url.slice('file:'.length)}`)), false);
    assert.equal((await runVerb(['publish', 'orders', 'x', '--create'], '', { POSTRIDER_URL: url })).code, 0);
    const unknown = await runVerb(['publish', 'order', 'x'], '', { POSTRIDER_URL: url });
    assert.deepEqual([unknown.code, unknown.stderr], [1, "postrider: there is no queue 'order'; --create makes it\n"]);
  });

  it('takes no directory for an empty input', async (context) => {
    const broker = await fileBroker(context, { orders: {} });
    const directory = openSync(await scratch(), 'r');
    const [program, ...args] = [...postrider, 'publish', 'orders', '--url', broker.url];
    const child = spawn(program, args, { stdio: [directory, 'pipe', 'pipe'] });
    closeSync(directory);
    const [stderr, exit] = await Promise.all([text(child.stderr!), once(child, 'exit')]);
    assert.deepEqual([exit[0], stderr], [1, "postrider: can't read standard input: EISDIR: it is a directory\n"]);
  });

  it('sends to a topic', async (context) => {
    const broker = await fileBroker(context);
    await broker.open((mq) => mq.topic('orders.*').subscribe('billing'));
    const { code, stdout } = await broker.run(['publish', '--topic', 'orders.placed'], 'a\nb\n');
    assert.deepEqual([code, stdout], [0, "2 messages sent to topic 'orders.placed'\n"]);
    assert.deepEqual(await broker.ready('billing'), ['a', 'b']);
  });

  it('names the address to use where a process has the directory open', async (context) => {
    const broker = await fileBroker(context);
    await broker.open(async () => {
      const { code, stderr } = await broker.run(['publish', 'orders', 'x']);
      assert.equal(code, 3);
      assert.match(
        stderr,
        /is in use by process \d+ .*; where that serves it, use the URL that it serves on: --url amqp:\/\/HOST:PORT\n$/,
      );
      assert.equal(stderr.split('\n').length, 2);
    });
  });
});
