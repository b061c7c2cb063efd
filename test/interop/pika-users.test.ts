/** pika as a user of its own, over TLS: what is Postrider's alone, so no other broker is asked. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Broker } from '../../src/broker/index.ts';
import { memoryEngine } from '../../src/engine/local/index.ts';
import { AmqpServer } from '../../src/server/amqp/index.ts';
import { selfSigned } from '../api/self-signed.ts';
import { absent, run } from './program.ts';

/** Debian's pika belongs to Debian's python, which need not be the first on the path. */
const python = ['python3', '/usr/bin/python3'].find((path) => absent('pika', [path, '-c', 'import pika']) === false);
const skip = python === undefined ? 'pika (python3-pika) is not installed' : false;

test('pika with users, permissions and TLS', { skip }, async (context) => {
  const broker = new Broker({ engine: memoryEngine() });
  await broker.open();
  const server = new AmqpServer({ broker, version: '0.0.1' });
  const directory = await mkdtemp(join(tmpdir(), 'postrider-interop-'));
  context.after(async () => {
    await server.close('test over', 500);
    await broker.close();
    await rm(directory, { recursive: true });
  });
  const { cert, key } = selfSigned('localhost');
  await writeFile(join(directory, 'cert.pem'), cert);
  const plain = await server.listen('127.0.0.1', 0);
  const tls = await server.listenTls('127.0.0.1', 0, { cert: Buffer.from(cert), key: Buffer.from(key) });
  const script = fileURLToPath(new URL('pika_users.py', import.meta.url));
  const ports = [String(plain.port), String(tls.port)];
  const { code, stdout, stderr } = await run(python!, [script, ...ports, join(directory, 'cert.pem')]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^pika [\d.]+ over TLS$/m);
});
