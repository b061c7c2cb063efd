import assert from 'node:assert/strict';
import { startTarget } from './broker.ts';
import { conformsOn } from './conforms.ts';
import { packet, publish, subscribe, unsubscribe } from './packet.ts';
import { string, u16, u8 } from './properties.ts';

const target = await startTarget();
const conforms = conformsOn(target);

conforms(
  'SUBACK has the packet identifier, and a code for each filter in their order',
  {
    v3: '2.3.1-7 3.8.4-1 3.8.4-2 3.8.4-5 3.9.3-1 3.9.3-2',
    v5: '2.2.1-6 3.8.4-1 3.8.4-2 3.8.4-6 3.8.4-7 3.9.3-1 3.9.3-2',
  },
  async ({ open, topic, version }) => {
    const client = await open();
    const none = version === 5 ? u8(0) : Buffer.alloc(0);
    const filters = [2, 0, 1, 2].map((qos, at) => Buffer.concat([string(`${topic}/${at}`), u8(qos)]));
    for (const id of [1, 0x8000, 0xffff]) {
      client.send(packet('subscribe', 2, u16(id), none, ...filters));
      const suback = await client.expect('suback');
      assert.equal(suback.id, id);
      assert.deepEqual(suback.reasons, [2, 0, 1, 2]);
    }
  },
);

conforms(
  'many filters in one SUBSCRIBE are so many subscriptions',
  { v3: '3.8.4-4', v5: '3.8.4-5' },
  async ({ open, topic }) => {
    const client = await open();
    const filters = Array.from({ length: 50 }, (_, at) => `${topic}/${at}`);
    assert.equal((await client.subscribe([...filters, `${topic}/0`], { qos: 1 })).reasons.length, 51);
    const publisher = await open('publisher');
    for (const filter of filters) {
      await publisher.publish(filter, filter, { qos: 1 });
      await client.message(filter);
    }
    await client.quiet();
  },
);

conforms(
  'the same filter again replaces the subscription',
  { v3: '3.8.4-3', v5: '3.8.4-3' },
  async ({ open, topic }) => {
    const client = await open();
    const publisher = await open('publisher');
    for (const qos of [2, 0, 1]) {
      await client.subscribe(topic, { qos });
      await publisher.publish(topic, `at ${qos}`, { qos: 2 });
      assert.equal((await client.message(`at ${qos}`)).qos, qos);
    }
    await client.quiet();
    await client.unsubscribe(topic);
    await publisher.publish(topic, 'gone', { qos: 2 });
    await client.quiet();
  },
);

conforms(
  'UNSUBACK has the packet identifier, and a code for each filter',
  { v3: '2.3.1-7 3.10.4-4 3.10.4-5', v5: '2.2.1-6 3.10.4-4 3.10.4-5 3.11.3-1 3.11.3-2' },
  async ({ open, topic, version }) => {
    const client = await open();
    await client.subscribe([`${topic}/a`, `${topic}/b`]);
    const unsuback = await client.unsubscribe([`${topic}/a`, `${topic}/none`, `${topic}/b`]);
    if (version === 5) assert.deepEqual(unsuback.reasons, [0, 0x11, 0]);
    const again = await client.unsubscribe(`${topic}/a`);
    if (version === 5) assert.deepEqual(again.reasons, [0x11]);
  },
);

conforms(
  'UNSUBSCRIBE removes the subscription whose filter is the same to the letter, and no other',
  { v3: '3.10.4-1 3.10.4-2 3.10.4-6', v5: '3.10.4-1 3.10.4-2 3.10.4-6' },
  async ({ open, topic }) => {
    const client = await open();
    const publisher = await open('publisher');
    await client.subscribe([`${topic}/+`, `${topic}/a`, `${topic}/b/#`], { qos: 1 });
    await client.unsubscribe([`${topic}/#`, `${topic}/b`, `${topic}/b/+`, `${topic}/A`]);
    await publisher.publish(`${topic}/b/x`, 'still', { qos: 1 });
    await client.message('still');
    await client.unsubscribe([`${topic}/a`, `${topic}/b/#`]);
    await publisher.publish(`${topic}/b/x`, 'gone', { qos: 1 });
    await publisher.publish(`${topic}/a`, 'by the other', { qos: 1 });
    await client.message('by the other');
    await client.unsubscribe(`${topic}/+`);
    await publisher.publish(`${topic}/a`, 'gone', { qos: 1 });
    await client.quiet();
  },
);

