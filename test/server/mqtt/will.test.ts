import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Batch } from '../../../src/broker/index.ts';
import { startTarget } from './broker.ts';
import { MqttClient } from './client.ts';
import { conformsOn, type World } from './conforms.ts';
import { connect, packet, pingreq, type Will } from './packet.ts';

const target = await startTarget();
const conforms = conformsOn(target);

/** A watcher of the topic, and a client with a will there. */
async function begin(world: World, will: Partial<Will> = {}, name = 'client') {
  const watcher = await world.open('watcher');
  await watcher.subscribe(world.topic, { qos: 2 });
  const client = await world.open(name, { will: { topic: world.topic, payload: 'the will', ...will } });
  return { watcher, client };
}

// Before any will is retained.
conforms('without a will nothing is published', { v3: '3.1.2-12', v5: '3.1.2-7' }, async (world) => {
  const watcher = await world.open('watcher');
  await watcher.subscribe('#');
  const client = await world.open('client');
  client.drop();
  await watcher.quiet();
});

conforms(
  'a will is published when the connection is lost, with its QoS',
  { v3: '3.1.2-8 3.1.2-9 3.1.2-16', v5: '3.1.2-7 3.1.2-8 3.1.2-12 3.1.2-14' },
  async (world) => {
    for (const qos of [0, 1, 2]) {
      const { watcher, client } = await begin(world, { qos }, `client${qos}`);
      client.drop();
      const message = await watcher.message('the will');
      assert.deepEqual([message.qos, message.retain, message.topic], [qos, false, world.topic]);
      await watcher.disconnect();
      const late = await world.open('late');
      await late.subscribe(world.topic);
      await late.quiet();
    }
  },
);

conforms('a will is retained where it asks for that', { v3: '3.1.2-17', v5: '3.1.2-15' }, async (world) => {
  const { watcher, client } = await begin(world, { qos: 1, retain: true });
  client.drop();
  await watcher.message('the will');
  const late = await world.open('late');
  await late.subscribe(world.topic, { qos: 1 });
  assert.equal((await late.message('the will')).retain, true);
});

conforms('DISCONNECT removes the will', { v3: '3.1.2-10 3.14.4-3', v5: '3.1.2-10 3.14.4-3' }, async (world) => {
  const { watcher, client } = await begin(world);
  await client.disconnect();
  await watcher.quiet();
});

conforms('a will is published once', { v3: '3.1.2-10', v5: '3.1.2-10' }, async (world) => {
  const { watcher, client } = await begin(world, { qos: 1 });
  client.drop();
  await watcher.message('the will');
  const again = await world.open('client');
  again.drop();
  await (await world.open('client')).disconnect();
  await watcher.quiet();
});

conforms('DISCONNECT with will publishes it', { v5: '3.1.2-8 3.14.4-3' }, async (world) => {
  const { watcher, client } = await begin(world);
  await client.disconnect(0x04);
  await watcher.message('the will');
});

conforms('a connection that the server ends publishes the will', { v3: '3.1.2-8', v5: '3.1.2-8' }, async (world) => {
  const { watcher, client } = await begin(world);
  client.send(connect(world.version, { clientId: client.clientId }));
  await client.refused(0x82);
  await watcher.message('the will');
  const second = await world.open('second', { will: { topic: world.topic, payload: 'malformed' } });
  second.send(packet(0, 0), pingreq);
  await second.refused(0x81, 0x82);
  await watcher.message('malformed');
});

conforms(
  'a client that is taken over by its next connection leaves its will',
  { v3: '3.1.2-8', v5: '3.1.2-8' },
  async (world) => {
    const { watcher, client } = await begin(world);
    await world.open('client');
    await client.untilEnd();
    await watcher.message('the will');
  },
);

conforms('a will carries its properties', { v5: '3.1.2-9 3.1.3-10 3.3.2-18' }, async (world) => {
  const properties = {
    payloadFormat: 1,
    contentType: 'text/plain',
    responseTopic: 'r/t',
    correlationData: 'c',
    userProperty: [
      ['b', '1'],
      ['a', '2'],
      ['b', '0'],
    ] as [string, string][],
  };
  const { watcher, client } = await begin(world, { properties });
  client.drop();
  assert.deepEqual((await watcher.message('the will')).properties, properties);
});

conforms('a will has to fit the rules of topics', { v3: '3.3.2-2 4.7.1-1', v5: '3.3.2-2 4.7.0-1' }, async (world) => {
  for (const topic of ['a/#', 'a/+', '']) {
    const client = world.raw();
    client.send(connect(world.version, { clientId: client.clientId, will: { topic } }));
    await client.refusedConnect(0x81, 0x82, 0x90);
  }
});

