import assert from 'node:assert/strict';
import { startTarget } from './broker.ts';
import { conformsOn } from './conforms.ts';
import { acknowledge, connect, packet, type Packet, publish } from './packet.ts';
import { u16, u8 } from './properties.ts';

const target = await startTarget({ settings: { maxPacketBytes: 100_000, receiveMaximum: 20 } });
const conforms = conformsOn(target);

conforms(
  'a client gets no more messages at once than it takes, and all of them in the end',
  { v5: '3.3.4-9 3.3.4-10 4.9.0-1 4.9.0-2 4.9.0-3' },
  async ({ open, topic }) => {
    for (const receiveMaximum of [1, 2, 5]) {
      const client = await open(`client${receiveMaximum}`, { properties: { receiveMaximum } });
      const name = `${topic}/${receiveMaximum}`;
      await client.subscribe(name, { qos: 2 });
      const publisher = await open(`publisher${receiveMaximum}`);
      for (let at = 0; at < 12; at++) await publisher.publish(name, `m${at}`, { qos: 1 + (at % 2) });
      const open_: Packet[] = [];
      for (let at = 0; at < 12; at++) {
        const message = await client.expect('publish');
        assert.equal(message.payload, `m${at}`);
        open_.push(message);
        if (open_.length < Math.min(receiveMaximum, 12 - at)) continue;
        // Other packets are answered while the quota is used up, and no message comes before one is acknowledged.
        await client.ping();
        assert.equal((await client.subscribe(`${name}/other`)).reasons[0], 0);
        assert.equal(client.pending, 0, 'more messages than Receive Maximum');
        const oldest = open_.shift()!;
        if (oldest.qos === 2) {
          client.send(acknowledge('pubrec', oldest.id));
          await client.expectRelease(oldest.id);
          await client.ping();
          assert.equal(client.pending, 0, 'PUBREC alone gives no room');
          client.send(acknowledge('pubcomp', oldest.id));
        } else {
          client.send(acknowledge('puback', oldest.id));
        }
      }
    }
  },
);

conforms('a refusal gives room for the next message', { v5: '3.3.4-9' }, async ({ open, topic }) => {
  const client = await open('client', { properties: { receiveMaximum: 1 } });
  await client.subscribe(topic, { qos: 2 });
  const publisher = await open('publisher');
  for (const payload of ['one', 'two', 'three']) await publisher.publish(topic, payload, { qos: 2 });
  for (const payload of ['one', 'two']) {
    const message = await client.expect('publish');
    assert.equal(message.payload, payload);
    client.send(acknowledge('pubrec', message.id, 0x97));
  }
  await client.message('three');
});

conforms('QoS 0 messages do not count', { v5: '3.3.4-9 4.9.0-2' }, async ({ open, topic }) => {
  const client = await open('client', { properties: { receiveMaximum: 1 } });
  await client.subscribe(`${topic}/0`, { qos: 0 });
  await client.subscribe(`${topic}/1`, { qos: 1 });
  const publisher = await open('publisher');
  await publisher.publish(`${topic}/1`, 'held', { qos: 1 });
  const held = await client.expect('publish');
  for (let at = 0; at < 5; at++) await publisher.publish(`${topic}/0`, `m${at}`);
  for (let at = 0; at < 5; at++) await client.message(`m${at}`);
  await client.acknowledge(held);
});

conforms(
  'a client that sends more at once than the server takes is told so',
  { v5: '3.3.4-7 4.13.1-1' },
  async ({ reopen, topic }) => {
    if (target.own === null) return;
    const [client, { properties }] = await reopen('client');
    const most = properties.receiveMaximum ?? 65_535;
    assert.equal(most, 20);
    for (let id = 1; id <= most; id++) client.send(publish(5, topic, 'x', { qos: 2, id }));
    for (let id = 1; id <= most; id++) assert.equal((await client.expect('pubrec')).id, id);
    await client.ping();
    client.send(publish(5, topic, 'x', { qos: 2, id: most + 1 }));
    await client.refused(0x93);
  },
);

conforms(
  'an exchange that is over gives the client its quota back',
  { v5: '4.9.0-2 3.3.4-7' },
  async ({ open, topic }) => {
    const client = await open();
    for (let at = 0; at < 60; at++) await client.publish(topic, 'x', { qos: 2 });
    for (let at = 0; at < 60; at++) await client.publish(topic, 'x', { qos: 1 });
  },
);

