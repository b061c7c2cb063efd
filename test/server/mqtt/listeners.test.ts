/** Ways in to MQTT: what a connection sees of each, and what comes before it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { after, describe, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { WebSocket, type ClientOptions } from 'ws';
import { Listeners, type Arrival, type Open } from '../../../src/server/mqtt/listeners.ts';
import { defaultMqttSettings } from '../../../src/server/mqtt/settings.ts';
import { Admission } from '../../../src/server/socket/admission.ts';
import type { Entrant } from '../../../src/server/socket/entrance.ts';
import { OutputBudget } from '../../../src/server/socket/output-budget.ts';
import { Output } from '../../../src/server/socket/output.ts';
import { ReadPauses } from '../../../src/server/socket/read-pauses.ts';
import type { TlsIdentity } from '../../../src/server/socket/tls-listener.ts';
import type { Transport } from '../../../src/server/socket/transport.ts';
import { selfSigned } from '../../api/self-signed.ts';

function identity(name: string): TlsIdentity {
  const { cert, key } = selfSigned(name);
  return { cert: Buffer.from(cert), key: Buffer.from(key) };
}

/** Sends back what comes, and stops reading while the client does not take it. */
class Echo implements Entrant {
  readonly transport: Transport;
  readonly output: Output;
  readonly pauses: ReadPauses;
  reads = 0;
  /** Keeps from the client what it sends. */
  silent = false;
  readonly events: string[] = [];

  constructor(open: Open) {
    const transport = open((bytes, end) => {
      this.reads += 1;
      if (!this.silent) this.output.write(bytes, 0, end);
      if (this.output.unsent > this.output.limit) this.pauses.set('unsent', true);
    });
    this.transport = transport;
    this.pauses = new ReadPauses(transport);
    this.output = new Output(transport, new OutputBudget(defaultMqttSettings), () => {
      if (this.output.unsent <= this.output.limit) this.pauses.set('unsent', false);
    });
    transport.on('end', () => {
      this.events.push('end');
      this.output.end();
    });
    transport.on('error', () => transport.destroy());
    transport.on('close', () => {
      this.events.push('close');
      this.output.close();
    });
  }

  cut(): void {
    this.transport.destroy();
  }
}

const own = identity('the broker');

async function listen(limits: { maxConnections?: number; maxHandshakes?: number; connectTimeoutMs?: number } = {}) {
  const lines: string[] = [];
  const log = (line: string): void => void lines.push(line);
  const settings = { ...defaultMqttSettings, ...limits };
  const admission = new Admission(settings, log);
  const arrivals: Arrival[] = [];
  const echoes: Echo[] = [];
  const listeners = new Listeners({
    admission,
    connectTimeoutMs: settings.connectTimeoutMs,
    accept: (open, arrival) => {
      const echo = new Echo(open);
      arrivals.push(arrival);
      echoes.push(echo);
      return echo;
    },
    log,
  });
  const ports = {
    mqtt: (await listeners.listen('127.0.0.1', 0)).port,
    mqtts: (await listeners.listenTls('127.0.0.1', 0, own)).port,
    ws: (await listeners.listenWs('127.0.0.1', 0)).port,
    wss: (await listeners.listenWss('127.0.0.1', 0, own)).port,
  };
  after(() => {
    listeners.close();
    for (const echo of echoes) echo.cut();
  });
  const webSocket = async (path = '/mqtt', options: ClientOptions = {}, protocols: string[] = ['mqtt']) => {
    const client = new WebSocket(`ws://127.0.0.1:${ports.ws}${path}`, protocols, options);
    client.on('error', () => undefined);
    await once(client, 'open');
    return client;
  };
  return { listeners, ports, admission, arrivals, echoes, lines, webSocket };
}

const served = await listen();

/** Sends and takes the same back, over whatever. */
async function echoed(socket: NodeJS.ReadWriteStream & { destroy(): void }): Promise<string> {
  socket.write('hello');
  const [answer] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  return answer.toString();
}

function messages(client: WebSocket, bytes: number): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    client.on('message', (data: Buffer) => {
      chunks.push(data);
      size += data.length;
      if (size >= bytes) resolve(Buffer.concat(chunks));
    });
  });
}

test('each way in says what it is', async () => {
  const { ports, arrivals } = await listen();
  assert.equal(await echoed(connect(ports.mqtt, '127.0.0.1')), 'hello');
  assert.equal(await echoed(connectTls({ port: ports.mqtts, host: '127.0.0.1', ca: own.cert })), 'hello');
  for (const [scheme, port] of [
    ['ws', ports.ws],
    ['wss', ports.wss],
  ] as const) {
    const client = new WebSocket(`${scheme}://127.0.0.1:${port}/mqtt`, 'mqtt', { ca: own.cert });
    await once(client, 'open');
    const answer = messages(client, 5);
    client.send(Buffer.from('hello'));
    assert.equal((await answer).toString(), 'hello');
    client.terminate();
  }
  assert.deepEqual(
    arrivals,
    (['mqtt', 'mqtts', 'ws', 'wss'] as const).map((protocol) => ({ protocol, loopback: true })),
  );
});

