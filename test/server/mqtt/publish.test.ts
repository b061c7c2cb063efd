import assert from 'node:assert/strict';
import { startTarget } from './broker.ts';
import { conformsOn } from './conforms.ts';
import { acknowledge, type Packet, publish } from './packet.ts';
import { string } from './properties.ts';

const target = await startTarget();
const conforms = conformsOn(target);

const shown = (packets: readonly Packet[]): unknown => packets.map(({ payload, qos }) => `${payload} ${qos}`);

conforms(
  'each QoS has its answer, with the packet identifier of the message',
  { v3: '2.3.1-6 3.3.4-1 4.3.2-2 4.3.3-2', v5: '2.2.1-5 3.3.4-1 3.4.2-1 3.5.2-1 3.7.2-1 4.3.2-4 4.3.3-8 4.3.3-11' },
  async ({ open, topic, version }) => {
    const client = await open();
    // Nobody subscribes: 5.0 may say so.
    const fine = version === 5 ? [0, 0x10] : [0];
    for (const id of [1, 2, 0x7fff, 0x8000, 0xffff]) {
      client.send(publish(version, topic, 'one', { qos: 1, id }));
      const puback = await client.expect('puback');
      assert.equal(puback.id, id);
      assert.ok(fine.includes(puback.reason));
      client.send(publish(version, topic, 'two', { qos: 2, id }));
      const pubrec = await client.expect('pubrec');
      assert.equal(pubrec.id, id);
      assert.ok(fine.includes(pubrec.reason));
      assert.equal((await client.release(id)).reason, 0);
    }
    client.send(publish(version, topic, 'zero'));
    await client.ping();
  },
);

conforms(
  'messages of every QoS go out with DUP 0 and a packet identifier where they need one',
  { v3: '2.3.1-1 2.3.1-5 3.3.1-2 4.3.1-1 4.3.2-1 4.3.3-1', v5: '2.2.1-2 2.2.1-4 3.3.1-2 4.3.1-1 4.3.2-2 4.3.3-2' },
  async ({ open, topic }) => {
    const client = await open('subscriber');
    await client.subscribe(topic, { qos: 2 });
    const publisher = await open('publisher');
    for (const qos of [0, 1, 2]) {
      await publisher.publish(topic, `q${qos}`, { qos });
      const message = await client.message(`q${qos}`);
      assert.equal(message.qos, qos);
      assert.equal(message.dup, false);
      assert.equal(message.id > 0, qos > 0);
      assert.equal(message.topic, topic);
    }
  },
);

conforms(
  'messages under way have packet identifiers of their own',
  { v3: '2.3.1-2 2.3.1-4 4.3.2-1 4.3.3-1', v5: '2.2.1-4 4.3.2-1 4.3.3-1' },
  async ({ open, topic }) => {
    const client = await open('subscriber');
    await client.subscribe(topic, { qos: 2 });
    const publisher = await open('publisher');
    for (let count = 0; count < 10; count++) await publisher.publish(topic, `m${count}`, { qos: 1 + (count % 2) });
    const messages: Packet[] = [];
    while (messages.length < 10) messages.push(await client.expect('publish'));
    assert.equal(new Set(messages.map(({ id }) => id)).size, 10);
    for (const message of messages) await client.acknowledge(message);
    await client.quiet();
  },
);

conforms(
  'DUP of what comes in is not passed on',
  { v3: '3.3.1-3', v5: '3.3.1-3' },
  async ({ open, topic, version }) => {
    const client = await open('subscriber');
    await client.subscribe(topic, { qos: 2 });
    const publisher = await open('publisher');
    publisher.send(publish(version, topic, 'one', { qos: 1, id: 1, dup: true }));
    await publisher.expect('puback');
    publisher.send(publish(version, topic, 'two', { qos: 2, id: 2, dup: true }));
    await publisher.expect('pubrec');
    await publisher.release(2);
    for (const payload of ['one', 'two']) assert.equal((await client.message(payload)).dup, false);
  },
);

conforms(
  'after PUBACK the same packet identifier is a new message, DUP or not',
  { v3: '4.3.2-2', v5: '4.3.2-5' },
  async ({ open, topic, version }) => {
    const client = await open('subscriber');
    await client.subscribe(topic, { qos: 1 });
    const publisher = await open('publisher');
    for (const dup of [false, true]) {
      publisher.send(publish(version, topic, `dup ${String(dup)}`, { qos: 1, id: 9, dup }));
      await publisher.expect('puback');
      await client.message(`dup ${String(dup)}`);
    }
  },
);

