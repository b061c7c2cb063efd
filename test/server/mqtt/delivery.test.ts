/** Deliveries where several rules of the specifications meet. */
import assert from 'node:assert/strict';
import { startTarget } from './broker.ts';
import { conformsOn } from './conforms.ts';
import { acknowledge, type Packet, publish } from './packet.ts';

const target = await startTarget({ durable: true });
const conforms = conformsOn(target);

const numbers = (count: number, from = 0): string[] => Array.from({ length: count }, (_, at) => `m${from + at}`);
const payloads = (packets: readonly Packet[]): string[] => packets.map(({ payload }) => payload);

conforms(
  'what was under way at a takeover goes to the newer connection, before what is new',
  { v3: '4.4.0-1 4.6.0-1 3.1.4-2', v5: '4.4.0-1 3.1.4-3' },
  async ({ open, topic }) => {
    const older = await open('same', { durable: true });
    await older.subscribe(topic, { qos: 2 });
    const publisher = await open('publisher');
    for (const [at, payload] of numbers(6).entries()) await publisher.publish(topic, payload, { qos: 1 + (at % 2) });
    const sent: Packet[] = [];
    while (sent.length < 6) sent.push(await older.expect('publish'));
    const newer = await open('same', { durable: true });
    await publisher.publish(topic, 'm6', { qos: 2 });
    const again = await newer.messages(7);
    assert.deepEqual(payloads(again), numbers(7));
    assert.deepEqual(
      again.slice(0, 6).map(({ id, dup }) => [id, dup]),
      sent.map(({ id }) => [id, true]),
    );
    assert.equal(again[6]!.dup, false);
    await newer.quiet();
  },
);

conforms(
  'a session of one version is the same session in the other',
  { v3: '3.1.2-4', v5: '3.1.2-5' },
  async ({ version, raw, open, topic }) => {
    const first = raw('both', version);
    await first.connect({ durable: true });
    await first.subscribe(topic, { qos: 2 });
    await first.disconnect();
    await (await open('publisher')).publish(topic, 'm', { qos: 2 });
    const second = raw('both', version === 4 ? 5 : 4);
    assert.equal((await second.connect({ durable: true })).sessionPresent, true);
    assert.equal((await second.message('m')).qos, 2);
  },
);

conforms(
  'a clean start can begin a session that lasts',
  { v5: '3.1.2-4 3.1.2-23' },
  async ({ open, reopen, topic }) => {
    for (const sessionExpiry of [100, 0xffff_ffff]) {
      const name = `client${sessionExpiry}`;
      const first = await open(name, { clean: true, properties: { sessionExpiry } });
      await first.subscribe(topic, { qos: 1 });
      first.drop();
      const [second, connack] = await reopen(name, { clean: false, properties: { sessionExpiry: 0 } });
      assert.equal(connack.sessionPresent, true);
      await second.disconnect();
      // The expiry of the latest connection holds.
      assert.equal((await reopen(name, { clean: false }))[1].sessionPresent, false);
    }
  },
);

conforms(
  'many retained messages come one at a time to who takes one at a time',
  { v5: '3.3.4-9 3.3.1-9' },
  async ({ open, topic }) => {
    const publisher = await open('publisher');
    for (const payload of numbers(20))
      await publisher.publish(`${topic}/${payload}`, payload, { qos: 1, retain: true });
    const client = await open('client', { properties: { receiveMaximum: 1 } });
    await client.subscribe(`${topic}/+`, { qos: 1 });
    const came: string[] = [];
    while (came.length < 20) {
      const message = await client.expect('publish');
      await client.ping();
      assert.equal(client.pending, 0);
      came.push(message.payload);
      await client.acknowledge(message);
    }
    assert.deepEqual(came.sort(), numbers(20).sort());
  },
);

conforms(
  'a shared subscription keeps messages while all of its members are away',
  { v5: '4.5.0-1 4.8.2-3' },
  async ({ open, topic }) => {
    const filter = `$share/group/${topic}`;
    for (const name of ['a', 'b']) {
      const member = await open(name, { durable: true });
      await member.subscribe(filter, { qos: 1 });
      await member.disconnect();
    }
    const publisher = await open('publisher');
    for (const payload of numbers(5)) await publisher.publish(topic, payload, { qos: 1 });
    await target.restart();
    const back = await open('b', { durable: true });
    assert.deepEqual(payloads(await back.messages(5)), numbers(5));
    await back.quiet();
  },
);

