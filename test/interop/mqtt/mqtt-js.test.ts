/** MQTT.js, in 3.1.1 and 5.0, over TCP, TLS and WebSocket; and across to amqplib. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { connect as connectAmqp, type ConsumeMessage } from 'amqplib';
import mqtt, { type IClientOptions, type IPublishPacket, type MqttClient } from 'mqtt';
import { unique } from '../target.ts';
import { Arrivals } from './arrivals.ts';
import { mqttTarget } from './target.ts';

const target = await mqttTarget();
const versions = [4, 5] as const;
const named = { 4: '3.1.1', 5: '5.0' } as const;

interface Arrived {
  readonly topic: string;
  readonly payload: string;
  readonly packet: IPublishPacket;
}

type Client = MqttClient & { readonly arrivals: Arrivals<Arrived>; readonly sessionPresent: boolean };

async function client(
  context: TestContext,
  options: IClientOptions,
  way: keyof typeof target.ports = 'mqtt',
): Promise<Client> {
  const path = way.startsWith('ws') ? '/mqtt' : '';
  const connected = mqtt.connect(`${way}://127.0.0.1:${target.ports[way]}${path}`, {
    reconnectPeriod: 0,
    connectTimeout: 60_000,
    clientId: unique('mqttjs'),
    ca: target.cert,
    ...options,
  });
  context.after(() => connected.end(true));
  const arrivals = new Arrivals<Arrived>();
  connected.on('message', (topic, payload, packet) => arrivals.add({ topic, payload: payload.toString(), packet }));
  const sessionPresent = await new Promise<boolean>((resolve, reject) => {
    connected.once('connect', (connack) => resolve(connack.sessionPresent));
    connected.once('error', reject);
  });
  connected.on('error', (error) => console.error(error));
  return Object.assign(connected, { arrivals, sessionPresent });
}

/** That outlives its connection. */
function lasting(protocolVersion: 4 | 5): IClientOptions {
  const options = { protocolVersion, clean: false, clientId: unique('lasting') };
  return protocolVersion === 4 ? options : { ...options, properties: { sessionExpiryInterval: 3_600 } };
}