describe('over WebSocket', () => {
  test('frames of every size come and go as one stream of bytes', async () => {
    const client = await served.webSocket();
    const sizes = [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, 3_000_000];
    const sent = sizes.map((size) => Buffer.alloc(size, size & 255));
    const answer = messages(
      client,
      sizes.reduce((sum, size) => sum + size, 0),
    );
    for (const bytes of sent) client.send(bytes);
    assert.ok((await answer).equals(Buffer.concat(sent)));
    client.terminate();
  });

  test('many small frames of one read are one read', async () => {
    const client = await served.webSocket();
    const echo = served.echoes.at(-1)!;
    const answer = messages(client, 1_000);
    const raw = Reflect.get(client, '_socket') as Socket;
    raw.cork();
    for (let n = 0; n < 1_000; n++) client.send(Buffer.from('x'));
    raw.uncork();
    assert.equal((await answer).toString(), 'x'.repeat(1_000));
    assert.ok(echo.reads < 20, `${echo.reads} reads`);
    client.terminate();
  });

  test('a client that does not read is not read any more, and goes on once it reads', async () => {
    const client = await served.webSocket();
    const echo = served.echoes.at(-1)!;
    const bytes = 24 * 1024 * 1024;
    client.pause();
    for (let sent = 0; sent < bytes; sent += 1024 * 1024) client.send(Buffer.alloc(1024 * 1024));
    while (!echo.pauses.paused) await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.ok(echo.output.unsent < 4 * 1024 * 1024, `${echo.output.unsent} bytes wait`);
    assert.ok(client.bufferedAmount > 0);
    const answer = messages(client, bytes);
    client.resume();
    assert.equal((await answer).length, bytes);
    client.terminate();
  });

  test('pings are answered, and of many the last', async () => {
    const client = await served.webSocket();
    const pongs: string[] = [];
    client.on('pong', (data: Buffer) => pongs.push(data.toString()));
    for (let n = 0; n < 100; n++) client.ping(String(n));
    while (pongs.at(-1) !== '99') await once(client, 'pong');
    client.terminate();
  });

  test('a close is answered with its code once the rest was sent', async () => {
    const client = await served.webSocket();
    const echo = served.echoes.at(-1)!;
    const answer = messages(client, 3);
    client.send(Buffer.from('bye'));
    client.close(4000, 'enough');
    const [code] = (await once(client, 'close')) as [number];
    assert.equal(code, 4000);
    assert.equal((await answer).toString(), 'bye');
    while (echo.events.length < 2) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(echo.events, ['end', 'close']);
  });

  test('the end of the server is a close of 1000', async () => {
    const client = await served.webSocket();
    const echo = served.echoes.at(-1)!;
    echo.output.write(Buffer.from('last'), 0, 4);
    echo.output.end();
    const answer = messages(client, 4);
    const [code] = (await once(client, 'close')) as [number];
    assert.equal(code, 1000);
    assert.equal((await answer).toString(), 'last');
    while (echo.events.length < 2) await new Promise((resolve) => setImmediate(resolve));
  });

  test('a text frame is closed with 1003 [MQTT-6.0.0-1]', async () => {
    const client = await served.webSocket();
    const echo = served.echoes.at(-1)!;
    client.send('text');
    const [code] = (await once(client, 'close')) as [number];
    assert.equal(code, 1003);
    assert.equal(echo.reads, 0);
    assert.match(served.lines.at(-1)!, /^ws 127\.0\.0\.1:\d+: a text frame came$/);
  });

  test('compression is not agreed on, whatever is offered', async () => {
    const client = await served.webSocket('/mqtt', { perMessageDeflate: true });
    assert.equal(client.extensions, '');
    client.terminate();
  });

  test('the sub-protocol is mqtt wherever it is offered [MQTT-6.0.0-4]', async () => {
    for (const [offered, chosen] of [
      [['mqtt'], 'mqtt'],
      [['mqttv3.1', 'mqtt'], 'mqtt'],
      [['mqttv3.1'], 'mqttv3.1'],
    ] as const) {
      const client = await served.webSocket('/ws', {}, [...offered]);
      assert.equal(client.protocol, chosen);
      client.terminate();
    }
  });

  test('a page from elsewhere is not on this machine, though its browser is', async () => {
    for (const [origin, loopback] of [
      [undefined, true],
      ['http://localhost:8080', true],
      ['https://127.0.0.1', true],
      ['http://[::1]:3000', true],
      ['null', false],
      ['file://', false],
      ['http://example.com', false],
      ['http://127.0.0.1.example.com', false],
      ['http://localhost.example.com', false],
      ['nonsense', false],
    ] as const) {
      // A name that was made this machine's is in Host as in Origin, and nothing to go by.
      const headers = { Host: origin === undefined ? 'localhost' : origin.replace(/^.*\/\//, '') };
      const client = await served.webSocket('/', { ...(origin === undefined ? {} : { origin }), headers });
      assert.equal(served.arrivals.at(-1)?.loopback, loopback, String(origin));
      client.terminate();
    }
  });
});

const upgrade = {
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Key': Buffer.alloc(16).toString('base64'),
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Protocol': 'mqtt',
};

async function answered(path: string, headers: Record<string, string>, method = 'GET'): Promise<IncomingMessage> {
  const asked = request({ host: '127.0.0.1', port: served.ports.ws, path, headers, method });
  asked.end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  response.resume();
  await once(response, 'close');
  return response;
}

describe('a request that is no WebSocket', () => {
  test('is told so, shortly', async () => {
    for (const path of ['/', '/mqtt', '/index.html']) {
      const { statusCode, headers } = await answered(path, {});
      assert.equal(statusCode, 426);
      assert.equal(headers.upgrade, 'websocket');
      assert.match(headers.connection!, /close/);
    }
    assert.equal((await answered('/mqtt', { 'Content-Length': '5' }, 'POST')).statusCode, 426);
  });

  for (const [what, path, change, status] of [
    ['another path', '/other', {}, 404],
    ['another version', '/mqtt', { 'Sec-WebSocket-Version': '8' }, 426],
    ['no key', '/mqtt', { 'Sec-WebSocket-Key': 'short' }, 400],
    ['another sub-protocol', '/mqtt', { 'Sec-WebSocket-Protocol': 'amqp, mqtt5' }, 400],
    ['another upgrade', '/mqtt', { Upgrade: 'h2c' }, 400],
  ] as const) {
    test(`with ${what} is refused with ${status}`, async () => {
      const { statusCode } = await answered(path, { ...upgrade, ...change });
      assert.equal(statusCode, status);
    });
  }

  test('is cut when it is too long, and when it takes too long', async () => {
    const { ports } = await listen({ connectTimeoutMs: 50 });
    const slow = connect(ports.ws, '127.0.0.1');
    slow.write('GET /mqtt HTTP/1.1\r\nHost:');
    await once(slow.resume(), 'close');
    const long = connect(served.ports.ws, '127.0.0.1');
    long.on('error', () => undefined);
    long.write(`GET /mqtt HTTP/1.1\r\nX: ${'x'.repeat(20_000)}`);
    const [answer] = (await once(long, 'data')) as [Buffer];
    assert.match(answer.toString(), /^HTTP\/1.1 431 /);
    long.destroy();
  });
});

test('bytes that come with the request are not lost', async () => {
  const socket = connect(served.ports.ws, '127.0.0.1');
  const lines = Object.entries({ Host: 'localhost', ...upgrade }).map(([name, value]) => `${name}: ${value}`);
  socket.write(
    Buffer.concat([
      Buffer.from(`GET /mqtt HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`),
      Buffer.from([0x82, 0x82, 0, 0, 0, 0, 0x68, 0x69]),
    ]),
  );
  let text = '';
  while (!text.endsWith('hi')) text += ((await once(socket, 'data')) as [Buffer])[0].toString('latin1');
  assert.ok(text.startsWith('HTTP/1.1 101 ') && text.endsWith('\r\n\r\n\x82\x02hi'), text);
  socket.destroy();
});

test('who comes when all places are taken is cut, whichever way, until one goes', async () => {
  const { ports, admission, echoes, lines } = await listen({ maxConnections: 2 });
  const one = connect(ports.mqtt, '127.0.0.1');
  assert.equal(await new Promise((resolve) => one.once('connect', () => resolve('in'))), 'in');
  while (echoes.length < 1) await new Promise((resolve) => setImmediate(resolve));
  admission.loggedIn(echoes[0]!);
  const two = connect(ports.mqtt, '127.0.0.1');
  while (echoes.length < 2) await new Promise((resolve) => setImmediate(resolve));
  admission.loggedIn(echoes[1]!);
  for (const port of [ports.mqtt, ports.ws, ports.mqtts]) {
    const refused = connect(port, '127.0.0.1');
    refused.on('error', () => undefined);
    await once(refused, 'close');
  }
  assert.deepEqual(lines.slice(0, 1), ['mqtt: connections are refused: 2 are open']);
  one.destroy();
  while (echoes[0]!.events.at(-1) !== 'close') await new Promise((resolve) => setImmediate(resolve));
  admission.disconnected(echoes[0]!);
  const client = new WebSocket(`ws://127.0.0.1:${ports.ws}/mqtt`, 'mqtt');
  await once(client, 'open');
  client.terminate();
  two.destroy();
});