conforms('a will may be empty, and as large as a CONNECT may be', { v3: '3.1.2-8', v5: '3.1.2-8' }, async (world) => {
  const { watcher, client } = await begin(world, { payload: '' });
  client.drop();
  await watcher.message('');
  const payload = 'w'.repeat(16_000);
  const other = await world.open('other', { will: { topic: world.topic, payload, qos: 1 } });
  other.drop();
  await watcher.message(payload);
});

conforms('a new connection within the will delay keeps the will unsent', { v5: '3.1.2-8 3.1.3-9' }, async (world) => {
  const watcher = await world.open('watcher');
  await watcher.subscribe(world.topic);
  const will = { topic: world.topic, payload: 'the will', properties: { willDelay: 3 } };
  const properties = { sessionExpiry: 100 };
  for (let round = 0; round < 2; round++) (await world.open('client', { clean: false, properties, will })).drop();
  await world.open('client', { clean: false, properties });
  await new Promise((resolve) => setTimeout(resolve, 3_200));
  await watcher.quiet();
});

conforms('the will comes when its delay is over', { v5: '3.1.2-8' }, async (world) => {
  const watcher = await world.open('watcher');
  await watcher.subscribe(world.topic);
  const will = { topic: world.topic, payload: 'the will', properties: { willDelay: 1 } };
  const client = await world.open('client', { properties: { sessionExpiry: 100 }, will });
  const droppedAt = Date.now();
  client.drop();
  await watcher.message('the will');
  assert.ok(Date.now() - droppedAt >= 990, 'before its delay was over');
});

conforms('the will comes when its session ends before the delay', { v5: '3.1.2-8' }, async (world) => {
  const watcher = await world.open('watcher');
  await watcher.subscribe(world.topic);
  const will = { topic: world.topic, payload: 'the will', properties: { willDelay: 1_000 } };
  (await world.open('brief', { will })).drop();
  await watcher.message('the will');
  (await world.open('second', { properties: { sessionExpiry: 1 }, will })).drop();
  await watcher.message('the will');
  const third = await world.open('third', { properties: { sessionExpiry: 100 }, will });
  third.drop();
  await world.open('third', { clean: true });
  await watcher.message('the will');
});

conforms('a will is sent to the session of its own client as well', { v3: '3.1.2-8', v5: '3.1.2-8' }, async (world) => {
  const will = { topic: world.topic, payload: 'to myself', qos: 1 };
  const client = await world.open('keeper', { durable: true, will });
  await client.subscribe(world.topic, { qos: 1 });
  client.drop();
  const watcher = await world.open('watcher');
  await watcher.subscribe(world.topic, { qos: 1 });
  await (await world.open('keeper', { durable: true })).message('to myself');
});

test('a will goes out of its session in the batch that publishes it', { timeout: 300_000 }, async (t) => {
  if (target.own === null) return;
  const { broker } = target.own;
  const watcher = new MqttClient(target.port, 5, 'together-watcher');
  await watcher.connect();
  await watcher.subscribe('together', { qos: 2 });
  const client = new MqttClient(target.port, 5, 'together');
  await client.connect({ durable: true, will: { topic: 'together', payload: 'once', qos: 2 } });
  const batches: string[][] = [];
  const begin = broker.begin.bind(broker);
  t.mock.method(broker, 'begin', (atomic?: 'required' | 'idempotent', tellsWaiting?: boolean): Batch => {
    const batch = begin(atomic, tellsWaiting);
    const done: string[] = [];
    batches.push(done);
    return {
      append: (targets, message, isKept) => {
        done.push(message.body.toString('utf8', message.bodyStart, message.bodyEnd));
        batch.append(targets, message, isKept);
      },
      settle: (...given) => batch.settle(...given),
      put: (key, value, expected) => {
        if (key.endsWith('/session')) done.push(Buffer.from(value!).toString());
        batch.put(key, value, expected);
      },
      together: () => batch.together(),
      commit: (receiver, token) => batch.commit(receiver, token),
    };
  });
  client.drop();
  await watcher.message('once');
  const publishing = batches.find((done) => done.includes('once'));
  assert.ok(
    publishing?.some((record) => record.startsWith('{') && !record.includes('will')),
    JSON.stringify(publishing),
  );
  watcher.drop();
});

test('a will that may not be published ends like any other', { timeout: 300_000 }, async () => {
  if (target.own === null) return;
  const open = async (name: string, willDelay: number) => {
    const client = new MqttClient(target.port, 5, name);
    const will = { topic: '$SYS/broker/version', payload: 'forged', properties: { willDelay } };
    await client.connect({ will, properties: { sessionExpiry: willDelay } });
    await client.subscribe(`ends/${name}`);
    client.drop();
  };
  const { subscribers } = target.own.broker.requireVhost('/');
  const isLeft = (name: string): boolean => Array.from(subscribers).some(({ clientId }) => clientId === name);
  await open('forger0', 0);
  await open('forger1', 1);
  // An error in a timer would end the process.
  while (isLeft('forger0') || isLeft('forger1')) await new Promise((resolve) => setTimeout(resolve, 20));
});