for (const protocolVersion of versions) {
  describe(`MQTT.js, ${named[protocolVersion]}`, () => {
    for (const way of ['mqtt', 'mqtts', 'ws', 'wss'] as const) {
      test(`QoS 0, 1 and 2 over ${way}`, async (context) => {
        const root = unique('qos');
        const subscriber = await client(context, { protocolVersion }, way);
        const publisher = await client(context, { protocolVersion }, way);
        const granted = await subscriber.subscribeAsync(
          Object.fromEntries(([0, 1, 2] as const).map((qos) => [`${root}/${qos}/+`, { qos }])),
        );
        assert.deepEqual(
          granted.map(({ qos }) => qos),
          [0, 1, 2],
        );
        for (const subscribed of [0, 1, 2]) {
          for (const qos of [0, 1, 2] as const) {
            await publisher.publishAsync(`${root}/${subscribed}/${qos}`, `${qos}`.repeat(10), { qos });
          }
        }
        const arrived = await subscriber.arrivals.exactly(9);
        const received = arrived.map(({ topic, payload, packet }) => `${topic} ${payload[0]} as ${packet.qos}`);
        const expected = [0, 1, 2].flatMap((subscribed) =>
          [0, 1, 2].map((qos) => `${root}/${subscribed}/${qos} ${qos} as ${Math.min(subscribed, qos)}`),
        );
        assert.deepEqual(received.sort(), expected.sort());
        assert.deepEqual(target.bugs(), []);
      });
    }

    test('retained messages: the last of each topic, until an empty one', async (context) => {
      const root = unique('retained');
      const publisher = await client(context, { protocolVersion });
      for (const [topic, payload] of [
        ['a', 'old'],
        ['a', 'new'],
        ['b', 'kept'],
        ['c', 'gone'],
        ['c', ''],
      ] as const) {
        await publisher.publishAsync(`${root}/${topic}`, payload, { qos: 1, retain: true });
      }
      const subscriber = await client(context, { protocolVersion });
      await subscriber.subscribeAsync(`${root}/#`, { qos: 1 });
      const arrived = await subscriber.arrivals.exactly(2);
      const received = arrived.map(({ topic, payload, packet }) => `${topic} ${payload} ${packet.retain}`);
      assert.deepEqual(received.sort(), [`${root}/a new true`, `${root}/b kept true`]);
      await publisher.publishAsync(`${root}/a`, 'live', { qos: 1, retain: true });
      assert.equal((await subscriber.arrivals.exactly(1))[0]!.packet.retain, false);
      await target.restart();
      const later = await client(context, { protocolVersion });
      await later.subscribeAsync(`${root}/a`, { qos: 0 });
      assert.equal((await later.arrivals.exactly(1))[0]!.payload, 'live');
    });

    test('a will, of a client that is cut off and not of one that says goodbye', async (context) => {
      const topic = unique('will');
      const subscriber = await client(context, { protocolVersion });
      await subscriber.subscribeAsync(topic, { qos: 2 });
      const will = { topic, payload: Buffer.from('gone'), qos: 2, retain: false } as const;
      const polite = await client(context, { protocolVersion, will: { ...will, payload: Buffer.from('never') } });
      await polite.endAsync();
      const cut = await client(context, { protocolVersion, will });
      cut.stream.destroy();
      const [arrived] = await subscriber.arrivals.exactly(1);
      assert.deepEqual([arrived!.payload, arrived!.packet.qos], ['gone', 2]);
    });

    test('a session outlives its connection and a restart of the broker, and loses and repeats nothing', async (context) => {
      const root = unique('session');
      const options = lasting(protocolVersion);
      const first = await client(context, options);
      assert.equal(first.sessionPresent, false);
      await first.subscribeAsync({ [`${root}/1`]: { qos: 1 }, [`${root}/2`]: { qos: 2 } });
      await first.endAsync();
      const publisher = await client(context, { protocolVersion });
      for (let i = 0; i < 20; i++) {
        await publisher.publishAsync(`${root}/1`, `before ${i}`, { qos: 1 });
        await publisher.publishAsync(`${root}/2`, `before ${i}`, { qos: 2 });
      }
      await target.restart();
      const again = await client(context, { protocolVersion });
      await again.publishAsync(`${root}/1`, 'after', { qos: 1 });
      await again.publishAsync(`${root}/2`, 'after', { qos: 2 });
      const second = await client(context, options);
      assert.equal(second.sessionPresent, true);
      const arrived = await second.arrivals.exactly(42);
      for (const qos of [1, 2]) {
        const ofTopic = arrived.filter(({ topic }) => topic === `${root}/${qos}`);
        const expected = [...Array.from({ length: 20 }, (_, i) => `before ${i}`), 'after'];
        assert.deepEqual(
          ofTopic.map(({ payload }) => payload),
          expected,
        );
        assert.ok(ofTopic.every(({ packet }) => packet.qos === qos));
      }
      await second.endAsync();
      const third = await client(context, options);
      await third.arrivals.exactly(0);
      const clean = await client(context, { ...options, clean: true });
      assert.equal(clean.sessionPresent, false);
      assert.deepEqual(target.bugs(), []);
    });

    test('to a durable AMQP queue, and back from an AMQP publisher', async (context) => {
      const amqp = await connectAmqp(target.amqpUrl);
      context.after(() => amqp.close().catch(() => undefined));
      const channel = await amqp.createConfirmChannel();
      const root = unique('cross');
      const { queue } = await channel.assertQueue(root, { durable: true });
      await channel.bindQueue(queue, 'amq.topic', `${root}.#`);
      const inbox = new Arrivals<ConsumeMessage>();
      await channel.consume(queue, (message) => inbox.add(message!), { noAck: true });
      const device = await client(context, { protocolVersion });
      await device.subscribeAsync(`${root}/commands/+`, { qos: 1 });
      for (const qos of [0, 1, 2] as const) await device.publishAsync(`${root}/v1.2/t`, `qos ${qos}`, { qos });
      const stored = await inbox.exactly(3);
      assert.deepEqual(
        stored.map(({ content }) => content.toString()),
        ['qos 0', 'qos 1', 'qos 2'],
      );
      for (const { fields } of stored) {
        assert.deepEqual([fields.exchange, fields.routingKey], ['amq.topic', `${root}.v1/2.t`]);
      }
      assert.deepEqual(
        stored.map(({ properties }) => properties.deliveryMode as unknown),
        [1, 2, 2],
      );
      channel.publish('amq.topic', `${root}.commands.on`, Buffer.from('now'), { persistent: true });
      await channel.waitForConfirms();
      const [arrived] = await device.arrivals.exactly(1);
      assert.deepEqual([arrived!.topic, arrived!.payload, arrived!.packet.qos], [`${root}/commands/on`, 'now', 1]);
      assert.deepEqual(target.bugs(), []);
    });

    test('what is stored for a session may come from AMQP, and outlives a restart', async (context) => {
      const root = unique('offline');
      const options = lasting(protocolVersion);
      const device = await client(context, options);
      await device.subscribeAsync(`${root}/#`, { qos: 1 });
      await device.endAsync();
      const amqp = await connectAmqp(target.amqpUrl);
      const channel = await amqp.createConfirmChannel();
      channel.publish('amq.topic', `${root}.x`, Buffer.from('kept'), { persistent: true });
      await channel.waitForConfirms();
      await amqp.close();
      await target.restart();
      const again = await client(context, options);
      assert.equal((await again.arrivals.exactly(1))[0]!.payload, 'kept');
    });
  });
}