conforms(
  'a QoS 2 message sent again before PUBREL is acknowledged, and delivered once',
  { v3: '4.3.3-2', v5: '4.3.3-10' },
  async ({ open, topic, version }) => {
    const client = await open('subscriber');
    await client.subscribe(topic, { qos: 2 });
    const publisher = await open('publisher');
    for (const dup of [false, true, true]) {
      publisher.send(publish(version, topic, 'once', { qos: 2, id: 5, dup }));
      assert.equal((await publisher.expect('pubrec')).id, 5);
    }
    await publisher.release(5);
    await client.message('once');
    await client.quiet();
  },
);

conforms(
  'after PUBCOMP the same packet identifier is a new message',
  { v3: '4.3.3-2', v5: '4.3.3-12' },
  async ({ open, topic }) => {
    const client = await open('subscriber');
    await client.subscribe(topic, { qos: 2 });
    const publisher = await open('publisher');
    await publisher.publish(topic, 'first', { qos: 2, id: 5 });
    await publisher.publish(topic, 'second', { qos: 2, id: 5 });
    assert.deepEqual(shown(await client.messages(2)), ['first 2', 'second 2']);
  },
);

conforms(
  'PUBREL is answered, also when it comes again',
  { v3: '4.3.3-2', v5: '3.7.2-1 4.3.3-11' },
  async ({ open, topic, version }) => {
    const publisher = await open('publisher');
    await publisher.publish(topic, 'x', { qos: 2, id: 5 });
    const again = await publisher.release(5);
    assert.ok(version === 4 || [0, 0x92].includes(again.reason), `reason ${again.reason}`);
    await publisher.ping();
  },
);

conforms(
  'PUBREC is answered with PUBREL of its packet identifier, also when it comes again',
  { v3: '2.3.1-6 4.3.3-1', v5: '2.2.1-5 3.6.2-1 4.3.3-4' },
  async ({ open, topic }) => {
    const client = await open('subscriber');
    await client.subscribe(topic, { qos: 2 });
    await (await open('publisher')).publish(topic, 'x', { qos: 2 });
    const { id } = await client.expect('publish');
    for (let count = 0; count < 2; count++) {
      client.send(acknowledge('pubrec', id));
      const pubrel = await client.expectRelease(id);
      assert.equal(pubrel.reason, 0);
    }
    client.send(acknowledge('pubcomp', id));
    await client.quiet();
  },
);

conforms('a refused QoS 2 message is not released', { v5: '4.3.3-4' }, async ({ open, topic }) => {
  const client = await open('subscriber');
  await client.subscribe(topic, { qos: 2 });
  await (await open('publisher')).publish(topic, 'x', { qos: 2 });
  const { id } = await client.expect('publish');
  client.send(acknowledge('pubrec', id, 0x97));
  await client.ping();
  await client.quiet();
});

conforms('an acknowledgement of nothing is passed over', { v5: '3.6.2-1' }, async ({ open }) => {
  const client = await open();
  client.send(acknowledge('pubrec', 77));
  const pubrel = await client.expectRelease(77);
  assert.ok([0, 0x92].includes(pubrel.reason));
  client.send(acknowledge('pubcomp', 77));
  client.send(acknowledge('puback', 78));
  await client.ping();
});

conforms(
  'messages of a topic and QoS arrive in the order in which each client published them',
  { v3: '4.6.0-5 4.6.0-6', v5: '4.6.0-5 4.6.0-6' },
  async ({ open, topic, version }) => {
    const count = 60;
    for (const qos of [0, 1, 2]) {
      const client = await open(`subscriber${qos}`);
      const name = `${topic}/${qos}`;
      await client.subscribe(name, { qos });
      const publishers = [await open(`a${qos}`), await open(`b${qos}`)];
      for (let at = 0; at < count; at++) {
        for (const [which, publisher] of publishers.entries()) {
          publisher.send(publish(version, name, `${which} ${at}`, { qos, id: at + 1 }));
          if (qos === 2) publisher.send(acknowledge('pubrel', at + 1));
        }
      }
      const messages = await client.messages(2 * count);
      for (const which of ['0', '1']) {
        const from = messages.filter(({ payload }) => payload.startsWith(which));
        assert.deepEqual(
          shown(from),
          Array.from({ length: count }, (_, at) => `${which} ${at} ${qos}`),
        );
      }
    }
  },
);

conforms(
  'a message comes once with the highest QoS of the subscriptions that match it, or once for each',
  { v3: '3.3.5-1', v5: '3.3.4-2' },
  async ({ open, topic }) => {
    const client = await open('subscriber');
    await client.subscribe(`${topic}/#`, { qos: 2 });
    await client.subscribe(`${topic}/+`, { qos: 1 });
    await client.subscribe(`${topic}/x`, { qos: 0 });
    await (await open('publisher')).publish(`${topic}/x`, 'm', { qos: 2 });
    // Mosquitto sends one for each, which is as good.
    const came = await client.messages(target.own === null ? 3 : 1);
    assert.equal(Math.max(...came.map(({ qos }) => qos)), 2);
    await client.quiet();
  },
);

