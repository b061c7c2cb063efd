import assert from 'node:assert/strict';
import { startTarget } from './broker.ts';
import { conformsOn, type World } from './conforms.ts';
import { publish, type SubscribeOptions } from './packet.ts';

const target = await startTarget();
const conforms = conformsOn(target);

/** What a new subscriber finds on `filter`. */
async function found({ open }: World, filter: string, options: SubscribeOptions = {}): Promise<string[]> {
  const client = await open(`finder${Math.random().toString(36).slice(2, 8)}`);
  await client.subscribe(filter, { qos: 2, ...options });
  await client.subscribe('end/of/retained');
  const publisher = await open(`ender${Math.random().toString(36).slice(2, 8)}`);
  await publisher.publish('end/of/retained', 'end');
  const payloads: string[] = [];
  for (;;) {
    const { topic, payload, retain } = await client.message();
    if (topic === 'end/of/retained') break;
    assert.equal(retain, true);
    payloads.push(payload);
  }
  // Retained messages are all sent when the subscription is acknowledged or soon after: nothing comes late.
  await client.quiet();
  client.drop();
  return payloads.sort();
}

conforms(
  'the last retained message of each topic is sent to a new subscriber, with RETAIN and its QoS',
  { v3: '3.3.1-5 3.3.1-6 3.3.1-8', v5: '3.3.1-5 3.3.1-9' },
  async ({ open, topic }) => {
    const publisher = await open('publisher');
    for (const qos of [0, 1, 2]) {
      await publisher.publish(`${topic}/${qos}`, 'old', { qos, retain: true });
      await publisher.publish(`${topic}/${qos}`, `q${qos}`, { qos, retain: true });
    }
    const client = await open('subscriber');
    await client.subscribe(`${topic}/+`, { qos: 2 });
    const messages = await client.messages(3);
    assert.deepEqual(
      messages
        .map(({ topic: name, payload, qos, retain }) => ({ name, payload, qos, retain }))
        .sort((a, b) => a.qos - b.qos),
      [0, 1, 2].map((qos) => ({ name: `${topic}/${qos}`, payload: `q${qos}`, qos, retain: true })),
    );
    await client.quiet();
  },
);

conforms('a QoS 0 message replaces the retained one', { v3: '3.3.1-7', v5: '3.3.1-5' }, async (world) => {
  const publisher = await world.open('publisher');
  await publisher.publish(world.topic, 'one', { qos: 1, retain: true });
  await publisher.publish(world.topic, 'zero', { qos: 0, retain: true });
  assert.deepEqual(await found(world, world.topic), ['zero']);
});

conforms(
  'an established subscription gets the message with RETAIN 0',
  { v3: '3.3.1-9', v5: '3.3.1-12' },
  async ({ open, topic }) => {
    const client = await open('subscriber');
    await client.subscribe(topic, { qos: 2 });
    const publisher = await open('publisher');
    for (const qos of [0, 1, 2]) {
      await publisher.publish(topic, `${qos}`, { qos, retain: true });
      assert.equal((await client.message(`${qos}`)).retain, false);
    }
  },
);

conforms('RETAIN is kept where the subscription asks for it', { v5: '3.3.1-13' }, async ({ open, topic }) => {
  const client = await open('subscriber');
  await client.subscribe(topic, { qos: 2, retainAsPublished: true });
  const publisher = await open('publisher');
  for (const qos of [0, 1, 2]) {
    for (const retain of [true, false]) {
      await publisher.publish(topic, `${qos}`, { qos, retain });
      assert.equal((await client.message(`${qos}`)).retain, retain);
    }
  }
});

conforms(
  'a retained message without payload is passed on, removes what was retained, and is not kept',
  { v3: '3.3.1-10 3.3.1-11', v5: '3.3.1-6 3.3.1-7' },
  async (world) => {
    const { open, topic } = world;
    const publisher = await open('publisher');
    for (const qos of [0, 1, 2]) {
      await publisher.publish(topic, 'kept', { qos: 1, retain: true });
      assert.deepEqual(await found(world, topic), ['kept']);
      const client = await open(`subscriber${qos}`);
      await client.subscribe(topic, { qos: 2 });
      await client.message('kept');
      await publisher.publish(topic, '', { qos, retain: true });
      assert.equal((await client.message('')).retain, false);
      assert.deepEqual(await found(world, topic), []);
    }
  },
);

conforms('a message without RETAIN neither stores nor removes', { v3: '3.3.1-12', v5: '3.3.1-8' }, async (world) => {
  const { open, topic } = world;
  const publisher = await open('publisher');
  await publisher.publish(topic, 'one', { qos: 1 });
  assert.deepEqual(await found(world, topic), []);
  await publisher.publish(topic, 'kept', { qos: 1, retain: true });
  await publisher.publish(topic, 'two', { qos: 1 });
  await publisher.publish(topic, '', { qos: 1 });
  assert.deepEqual(await found(world, topic), ['kept']);
});

