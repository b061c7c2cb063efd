import assert from 'node:assert/strict';
import { startTarget } from './broker.ts';
import { conformsOn } from './conforms.ts';
import { acknowledge, disconnect, type Packet } from './packet.ts';

const target = await startTarget();
const conforms = conformsOn(target);

conforms(
  'a session is resumed with its subscriptions and with what came for it meanwhile',
  { v3: '3.1.2-4 3.1.2-5 3.1.4-3 3.2.2-2 4.1.0-1 4.5.0-1', v5: '3.1.2-5 3.1.2-23 3.1.4-4 3.2.2-3 4.1.0-1 4.5.0-1' },
  async ({ open, reopen, topic }) => {
    const [first, connack] = await reopen('keeper', { durable: true });
    assert.equal(connack.sessionPresent, false);
    await first.subscribe(topic, { qos: 2 });
    await first.disconnect();
    const publisher = await open('publisher');
    await publisher.publish(topic, 'one', { qos: 1 });
    await publisher.publish(topic, 'two', { qos: 2 });
    const [second, resumed] = await reopen('keeper', { durable: true });
    assert.equal(resumed.sessionPresent, true);
    const messages = await second.messages(2);
    assert.deepEqual(
      messages.map(({ payload, qos, dup }) => ({ payload, qos, dup })),
      [
        { payload: 'one', qos: 1, dup: false },
        { payload: 'two', qos: 2, dup: false },
      ],
    );
    await publisher.publish(topic, 'three', { qos: 1 });
    await second.message('three');
  },
);

conforms(
  'a first connection makes a new session',
  { v3: '3.1.2-4 3.2.2-3', v5: '3.1.2-6 3.2.2-3' },
  async ({ reopen }) => {
    assert.equal((await reopen('fresh', { durable: true }))[1].sessionPresent, false);
  },
);

conforms(
  'a clean connection discards the session',
  { v3: '3.1.2-6 3.1.4-3 3.2.2-1', v5: '3.1.2-4 3.1.4-4 3.2.2-2' },
  async ({ open, reopen, topic }) => {
    const first = await open('keeper', { durable: true });
    await first.subscribe(topic, { qos: 1 });
    await first.disconnect();
    const publisher = await open('publisher');
    await publisher.publish(topic, 'for the old session', { qos: 1 });
    const [clean, connack] = await reopen('keeper', { clean: true });
    assert.equal(connack.sessionPresent, false);
    await publisher.publish(topic, 'for nobody', { qos: 1 });
    await clean.quiet();
    await clean.disconnect();
    assert.equal((await reopen('keeper', { durable: true }))[1].sessionPresent, false);
  },
);

conforms(
  'a clean session ends with its connection',
  { v3: '3.1.2-6', v5: '4.1.0-2' },
  async ({ open, reopen, topic }) => {
    const first = await open('brief');
    await first.subscribe(topic, { qos: 1 });
    await first.disconnect();
    const [again, connack] = await reopen('brief', { durable: true });
    assert.equal(connack.sessionPresent, false);
    await (await open('publisher')).publish(topic, 'gone', { qos: 1 });
    await again.quiet();
  },
);

conforms(
  'a session belongs to its client identifier',
  { v3: '3.1.3-2', v5: '3.1.3-2' },
  async ({ open, reopen, topic }) => {
    const first = await open('one', { durable: true });
    await first.subscribe(topic, { qos: 1 });
    await first.disconnect();
    await (await open('publisher')).publish(topic, 'for one', { qos: 1 });
    const [other, connack] = await reopen('oneandmore', { durable: true });
    assert.equal(connack.sessionPresent, false);
    await other.quiet();
    await (await open('one', { durable: true })).message('for one');
  },
);