describe('MQTT.js, of 5.0 alone', () => {
  const protocolVersion = 5;

  test('properties, end to end and across', async (context) => {
    const root = unique('properties');
    const subscriber = await client(context, { protocolVersion });
    const publisher = await client(context, { protocolVersion });
    await subscriber.subscribeAsync(`${root}/#`, { qos: 1, properties: { subscriptionIdentifier: 7 } });
    const properties = {
      contentType: 'text/plain',
      payloadFormatIndicator: true,
      responseTopic: `${root}/answers`,
      correlationData: Buffer.from([1, 0, 255]),
      messageExpiryInterval: 60,
      userProperties: { name: 'value', list: ['a', 'b'] },
    };
    const amqp = await connectAmqp(target.amqpUrl);
    context.after(() => amqp.close().catch(() => undefined));
    const channel = await amqp.createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    await channel.bindQueue(queue, 'amq.topic', `${root}.t`);
    await publisher.publishAsync(`${root}/t`, 'm', { qos: 1, properties });
    const [arrived] = await subscriber.arrivals.exactly(1);
    const received = arrived!.packet.properties!;
    assert.equal(received.contentType, 'text/plain');
    assert.equal(received.payloadFormatIndicator, true);
    assert.equal(received.responseTopic, `${root}/answers`);
    assert.deepEqual(received.correlationData, properties.correlationData);
    assert.ok(received.messageExpiryInterval! <= 60 && received.messageExpiryInterval! > 30);
    assert.deepEqual({ ...received.userProperties }, properties.userProperties);
    assert.equal(received.subscriptionIdentifier, 7);
    const crossed = await channel.get(queue, { noAck: true });
    assert.ok(crossed !== false);
    assert.equal(crossed.properties.contentType, 'text/plain');
  });

  test('requests are answered from AMQP', async (context) => {
    const root = unique('rpc');
    const amqp = await connectAmqp(target.amqpUrl);
    context.after(() => amqp.close().catch(() => undefined));
    const channel = await amqp.createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    await channel.bindQueue(queue, 'amq.topic', `${root}.ask`);
    const asker = await client(context, { protocolVersion });
    await asker.subscribeAsync(`${root}/answers`, { qos: 1 });
    const asked = new Arrivals<ConsumeMessage>();
    await channel.consume(queue, (message) => asked.add(message!), { noAck: true });
    await asker.publishAsync(`${root}/ask`, 'how many?', {
      qos: 1,
      properties: { responseTopic: `${root}/answers`, correlationData: Buffer.from('17') },
    });
    const [question] = await asked.exactly(1);
    assert.equal(question!.properties.correlationId, '17');
    channel.publish('amq.topic', String(question!.properties.replyTo), Buffer.from('three'), {
      correlationId: question!.properties.correlationId,
    });
    const [answer] = await asker.arrivals.exactly(1);
    assert.equal(answer!.payload, 'three');
    assert.equal(answer!.packet.properties?.correlationData?.toString(), '17');
  });

  test('shared subscriptions: each message to one of the members', async (context) => {
    const topic = unique('shared');
    const members = [await client(context, { protocolVersion }), await client(context, { protocolVersion })];
    for (const member of members) await member.subscribeAsync(`$share/group/${topic}`, { qos: 2 });
    const publisher = await client(context, { protocolVersion });
    const sent = Array.from({ length: 30 }, (_, i) => `${i}`);
    for (const [i, payload] of sent.entries()) {
      await publisher.publishAsync(topic, payload, { qos: i % 2 === 0 ? 1 : 2 });
    }
    const arrived = (): string[] => members.flatMap(({ arrivals }) => arrivals.all.map(({ payload }) => payload));
    const more = (member: Client) => new Promise((resolve) => member.once('message', resolve));
    while (arrived().length < sent.length) await Promise.race(members.map(more));
    assert.deepEqual(arrived().sort(), sent.toSorted());
    assert.ok(members.every(({ arrivals }) => arrivals.all.length > 0));
  });

  test('topic aliases that client and server make', async (context) => {
    const topic = unique('alias');
    const options = { protocolVersion, properties: { topicAliasMaximum: 10 } } as const;
    const subscriber = await client(context, options);
    const publisher = await client(context, { protocolVersion, autoAssignTopicAlias: true });
    await subscriber.subscribeAsync(topic, { qos: 1 });
    for (const payload of ['one', 'two', 'three']) await publisher.publishAsync(topic, payload, { qos: 1 });
    const arrived = await subscriber.arrivals.exactly(3);
    assert.deepEqual(
      arrived.map((each) => [each.topic, each.payload]),
      ['one', 'two', 'three'].map((payload) => [topic, payload]),
    );
    assert.ok((arrived[0]!.packet.properties?.topicAlias ?? 0) > 0);
  });

  test('retain handling, retain as published, and no local', async (context) => {
    const topic = unique('options');
    const subscriber = await client(context, { protocolVersion });
    await subscriber.publishAsync(topic, 'before', { qos: 1, retain: true });
    await subscriber.subscribeAsync(topic, { qos: 1, rh: 2, rap: true, nl: true });
    await subscriber.publishAsync(topic, 'own', { qos: 1, retain: true });
    const other = await client(context, { protocolVersion });
    await other.publishAsync(topic, 'foreign', { qos: 1, retain: true });
    const [arrived] = await subscriber.arrivals.exactly(1);
    assert.deepEqual([arrived!.payload, arrived!.packet.retain], ['foreign', true]);
  });

  test('another client with its id takes the session over', async (context) => {
    const options = { protocolVersion, clientId: unique('taken'), clean: false } as const;
    const first = await client(context, options);
    const goodbye = new Promise<number | undefined>((resolve) => {
      first.once('disconnect', ({ reasonCode }) => resolve(reasonCode));
    });
    await client(context, options);
    assert.equal(await goodbye, 0x8e);
  });
});