conforms(
  'retained messages outlive the session that published them',
  { v3: '3.1.2-7', v5: '3.3.1-5' },
  async (world) => {
    const publisher = await world.open('publisher', { clean: true });
    await publisher.publish(world.topic, 'kept', { qos: 1, retain: true });
    await publisher.disconnect();
    const clean = await world.open('publisher', { clean: true });
    await clean.disconnect();
    assert.deepEqual(await found(world, world.topic), ['kept']);
  },
);

conforms('wildcards find retained messages as they find others', { v3: '3.3.1-6', v5: '3.3.1-9' }, async (world) => {
  const publisher = await world.open('publisher');
  const { topic } = world;
  for (const name of ['', '/a', '/a/b', '/a/b/c', '/d/b']) {
    await publisher.publish(`${topic}${name}`, name, { qos: 1, retain: true });
  }
  await publisher.publish(topic, 'root', { qos: 1, retain: true });
  const want: Record<string, string[]> = {
    '': ['root'],
    '/#': ['/a', '/a/b', '/a/b/c', '/d/b', 'root'],
    '/+': ['/a'],
    '/+/b': ['/a/b', '/d/b'],
    '/a/#': ['/a', '/a/b', '/a/b/c'],
    '/+/+/+': ['/a/b/c'],
    '/x': [],
  };
  for (const [filter, payloads] of Object.entries(want)) {
    assert.deepEqual(await found(world, `${topic}${filter}`), payloads, filter);
  }
});

conforms(
  'retain handling 0 sends them at every SUBSCRIBE, 1 only to a new subscription, 2 never',
  { v5: '3.3.1-9 3.3.1-10 3.3.1-11 3.8.4-4' },
  async ({ open, topic }) => {
    const publisher = await open('publisher');
    await publisher.publish(topic, 'kept', { qos: 1, retain: true });
    for (const retainHandling of [0, 1, 2]) {
      const client = await open(`subscriber${retainHandling}`);
      await client.subscribe(topic, { qos: 1, retainHandling });
      if (retainHandling < 2) await client.message('kept');
      await client.quiet();
      await client.subscribe(topic, { qos: 1, retainHandling });
      if (retainHandling === 0) await client.message('kept');
      await client.quiet();
      await client.unsubscribe(topic);
      await client.subscribe(topic, { qos: 1, retainHandling });
      if (retainHandling < 2) await client.message('kept');
      await client.quiet();
    }
  },
);

conforms(
  'subscribing again sends the retained messages again, and loses none of the others',
  { v3: '3.8.4-3', v5: '3.8.4-3 3.8.4-4' },
  async ({ open, topic, version }) => {
    const client = await open('subscriber');
    const publisher = await open('publisher');
    await publisher.publish(topic, 'kept', { qos: 1, retain: true });
    await client.subscribe(topic, { qos: 1 });
    await client.message('kept');
    for (let at = 0; at < 10; at++) {
      publisher.send(publish(version, topic, `m${at}`, { qos: 1, id: at + 1 }));
      if (at === 4) await client.subscribe(topic, { qos: 2 });
    }
    for (let at = 0; at < 10; at++) await publisher.expect('puback');
    const payloads = (await client.messages(11)).map(({ payload }) => payload);
    assert.deepEqual(
      payloads.filter((payload) => payload !== 'kept'),
      Array.from({ length: 10 }, (_, at) => `m${at}`),
    );
    await client.quiet();
  },
);

conforms(
  'the retained message is limited to the QoS of the subscription',
  { v3: '3.8.4-6', v5: '3.8.4-8' },
  async (world) => {
    const { open, topic } = world;
    await (await open('publisher')).publish(topic, 'kept', { qos: 2, retain: true });
    for (const qos of [0, 1, 2]) {
      const client = await open(`subscriber${qos}`);
      await client.subscribe(topic, { qos });
      assert.equal((await client.message('kept')).qos, qos);
    }
  },
);

conforms(
  'a retained message keeps its properties',
  { v5: '3.3.2-4 3.3.2-15 3.3.2-16 3.3.2-17 3.3.2-20' },
  async ({ open, topic }) => {
    const properties = {
      payloadFormat: 1,
      contentType: 'text/plain',
      responseTopic: 'answer/here',
      correlationData: 'c-1',
      userProperty: [
        ['b', '1'],
        ['a', '2'],
        ['b', '1'],
      ] as [string, string][],
    };
    await (await open('publisher')).publish(topic, 'kept', { qos: 1, retain: true, properties });
    const client = await open('subscriber');
    await client.subscribe(topic, { qos: 1, properties: { subscriptionIdentifier: 268_435_455 } });
    assert.deepEqual((await client.message('kept')).properties, {
      ...properties,
      subscriptionIdentifier: [268_435_455],
    });
  },
);

conforms(
  'a wildcard at the first level finds no retained message of a $ topic',
  { v3: '4.7.2-1', v5: '4.7.2-1' },
  async (world) => {
    await (await world.open('publisher')).publish(`$x/${world.topic}`, 'hidden', { qos: 1, retain: true });
    assert.deepEqual(await found(world, `+/${world.topic}`), []);
  },
);