conforms(
  'what is under way when UNSUBSCRIBE comes is completed',
  { v3: '3.10.4-3', v5: '3.10.4-3' },
  async ({ open, topic }) => {
    const client = await open();
    await client.subscribe(topic, { qos: 2 });
    const publisher = await open('publisher');
    await publisher.publish(topic, 'one', { qos: 1 });
    await publisher.publish(topic, 'two', { qos: 2 });
    const [one, two] = [await client.expect('publish'), await client.expect('publish')];
    await client.unsubscribe(topic);
    await publisher.publish(topic, 'three', { qos: 2 });
    await client.acknowledge(one);
    await client.acknowledge(two);
    await client.quiet();
  },
);

conforms(
  'what was under way at UNSUBSCRIBE is sent again to the session that comes back',
  { v3: '3.10.4-3', v5: '3.10.4-3' },
  async ({ open, topic }) => {
    const first = await open('keeper', { durable: true });
    await first.subscribe(topic, { qos: 1 });
    await (await open('publisher')).publish(topic, 'begun', { qos: 1 });
    const { id } = await first.expect('publish');
    await first.unsubscribe(topic);
    first.drop();
    const second = await open('keeper', { durable: true });
    const again = await second.message('begun');
    assert.deepEqual([again.id, again.dup], [id, true]);
    await second.quiet();
  },
);

conforms(
  'reserved header flags of SUBSCRIBE, UNSUBSCRIBE and PUBREL are malformed',
  { v3: '2.2.2-1 2.2.2-2 3.6.1-1 3.8.1-1 3.10.1-1', v5: '2.1.3-1 3.6.1-1 3.8.1-1 3.10.1-1' },
  async ({ open, topic, version }) => {
    for (const good of [
      subscribe(version, 1, [topic]),
      unsubscribe(version, 1, [topic]),
      packet('pubrel', 2, u16(1)),
    ]) {
      for (const flags of [0, 1, 3, 6, 0xa]) {
        const client = await open(`client${good[0]}x${flags}`);
        client.send(Buffer.concat([u8((good[0]! & 0xf0) | flags), good.subarray(1)]));
        await client.refused(0x81);
      }
    }
  },
);

conforms(
  'a SUBSCRIBE or UNSUBSCRIBE without a filter is refused',
  { v3: '3.8.3-3 3.10.3-2 4.8.0-1', v5: '3.8.3-2 3.10.3-2 4.13.1-1' },
  async ({ open, version }) => {
    for (const bad of [subscribe(version, 1, []), unsubscribe(version, 1, [])]) {
      const client = await open(`client${bad[0]}`);
      client.send(bad);
      await client.refused(0x81, 0x82);
    }
  },
);

conforms(
  'filters must be UTF-8 strings without a null character',
  { v3: '1.5.3-1 1.5.3-2 3.8.3-1 3.10.3-1 4.7.3-2', v5: '1.5.4-1 1.5.4-2 3.8.3-1 3.10.3-1 4.7.3-2' },
  async ({ open, topic, version }) => {
    const surrogate = Buffer.from([0x61, 0xed, 0xa0, 0x80]);
    for (const [at, bad] of [Buffer.from([0x61, 0xff]), surrogate, Buffer.from([0xc0, 0x80]), `${topic}\0`].entries()) {
      for (const make of [subscribe, unsubscribe]) {
        const client = await open(`client${at}${make.name}`);
        client.send(make(version, 1, [bad]));
        await client.refused(0x81, 0x8f);
      }
    }
  },
);

conforms('reserved bits and QoS 3 of a subscription are malformed', { v3: '3.8.3-4' }, async ({ open, topic }) => {
  for (const options of [3, 4, 0x10, 0x80, 0xff]) {
    const client = await open(`client${options}`);
    client.send(subscribe(4, 1, [topic], { options }));
    await client.refused();
  }
});

