import assert from 'node:assert/strict';
import { startTarget } from './broker.ts';
import { conformsOn } from './conforms.ts';
import { publish, subscribe } from './packet.ts';
import { type Properties, string, u8 } from './properties.ts';

const target = await startTarget();
const conforms = conformsOn(target);

const whole: Properties = {
  payloadFormat: 1,
  contentType: 'application/json; charset=utf-8',
  responseTopic: 'answers/to/me',
  correlationData: '\u0001\u0000binary',
  userProperty: [
    ['z', '1'],
    ['a', ''],
    ['z', '1'],
    ['', 'nameless'],
    ['\ufeffü', '\u{1f600}'],
  ],
};

conforms(
  'the properties of a message reach every subscriber as they are, user properties in their order',
  { v5: '3.1.3-10 3.3.2-4 3.3.2-15 3.3.2-16 3.3.2-17 3.3.2-18 3.3.2-20 1.5.4-3' },
  async ({ open, topic }) => {
    const clients = [await open('a'), await open('b')];
    for (const [qos, client] of clients.entries()) await client.subscribe(topic, { qos: 2 * qos });
    const keeper = await open('keeper', { durable: true });
    await keeper.subscribe(topic, { qos: 2 });
    await keeper.disconnect();
    const publisher = await open('publisher');
    for (const qos of [0, 1, 2]) {
      await publisher.publish(topic, '{}', { qos, properties: whole });
      for (const client of clients) assert.deepEqual((await client.message('{}')).properties, whole);
    }
    const back = await open('keeper', { durable: true });
    for (const { properties } of await back.messages(2)) assert.deepEqual(properties, whole);
  },
);

conforms('a message without properties says so with a length of zero', { v5: '2.2.2-1' }, async ({ open, topic }) => {
  const client = await open();
  await client.subscribe(topic, { qos: 1 });
  for (const qos of [0, 1]) {
    await client.publish(topic, 'm', { qos });
    assert.deepEqual((await client.message('m')).properties, {});
  }
});

conforms('every property is optional, and each passes alone', { v5: '3.3.2-4 3.3.2-17' }, async ({ open, topic }) => {
  const client = await open();
  await client.subscribe(topic, { qos: 1 });
  const alone: Properties[] = [
    { payloadFormat: 0 },
    { payloadFormat: 1 },
    { contentType: '' },
    { correlationData: '' },
    { responseTopic: 'r' },
    { userProperty: [['', '']] },
    { userProperty: Array.from({ length: 200 }, (_, at) => [`k${at % 7}`, `v${at}`] as const) },
  ];
  for (const properties of alone) {
    await client.publish(topic, 'm', { qos: 1, properties });
    assert.deepEqual((await client.message('m')).properties, properties);
  }
});

conforms(
  'a 3.1.1 subscriber gets the message without its properties',
  { v3: '3.3.2-3', v5: '3.3.2-3' },
  async (world) => {
    const { topic } = world;
    const old = world.raw('old', 4);
    await old.connect();
    await old.subscribe(topic, { qos: 1 });
    const publisher = world.raw('new', 5);
    await publisher.connect();
    await publisher.publish(topic, 'm', { qos: 1, properties: whole });
    assert.deepEqual((await old.message('m')).properties, {});
    await publisher.subscribe(topic, { qos: 1 });
    await old.publish(topic, 'from the old', { qos: 1 });
    await old.message('from the old');
    assert.deepEqual((await publisher.message('from the old')).properties, {});
  },
);

conforms('a response topic must be a topic without wildcards', { v5: '3.3.2-14 3.3.2-13' }, async ({ open, topic }) => {
  const bad = [string('a/+'), string('#'), string(Buffer.from([0xff]))];
  for (const [at, value] of bad.entries()) {
    const client = await open(`client${at}`);
    client.send(publish(5, topic, 'x', { properties: Buffer.concat([u8(8), value]) }));
    await client.refused(0x81, 0x82, 0x90);
  }
});

