/** The programs that docs/MQTT.md shows. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import mqtt, { type IPublishPacket, type MqttClient } from 'mqtt';
import { mqttTarget } from './target.ts';

const target = await mqttTarget();
const root = fileURLToPath(new URL('../../../', import.meta.url));
const programs = Array.from(
  readFileSync(`${root}docs/MQTT.md`, 'utf8').matchAll(/```js\n(.*?)```/gs),
  ([, code = '']) => code.replace('amqp://localhost', target.amqpUrl),
);

async function device(context: TestContext): Promise<MqttClient> {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${target.ports.mqtt}`, { protocolVersion: 5 });
  context.after(() => client.end(true));
  return client;
}

function run(context: TestContext, code: string) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  context.after(() => child.kill());
  return child;
}

test('a service consumes what sensors publish', async (context) => {
  const sensor = await device(context);
  const service = run(context, programs[0]!);
  const line = new Promise<string>((resolve) =>
    service.stdout.once('data', (text: Buffer) => resolve(text.toString())),
  );
  const properties = { userProperties: { unit: 'C' } };
  // Until its queue is bound, nobody takes them.
  const timer = setInterval(() => sensor.publish('site/12/temperature', '21.5', { qos: 1, properties }), 50);
  context.after(() => clearInterval(timer));
  assert.match(await line, /^site 12: 21\.5 C\n/);
});

test('a command goes to a device', async (context) => {
  const client = await device(context);
  await client.subscribeAsync('device/17/commands', { qos: 2 });
  const arrived = new Promise<IPublishPacket>((resolve) =>
    client.once('message', (_topic, _payload, packet) => resolve(packet)),
  );
  run(context, programs[1]!);
  const { payload, qos, properties } = await arrived;
  assert.deepEqual([payload.toString(), qos], ['open', 1]);
  assert.equal(properties?.responseTopic, 'device/17/answers');
  assert.equal(properties.correlationData?.toString(), 'command-1');
  assert.ok(properties.messageExpiryInterval! > 30 && properties.messageExpiryInterval! <= 60);
});
