/** `amqps:`: a Postrider behind a proxy that speaks TLS, with a certificate of the test's own. */
import assert from 'node:assert/strict';
import { connect as connectTo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { connect, type EmbeddedMq } from '../../src/index.ts';
import { rejects, take } from './bench.ts';
import { selfSigned } from './self-signed.ts';

const own = selfSigned('the broker');
const other = selfSigned('somebody else');
const connectTimeoutMs = 30_000;

describe('connect() over amqps:', () => {
  let broker!: EmbeddedMq;
  let proxy!: Server;
  let port = 0;
  let plainPort = 0;
  const sockets = new Set<TLSSocket>();

  before(async () => {
    broker = await connect('memory:', { log: () => undefined });
    plainPort = (await broker.listen({ amqp: { port: 0 } })).amqp!.port;
    proxy = createServer({ key: own.key, cert: own.cert }, (outside) => {
      const inside = connectTo(plainPort, '127.0.0.1');
      sockets.add(outside);
      outside.on('error', () => inside.destroy());
      outside.on('close', () => sockets.delete(outside));
      inside.on('error', () => outside.destroy());
      outside.pipe(inside).pipe(outside);
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    port = (proxy.address() as { port: number }).port;
  });
  after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => proxy.close(resolve));
    await broker.close();
  });

  it('talks to a broker whose certificate it was told to trust', async () => {
    for (const host of ['127.0.0.1', 'localhost']) {
      await using mq = await connect(`amqps://guest:guest@${host}:${port}`, { tls: { ca: own.cert } });
      const queue = await mq.queue<{ secret: number }>('over-tls');
      await queue.publish({ secret: 1 });
      assert.deepEqual((await take(queue, 1))[0]!.payload, { secret: 1 });
    }
  });

  it('refuses one that it does not trust, at once and in a line', async () => {
    const begun = performance.now();
    for (const tls of [undefined, { ca: other.cert }]) {
      const options = { connectTimeoutMs, ...(tls === undefined ? {} : { tls }) };
      const error = await rejects(connect(`amqps://127.0.0.1:${port}`, options), 'UNREACHABLE');
      assert.match(error.message, /^no trusted TLS connection to amqps:\/\/127\.0\.0\.1:\d+: .*; see the option tls$/);
      assert.doesNotMatch(error.message, /\n|undefined/);
    }
    const options = { connectTimeoutMs, tls: { ca: own.cert, servername: 'elsewhere.test' } };
    await rejects(connect(`amqps://127.0.0.1:${port}`, options), 'UNREACHABLE', /elsewhere\.test/);
    assert.ok(performance.now() - begun < connectTimeoutMs);
  });

  it('says so where one end speaks TLS and the other does not', async () => {
    const plain = await rejects(connect(`amqps://127.0.0.1:${plainPort}`, { connectTimeoutMs }), 'UNREACHABLE');
    assert.match(plain.message, /TLS/);
    assert.match(plain.message, /amqp:/);
    const secret = await rejects(connect(`amqp://127.0.0.1:${port}`, { connectTimeoutMs: 2_000 }), 'UNREACHABLE');
    assert.match(secret.message, /amqps:/);
  });

  it('refuses options of TLS that can not be', async () => {
    await rejects(connect('amqps://127.0.0.1', { tls: 7 as unknown as object }), 'INVALID_OPTION', /tls must be/);
    await rejects(
      connect(`amqps://127.0.0.1:${port}`, { tls: { key: 'nonsense' }, connectTimeoutMs }),
      'INVALID_OPTION',
      /tls can't be used/,
    );
  });
});
