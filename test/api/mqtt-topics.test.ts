/** Topics of the API and MQTT's clients: the same topics, on every link to a Postrider. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { connectAsync, type MqttClient } from 'mqtt';
import { connect, type EmbeddedMq, type Mq, type Queue } from '../../src/index.ts';

const log = (): void => undefined;

interface Served {
  /** Of the link under test. */
  readonly mq: Mq;
  readonly mqttPort: number;
}

async function listening(context: TestContext, broker: EmbeddedMq, mq: Mq = broker): Promise<Served> {
  const { mqtt } = await broker.listen({ mqtt: { port: 0 } });
  context.after(async () => {
    if (mq !== broker) await mq.close();
    await broker.close();
  });
  return { mq, mqttPort: mqtt!.port };
}

const links: Record<string, (context: TestContext) => Promise<Served>> = {
  'memory:': async (context) => listening(context, await connect('memory:', { log })),
  'file:': async (context) => {
    const directory = await mkdtemp(join(tmpdir(), 'postrider-api-'));
    const served = await listening(context, await connect(`file:${directory}`, { log }));
    context.after(() => rm(directory, { recursive: true, force: true }));
    return served;
  },
  'amqp:': async (context) => {
    const broker = await connect('memory:', { log });
    const { amqp, mqtt } = await broker.listen({ amqp: { port: 0 }, mqtt: { port: 0 } });
    const mq = await connect(`amqp://127.0.0.1:${amqp!.port}`);
    context.after(async () => {
      await mq.close();
      await broker.close();
    });
    return { mq, mqttPort: mqtt!.port };
  },
};

async function mqttClient(context: TestContext, port: number): Promise<MqttClient> {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0, protocolVersion: 5 });
  context.after(() => client.endAsync(true));
  return client;
}

/** What the client is sent, as `topic payload`. */
function received(client: MqttClient, count: number): Promise<string[]> {
  return new Promise((resolve) => {
    const all: string[] = [];
    client.on('message', (topic, payload) => {
      all.push(`${topic} ${payload.toString()}`);
      if (all.length === count) resolve(all);
    });
  });
}

async function taken(queue: Queue, count: number): Promise<[string, string][]> {
  const all: [string, string][] = [];
  for await (const message of queue.messages()) {
    all.push([message.topic, String(message.payload)]);
    if (all.length < count) continue;
    await message.ack();
    break;
  }
  return all;
}

for (const [link, open] of Object.entries(links)) {
  describe(`topics of MQTT on ${link}`, { timeout: 300_000 }, () => {
    it('come from its publishers to a pattern', async (context) => {
      const { mq, mqttPort } = await open(context);
      const readings = await mq.topic('site/+/temperature').subscribe('readings');
      const all = await mq.topic('site/#').subscribe('all');
      const sensor = await mqttClient(context, mqttPort);
      await sensor.publishAsync('site/7/temperature', '21', { qos: 1 });
      await sensor.publishAsync('site/7/humidity', '40', { qos: 1 });
      await sensor.publishAsync('site/no. 8/temperature', '22', { qos: 2 });
      assert.deepEqual(await taken(readings, 2), [
        ['site/7/temperature', '21'],
        ['site/no. 8/temperature', '22'],
      ]);
      assert.equal((await all.stats()).ready, 3);
    });

    it('that are too long for a routing key are told whole', async (context) => {
      const { mq, mqttPort } = await open(context);
      const long = `site/${'level/'.repeat(100)}end`;
      const queue = await mq.topic('site/#').subscribe('all');
      const sensor = await mqttClient(context, mqttPort);
      await sensor.publishAsync(long, 'x', { qos: 1 });
      assert.deepEqual(await taken(queue, 1), [[long, 'x']]);
      assert.throws(() => mq.topic(long), { code: 'INVALID_NAME', message: /may have 255 bytes/ });
    });

    it('are published to its subscribers', async (context) => {
      const { mq, mqttPort } = await open(context);
      for (const [qos, filter] of [
        [0, 'site/+/command'],
        [1, 'site/#'],
        [2, '$share/workers/site/+/command'],
      ] as const) {
        const client = await mqttClient(context, mqttPort);
        const messages = received(client, 2);
        await client.subscribeAsync(filter, { qos });
        await mq.topic('site/7/command').publish({ on: true });
        await mq.topic('site.8.command').publish('off');
        assert.deepEqual(await messages, ['site/7/command {"on":true}', 'site/8/command "off"']);
        await client.endAsync();
      }
    });
  });
}
