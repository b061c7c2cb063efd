/** What of retained messages and `$SYS` hangs on the server, beside what the specification says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Broker, ItemOutcome } from '../../../src/broker/index.ts';
import { messageOf } from '../../broker/harness.ts';
import { startTarget } from './broker.ts';
import { MqttClient } from './client.ts';
import { subscribe } from './packet.ts';

const mostOfAll = 16 * 1024 * 1024;
const target = await startTarget({ settings: { maxUnsentBytes: 64 * 1024, maxUnsentBytesOfAll: mostOfAll } });

async function opened(name: string, version: 4 | 5 = 5): Promise<MqttClient> {
  const client = new MqttClient(target.port, version, `${name}${process.pid}`);
  await client.connect();
  return client;
}

async function retain({ broker }: { broker: Broker }, prefix: string, count: number, bytes: number): Promise<void> {
  const { retained } = broker.vhost('/')!;
  const batch = broker.begin();
  for (let i = 0; i < count; i++) {
    const message = messageOf(`${i} `.padEnd(bytes, 'x'), { deliveryMode: 2 });
    retained.put(batch, `${prefix}/${i}`, message, { user: 'guest', clientId: 'somebody' });
  }
  await new Promise<void>((resolve, reject) => {
    batch.commit({ committed: () => resolve(), failed: (_token, error) => reject(error) }, null);
  });
}

function numbers(payloads: readonly { readonly payload: string }[]): number[] {
  return payloads.map(({ payload }) => Number.parseInt(payload, 10)).sort((a, b) => a - b);
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

test('retained messages come as their client takes them, and no more wait for it than it may have', async () => {
  if (target.own === null) return;
  const { traffic } = target.own.server;
  await retain(target.own, 'many', 600, 20_000);
  const other = await opened('other');
  const client = await opened('slow');
  client.socket.pause();
  const sentBefore = traffic.messagesSent;
  client.send(subscribe(5, 1, ['many/#'], { qos: 0 }));
  // What is under way takes its turn before this is answered.
  for (let i = 0; i < 20; i++) await other.ping();
  assert.ok(traffic.messagesSent - sentBefore < 500, `${traffic.messagesSent - sentBefore} of 600 are under way`);
  client.socket.resume();
  await client.expect('suback');
  assert.deepEqual(numbers(await client.messages(600)), upTo(600));
  await client.quiet();
  client.drop();
  other.drop();
});

test('retained messages with acknowledgement come all, over several turns', async () => {
  if (target.own === null) return;
  await retain(target.own, 'acknowledged', 1_100, 10);
  const client = await opened('careful', 4);
  await client.subscribe('acknowledged/+', { qos: 1 });
  assert.deepEqual(numbers(await client.messages(1_100)), upTo(1_100));
  await client.quiet();
  client.drop();
});

test('what goes through mailboxes waits for a disk that is behind, or full', async () => {
  if (target.own === null) return;
  await retain(target.own, 'behind', 10, 10);
  const { broker, server } = target.own;
  const { pressure } = broker;
  const client = await opened('patient');
  const sentBefore = server.traffic.messagesSent;
  pressure.setBehind(true);
  pressure.setDisk(true);
  await client.subscribe('behind/+', { qos: 1 });
  for (let i = 0; i < 20; i++) await client.ping();
  pressure.setBehind(false);
  for (let i = 0; i < 20; i++) await client.ping();
  const sent = server.traffic.messagesSent - sentBefore;
  pressure.setDisk(false);
  assert.deepEqual(numbers(await client.messages(10)), upTo(10));
  assert.equal(sent, 0);
  await client.quiet();
  client.drop();
});

/** One whose session stays, with what it is to be sent at once waiting for room. */
async function frozen(name: string): Promise<MqttClient> {
  const client = new MqttClient(target.port, 5, name);
  await client.connect({ durable: true });
  await client.subscribe('none/yet', { qos: 1 });
  client.socket.pause();
  client.send(subscribe(5, 9, ['many/#'], { qos: 0 }), subscribe(5, 10, ['few/#'], { qos: 1 }));
  return client;
}