conforms(
  'messages larger than a client takes are not sent to it, and are done with',
  { v5: '3.1.2-24 3.1.2-25' },
  async ({ open, topic }) => {
    const small = { sessionExpiry: 100, maximumPacketSize: 60 };
    const client = await open('small', { clean: false, properties: small });
    const other = await open('other');
    for (const each of [client, other]) await each.subscribe(topic, { qos: 2 });
    const publisher = await open('publisher');
    const large = 'l'.repeat(60);
    for (const qos of [0, 1, 2]) {
      await publisher.publish(topic, large, { qos });
      await other.message(large);
      await publisher.publish(topic, `small ${qos}`, { qos });
      assert.ok((await client.message(`small ${qos}`)).bytes.length <= 60);
      await other.message(`small ${qos}`);
    }
    await client.disconnect();
    await publisher.publish(topic, 'while away', { qos: 1 });
    const larger = await open('small', { clean: false, properties: { sessionExpiry: 100 } });
    await larger.message('while away');
    await larger.ping();
    assert.equal(larger.pending, 0);
  },
);

conforms(
  'the largest packet that a client takes has exactly that size',
  { v5: '3.1.2-24' },
  async ({ open, topic }) => {
    const client = await open('client', { properties: { maximumPacketSize: 50 } });
    await client.subscribe(topic, { qos: 1 });
    // Type, length, topic with its length, packet identifier, property length.
    const room = 50 - 2 - 2 - topic.length - 2 - 1;
    await client.publish(topic, 'x'.repeat(room + 1), { qos: 1 });
    await client.publish(topic, 'y'.repeat(room), { qos: 1 });
    assert.equal((await client.message('y'.repeat(room))).bytes.length, 50);
  },
);

conforms(
  'answers leave out what would make them too large for the client',
  {
    v5: '3.1.2-24 3.2.2-19 3.4.2-2 3.4.2-3 3.5.2-2 3.5.2-3 3.6.2-2 3.6.2-3 3.7.2-2 3.7.2-3 3.9.2-1 3.9.2-2 3.11.2-1 3.11.2-2 3.14.2-3 3.14.2-4',
  },
  async ({ open, topic }) => {
    const client = await open('client', { properties: { maximumPacketSize: 20 } });
    const answers = [
      await client.subscribe([topic, `$share/g/${topic}`], { qos: 2 }),
      await client.publish(topic, 'a', { qos: 1 }),
      await client.release(999),
      await client.unsubscribe([`$share/g/${topic}`, 'none']),
    ];
    for (let count = 0; count < 2; count++) {
      const message = await client.expect('publish');
      if (message.qos === 2) await client.acknowledge(message);
      else client.send(acknowledge('puback', message.id, 0x80));
      answers.push(message);
      if (count === 0) answers.push(await client.publish(topic, 'b', { qos: 2 }));
    }
    client.send(acknowledge('pubrec', 998));
    answers.push(await client.expectRelease(998));
    client.send(publish(5, 'a/#', ''));
    for (const each of [...answers, ...(await client.untilEnd())]) assert.ok(each.bytes.length <= 20, each.type);
  },
);

conforms('Receive Maximum 0 and Maximum Packet Size 0 are refused', { v5: '4.9.0-1 3.1.4-1' }, async ({ raw }) => {
  for (const properties of [{ receiveMaximum: 0 }, { maximumPacketSize: 0 }]) {
    const client = raw();
    client.send(connect(5, { clientId: 'x', properties }));
    await client.refusedConnect(0x81, 0x82);
  }
});

conforms(
  'a packet larger than the server takes is refused at its head',
  { v5: '3.2.2-15', v3: '4.8.0-2' },
  async (world) => {
    if (target.own === null) return;
    const [client, { properties }] = await world.reopen('client');
    if (world.version === 5) assert.equal(properties.maximumPacketSize, 100_000);
    client.send(packet('publish', 0, u16(1), u8(0x61), ...(world.version === 5 ? [u8(0)] : []), Buffer.alloc(90_000)));
    await client.ping();
    // Its first bytes alone: nothing more has to come.
    client.send(Buffer.from([0x30, 0xa0, 0x8d, 0x06, 0, 1]));
    await client.refused(0x95);
  },
);