conforms(
  'reserved bits, QoS 3 and retain handling 3 of a subscription are refused',
  { v5: '3.8.3-5' },
  async (world) => {
    for (const options of [3, 0x30, 0x40, 0x80, 0xff]) {
      const client = await world.open(`client${options}`);
      client.send(subscribe(5, 1, [world.topic], { options }));
      await client.refused(0x81, 0x82);
    }
  },
);

conforms(
  'wildcards stand where they may, elsewhere the filter is refused',
  { v3: '4.7.1-2 4.7.1-3 4.7.3-1', v5: '4.7.1-1 4.7.1-2 4.7.3-1' },
  async ({ open, topic, version }) => {
    const client = await open('good');
    for (const filter of ['#', '+', '+/+', '/+', '+/', '/#', `${topic}/#`, `${topic}/+/x/#`, '+/tennis/#', '/', '//']) {
      assert.deepEqual((await client.subscribe(filter)).reasons, [0], filter);
      await client.unsubscribe(filter);
    }
    for (const [at, filter] of [
      '',
      'a#',
      'a/#/b',
      '#/a',
      'a/b#',
      'a+',
      '+a',
      'a/+b/c',
      'a/b+',
      '++',
      '##',
      '#/',
    ].entries()) {
      const bad = await open(`bad${at}`);
      bad.send(subscribe(version, 1, [filter]));
      // Refused in SUBACK, or with the connection.
      const answer = await bad.next();
      if (answer?.type === 'suback') assert.ok(answer.reasons[0]! >= 0x80, filter);
      else if (answer !== null) assert.ok([0x81, 0x82, 0x8f].includes(answer.reason), filter);
    }
  },
);

conforms(
  'a topic with wildcards can not be published',
  { v3: '3.3.2-2 4.7.1-1', v5: '3.3.2-2 4.7.0-1' },
  async (world) => {
    const { open, topic, version } = world;
    const watcher = await open('watcher');
    await watcher.subscribe(`${topic}/#`, { qos: 1 });
    for (const [at, name] of [`${topic}/#`, `${topic}/+`, `${topic}/a+b`, `${topic}/+/x`].entries()) {
      for (const qos of [0, 1]) {
        const client = await open(`bad${at}x${qos}`);
        client.send(publish(version, name, 'x', { qos }));
        await client.refused(0x81, 0x82, 0x90);
      }
    }
    await watcher.quiet();
  },
);

const matches: readonly (readonly [filter: string, topic: string, is: boolean])[] = [
  ['sport/tennis/player1/#', 'sport/tennis/player1', true],
  ['sport/tennis/player1/#', 'sport/tennis/player1/ranking', true],
  ['sport/tennis/player1/#', 'sport/tennis/player1/score/wimbledon', true],
  ['sport/#', 'sport', true],
  ['sport/tennis/+', 'sport/tennis/player1', true],
  ['sport/tennis/+', 'sport/tennis/player1/ranking', false],
  ['sport/+', 'sport', false],
  ['sport/+', 'sport/', true],
  ['+/+', '/finance', true],
  ['/+', '/finance', true],
  ['+', '/finance', false],
  ['#', 'a/b/c', true],
  ['#', '/', true],
  ['a/+/c', 'a//c', true],
  ['a/+/c', 'a/c', false],
  ['+/b/#', 'a/b', true],
  ['a//b', 'a/b', false],
  ['/a', 'a', false],
  ['a/', 'a', false],
  ['Accounts', 'ACCOUNTS', false],
  ['A\u030a', '\u00c5', false],
  ['a b', 'a b', true],
  ['#', '$other/x', false],
  ['+/x', '$other/x', false],
  ['$other/#', '$other/x', true],
  ['$other/+', '$other/x', true],
  ['$', '$', true],
  ['+', '$', false],
  ['a/+', 'a/$b', true],
  ['a/#', 'a/$b', true],
];