conforms(
  'strings of properties must be UTF-8 without a null character',
  { v5: '1.5.4-1 1.5.4-2 1.5.7-1 3.3.2-19' },
  async (world) => {
    const bad = [Buffer.from([0xff]), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from('a\0')];
    for (const [at, value] of bad.entries()) {
      const cases = [
        [u8(3), string(value)],
        [u8(0x26), string('k'), string(value)],
        [u8(0x26), string(value), string('v')],
      ];
      for (const [which, parts] of cases.entries()) {
        const client = await world.open(`client${at}x${which}`);
        client.send(publish(5, world.topic, 'x', { properties: Buffer.concat(parts) }));
        await client.refused(0x81, 0x82);
      }
    }
  },
);

conforms(
  'a request finds its answer by response topic and correlation data',
  { v5: '3.3.2-15 3.3.2-16' },
  async (world) => {
    const { open, topic } = world;
    const responder = await open('responder');
    await responder.subscribe(`${topic}/requests`, { qos: 1 });
    const requester = await open('requester');
    await requester.subscribe(`${topic}/answers/me`, { qos: 1 });
    const properties = { responseTopic: `${topic}/answers/me`, correlationData: 'number 7' };
    await requester.publish(`${topic}/requests`, 'how much', { qos: 1, properties });
    const request = await responder.message('how much');
    const { responseTopic, correlationData } = request.properties;
    await responder.publish(responseTopic!, '42', { qos: 1, properties: { correlationData: correlationData! } });
    assert.equal((await requester.message('42')).properties.correlationData, 'number 7');
  },
);

conforms('the topic alias of the publisher is not passed on', { v5: '3.3.2-7 3.1.2-27' }, async ({ open, topic }) => {
  const client = await open('subscriber');
  await client.subscribe(topic, { qos: 1 });
  const publisher = await open('publisher');
  await publisher.publish(topic, 'm', { qos: 1, properties: { topicAlias: 3 } });
  assert.deepEqual((await client.message('m')).properties, {});
});

conforms('an alias stands for the topic it was sent with', { v5: '3.3.2-12' }, async ({ open, reopen, topic }) => {
  const client = await open('subscriber');
  await client.subscribe(`${topic}/#`, { qos: 1 });
  const [publisher, { properties }] = await reopen('publisher');
  const highest = properties.topicAliasMaximum ?? 0;
  assert.ok(highest > 0, 'the server takes aliases');
  for (const alias of new Set([1, highest])) {
    const named = { properties: { topicAlias: alias } };
    for (const name of [`${topic}/one/${alias}`, `${topic}/two/${alias}`]) {
      publisher.send(publish(5, name, 'with its topic', named));
      assert.equal((await client.message('with its topic')).topic, name);
      for (const qos of [0, 1]) {
        publisher.send(publish(5, '', 'by alias', { ...named, qos }));
        assert.equal((await client.message('by alias')).topic, name);
      }
      await publisher.expect('puback');
    }
  }
});

conforms(
  'an alias that is 0, too high or unknown is refused',
  { v5: '3.3.2-8 3.3.2-9 3.2.2-17 4.13.1-1' },
  async (world) => {
    const [probe, { properties }] = await world.reopen('probe');
    probe.drop();
    const tooHigh = (properties.topicAliasMaximum ?? 0) + 1;
    for (const [at, [topic, topicAlias, ...reasons]] of (
      [
        [world.topic, 0, 0x94, 0x82],
        [world.topic, tooHigh, 0x94],
        ['', 1, 0x82, 0x94],
      ] as const
    ).entries()) {
      const client = await world.open(`client${at}`);
      client.send(publish(5, topic, 'x', { properties: { topicAlias } }));
      await client.refused(...reasons);
    }
  },
);

conforms('an alias ends with its connection', { v5: '3.3.2-7' }, async ({ open, topic }) => {
  const first = await open('publisher', { durable: true });
  await first.publish(topic, 'x', { properties: { topicAlias: 1 } });
  await first.disconnect();
  const second = await open('publisher', { durable: true });
  second.send(publish(5, '', 'x', { properties: { topicAlias: 1 } }));
  await second.refused(0x82, 0x94);
});

