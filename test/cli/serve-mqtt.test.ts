import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { connect as connectAmqp } from 'amqplib';
import { connect as connectClient, connectAsync, type IClientOptions } from 'mqtt';
import { selfSigned } from '../api/self-signed.ts';
import { run, scratch, start } from './postrider.ts';

type Ports = Readonly<Record<string, number>>;

async function serve(context: TestContext, ...options: string[]) {
  const running = start(['serve', '--data', 'memory:', ...options]);
  context.after(() => running.child.kill('SIGKILL'));
  const line = await running.line();
  return { ...running, line, ports: options.includes('--json') ? (JSON.parse(line) as { ports: Ports }).ports : {} };
}

/** Sends a message to itself. */
async function works(url: string, options: IClientOptions = {}): Promise<void> {
  const client = await connectAsync(url, { reconnectPeriod: 0, ...options });
  const message = new Promise((resolve) => client.once('message', (_topic, payload) => resolve(payload.toString())));
  await client.subscribeAsync('a/+', { qos: 1 });
  await client.publishAsync('a/b', 'hello', { qos: 1 });
  assert.equal(await message, 'hello');
  await client.endAsync();
}

const free = ['--amqp-port', '0', '--mqtt-port', '0', '--ws-port', '0'];

describe('serve with MQTT', { timeout: 300_000 }, () => {
  it('speaks it over TCP and WebSocket beside AMQP, and says where', async (context) => {
    const { ports, child, finished } = await serve(context, ...free, '--json');
    assert.deepEqual(Object.keys(ports), ['amqp', 'mqtt', 'ws']);
    await works(`mqtt://127.0.0.1:${ports['mqtt']}`);
    await works(`ws://127.0.0.1:${ports['ws']}/mqtt`);
    child.kill('SIGTERM');
    assert.equal((await finished).code, 0);
  });

  it('takes the exchange of topics, and the longest keep-alive', async (context) => {
    const { ports } = await serve(
      context,
      ...free,
      ...['--json', '--mqtt-exchange', 'sensors', '--mqtt-max-keep-alive', '60'],
    );
    const url = `mqtt://127.0.0.1:${ports['mqtt']}`;
    const reader = await connectAsync(url, { reconnectPeriod: 0, protocolVersion: 5 });
    await reader.subscribeAsync('a/+', { qos: 1 });
    const amqp = await connectAmqp(`amqp://127.0.0.1:${ports['amqp']}`);
    const channel = await amqp.createChannel();
    const { queue } = await channel.assertQueue('q');
    await channel.bindQueue(queue, 'sensors', 'a.#');
    const message = new Promise((resolve) => reader.once('message', (_topic, payload) => resolve(payload.toString())));
    channel.publish('sensors', 'a.b', Buffer.from('across'));
    assert.equal(await message, 'across');
    await works(url);
    const crossed = [await channel.get(queue), await channel.get(queue)].map((each) => each && each.content.toString());
    assert.deepEqual(crossed, ['across', 'hello']);
    await reader.endAsync();
    await amqp.close();
    const told = connectClient(url, { reconnectPeriod: 0, protocolVersion: 5, keepalive: 120 });
    const keepAlive = await new Promise((resolve) => {
      told.once('connect', ({ properties }) => resolve(properties?.serverKeepAlive));
    });
    assert.equal(keepAlive, 60);
    await told.endAsync();
  });

  it('tells a person, too', async (context) => {
    const { line } = await serve(context, ...free);
    assert.match(
      line,
      /^postrider \S+: AMQP 0-9-1 on 127\.0\.0\.1:\d+, MQTT on 127\.0\.0\.1:\d+ and ws:\/\/127\.0\.0\.1:\d+\/mqtt, data/,
    );
  });

  it('serves each alone, and over TLS, where the certificate can change', async (context) => {
    const directory = await scratch();
    const [cert, key] = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
    const own = selfSigned('the broker');
    await Promise.all([writeFile(cert, own.cert), writeFile(key, own.key)]);
    const off = ['amqp', 'amqps', 'mqtt', 'ws'].flatMap((name) => [`--${name}-port`, 'off']);
    const tls = ['--tls-cert', cert, '--tls-key', key, '--mqtts-port', '0', '--wss-port', '0'];
    const { ports, child } = await serve(context, ...off, ...tls, '--json');
    assert.deepEqual(Object.keys(ports), ['mqtts', 'wss']);
    const urls = [`mqtts://127.0.0.1:${ports['mqtts']}`, `wss://127.0.0.1:${ports['wss']}/mqtt`];
    for (const url of urls) await works(url, { ca: own.cert });
    const next = selfSigned('the broker');
    await Promise.all([writeFile(cert, next.cert), writeFile(key, next.key)]);
    let told = '';
    child.stderr?.on('data', (text: string) => (told += text));
    child.kill('SIGHUP');
    while (!told.includes('a new certificate is in use')) await new Promise((resolve) => setTimeout(resolve, 20));
    for (const url of urls) await works(url, { ca: next.cert });
  });

  it('names the option whose port is taken, and leaves no data directory', async (context) => {
    const data = join(await scratch(), 'data');
    const other = createServer();
    context.after(() => other.close());
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    for (const option of ['--mqtt-port', '--ws-port']) {
      const { code, stderr } = await run(['serve', '--data', data, ...free, option, String(port)]);
      assert.match(
        stderr,
        new RegExp(`^postrider: .*port ${port} is in use; .* ${option} \\(0: any free one; off: none\\)\n$`),
      );
      assert.equal(code, 4);
    }
    assert.equal(existsSync(data), false);
  });
});
