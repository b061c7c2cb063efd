/** Bad input: each packet that is malformed or breaks the protocol ends its own connection, with the reason the specification has for it, and disturbs nobody. */
import assert from 'node:assert/strict';
import { startTarget } from './broker.ts';
import { conformsOn, type Statements } from './conforms.ts';
import { acknowledge, auth, connect, packet, publish, subscribe, unsubscribe, type Version } from './packet.ts';
import { properties, string, u16, u8 } from './properties.ts';

const target = await startTarget({ settings: { maxTopicLevels: 50, maxTopicBytes: 1_000 } });
const conforms = conformsOn(target);

const malformed = 0x81;
const protocolError = 0x82;
const hex = (bytes: string): Buffer => Buffer.from(bytes.replaceAll(' ', ''), 'hex');
const none = (version: Version): Buffer => (version === 5 ? u8(0) : Buffer.alloc(0));

type Make = (version: Version, topic: string) => Buffer;

/** After a good CONNECT these bytes end the connection, with one of these reasons if any is told; another client notices nothing. */
function ends(title: string, statements: Statements, reasons: readonly number[], ...cases: readonly Make[]): void {
  conforms(title, statements, async ({ open, topic, version }) => {
    const watcher = await open('watcher');
    await watcher.subscribe(`${topic}/#`, { qos: 1 });
    for (const [at, make] of cases.entries()) {
      const client = await open(`client${at}`);
      client.send(make(version, topic));
      await client.refused(...reasons).catch((error: unknown) => {
        throw new Error(`case ${at}, ${make(version, topic).subarray(0, 40).toString('hex')}`, { cause: error });
      });
    }
    await watcher.quiet();
  });
}

ends(
  'a remaining length of more than four bytes is malformed',
  { v3: '4.8.0-1', v5: '4.13.1-1' },
  [malformed, 0x95],
  () => hex('30 ffffffff7f'),
  () => hex('30 8080808001'),
  () => hex('c0 ffffffffff'),
);

ends(
  'a length that is longer than it need be is malformed',
  { v5: '1.5.5-1' },
  [malformed],
  () => packet('publish', 0, string('t'), hex('8000')),
  () => packet('subscribe', 2, u16(1), hex('0b8000'), string('t'), u8(0)),
  () => packet('subscribe', 2, u16(1), hex('03 0b8100'), string('t'), u8(0)),
);

ends(
  'a length of properties of more than four bytes, or beyond the packet, is malformed',
  { v5: '1.5.5-1 4.13.1-1' },
  [malformed],
  () => packet('publish', 0, string('t'), hex('ffffffff7f')),
  () => packet('publish', 0, string('t'), hex('7f 0100')),
  () => packet('publish', 0, string('t'), hex('02 03')),
  () => packet('publish', 0, string('t'), hex('05 03 0009 6162')),
  () => packet('subscribe', 2, u16(1), hex('7f'), string('t'), u8(0)),
);

ends(
  'a packet of a type that clients do not send is refused',
  { v3: '2.2.2-2 4.8.0-1', v5: '2.1.3-1 4.13.1-1' },
  [malformed, protocolError],
  () => packet(0, 0),
  () => packet('connack', 0, hex('0000')),
  (version) => packet('suback', 0, u16(1), none(version), u8(0)),
  (version) => packet('unsuback', 0, u16(1), none(version)),
  () => packet('pingresp', 0),
);

ends('packet type 15 is none of 3.1.1', { v3: '2.2.2-2 4.8.0-1' }, [], () => packet(15, 0));

ends(
  'reserved header flags are malformed',
  { v3: '2.2.2-1 2.2.2-2', v5: '2.1.3-1' },
  [malformed],
  () => packet('puback', 1, u16(1)),
  () => packet('pubrec', 2, u16(1)),
  () => packet('pubcomp', 8, u16(1)),
  () => packet('pingreq', 1),
  (version) => packet('connect', 1, connect(version).subarray(2)),
);

ends(
  'a PUBLISH with both QoS bits is malformed',
  { v3: '3.3.1-4', v5: '3.3.1-4' },
  [malformed],
  (version, topic) => publish(version, topic, 'x', { qos: 3 }),
  (version, topic) => publish(version, topic, 'x', { qos: 3, dup: true, retain: true }),
);

ends(
  'packet identifier 0 is refused',
  { v3: '2.3.1-1', v5: '2.2.1-3' },
  [malformed, protocolError],
  (version, topic) => publish(version, topic, 'x', { qos: 1, id: 0 }),
  (version, topic) => publish(version, topic, 'x', { qos: 2, id: 0 }),
  (version, topic) => subscribe(version, 0, [topic]),
  (version, topic) => unsubscribe(version, 0, [topic]),
);

