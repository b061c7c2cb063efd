/** AMQP over TLS: the listener, its certificate, and clients that misbehave below AMQP. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { connect as connectSocket } from 'node:net';
import { after, describe, test } from 'node:test';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { Broker } from '../../../src/broker/index.ts';
import { memoryEngine } from '../../../src/engine/local/index.ts';
import { AmqpServer, type AmqpSettings } from '../../../src/server/amqp/index.ts';
import type { TlsIdentity } from '../../../src/server/socket/index.ts';
import { selfSigned } from '../../api/self-signed.ts';
import { publish, RawClient } from './raw-client.ts';

function identity(name: string, clientCa?: string): TlsIdentity {
  const { cert, key } = selfSigned(name);
  const own = { cert: Buffer.from(cert), key: Buffer.from(key) };
  return clientCa === undefined ? own : { ...own, clientCa: Buffer.from(clientCa) };
}

async function serveTls(tls: TlsIdentity, settings: Partial<AmqpSettings> = {}) {
  const lines: string[] = [];
  const broker = new Broker({ engine: memoryEngine() });
  await broker.open();
  const log = (line: string): void => void lines.push(line);
  const server = new AmqpServer({ broker, settings: { silentCloseDelayMs: 50, ...settings }, version: '0.0.1', log });
  const { port } = await server.listenTls('127.0.0.1', 0, tls);
  const sockets: { destroy(): void }[] = [];
  after(async () => {
    for (const socket of sockets) socket.destroy();
    await server.close('test over', 200);
    await broker.close();
  });
  const raw = (options: ConnectionOptions = {}): TLSSocket => {
    const socket = connect({ host: '127.0.0.1', port, ca: tls.cert, ...options });
    sockets.push(socket);
    socket.on('error', () => undefined);
    return socket;
  };
  return { server, port, lines, raw, client: (options?: ConnectionOptions) => RawClient.open(raw(options)) };
}

function ended(socket: TLSSocket): Promise<string> {
  return new Promise((resolve) => {
    let why = 'closed';
    socket.on('error', (error: Error) => (why = (error as NodeJS.ErrnoException).code ?? why));
    socket.on('close', () => resolve(why));
    socket.on('end', () => socket.end());
    socket.resume();
  });
}

const noOpenssl = spawnSync('openssl', ['version']).status === 0 ? false : 'openssl is not installed';
const own = identity('the broker');
const served = await serveTls(own);

describe('over TLS', () => {
  test('messages of every size come and go', async () => {
    const client = await served.client();
    await client.declare('q');
    const bodies = ['small', 'x'.repeat(100_000), 'y'.repeat(5_000_000)];
    for (const body of bodies) client.send(publish('q', body));
    await client.consume('q', 'c', true);
    for (const body of bodies) assert.equal((await client.message('basic.deliver')).body.toString(), body);
    client.end();
  });

  test('1.2 and 1.3 are spoken, and nothing older', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const client = await served.client({ minVersion: version, maxVersion: version });
      client.end();
    }
    const old = served.raw({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' });
    assert.notEqual(await ended(old), 'closed');
  });

  test('a client can not renegotiate', async () => {
    const socket = served.raw({ maxVersion: 'TLSv1.2' });
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    const end = ended(socket);
    socket.renegotiate({ rejectUnauthorized: false }, () => undefined);
    assert.notEqual(await end, 'closed');
    (await served.client()).end();
  });

  test('who speaks no TLS is cut, and told of once', async () => {
    for (let i = 0; i < 3; i++) {
      const socket = connectSocket(served.port, '127.0.0.1').on('error', () => undefined);
      socket.write('AMQP\0\0\x09\x01');
      await new Promise((resolve) => socket.resume().on('close', resolve));
    }
    assert.equal(served.lines.filter((line) => line.includes('TLS handshake failed')).length, 1);
  });

  test('the certificate can be another, for connections to come; a bad one leaves it', async () => {
    const before = await served.client();
    const next = identity('the broker');
    served.server.setTlsIdentity(next);
    const refused = served.raw();
    assert.match(await ended(refused), /SELF_SIGNED|UNABLE_TO|DEPTH_ZERO/);
    (await served.client({ ca: next.cert })).end();
    const mixed = { cert: own.cert, key: next.key };
    for (const bad of [mixed, { cert: Buffer.from('nonsense'), key: next.key }, { ...next, key: Buffer.alloc(0) }]) {
      assert.throws(() => served.server.setTlsIdentity(bad));
    }
    (await served.client({ ca: next.cert })).end();
    await before.declare('still-there');
    served.server.setTlsIdentity(own);
  });

  test('clients must show a certificate where that is wanted', async () => {
    const client = selfSigned('a client');
    const strict = await serveTls(identity('strict', client.cert));
    (await strict.client({ cert: client.cert, key: client.key })).end();
    const other = selfSigned('somebody else');
    for (const shown of [{}, { cert: other.cert, key: other.key }]) {
      const socket = strict.raw(shown);
      const bytes: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => bytes.push(chunk));
      socket.on('secureConnect', () => socket.write('AMQP\0\0\x09\x01'));
      await ended(socket);
      assert.equal(Buffer.concat(bytes).length, 0);
    }
  });

  test('key updates cost next to nothing and are no sign of life', { skip: noOpenssl }, async () => {
    const before = served.server.connectionCount;
    const args = ['s_client', '-connect', `127.0.0.1:${served.port}`, '-tls1_3'];
    const client = spawn('openssl', args, { stdio: ['pipe', 'ignore', 'pipe'] });
    client.stdin.on('error', () => undefined);
    const ended = new Promise((resolve) => client.on('close', resolve));
    let updates = 0;
    client.stderr.on('data', (chunk: Buffer) => (updates += chunk.toString().split('KEYUPDATE').length - 1));
    // It looks at one command a read: they must not come together.
    const flood = setInterval(() => client.stdin.write('K\n'), 1);
    while (updates < 200) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(served.server.connectionCount, before + 1);
    (await served.client()).end();
    clearInterval(flood);
    client.kill();
    await ended;
  });

  test('sockets that never finish the TLS handshake make room for others', { timeout: 300_000 }, async () => {
    const narrow = await serveTls(own, { maxConnections: 8, maxHandshakes: 2 });
    const silent = Array.from({ length: 2 }, () =>
      connectSocket(narrow.port, '127.0.0.1').on('error', () => undefined),
    );
    await Promise.all(silent.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
    const closed = silent.map((socket) => new Promise((resolve) => socket.resume().once('close', resolve)));
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    (await narrow.client()).end();
    // One gave its place, the other had its five seconds.
    await Promise.all(closed);
  });
});
