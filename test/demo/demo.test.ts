/** The demo as a user runs it, only shorter. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { describe, it, type TestContext } from 'node:test';
import { run, scratch, start } from '../cli/postrider.ts';
import { left, running } from './leftovers.ts';

describe('the demo', { timeout: 900_000 }, () => {
  it('kills payment and the broker, and loses nothing', async () => {
    const directory = await scratch();
    const { code, stdout, stderr } = await run(['demo', '--orders', '1500', '--rate', '500'], { TMPDIR: directory });
    assert.equal(stderr, '');
    assert.match(stdout, /payment +killed \(SIGKILL/);
    assert.match(stdout, /broker +killed \(SIGKILL/);
    assert.match(stdout, /orders confirmed 1500/);
    for (const service of ['inventory', 'payment', 'shipping'])
      assert.match(stdout, new RegExp(`${service} +1500 .* 0\\n`));
    assert.match(stdout, /\nlost 0\n$/);
    assert.equal(code, 0);
    assert.deepEqual(await left(directory), []);
  });

  it('does so with the broker inside the shop', async () => {
    const directory = await scratch();
    const { code, stdout, stderr } = await run(['demo', '--embedded', '--orders', '2000', '--rate', '700'], {
      TMPDIR: directory,
    });
    assert.equal(stderr, '');
    assert.match(stdout, /shop +has its broker inside, which listens on 127\.0\.0\.1:\d+/);
    assert.match(stdout, /payment +killed \(SIGKILL/);
    assert.match(stdout, /shop +killed with its broker \(SIGKILL/);
    assert.match(stdout, /orders +[1-9]\d* had no answer/);
    assert.match(stdout, /orders confirmed 2000/);
    for (const service of ['inventory', 'payment', 'shipping'])
      assert.match(stdout, new RegExp(`${service} +2000 .* 0\\n`));
    assert.match(stdout, /\nlost 0\n$/);
    assert.equal(code, 0);
    assert.deepEqual(await left(directory), []);
    assert.deepEqual(running(directory), []);
  });

  it('says what was lost when the shop forgets', async () => {
    const directory = await scratch();
    const args = ['demo', '--embedded', '--orders', '2000', '--rate', '700', '--data', 'memory:'];
    const { code, stdout } = await run(args, { TMPDIR: directory });
    assert.match(stdout, /at-least-once: BROKEN\n {2}\d+ confirmed messages lost/);
    assert.match(stdout, /\nlost [1-9]\d*\nhistories and logs: /);
    assert.equal(code, 1);
  });

  it('has no broker of somebody else inside the shop', async () => {
    const { code, stderr } = await run(['demo', '--embedded', '--url', 'amqp://localhost']);
    assert.match(stderr, /--embedded has its broker in the shop/);
    assert.equal(code, 2);
  });

  it('says what was lost when the broker forgets', async () => {
    const directory = await scratch();
    const args = ['demo', '--orders', '1500', '--rate', '500', '--data', 'memory:'];
    const { code, stdout } = await run(args, { TMPDIR: directory });
    assert.match(stdout, /at-least-once: BROKEN\n {2}\d+ confirmed messages lost/);
    assert.match(stdout, /\nlost [1-9]\d*\nhistories and logs: /);
    assert.equal(code, 1);
  });

  for (const form of [[], ['--embedded']]) {
    it(`leaves nothing behind on Ctrl-C ${form.join()}`.trimEnd(), (context) => interrupt(context, form));
  }
});

async function interrupt(context: TestContext, form: readonly string[]): Promise<void> {
  const directory = await scratch();
  const demo = start(['demo', '--orders', '5000', ...form], { TMPDIR: directory });
  context.after(() => demo.child.kill('SIGKILL'));
  while (!/ orders /.test(await demo.line()));
  if (existsSync('/proc/self/cmdline')) assert.notDeepEqual(running(directory), []);
  demo.child.kill('SIGINT');
  const { code, stderr } = await demo.finished;
  assert.equal(stderr, '');
  assert.equal(code, 130);
  assert.deepEqual(await left(directory), []);
  assert.deepEqual(running(directory), []);
}