test('a client that is gone while it waits for room gets what is retained when it is back', async () => {
  if (target.own === null) return;
  await retain(target.own, 'many', 600, 20_000);
  await retain(target.own, 'few', 3, 10);
  await retain(target.own, 'late', 3, 10);
  const client = await frozen('back');
  const { subscriptions } = target.own.broker.requireVhost('/').subscribers.find('guest', 'back')!;
  const connection = Array.from(target.own.server.sessions).find(({ clientId }) => clientId === 'back')!.connection!;
  while (!subscriptions.has('few/#') || connection.deliveries.hasRoom(0)) await turn();
  connection.cut();
  client.drop();
  while (target.own.server.sessions.offlineCount === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  const back = new MqttClient(target.port, 5, 'back');
  await back.connect({ durable: true });
  assert.deepEqual(numbers(await back.messages(3)), upTo(3));
  await back.subscribe('late/#', { qos: 1 });
  assert.deepEqual(numbers(await back.messages(3)), upTo(3));
  back.drop();
});

test('what the disk refuses of retained messages comes once it has room', async () => {
  if (target.own === null) return;
  await retain(target.own, 'refused', 20, 10);
  const { broker } = target.own;
  const { pressure } = broker;
  const begin = broker.begin.bind(broker);
  let refusals = 0;
  /** Room for every other one. */
  broker.begin = (...given) => {
    const batch = begin(...given);
    if (given[1] !== false) return batch;
    broker.begin = begin;
    const outcomes: ItemOutcome[] = [];
    let item = 0;
    return {
      append: (targets, message) => {
        if (item % 2 === 0) batch.append(targets, message);
        else outcomes.push({ item, outcome: 'refused', reason: 'full' });
        item++;
      },
      settle: () => assert.fail(),
      put: () => assert.fail(),
      together: () => batch.together(),
      commit: (receiver, token) => {
        refusals = outcomes.length;
        pressure.setDisk(true);
        const committed = (): void => {
          receiver.committed(token, outcomes);
          pressure.setDisk(false);
        };
        batch.commit({ committed, failed: () => assert.fail() }, null);
      },
    };
  };
  const client = await opened('filling');
  await client.subscribe('refused/+', { qos: 1 });
  assert.deepEqual(numbers(await client.messages(20)), upTo(20));
  assert.equal(refusals, 10);
  await client.quiet();
  client.drop();
});

test('what is retained of a client itself is not sent to its subscription without local messages', async () => {
  if (target.own === null) return;
  const client = await opened('own');
  const other = await opened('other');
  await client.publish('local/own', 'own', { qos: 1, retain: true });
  await other.publish('local/other', 'other', { qos: 1, retain: true });
  await client.subscribe('local/#', { qos: 1, noLocal: true });
  await client.message('other');
  await client.quiet();
  client.drop();
  other.drop();
});

test('$SYS says at once how the server fares, and takes no publish', async () => {
  if (target.own === null) return;
  const client = await opened('operator');
  await client.publish('a/b', 'x', { qos: 1 });
  await client.subscribe('$SYS/broker/#', { qos: 2 });
  const found = new Map<string, string>();
  const { sys } = target.own.server;
  while (!found.has('$SYS/broker/heap/current')) {
    const { topic, payload, qos, retain } = await client.message();
    assert.deepEqual([qos, retain], [0, true]);
    found.set(topic, payload);
  }
  assert.equal(found.get('$SYS/broker/version'), 'postrider version 0.0.1');
  assert.equal(found.get('$SYS/broker/clients/connected'), '1');
  assert.ok(Number(found.get('$SYS/broker/publish/messages/received')) >= 1);
  assert.ok(Number(found.get('$SYS/broker/bytes/received')) > 50);
  assert.ok(Number(found.get('$SYS/broker/bytes/sent')) > 50);
  sys.send();
  const { topic, retain } = await client.message();
  assert.ok(topic.startsWith('$SYS/broker/'));
  assert.equal(retain, false);
  const refused = await opened('forger');
  const { reason } = await refused.publish('$SYS/broker/version', 'forged', { qos: 1 }).catch(() => ({ reason: 0x87 }));
  assert.equal(reason, 0x87);
  client.drop();
  refused.drop();
});

test('a search that finds nothing for long lets others go first', async () => {
  if (target.own === null) return;
  const { retained } = target.own.broker.vhost('/')!;
  await retain(target.own, 'wide/and', 20_000, 1);
  await retain(target.own, 'wide/last', 1, 1);
  const other = await opened('other');
  const client = await opened('searching');
  const filters = Array.from({ length: 100 }, (_, i) => `+/and/+/${i}`);
  client.send(subscribe(5, 1, [...filters, 'wide/last/#'], { qos: 0 }));
  await client.expect('suback');
  let found = false;
  const message = client.message('0 ').finally(() => (found = true));
  for (let i = 0; i < 10; i++) await other.ping();
  assert.equal(found, false, 'others waited for the whole search');
  await message;
  assert.ok(retained.count > 20_000);
  client.drop();
  other.drop();
});

test('large messages that nobody takes have a limit for all of their receivers together', async () => {
  if (target.own === null) return;
  const { outputBudget } = target.own.server;
  const body = 'x'.repeat(8 * 1024 * 1024);
  const publisher = await opened('publisher');
  await publisher.publish('large/retained', body, { qos: 1, retain: true });
  const clients = await Promise.all(Array.from({ length: 12 }, (_, i) => opened(`frozen${i}`)));
  for (const [i, client] of clients.entries()) {
    client.socket.pause();
    client.send(subscribe(5, 1, ['large/#'], { qos: i % 2 }));
  }
  for (let i = 0; i < 20; i++) await publisher.ping();
  await publisher.publish('large/live', body, { qos: 1 });
  for (let i = 0; i < 20; i++) await publisher.ping();
  const { heldBytes } = outputBudget;
  assert.ok(heldBytes > mostOfAll && heldBytes <= 2 * mostOfAll + 1024 * 1024, `${heldBytes} bytes wait`);
  // What is acknowledged comes once there is room.
  const last = clients.findLastIndex((_, i) => i % 2 === 1);
  for (const [i, client] of clients.entries()) if (i !== last) client.drop();
  clients[last]!.socket.resume();
  await clients[last]!.expect('suback');
  assert.deepEqual((await clients[last]!.messages(2)).map(({ topic }) => topic).sort(), [
    'large/live',
    'large/retained',
  ]);
  for (const client of clients) client.drop();
  publisher.drop();
});
