import assert from 'node:assert/strict';
import { test } from 'node:test';
import { absent, run } from './program.ts';
import { target, unique } from './target.ts';

const { url, bugs } = await target();
const skip = absent('amqp-tools', ['amqp-publish', '--help']);

async function tool(name: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(`amqp-${name}`, ['-u', url, ...args]);
  assert.equal(code, 0, `amqp-${name} ${args.join(' ')}: ${stderr}`);
  return stdout;
}

test('amqp-tools declare, publish, get, consume and delete', { skip }, async () => {
  const queue = unique('tools');
  assert.equal((await tool('declare-queue', '-q', queue, '-d')).trim(), queue);
  await tool('publish', '-r', queue, '-p', '-C', 'text/plain', '-b', 'first');
  await tool('publish', '-r', queue, '-b', 'second');
  assert.equal(await tool('get', '-q', queue), 'first');
  assert.equal(await tool('consume', '-q', queue, '-c', '1', 'cat'), 'second');
  const none = await run('amqp-get', ['-u', url, '-q', queue]);
  assert.equal(none.code, 2, none.stderr);
  assert.match(await tool('delete-queue', '-q', queue), /^0/);
  assert.deepEqual(bugs(), []);
});

test('amqp-consume binds an exchange to a queue of its own', { skip }, async () => {
  const consuming = run('amqp-consume', ['-u', url, '-e', 'amq.topic', '-r', 'tools.#', '-c', '1', 'cat']);
  // It tells when it is ready, but on a terminal only: publish until it has got one.
  let ended = false;
  void consuming.finally(() => (ended = true));
  while (!ended) await tool('publish', '-e', 'amq.topic', '-r', 'tools.a.b', '-b', 'bound');
  assert.equal((await consuming).stdout, 'bound');
});

test('amqp-publish sends a large body', { skip }, async () => {
  const queue = unique('large');
  await tool('declare-queue', '-q', queue);
  const body = 'z'.repeat(400_000);
  const { code, stderr } = await run('amqp-publish', ['-u', url, '-r', queue], body);
  assert.equal(code, 0, stderr);
  assert.equal(await tool('get', '-q', queue), body);
  await tool('delete-queue', '-q', queue);
});
