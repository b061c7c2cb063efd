/** What a connection that ends is still sent, and what becomes of that. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DeliveryView } from '../../../src/broker/index.ts';
import { MailboxConsumer } from '../../../src/server/mqtt/mailbox-consumer.ts';
import { startTarget } from './broker.ts';
import { MqttClient } from './client.ts';
import { conformsOn } from './conforms.ts';
import { connect, disconnect, packet, publish } from './packet.ts';

const target = await startTarget();
const conforms = conformsOn(target);

conforms('no message comes behind DISCONNECT', { v5: '3.14.4-1' }, async ({ open, topic }) => {
  for (const qos of [0, 1, 2]) {
    const client = await open(`client${qos}`);
    await client.subscribe(topic, { qos });
    const messages = [1, 2, 3].map((id) => publish(5, topic, 'to itself', { qos: 1, id }));
    client.send(...messages, packet(0, 0));
    await client.refused(0x81, 0x82);
  }
});

conforms('a message of QoS 0 that was sent is not sent again', { v3: '4.3.1-1', v5: '4.3.1-1' }, async (world) => {
  const { open, reopen, topic, version } = world;
  const client = await open('client', { durable: true });
  await client.subscribe(topic, { qos: 1 });
  const messages = Array.from({ length: 50 }, (_, at) => publish(version, topic, `${at}`, { qos: 0 }));
  // They go through its mailbox, and come before it has gone.
  client.send(...messages, disconnect(version));
  const packets = await client.untilEnd();
  const sent = packets.filter(({ type }) => type === 'publish').map(({ payload }) => payload);
  const [back] = await reopen('client', { durable: true });
  const publisher = await open('publisher');
  await publisher.publish(topic, 'last', { qos: 1 });
  for (;;) {
    const { payload } = await back.message();
    if (payload === 'last') return;
    assert.ok(!sent.includes(payload), `${payload} came twice`);
  }
});

test('a message of QoS 0 that may have been sent before a crash is not sent again', { timeout: 300_000 }, async (t) => {
  if (target.own === null) return;
  const { deliver } = MailboxConsumer.prototype;
  t.mock.method(
    MailboxConsumer.prototype,
    'deliver',
    function (this: MailboxConsumer, tag: number, view: DeliveryView) {
      return deliver.call(this, tag, { ...view, redelivered: true });
    },
  );
  const client = new MqttClient(target.port, 5, 'crashed');
  await client.connect({ durable: true });
  await client.subscribe('crashed', { qos: 1 });
  await client.publish('crashed', 'once at most', { qos: 0 });
  await client.publish('crashed', 'once at least', { qos: 1 });
  assert.equal((await client.message('once at least')).dup, true);
  client.drop();
});

test('a user that is deleted while it connects does not come in', { timeout: 300_000 }, async (t) => {
  if (target.own === null) return;
  const { broker, server } = target.own;
  await broker.users.put('late', { password: 'secret', tags: [] }, 'new');
  await broker.users.setPermissions('late', '/', { configure: '.*', write: '.*', read: '.*' }, () => true);
  const { subscribers } = broker.requireVhost('/');
  const setRecord = subscribers.setRecord.bind(subscribers);
  const before = server.sessions.count;
  const mocked = t.mock.method(subscribers, 'setRecord', async (...given: Parameters<typeof setRecord>) => {
    mocked.mock.restore();
    await setRecord(...given);
    await broker.users.delete('late');
  });
  const client = new MqttClient(target.port, 5, 'late');
  client.send(connect(5, { clientId: 'late', user: 'late', password: 'secret', properties: { sessionExpiry: 100 } }));
  await client.refusedConnect(0x87);
  while (server.sessions.count > before) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(server.sessions.offlineCount <= before, true);
});

test('a session whose user is deleted leaves nothing', { timeout: 300_000 }, async () => {
  if (target.own === null) return;
  const { broker, server } = target.own;
  await broker.users.put('leaver', { password: 'secret', tags: [] }, 'new');
  await broker.users.setPermissions('leaver', '/', { configure: '.*', write: '.*', read: '.*' }, () => true);
  const before = server.sessions.offlineCount;
  const client = new MqttClient(target.port, 5, 'leaver');
  await client.connect({ durable: true, user: 'leaver', password: 'secret' });
  await broker.users.delete('leaver');
  await client.untilEnd();
  while (server.connectionCount > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(server.sessions.offlineCount, before);
});
