/** Connecting over AMQP: what goes wrong, and that nothing is left behind. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createServer, type Server, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { connect, type EmbeddedMq } from '../../src/index.ts';
import { rejects } from './bench.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

describe('connect() over amqp:', () => {
  let broker!: EmbeddedMq;
  let port = 0;
  let silent!: Server;
  let silentPort = 0;

  before(async () => {
    broker = await connect('memory:', { log: () => undefined });
    port = (await broker.listen({ amqp: { port: 0 } })).amqp!.port;
    silent = createServer((socket) => socket.on('error', () => undefined));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    silentPort = (silent.address() as { port: number }).port;
  });
  after(async () => {
    silent.close();
    await broker.close();
  });

  it('takes a URL as text or as an object, with user, vhost and heartbeat', async () => {
    for (const url of [
      `amqp://127.0.0.1:${port}`,
      `amqp://guest:guest@localhost:${port}/`,
      new URL(`amqp://guest:guest@127.0.0.1:${port}/%2F?heartbeat=20`),
    ]) {
      await using mq = await connect(url, { name: 'the test' });
      assert.ok(!mq.closed);
    }
  });

  it('refuses a URL that can not be meant, at once', async () => {
    await rejects(connect('amqp://'), 'INVALID_URL');
    await rejects(connect('amqp://host:99999'), 'INVALID_URL', /amqp:\/\/user:password@host/);
    await rejects(connect('amqp://h/a/b'), 'INVALID_URL', /%2F/);
    await rejects(connect('amqp://user:%zz@h'), 'INVALID_URL', /%25/);
    await rejects(connect('amqp://h?hartbeat=5'), 'INVALID_URL', /'heartbeat'/);
    await rejects(connect('amqp://h?heartbeat=soon'), 'INVALID_URL');
    await rejects(connect('ampq://h'), 'INVALID_URL', /'amqp:'/);
    await rejects(connect(''), 'INVALID_URL', /is empty/);
    await rejects(connect('amqp://h', { tls: {} }), 'INVALID_OPTION', /amqps/);
    await rejects(connect('amqp://h', { connectTimeoutMs: 0 }), 'INVALID_OPTION');
    const error = await rejects(connect('amqp://me:secret@h/a/b'), 'INVALID_URL');
    assert.ok(!error.message.includes('secret'));
  });

  it('says at once that user or vhost are refused', async () => {
    const login = await rejects(
      connect(`amqp://guest:secret@127.0.0.1:${port}`),
      'ACCESS_REFUSED',
      /user and password/,
    );
    assert.ok(!login.message.includes('secret'));
    await rejects(connect(`amqp://127.0.0.1:${port}/elsewhere`), 'ACCESS_REFUSED', /vhost/);
  });

  it('gives up a broker that can not be reached, or says nothing', async () => {
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const { port: nobody } = closed.address() as { port: number };
    await new Promise((resolve) => closed.close(resolve));
    const where = new RegExp(`127\\.0\\.0\\.1:${nobody} within 200 ms`);
    await rejects(connect(`amqp://127.0.0.1:${nobody}`, { connectTimeoutMs: 200 }), 'UNREACHABLE', where);
    await rejects(connect(`amqp://127.0.0.1:${silentPort}`, { connectTimeoutMs: 200 }), 'UNREACHABLE');
    await rejects(connect(`amqps://127.0.0.1:${silentPort}`, { connectTimeoutMs: 200 }), 'UNREACHABLE');
  });

  it('gives up at once when its signal says so', async () => {
    const reason = new Error('enough');
    const before = await rejects(connect(`amqp://127.0.0.1:${port}`, { signal: AbortSignal.abort(reason) }), 'ABORTED');
    assert.equal(before.cause, reason);
    const controller = new AbortController();
    const cut = new Promise((resolve) =>
      silent.once('connection', (socket: Socket) => socket.resume().once('close', resolve)),
    );
    const asked = rejects(
      connect(`amqp://127.0.0.1:${silentPort}`, { connectTimeoutMs: 600_000, signal: controller.signal }),
      'ABORTED',
      /connect\(\) was aborted by its signal/,
    );
    await new Promise((resolve) => silent.once('connection', resolve));
    controller.abort(reason);
    assert.equal((await asked).cause, reason);
    await cut;
    // What is connected stays so.
    const later = new AbortController();
    const mq = await connect(`amqp://127.0.0.1:${port}`, { signal: later.signal });
    later.abort();
    await mq.queue('after-the-abort');
    await mq.close();
    await rejects(connect('memory:', { signal: later.signal }), 'INVALID_OPTION', /signal is for amqp: URLs/);
  });

  it('leaves nothing behind that keeps the process alive', async () => {
    const program = `
      import { connect } from './src/index.ts';
      const mq = await connect('amqp://127.0.0.1:${port}');
      const queue = await mq.queue('exiting');
      await queue.publish(1, { delayMs: 1 });
      await queue.respond(() => 1);
      await queue.request(2);
      const consumer = await queue.consume(() => undefined, { prefetch: 5 });
      await mq.close();
      await connect('amqp://127.0.0.1:${silentPort}', { connectTimeoutMs: 50 }).catch(() => undefined);
      console.log('closed');
    `;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const patience = setTimeout(() => child.kill('SIGKILL'), 300_000);
    let said = '';
    child.stdout.on('data', (text) => (said += String(text)));
    const code = await new Promise((resolve) => child.once('exit', resolve));
    clearTimeout(patience);
    assert.equal(said.trim(), 'closed');
    assert.equal(code, 0);
  });
});
