/** What becomes of a publish of QoS 2 that a queue refused: its packet id is no sign that it is there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConnectionScope, Session } from '../../../src/broker/index.ts';
import { startTarget } from './broker.ts';
import { MqttClient } from './client.ts';
import { disconnect, publish, type Version } from './packet.ts';

const lines: string[] = [];
const target = await startTarget({ log: (line) => lines.push(line) });

for (const version of [4, 5] as const) {
  for (const waits of [true, false]) {
    const when = waits ? 'is told' : 'is gone before it is told';
    test(
      `a client of version ${version} that ${when} may send what was refused again`,
      { timeout: 300_000 },
      async () => {
        if (target.own === null) return;
        const name = `full-${version}-${waits}`;
        const full = await fullQueue(name);
        const client = await open(version, name);
        const sent = publish(version, name, 'refused', { qos: 2, id: 7 });
        // With DISCONNECT in the same read nobody is there when the batch comes back.
        client.send(...(waits ? [sent] : [sent, disconnect(version)]));
        if (waits && version === 5) assert.equal((await client.expect('pubrec')).reason, 0x97);
        else await client.untilEnd();
        await full.empty();
        const again = await open(version, name);
        again.send(publish(version, name, 'accepted', { qos: 2, id: 7, dup: true }));
        assert.equal((await again.expect('pubrec')).reason, 0);
        assert.equal(await full.length(), 1);
      },
    );
  }
}

test('a will that a queue refuses is told to the operator, and its session ends', { timeout: 300_000 }, async () => {
  if (target.own === null) return;
  const full = await fullQueue('refusing');
  const client = new MqttClient(target.port, 5, 'dying');
  await client.connect({ will: { topic: 'refusing', payload: 'the will', qos: 1 } });
  client.drop();
  const isTold = (line: string): boolean => line.includes('the will of "dying" was refused: max-length');
  while (!lines.some(isTold)) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(await full.length(), 1);
  const { subscribers } = target.own.broker.requireVhost('/');
  while (subscribers.find('guest', 'dying') !== undefined) await new Promise((resolve) => setTimeout(resolve, 10));
});

test('a publish that is too large is answered in its turn', { timeout: 300_000 }, async () => {
  const keeper = await open(5, 'keeper');
  await keeper.subscribe('order', { qos: 1 });
  const client = await open(5, 'large');
  const userProperty = Array.from({ length: 40 }, (_, at): [string, string] => [`${at}`, 'x'.repeat(4_000)]);
  for (const qos of [1, 2]) {
    const stored = publish(5, 'order', 'stored', { qos, id: 1 });
    client.send(stored, publish(5, 'order', 'large', { qos, id: 2, properties: { userProperty } }));
    const type = qos === 1 ? 'puback' : 'pubrec';
    const answers = [await client.expect(type), await client.expect(type)];
    assert.deepEqual(
      answers.map(({ id, reason }) => [id, reason]),
      [
        [1, 0],
        [2, 0x97],
      ],
    );
  }
});

async function open(version: Version, clientId: string): Promise<MqttClient> {
  const client = new MqttClient(target.port, version, clientId);
  await client.connect({ durable: true });
  return client;
}

/** An AMQP queue of the topic that takes no message until it is emptied. */
async function fullQueue(topic: string) {
  const { broker } = target.own!;
  const vhost = broker.requireVhost('/');
  const principal = broker.users.get('guest')!;
  const session = new Session(broker, vhost, principal, new ConnectionScope(vhost, 'queue'));
  await vhost.declareQueue(session, {
    name: topic,
    durable: true,
    exclusive: false,
    autoDelete: false,
    arguments: { 'x-max-length': 1, 'x-overflow': 'reject-publish' },
  });
  await vhost.bindQueue(session, { queue: topic, exchange: 'amq.topic', routingKey: topic, arguments: {} });
  const filler = await open(5, `filler-${topic}`);
  await filler.publish(topic, 'first', { qos: 1 });
  return {
    empty: () => vhost.purgeQueue(session, topic),
    length: async () => (await vhost.checkQueue(session, topic)).messageCount,
  };
}
