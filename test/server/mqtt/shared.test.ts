import assert from 'node:assert/strict';
import { startTarget } from './broker.ts';
import type { MqttClient } from './client.ts';
import { conformsOn } from './conforms.ts';
import { acknowledge, type Packet, subscribe } from './packet.ts';

const target = await startTarget();
const conforms = conformsOn(target);

/** What came to each of these clients until the end that each is sent. */
async function dealt(clients: readonly MqttClient[], publisher: MqttClient, topic: string): Promise<Packet[][]> {
  for (const client of clients) await client.subscribe(`${topic}/end`, { qos: 1 });
  await publisher.publish(`${topic}/end`, 'end', { qos: 1 });
  return Promise.all(
    clients.map(async (client) => {
      const came: Packet[] = [];
      for (;;) {
        const message = await client.message();
        if (message.payload === 'end') return came;
        came.push(message);
      }
    }),
  );
}

conforms(
  'each message goes to one member of a shared subscription, and to every other subscriber',
  { v5: '4.8.2-1 4.8.2-3' },
  async ({ open, topic }) => {
    const members = [await open('a'), await open('b'), await open('c')];
    for (const member of members) await member.subscribe(`$share/group/${topic}/x`, { qos: 1 });
    const second = await open('second');
    await second.subscribe(`$share/second/${topic}/+`, { qos: 1 });
    const plain = await open('plain');
    await plain.subscribe(`${topic}/x`, { qos: 1 });
    const publisher = await open('publisher');
    const payloads = Array.from({ length: 12 }, (_, at) => `m${at}`);
    for (const payload of payloads) await publisher.publish(`${topic}/x`, payload, { qos: 1 });
    const came = (await dealt([...members, second, plain], publisher, `${topic}/own`)).map((list) =>
      list.map(({ payload }) => payload),
    );
    assert.deepEqual(came.slice(0, 3).flat().sort(), [...payloads].sort());
    assert.ok(
      came.slice(0, 3).every(({ length }) => length > 0),
      'no member is left out',
    );
    assert.deepEqual(came[3], payloads);
    assert.deepEqual(came[4], payloads);
  },
);

conforms('a member gets each message with the QoS it was granted', { v5: '4.8.2-3' }, async ({ open, topic }) => {
  const publisher = await open('publisher');
  for (const granted of [0, 1, 2]) {
    const member = await open(`member${granted}`);
    assert.deepEqual((await member.subscribe(`$share/g${granted}/${topic}`, { qos: granted })).reasons, [granted]);
    for (const qos of [0, 1, 2]) {
      await publisher.publish(topic, `${qos}`, { qos });
      assert.equal((await member.message(`${qos}`)).qos, Math.min(qos, granted));
    }
    await member.disconnect();
  }
});

conforms('a share name that is none is refused', { v5: '4.8.2-1 4.8.2-2' }, async ({ open, topic }) => {
  for (const [at, filter] of [
    '$share/',
    '$share//x',
    '$share/g',
    '$share/g/',
    '$share/a+b/x',
    '$share/#/x',
    '$share/g+',
  ].entries()) {
    const client = await open(`client${at}`);
    client.send(subscribe(5, 1, [filter.replace('x', topic)]));
    const answer = await client.next();
    if (answer?.type === 'suback') assert.ok(answer.reasons[0]! >= 0x80, filter);
    else if (answer !== null) assert.ok([0x81, 0x82, 0x8f].includes(answer.reason), filter);
  }
});

conforms('no-local on a shared subscription is a protocol error', { v5: '3.8.3-4' }, async ({ open, topic }) => {
  const client = await open();
  client.send(subscribe(5, 1, [`$share/g/${topic}`], { noLocal: true }));
  await client.refused(0x82);
});