conforms(
  'the QoS of a message is the lower of its own and the one granted',
  { v3: '3.8.4-6', v5: '3.8.4-8' },
  async ({ open, topic }) => {
    const publisher = await open('publisher');
    for (const granted of [0, 1, 2]) {
      const client = await open(`subscriber${granted}`);
      await client.subscribe(`${topic}/${granted}`, { qos: granted });
      for (const qos of [0, 1, 2]) {
        await publisher.publish(`${topic}/${granted}`, `${qos}`, { qos });
        assert.equal((await client.message(`${qos}`)).qos, Math.min(qos, granted));
      }
    }
  },
);

conforms(
  'what a client publishes comes back to it when it subscribes',
  { v3: '4.5.0-1', v5: '4.5.0-1' },
  async ({ open, topic }) => {
    const client = await open();
    await client.subscribe(topic, { qos: 2 });
    for (const qos of [0, 1, 2]) {
      await client.publish(topic, `${qos}`, { qos });
      await client.message(`${qos}`);
    }
  },
);

conforms(
  'payloads of any bytes and of no bytes pass as they are',
  { v3: '3.3.2-1', v5: '3.3.2-1' },
  async ({ open, topic, version }) => {
    const client = await open('subscriber');
    await client.subscribe(topic, { qos: 1 });
    const publisher = await open('publisher');
    const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    for (const payload of [Buffer.alloc(0), every, Buffer.alloc(70_000, 0xff)]) {
      publisher.send(publish(version, topic, payload, { qos: 1 }));
      await publisher.expect('puback');
      const { bytes } = await client.message();
      assert.ok(bytes.subarray(bytes.length - payload.length).equals(payload));
    }
  },
);

conforms(
  'a topic comes as it was published, whatever characters it has',
  { v3: '1.5.3-3 3.3.2-3 4.7.3-4', v5: '1.5.4-3 3.3.2-3 4.7.3-4' },
  async ({ open, topic }) => {
    const client = await open('subscriber');
    await client.subscribe(`${topic}/#`, { qos: 1 });
    const publisher = await open('publisher');
    const names = [
      '\ufeffbom',
      'a.b*c%2A',
      'ü/ü',
      '//',
      ' ',
      'Ａ',
      '\u{1f600}',
      'x'.repeat(300),
      `${'y/'.repeat(90)}z`,
    ];
    for (const name of names) {
      await publisher.publish(`${topic}/${name}`, 'm', { qos: 1 });
      assert.equal((await client.message('m')).topic, `${topic}/${name}`);
    }
  },
);

conforms('a topic may have 65,535 bytes', { v3: '4.7.3-3', v5: '4.7.3-3' }, async ({ open, topic }) => {
  const client = await open('subscriber');
  const long = `${topic}/${'l'.repeat(65_534 - topic.length)}`;
  await client.subscribe([long, `${topic}/+`], { qos: 1 });
  await (await open('publisher')).publish(long, 'm', { qos: 1 });
  assert.equal((await client.message('m')).topic, long);
});

conforms('a string with the sequence EF BB BF keeps it', { v3: '1.5.3-3', v5: '1.5.4-3' }, async ({ open, topic }) => {
  const marked = await open('marked');
  const plain = await open('plain');
  await marked.subscribe(`${topic}/\ufeffx`, { qos: 1 });
  await plain.subscribe(`${topic}/x`, { qos: 1 });
  assert.deepEqual(string('\ufeff').subarray(2), Buffer.from([0xef, 0xbb, 0xbf]));
  await (await open('publisher')).publish(`${topic}/\ufeffx`, 'm', { qos: 1 });
  assert.equal((await marked.message('m')).topic, `${topic}/\ufeffx`);
  await plain.quiet();
});

conforms(
  'answers come in the order of what they answer',
  { v3: '4.3.2-2', v5: '4.3.2-4' },
  async ({ open, topic, version }) => {
    const keeper = await open('keeper', { durable: true });
    await keeper.subscribe(`${topic}/kept`, { qos: 2 });
    const publisher = await open('publisher');
    const asked: string[] = [];
    for (let id = 1; id <= 30; id++) {
      const qos = 1 + (id % 2);
      publisher.send(publish(version, id % 3 === 0 ? `${topic}/kept` : `${topic}/nobody`, 'm', { qos, id }));
      asked.push(`${qos === 1 ? 'puback' : 'pubrec'} ${id}`);
    }
    const answered: string[] = [];
    while (answered.length < asked.length) {
      const answer = await publisher.next();
      answered.push(`${answer?.type} ${answer?.id}`);
    }
    assert.deepEqual(answered, asked);
  },
);