conforms('a member that goes leaves what it did not acknowledge to the others', { v5: '4.8.2-3' }, async (world) => {
  const { open, topic } = world;
  const first = await open('first');
  await first.subscribe(`$share/group/${topic}`, { qos: 1 });
  const publisher = await open('publisher');
  for (const payload of numbers(5)) await publisher.publish(topic, payload, { qos: 1 });
  for (let count = 0; count < 5; count++) await first.expect('publish');
  const second = await open('second');
  await second.subscribe(`$share/group/${topic}`, { qos: 1 });
  first.drop();
  assert.deepEqual(payloads(await second.messages(5)).sort(), numbers(5));
  await second.quiet();
});

conforms(
  'options of subscriptions outlive connection and broker',
  { v5: '3.8.3-3 3.3.1-13 3.3.4-3 3.1.2-23' },
  async ({ open, topic }) => {
    const options = { qos: 1, noLocal: true, retainAsPublished: true, properties: { subscriptionIdentifier: 9 } };
    const first = await open('keeper', { durable: true });
    await first.subscribe(topic, options);
    await first.disconnect();
    await target.restart();
    const second = await open('keeper', { durable: true });
    await second.publish(topic, 'own', { qos: 1 });
    await (await open('publisher')).publish(topic, 'm', { qos: 1, retain: true });
    const message = await second.message('m');
    assert.equal(message.retain, true);
    assert.deepEqual(message.properties.subscriptionIdentifier, [9]);
    await second.quiet();
  },
);

conforms(
  'large messages pass at every QoS, live, kept and retained',
  { v3: '3.3.2-1 4.5.0-1', v5: '3.3.2-1 4.5.0-1' },
  async ({ open, topic }) => {
    const large = 'x'.repeat(3_000_000);
    const client = await open('keeper', { durable: true });
    await client.subscribe(topic, { qos: 2 });
    const publisher = await open('publisher');
    for (const qos of [0, 1, 2]) {
      await publisher.publish(topic, large, { qos, retain: qos === 2 });
      assert.ok((await client.message()).payload === large);
    }
    await client.disconnect();
    await publisher.publish(topic, large, { qos: 1 });
    const back = await open('keeper', { durable: true });
    assert.ok((await back.message()).payload === large);
    const late = await open('late');
    await late.subscribe(topic, { qos: 1 });
    const retained = await late.message();
    assert.ok(retained.payload === large && retained.retain);
  },
);

conforms(
  'packet identifiers are used again, and none that is still in use',
  { v3: '2.3.1-2 2.3.1-4', v5: '2.2.1-4' },
  async ({ open, topic, version }) => {
    const client = await open('client');
    await client.subscribe(topic, { qos: 1 });
    const publisher = await open('publisher');
    await publisher.publish(topic, 'held', { qos: 1 });
    const held = await client.expect('publish');
    const count = 33_000;
    const step = 500;
    const seen = new Set<number>();
    for (let from = 0; from < count; from += step) {
      const packets = Array.from({ length: step }, (_, at) => publish(version, topic, 'm', { qos: 1, id: at + 1 }));
      publisher.send(...packets);
      const acknowledgements: Buffer[] = [];
      for (let at = 0; at < step; at++) {
        const { id } = await client.expect('publish');
        assert.notEqual(id, held.id);
        seen.add(id);
        acknowledgements.push(acknowledge('puback', id));
      }
      client.send(...acknowledgements);
      for (let at = 0; at < step; at++) await publisher.expect('puback');
    }
    assert.ok(seen.size < count, 'some were used twice');
    await client.acknowledge(held);
    await client.quiet();
  },
);

conforms(
  'a message reaches every kind of subscriber once',
  { v5: '4.5.0-1 3.3.4-2 4.8.2-3', v3: '4.5.0-1 3.3.5-1' },
  async ({ open, topic, version }) => {
    const live = await open('live');
    await live.subscribe(`${topic}/#`);
    const durable = await open('durable', { durable: true });
    await durable.subscribe([`${topic}/a`, `${topic}/+`, `${topic}/#`], { qos: 1 });
    const away = await open('away', { durable: true });
    await away.subscribe(`${topic}/a`, { qos: 2 });
    await away.disconnect();
    const shared = version === 5 ? await open('shared') : null;
    await shared?.subscribe(`$share/g/${topic}/#`, { qos: 2 });
    const publisher = await open('publisher');
    for (const qos of [0, 1, 2]) {
      await publisher.publish(`${topic}/a`, `q${qos}`, { qos });
      for (const client of [live, durable, ...(shared === null ? [] : [shared])]) {
        await client.message(`q${qos}`);
      }
    }
    const back = await open('away', { durable: true });
    const came: string[] = [];
    while (came.at(-1) !== 'q2') came.push((await back.message()).payload);
    // QoS 0 may have been kept for it as well.
    assert.deepEqual(
      came.filter((payload) => payload !== 'q0'),
      ['q1', 'q2'],
    );
    for (const client of [live, durable, back]) await client.quiet();
  },
);