ends(
  'a PUBLISH without a topic is refused',
  { v3: '3.3.2-1 4.7.3-1', v5: '3.3.2-1 4.7.3-1' },
  [malformed, protocolError, 0x90],
  (version) => publish(version, '', 'x'),
  (version) => publish(version, '', 'x', { qos: 1 }),
);

ends(
  'a topic must be UTF-8, without a null character',
  { v3: '1.5.3-1 1.5.3-2 3.3.2-1 4.7.3-2', v5: '1.5.4-1 1.5.4-2 3.3.2-1 4.7.3-2' },
  [malformed, 0x90],
  // Cut, overlong, surrogates, beyond U+10FFFF, a byte that none begins with, the null character.
  ...['61c3', 'c080', 'e08080', 'eda080', 'edbfbf', 'f4908080', 'f8888080', 'ff', '610062', '80'].map(
    (bytes) => (version: Version) => publish(version, hex(bytes), 'x'),
  ),
);

ends(
  'a packet that ends before its fields do is malformed',
  { v3: '4.8.0-1', v5: '4.13.1-1' },
  [malformed],
  () => packet('publish', 0),
  () => packet('publish', 0, hex('00')),
  () => packet('publish', 0, hex('0005 6162')),
  () => packet('publish', 2, string('t'), hex('01')),
  () => packet('puback', 0),
  () => packet('puback', 0, hex('01')),
  () => packet('pubrel', 2, hex('01')),
  () => packet('subscribe', 2),
  (version) => packet('subscribe', 2, u16(1), none(version), string('topic')),
  (version) => packet('subscribe', 2, u16(1), none(version), hex('0009 61')),
  () => packet('unsubscribe', 2, u8(1)),
  (version) => packet('unsubscribe', 2, u16(1), none(version), hex('0009 61')),
);

ends(
  'a packet that goes on beyond its fields is malformed',
  { v3: '4.8.0-1', v5: '4.13.1-1' },
  [malformed, protocolError],
  () => packet('pingreq', 0, u8(0)),
  (version) => (version === 5 ? packet('puback', 0, u16(1), hex('00 00 00')) : packet('puback', 0, u16(1), u8(0))),
  (version) => (version === 5 ? packet('pubrel', 2, u16(1), hex('00 00 00')) : packet('pubrel', 2, u16(1), u8(0))),
  (version) => (version === 5 ? packet('disconnect', 0, hex('00 00 00')) : packet('disconnect', 0, u8(0))),
);

ends(
  'a property that may come once and comes twice is a protocol error',
  { v5: '4.13.1-1' },
  [malformed, protocolError],
  ...['0101 0101', '02 00000001 02 00000001', '03 0001 61 03 0001 61', '08 0001 61 08 0001 61', '09 0000 09 0000'].map(
    (twice) => (_: Version, topic: string) => publish(5, topic, 'x', { properties: hex(twice) }),
  ),
  (_, topic) => publish(5, topic, 'x', { properties: hex('23 0001 23 0001') }),
  (_, topic) => subscribe(5, 1, [topic], { properties: hex('0b01 0b01') }),
  () => packet('puback', 0, u16(1), u8(0), properties(hex('1f0000 1f0000'))),
  () => packet('disconnect', 0, u8(0), properties(hex('11 00000000 11 00000000'))),
);

ends(
  'a property that the packet has not, or that there is not, is malformed',
  { v5: '4.13.1-1' },
  [malformed, protocolError],
  ...[
    '04 00',
    '00',
    '7f 00',
    '8001 00',
    '11 00000001',
    '13 0001',
    '21 0001',
    '27 00000100',
    '1f 0000',
    '18 00000001',
  ].map((wrong) => (_: Version, topic: string) => publish(5, topic, 'x', { properties: hex(wrong) })),
  (_, topic) => subscribe(5, 1, [topic], { properties: hex('0101') }),
  (_, topic) => unsubscribe(5, 1, [topic], hex('0b01')),
  () => packet('puback', 0, u16(1), u8(0), properties(hex('0101'))),
  () => packet('disconnect', 0, u8(0), properties(hex('13 0001'))),
);

ends(
  'a value that a property can not have is a protocol error',
  { v5: '4.13.1-1' },
  [malformed, protocolError],
  (_, topic) => publish(5, topic, 'x', { properties: hex('0102') }),
  (_, topic) => publish(5, topic, 'x', { properties: hex('01ff') }),
);