conforms(
  'what was begun with a member is completed with it when it comes back',
  { v5: '4.8.2-4' },
  async ({ open, topic }) => {
    const member = await open('member', { durable: true });
    await member.subscribe(`$share/group/${topic}`, { qos: 2 });
    const publisher = await open('publisher');
    await publisher.publish(topic, 'm', { qos: 2 });
    const { id } = await member.expect('publish');
    member.send(acknowledge('pubrec', id));
    await member.expectRelease(id);
    member.drop();
    const other = await open('other');
    await other.subscribe(`$share/group/${topic}`, { qos: 2 });
    await other.quiet();
    const back = await open('member', { durable: true });
    await back.expectRelease(id);
    back.send(acknowledge('pubcomp', id));
    await back.quiet();
    await other.quiet();
  },
);

conforms('what was begun with a member whose session ends goes to nobody else', { v5: '4.8.2-5' }, async (world) => {
  const { open, topic } = world;
  for (const stage of ['sent', 'received']) {
    const member = await open(`member${stage}`, { durable: true });
    await member.subscribe(`$share/${stage}/${topic}`, { qos: 2 });
    await (await open(`publisher${stage}`)).publish(topic, stage, { qos: 2 });
    const { id } = await member.expect('publish');
    if (stage === 'received') {
      member.send(acknowledge('pubrec', id));
      await member.expectRelease(id);
    }
    const other = await open(`other${stage}`);
    await other.subscribe(`$share/${stage}/${topic}`, { qos: 2 });
    member.drop();
    await open(`member${stage}`, { clean: true });
    await other.quiet();
    await other.unsubscribe(`$share/${stage}/${topic}`);
  }
});

conforms('a message that a member refuses goes to nobody else', { v5: '4.8.2-6' }, async ({ open, topic }) => {
  const members = [await open('a'), await open('b')];
  for (const member of members) await member.subscribe(`$share/group/${topic}`, { qos: 2 });
  for (const member of members) await member.subscribe(`${topic}/end`, { qos: 1 });
  const publisher = await open('publisher');
  for (const qos of [1, 2]) {
    await publisher.publish(topic, 'refused', { qos });
    await publisher.publish(`${topic}/end`, 'end', { qos: 1 });
    for (const member of members) {
      const message = await member.expect('publish');
      if (message.payload === 'end') {
        await member.acknowledge(message);
        continue;
      }
      member.send(acknowledge(qos === 1 ? 'puback' : 'pubrec', message.id, 0x83));
      await member.message('end');
    }
    for (const member of members) await member.quiet();
  }
});

conforms(
  'a member that unsubscribes gets no more, the others do',
  { v5: '3.10.4-2 4.8.2-1' },
  async ({ open, topic }) => {
    const [one, two] = [await open('one'), await open('two')];
    const filter = `$share/group/${topic}`;
    for (const member of [one, two]) await member.subscribe(filter, { qos: 1 });
    assert.deepEqual((await one.unsubscribe(filter)).reasons, [0]);
    assert.deepEqual((await one.unsubscribe(topic)).reasons, [0x11]);
    const publisher = await open('publisher');
    for (const payload of ['a', 'b', 'c']) {
      await publisher.publish(topic, payload, { qos: 1 });
      await two.message(payload);
    }
    await one.quiet();
  },
);

conforms('a shared subscription is sent no retained messages', { v5: '3.3.1-9' }, async ({ open, topic }) => {
  const publisher = await open('publisher');
  await publisher.publish(topic, 'kept', { qos: 1, retain: true });
  const member = await open('member');
  await member.subscribe(`$share/group/${topic}`, { qos: 1 });
  await member.quiet();
});

conforms(
  'a share and a plain subscription of the same client both deliver',
  { v5: '4.8.2-3' },
  async ({ open, topic }) => {
    const client = await open('client');
    await client.subscribe(`$share/group/${topic}`, { qos: 1, properties: { subscriptionIdentifier: 1 } });
    await client.subscribe(topic, { qos: 1, properties: { subscriptionIdentifier: 2 } });
    await (await open('publisher')).publish(topic, 'm', { qos: 1 });
    const ids = (await client.messages(2)).flatMap(({ properties }) => properties.subscriptionIdentifier ?? []);
    assert.deepEqual(ids.sort(), [1, 2]);
    await client.quiet();
  },
);