conforms(
  'a client that connects again ends the older connection',
  { v3: '3.1.4-2', v5: '3.1.4-3' },
  async ({ open, reopen, topic, version }) => {
    const older = await open('same', { durable: true });
    await older.subscribe(topic, { qos: 1 });
    const [newer, connack] = await reopen('same', { durable: true });
    assert.equal(connack.sessionPresent, true);
    const farewell = await older.untilEnd();
    assert.deepEqual(
      farewell.map(({ type, reason }) => ({ type, reason })),
      [...(version === 5 ? [{ type: 'disconnect', reason: 0x8e }] : [])],
    );
    await (await open('publisher')).publish(topic, 'to the newer', { qos: 1 });
    await newer.message('to the newer');
  },
);

conforms(
  'a client that is taken over by a clean one loses its session',
  { v3: '3.1.4-2', v5: '3.1.4-3 3.1.2-4' },
  async (world) => {
    const older = await world.open('same', { durable: true });
    await older.subscribe(world.topic, { qos: 1 });
    const [newer, connack] = await world.reopen('same', { clean: true });
    assert.equal(connack.sessionPresent, false);
    await older.untilEnd();
    await (await world.open('publisher')).publish(world.topic, 'x', { qos: 1 });
    await newer.quiet();
  },
);

conforms(
  'the state of a session stays as long as its connection is open',
  { v3: '4.1.0-2', v5: '4.1.0-1' },
  async ({ open, topic }) => {
    const client = await open('client');
    await client.subscribe(topic, { qos: 1 });
    const publisher = await open('publisher');
    await publisher.publish(topic, 'held', { qos: 1 });
    const held = await client.expect('publish');
    for (let count = 0; count < 20; count++) await publisher.publish(topic, `m${count}`, { qos: 1 });
    await client.acknowledge(held);
    const messages = await client.messages(20);
    assert.deepEqual(
      messages.map(({ payload }) => payload),
      Array.from({ length: 20 }, (_, count) => `m${count}`),
    );
  },
);

conforms(
  'unacknowledged messages are sent again with their packet identifiers, in their order',
  { v3: '2.3.1-4 3.3.1-1 4.4.0-1 4.6.0-1', v5: '3.3.1-1 4.4.0-1 4.3.2-3 4.3.3-3' },
  async ({ open, topic }) => {
    const first = await open('keeper', { durable: true });
    await first.subscribe(topic, { qos: 2 });
    const publisher = await open('publisher');
    for (const [at, qos] of [1, 2, 1, 2, 1].entries()) await publisher.publish(topic, `m${at}`, { qos });
    const sent: Packet[] = [];
    while (sent.length < 5) sent.push(await first.expect('publish'));
    assert.ok(sent.every(({ dup }) => !dup));
    first.drop();
    const second = await open('keeper', { durable: true });
    const again = await second.messages(5);
    const shown = (packets: readonly Packet[]): unknown =>
      packets.map(({ id, payload, qos }) => ({ id, payload, qos }));
    assert.deepEqual(shown(again), shown(sent));
    assert.ok(again.every(({ dup }) => dup));
    await second.quiet();
  },
);

conforms(
  'PUBREL is sent again, and PUBLISH is not, once PUBREC came',
  { v3: '4.3.3-1 4.4.0-1', v5: '4.3.3-5 4.3.3-6 4.4.0-1' },
  async ({ open, topic }) => {
    const first = await open('keeper', { durable: true });
    await first.subscribe(topic, { qos: 2 });
    await (await open('publisher')).publish(topic, 'once', { qos: 2 });
    const { id } = await first.expect('publish');
    first.send(acknowledge('pubrec', id));
    await first.expectRelease(id);
    first.drop();
    const second = await open('keeper', { durable: true });
    await second.expectRelease(id);
    second.drop();
    const third = await open('keeper', { durable: true });
    await third.expectRelease(id);
    third.send(acknowledge('pubcomp', id));
    await third.quiet();
    await third.disconnect();
    const fourth = await open('keeper', { durable: true });
    await fourth.quiet();
  },
);

