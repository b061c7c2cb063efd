/** paho-mqtt, in 3.1.1 and 5.0, over TCP and TLS; and across to amqplib. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { connect as connectAmqp } from 'amqplib';
import { installed } from '../client-install.ts';
import { unique } from '../target.ts';
import { mqttTarget } from './target.ts';

const target = await mqttTarget();
const source = (name: string): URL => new URL(`paho/${name}`, import.meta.url);
const { directory, skip } = installed({
  name: 'paho-mqtt',
  needs: "Python's venv (python3-venv)",
  probe: ['python3', '-c', 'import ensurepip'],
  files: [source('requirements.txt')],
  cwd: source(''),
  commands: (into) => [
    ['python3', '-m', 'venv', into],
    [join(into, 'bin', 'pip'), 'install', '--quiet', '--requirement', 'requirements.txt'],
  ],
});

for (const version of ['3.1.1', '5.0']) {
  test(`paho-mqtt, ${version}`, { skip, timeout: 300_000 }, async (context) => {
    const root = unique('paho');
    let stopEcho = await echo(root);
    context.after(() => stopEcho());
    const { mqtt, mqtts } = target.ports;
    const args = [version, String(mqtt), String(mqtts), target.certPath, root];
    const options = { cwd: fileURLToPath(source('')), env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' } };
    const scene = spawn(join(directory, 'bin', 'python'), ['scene.py', ...args], options);
    context.after(() => scene.kill('SIGKILL'));
    const ended = once(scene, 'close');
    let said = '';
    scene.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const lines: string[] = [];
    for await (const line of createInterface({ input: scene.stdout })) {
      lines.push(line);
      if (line !== 'restart') continue;
      await stopEcho();
      await target.restart();
      stopEcho = await echo(root);
      scene.stdin.write('go on\n');
    }
    const [code] = (await ended) as [number | null];
    assert.deepEqual([code, lines, said], [0, ['restart', 'done'], '']);
    assert.deepEqual(target.bugs(), []);
  });
}

/** Sends back what comes into a durable queue. Returns what ends it. */
async function echo(root: string): Promise<() => Promise<void>> {
  const amqp = await connectAmqp(target.amqpUrl);
  amqp.on('error', () => undefined);
  const channel = await amqp.createChannel();
  const { queue } = await channel.assertQueue(root, { durable: true });
  await channel.bindQueue(queue, 'amq.topic', `${root}.to-amqp`);
  await channel.consume(queue, (message) => {
    channel.publish('amq.topic', `${root}.from-amqp`, message!.content, { persistent: true });
    channel.ack(message!);
  });
  return () => amqp.close().catch(() => undefined);
}
