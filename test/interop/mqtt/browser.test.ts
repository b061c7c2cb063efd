/** A page in a browser (headless Chromium), which uses MQTT.js over WebSocket. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { scratch } from '../../cli/postrider.ts';
import { absent } from '../program.ts';
import { unique } from '../target.ts';
import { mqttTarget } from './target.ts';

const target = await mqttTarget();
const skip = absent('Chromium (chromium)', ['chromium', '--version']);
const patienceMs = 60_000;

const library = readFileSync(
  join(dirname(createRequire(import.meta.url).resolve('mqtt/package.json')), 'dist/mqtt.min.js'),
);

/** Tells what arrived, as lines, to the server that it came from. */
const script = `
  const { url, protocolVersion, root } = JSON.parse(document.getElementById('given').textContent);
  const lines = [];
  const tell = (lines) => fetch('/done', { method: 'POST', body: JSON.stringify(lines) });
  window.addEventListener('error', ({ message }) => tell(['error: ' + message]));
  window.addEventListener('unhandledrejection', ({ reason }) => tell(['error: ' + reason]));
  async function play() {
    const first = await mqtt.connectAsync(url, { protocolVersion, reconnectPeriod: 0 });
    await first.publishAsync(root + '/kept', 'retained', { qos: 1, retain: true });
    const all = new Promise((resolve) => {
      const client = mqtt.connect(url, { protocolVersion, reconnectPeriod: 0 });
      client.on('message', (topic, payload, { qos, retain }) => {
        lines.push([topic.slice(root.length), payload.toString(), qos, retain].join(' '));
        if (lines.length === 5) client.end(false, {}, resolve);
      });
      client.on('connect', async () => {
        const granted = await client.subscribeAsync(root + '/#', { qos: 2 });
        if (granted[0].qos !== 2) throw new Error('granted ' + granted[0].qos);
        for (const qos of [0, 1, 2]) await first.publishAsync(root + '/' + qos, 'at ' + qos, { qos });
        await first.publishAsync(root + '/large', 'x'.repeat(200000), { qos: 1 });
      });
    });
    await all;
    await first.endAsync();
    await tell(lines.map((line) => line.replace(/x+/, (run) => run.length + ' x')));
  }
  play();
`;

for (const protocolVersion of [4, 5] as const) {
  const name = protocolVersion === 4 ? '3.1.1' : '5.0';
  test(
    `a page in a browser publishes and receives over WebSocket, ${name}`,
    { skip, timeout: 300_000 },
    async (context) => {
      const given = { url: `ws://127.0.0.1:${target.ports.ws}/mqtt`, protocolVersion, root: unique('browser') };
      const page = `<!doctype html><meta charset="utf-8"><title>MQTT</title>
      <script type="application/json" id="given">${JSON.stringify(given)}</script>
      <script src="/mqtt.js"></script><script>${script}</script>`;
      const told = new Told();
      const server = createServer((request, response) => {
        if (request.url === '/') response.setHeader('Content-Type', 'text/html').end(page);
        else if (request.url === '/mqtt.js') response.setHeader('Content-Type', 'text/javascript').end(library);
        else if (request.url === '/done') {
          response.end();
          textOf(request).then(told.resolve, told.reject);
        } else response.writeHead(404).end();
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      context.after(() => server.close());
      const { port } = server.address() as AddressInfo;
      const options = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'];
      const profile = `--user-data-dir=${await scratch()}`;
      const browser = spawn('chromium', [...options, profile, `http://127.0.0.1:${port}/`], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      const ended = once(browser, 'close');
      let said = '';
      browser.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
      const timer = setTimeout(() => told.reject(new Error(`the page told nothing: ${said}`)), patienceMs);
      try {
        const root = [
          '/0 at 0 0 false',
          '/1 at 1 1 false',
          '/2 at 2 2 false',
          '/kept retained 1 true',
          '/large 200000 x 1 false',
        ];
        assert.deepEqual((JSON.parse(await told.promise) as string[]).sort(), root);
      } finally {
        clearTimeout(timer);
        browser.kill('SIGKILL');
        await ended;
      }
      assert.deepEqual(target.bugs(), []);
    },
  );
}

class Told {
  resolve!: (text: string) => void;
  reject!: (error: Error) => void;
  readonly promise = new Promise<string>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