conforms(
  'an acknowledged message is not sent again',
  { v3: '4.3.2-1', v5: '4.3.2-3 4.4.0-1' },
  async ({ open, topic }) => {
    const first = await open('keeper', { durable: true });
    await first.subscribe(topic, { qos: 1 });
    const publisher = await open('publisher');
    await publisher.publish(topic, 'acknowledged', { qos: 1 });
    await publisher.publish(topic, 'not', { qos: 1 });
    await first.message('acknowledged');
    const { id } = await first.expect('publish');
    // What the server has read it has done when it answers what came behind.
    await first.ping();
    first.drop();
    const second = await open('keeper', { durable: true });
    const again = await second.message('not');
    assert.equal(again.id, id);
    assert.equal(again.dup, true);
    await second.quiet();
  },
);

conforms('a refused message counts as delivered', { v5: '4.4.0-2' }, async ({ open, topic }) => {
  const first = await open('keeper', { durable: true });
  await first.subscribe(topic, { qos: 2 });
  const publisher = await open('publisher');
  await publisher.publish(topic, 'one', { qos: 1 });
  await publisher.publish(topic, 'two', { qos: 2 });
  const one = await first.expect('publish');
  const two = await first.expect('publish');
  first.send(acknowledge('puback', one.id, 0x83), acknowledge('pubrec', two.id, 0x83));
  await first.quiet();
  first.drop();
  await (await open('keeper', { durable: true })).quiet();
});

conforms('nothing is sent again while the connection lasts', { v5: '4.4.0-1' }, async ({ open, topic }) => {
  const client = await open('client');
  await client.subscribe(topic, { qos: 2 });
  const publisher = await open('publisher');
  await publisher.publish(topic, 'one', { qos: 1 });
  await publisher.publish(topic, 'two', { qos: 2 });
  await client.expect('publish');
  await client.expect('publish');
  await client.quiet();
});

conforms(
  'QoS 0 messages of an absent client need not be kept, the others must',
  { v3: '3.1.2-5', v5: '3.1.2-23' },
  async ({ open, topic }) => {
    const first = await open('keeper', { durable: true });
    await first.subscribe(topic, { qos: 1 });
    await first.disconnect();
    const publisher = await open('publisher');
    await publisher.publish(topic, 'zero', { qos: 0 });
    await publisher.publish(topic, 'one', { qos: 1 });
    const second = await open('keeper', { durable: true });
    let message = await second.message();
    if (message.payload === 'zero') message = await second.message();
    assert.equal(message.payload, 'one');
    await second.quiet();
  },
);

conforms('the subscriptions of a session last', { v3: '4.1.0-1', v5: '3.1.2-23' }, async ({ open, topic }) => {
  const first = await open('keeper', { durable: true });
  await first.subscribe([`${topic}/a/+`, `${topic}/b/#`], { qos: 1 });
  await first.subscribe(`${topic}/c`, { qos: 0 });
  await first.unsubscribe(`${topic}/b/#`);
  await first.disconnect();
  const second = await open('keeper', { durable: true });
  const publisher = await open('publisher');
  await publisher.publish(`${topic}/a/x`, 'a', { qos: 1 });
  await second.message('a');
  await publisher.publish(`${topic}/b/x`, 'b', { qos: 1 });
  await publisher.publish(`${topic}/c`, 'c');
  await second.message('c');
  await second.quiet();
});

conforms(
  'DISCONNECT can give the session another time to live',
  { v5: '3.1.2-23 4.1.0-2' },
  async ({ open, reopen }) => {
    const lasting = await open('one', { durable: true });
    await lasting.disconnect(0, { sessionExpiry: 0 });
    assert.equal((await reopen('one', { clean: false }))[1].sessionPresent, false);
    const brief = await open('two', { properties: { sessionExpiry: 1 } });
    await brief.disconnect(0, { sessionExpiry: 3600 });
    assert.equal((await reopen('two', { clean: false }))[1].sessionPresent, true);
  },
);

conforms(
  'DISCONNECT can not give life to a session that was to end with its connection',
  { v5: '3.14.4-1 4.13.1-1' },
  async ({ open, reopen }) => {
    const client = await open('one');
    client.send(disconnect(5, 0, { sessionExpiry: 100 }));
    await client.refused(0x82);
    assert.equal((await reopen('one', { clean: false }))[1].sessionPresent, false);
  },
);