ends(
  'an AUTH of a client that logged in without one is a protocol error',
  { v5: '4.12.0-7' },
  [protocolError, malformed],
  () => auth(0x18, { authMethod: 'X' }),
  () => auth(0x19, { authMethod: 'X' }),
  () => auth(0, {}),
  () => packet('auth', 0),
);

ends(
  'reserved flags of AUTH are malformed',
  { v5: '3.15.1-1' },
  [malformed],
  () => packet('auth', 1, u8(0x18), properties({ authMethod: 'X' })),
  () => packet('auth', 8, u8(0x18), properties({ authMethod: 'X' })),
);

conforms('a CONNECT is read strictly', { v3: '3.1.4-1 3.2.2-6', v5: '3.1.4-1 4.13.1-1' }, async ({ raw, version }) => {
  const good = connect(version, { clientId: 'abc' });
  const cases = [
    packet('connect', 0),
    packet('connect', 0, hex('0004 4d515454')),
    packet('connect', 0, good.subarray(2, good.length - 1)),
    packet('connect', 0, good.subarray(2), u8(0)),
    packet('connect', 4, good.subarray(2)),
    hex('10 ffffffff7f'),
  ];
  if (version === 5) {
    for (const wrong of [
      '11 00000001 11 00000001',
      '17 02',
      '19 02',
      '21 0000',
      '27 00000000',
      '16 0001 61',
      '0101',
      '7f',
    ]) {
      cases.push(connect(5, { clientId: 'abc', properties: hex(wrong) }));
    }
    const willProperties = ['18 00000001 18 00000001', '0102', '23 0001', '11 00000001'];
    for (const wrong of willProperties) {
      cases.push(connect(5, { clientId: 'abc', will: { topic: 't', properties: hex(wrong) } }));
    }
  }
  for (const [at, bytes] of cases.entries()) {
    const client = raw();
    client.send(bytes);
    await client.refusedConnect(malformed, protocolError, 0x95).catch((error: unknown) => {
      throw new Error(`case ${at}, ${bytes.toString('hex')}`, { cause: error });
    });
  }
});

conforms('a packet may come byte by byte, and many at once', { v3: '4.8.0-1', v5: '4.13.1-1' }, async (world) => {
  const { topic, version } = world;
  const client = world.raw();
  const whole = Buffer.concat([
    connect(version, { clientId: client.clientId }),
    subscribe(version, 1, [topic], { qos: 1 }),
    publish(version, topic, 'one', { qos: 1, id: 2 }),
    publish(version, topic, 'two', { qos: 0 }),
    publish(version, topic, 'three', { qos: 1, id: 3 }),
  ]);
  for (const byte of whole) {
    client.send(u8(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await client.expect('connack');
  await client.expect('suback');
  await client.expect('puback');
  await client.expect('puback');
  const payloads = (await client.messages(3)).map(({ payload }) => payload);
  assert.deepEqual(payloads.sort(), ['one', 'three', 'two']);
});

conforms(
  'a topic of too many levels or bytes is refused, in a message and in a filter',
  { v5: '4.13.1-1' },
  async (world) => {
    if (target.own === null) return;
    for (const [at, topic] of ['a/'.repeat(60), 'x'.repeat(1_001)].entries()) {
      const publisher = await world.open(`publisher${at}`);
      publisher.send(publish(5, topic, 'x', { qos: 1 }));
      const answer = await publisher.next();
      assert.ok(answer === null || [0x90, 0x97, malformed].includes(answer.reason), JSON.stringify(answer));
      const subscriber = await world.open(`subscriber${at}`);
      subscriber.send(subscribe(5, 1, [topic]));
      const refusal = await subscriber.next();
      const code = refusal?.type === 'suback' ? refusal.reasons[0] : refusal?.reason;
      assert.ok(refusal === null || [0x8f, 0x97, malformed].includes(code!), JSON.stringify(refusal));
    }
  },
);

conforms('acknowledgements of nothing disturb nothing', { v3: '4.3.3-2', v5: '3.4.2-1 3.7.2-1' }, async ({ open }) => {
  const client = await open();
  client.send(acknowledge('puback', 1), acknowledge('pubcomp', 2), acknowledge('pubrel', 3));
  assert.equal((await client.expect('pubcomp')).id, 3);
  await client.ping();
});

conforms('a packet of many properties is read in time', { v5: '3.3.2-17' }, async ({ open, topic }) => {
  const client = await open();
  await client.subscribe(topic, { qos: 1 });
  const userProperty = Array.from({ length: 5_000 }, (_, at) => [`k${at}`, 'v'] as const);
  await client.publish(topic, 'm', { qos: 1, properties: { userProperty } });
  assert.equal((await client.message('m')).properties.userProperty?.length, 5_000);
});