conforms('no aliases are sent to a client that asked for none', { v5: '3.1.2-27' }, async ({ open, topic }) => {
  for (const properties of [{}, { topicAliasMaximum: 0 }]) {
    const client = await open(`client${Object.keys(properties).length}`, { properties });
    await client.subscribe(topic, { qos: 1 });
    for (let count = 0; count < 4; count++) {
      await client.publish(topic, 'm', { qos: count % 2 });
      const message = await client.message('m');
      assert.equal(message.topic, topic);
      assert.equal(message.properties.topicAlias, undefined);
    }
  }
});

conforms(
  'aliases that the server sends stay within what the client allows, and stand for their topics',
  { v5: '3.1.2-26 3.3.2-11' },
  async ({ open, topic }) => {
    const client = await open('client', { properties: { topicAliasMaximum: 3 } });
    await client.subscribe(`${topic}/+`, { qos: 1 });
    const publisher = await open('publisher');
    const topics = new Map<number, string>();
    let aliased = 0;
    for (let count = 0; count < 30; count++) {
      const name = `${topic}/${count % 5}`;
      await publisher.publish(name, name, { qos: count % 2 });
      const message = await client.message(name);
      const alias = message.properties.topicAlias;
      if (alias === undefined) {
        assert.equal(message.topic, name);
        continue;
      }
      assert.ok(alias >= 1 && alias <= 3, `alias ${alias}`);
      if (message.topic !== '') topics.set(alias, message.topic);
      else aliased++;
      assert.equal(topics.get(alias), name);
    }
    if (target.own !== null) assert.ok(aliased > 0, 'aliases are used');
  },
);

conforms('aliases of the server end with the connection', { v5: '3.3.2-7' }, async ({ open, topic }) => {
  const properties = { topicAliasMaximum: 5, sessionExpiry: 100 };
  const publisher = await open('publisher');
  for (let round = 0; round < 2; round++) {
    const client = await open('keeper', { clean: false, properties });
    if (round === 0) await client.subscribe(topic, { qos: 1 });
    for (let count = 0; count < 3; count++) {
      await publisher.publish(topic, 'm', { qos: 1 });
      const message = await client.message('m');
      if (count === 0) assert.equal(message.topic, topic);
    }
    await client.disconnect();
  }
});

conforms(
  'reason strings and user properties come only to a client that takes them',
  { v5: '3.1.2-29' },
  async (world) => {
    const { topic } = world;
    const client = await world.open('client', { properties: { requestProblemInfo: 0 } });
    const answers = [
      await client.subscribe([topic, `${topic}/+bad`.replace('/+', '/')]),
      await client.publish(topic, 'm', { qos: 1 }),
      await client.publish(topic, 'm', { qos: 2 }),
      await client.unsubscribe([topic, 'never/subscribed']),
      await client.release(99),
    ];
    for (const { type, properties } of answers) {
      assert.equal(properties.reasonString, undefined, type);
      assert.equal(properties.userProperty, undefined, type);
    }
  },
);

conforms(
  'why a message is refused is told where the client wants to know, and has room for it',
  { v5: '3.1.2-29 3.4.2-1 3.4.2-2 3.5.2-1 3.5.2-2 4.3.3-9' },
  async ({ open, topic }) => {
    if (target.own === null) return;
    // More than is stored beside a message.
    const properties = { userProperty: Array.from({ length: 15_000 }, (_, at) => [`k${at}`, 'v'] as const) };
    for (const [name, asked] of [
      ['told', {}],
      ['silent', { requestProblemInfo: 0 }],
      ['small', { maximumPacketSize: 20 }],
    ] as const) {
      const client = await open(name, { properties: asked });
      for (const qos of [1, 2]) {
        const answer = await client.publish(topic, 'x', { qos, id: 9, properties });
        assert.equal(answer.reason, 0x97);
        assert.equal(answer.properties.reasonString === undefined, name !== 'told');
      }
      // The identifier is free again.
      await client.publish(topic, 'x', { qos: 2, id: 9 });
    }
  },
);

conforms('a SUBSCRIBE may have user properties', { v5: '3.8.4-1' }, async ({ open, topic }) => {
  const client = await open();
  client.send(subscribe(5, 3, [topic], { properties: { userProperty: [['a', 'b']], subscriptionIdentifier: 9 } }));
  assert.deepEqual((await client.expect('suback')).reasons, [0]);
});
