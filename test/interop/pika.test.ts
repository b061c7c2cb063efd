import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { absent, run } from './program.ts';
import { target } from './target.ts';

const { port, bugs } = await target();

/** Debian's pika belongs to Debian's python, which need not be the first on the path. */
const python = ['python3', '/usr/bin/python3'].find((path) => absent('pika', [path, '-c', 'import pika']) === false);

const skip = python === undefined ? 'pika (python3-pika) is not installed' : false;

async function conversation(name: string, says: RegExp): Promise<void> {
  const script = fileURLToPath(new URL(name, import.meta.url));
  const { code, stdout, stderr } = await run(python!, [script, String(port)]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, says);
  assert.deepEqual(bugs(), []);
}

test('pika', { skip }, () => conversation('pika_conversation.py', /^pika [\d.]+: 200 messages$/m));

test('pika and a stream', { skip }, () => conversation('pika_streams.py', /^pika [\d.]+: a stream of 300 messages$/m));

test('pika and what it can ask for beyond AMQP', { skip }, () =>
  conversation('pika_requests.py', /^pika [\d.]+: delayed, deduplicated, asked$/m),
);