conforms(
  'filters match topics as the specification says',
  { v3: '4.7.1-2 4.7.1-3 4.7.2-1 4.7.3-4 3.3.2-3', v5: '4.7.1-1 4.7.1-2 4.7.2-1 4.7.3-4 3.3.2-3' },
  async ({ open }) => {
    const publisher = await open('publisher');
    for (const qos of [0, 1]) {
      for (const [at, [filter, topic, is]] of matches.entries()) {
        const client = await open(`subscriber${qos}x${at}`);
        await client.subscribe(filter, { qos, options: qos });
        await client.subscribe('end/of/match', { qos });
        await publisher.publish(topic, `${filter} ${topic}`, { qos });
        await publisher.publish('end/of/match', 'end', { qos });
        const first = await client.message();
        assert.equal(
          first.payload === `${filter} ${topic}`,
          is,
          `${filter} ${is ? 'matches' : 'does not match'} ${topic}`,
        );
        client.drop();
      }
    }
  },
);

conforms(
  'a client does not get its own messages where it asks for that',
  { v5: '3.8.3-3' },
  async ({ open, topic }) => {
    const client = await open('client');
    const other = await open('other');
    for (const qos of [0, 1, 2]) {
      await client.subscribe(`${topic}/${qos}`, { qos, noLocal: true });
      await client.publish(`${topic}/${qos}`, 'own', { qos });
      await client.quiet();
      await other.publish(`${topic}/${qos}`, 'of the other', { qos });
      await client.message('of the other');
      await client.subscribe(`${topic}/${qos}`, { qos });
      await client.publish(`${topic}/${qos}`, 'own after all', { qos });
      await client.message('own after all');
    }
  },
);

conforms(
  'subscription identifiers of all subscriptions that match come along',
  { v5: '3.3.4-3 3.3.4-4 3.3.4-5' },
  async (world) => {
    const { open, topic } = world;
    const client = await open('client');
    await client.subscribe(`${topic}/#`, { qos: 1, properties: { subscriptionIdentifier: 1 } });
    await client.subscribe(`${topic}/a`, { qos: 1, properties: { subscriptionIdentifier: 268_435_455 } });
    await client.subscribe(`${topic}/+`, { qos: 0 });
    await client.subscribe(`${topic}/b`, { qos: 1, properties: { subscriptionIdentifier: 128 } });
    const publisher = await open('publisher');
    for (const qos of [0, 1, 2]) {
      await publisher.publish(`${topic}/a`, 'm', { qos });
      const count = target.own === null ? 3 : 1;
      const messages = await client.messages(count);
      const ids = messages.flatMap(({ properties }) => properties.subscriptionIdentifier ?? []);
      assert.deepEqual(ids.sort(), [1, 268_435_455]);
    }
    await client.quiet();
    await client.subscribe(`${topic}/b`, { qos: 1, properties: { subscriptionIdentifier: 5 } });
    await client.unsubscribe([`${topic}/#`, `${topic}/+`]);
    await publisher.publish(`${topic}/b`, 'm', { qos: 1 });
    assert.deepEqual((await client.message()).properties.subscriptionIdentifier, [5]);
    await client.subscribe(`${topic}/b`, { qos: 1 });
    await publisher.publish(`${topic}/b`, 'm', { qos: 1 });
    assert.equal((await client.message()).properties.subscriptionIdentifier, undefined);
  },
);

conforms('subscription identifiers outlive the connection', { v5: '3.3.4-3' }, async ({ open, topic }) => {
  const first = await open('keeper', { durable: true });
  await first.subscribe(topic, { qos: 1, properties: { subscriptionIdentifier: 7 } });
  await first.disconnect();
  await (await open('publisher')).publish(topic, 'm', { qos: 1 });
  const second = await open('keeper', { durable: true });
  assert.deepEqual((await second.message('m')).properties.subscriptionIdentifier, [7]);
});

conforms('subscription identifier 0, or two of them, are refused', { v5: '4.13.1-1' }, async ({ open, topic }) => {
  const two = Buffer.from([0x0b, 1, 0x0b, 2]);
  for (const [at, properties] of [{ subscriptionIdentifier: 0 }, two].entries()) {
    const client = await open(`client${at}`);
    client.send(subscribe(5, 1, [topic], { properties }));
    await client.refused(0x81, 0x82);
  }
});

conforms(
  'a client may not send a subscription identifier with a message',
  { v5: '3.3.4-6' },
  async ({ open, topic }) => {
    const client = await open();
    client.send(publish(5, topic, 'x', { properties: { subscriptionIdentifier: 1 } }));
    await client.refused(0x81, 0x82);
  },
);
