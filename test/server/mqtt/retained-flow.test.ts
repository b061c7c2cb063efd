/** Retained messages that are to be acknowledged go into a session's mailbox as its client takes them, and not as it asks for them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { messageOf } from '../../broker/harness.ts';
import { startTarget } from './broker.ts';
import { MqttClient } from './client.ts';
import { acknowledge, subscribe, unsubscribe } from './packet.ts';

const target = await startTarget({ durable: true });
const timeout = 300_000;
const count = 1_500;

async function retain(prefix: string): Promise<void> {
  const { broker } = target.own!;
  const { retained } = broker.vhost('/')!;
  const batch = broker.begin();
  for (let i = 0; i < count; i++) {
    const message = messageOf(String(i), { deliveryMode: 2 });
    retained.put(batch, `${prefix}/${i}`, message, { user: 'guest', clientId: 'somebody' });
  }
  await new Promise<void>((resolve, reject) => {
    batch.commit({ committed: () => resolve(), failed: (_token, error) => reject(error) }, null);
  });
}

/** A session that outlives its connection, of a client that takes a few at a time. */
async function opened(name: string, clean = false): Promise<MqttClient> {
  const client = new MqttClient(target.port, 5, name);
  await client.connect({ clean, properties: { sessionExpiry: 1_000, receiveMaximum: 10 } });
  return client;
}

async function inMailbox(name: string): Promise<number> {
  const { broker } = target.own!;
  const { queue } = broker.vhost('/')!.subscribers.find('guest', name)!;
  const { ready, unacked } = await broker.engine.stats(queue!.handle!);
  return ready + unacked;
}

/** All that come until each was there. */
async function takeAll(client: MqttClient): Promise<number> {
  const topics = new Set<string>();
  let taken = 0;
  for (; topics.size < count; taken++) {
    const { topic, id, retain } = await client.expect('publish');
    assert.equal(retain, true);
    topics.add(topic);
    client.send(acknowledge('puback', id));
  }
  return taken;
}

test('a client that goes on asking and takes nothing fills no disk', { timeout }, async () => {
  if (target.own === null) return;
  await retain('again');
  const client = await opened('greedy');
  for (let round = 1; round <= 20; round++) {
    client.send(subscribe(5, round, ['again/#'], { qos: 1 }));
    await client.expect('suback');
  }
  for (let round = 0; round < 20; round++) await client.ping();
  assert.ok((await inMailbox('greedy')) <= 1_010, `${await inMailbox('greedy')} messages wait`);
  client.drop();
  const back = await opened('greedy');
  for (let round = 0; round < 20; round++) await back.ping();
  assert.ok((await inMailbox('greedy')) <= 1_010, `${await inMailbox('greedy')} messages wait`);
  // What was asked for last comes whole, behind what was there before.
  const taken = await takeAll(back);
  assert.ok(taken <= count + 1_010, `${taken} of ${count} came`);
  back.drop();
});

test('what is still to come waits for its client, over a restart, too', { timeout }, async () => {
  if (target.own === null) return;
  await retain('later');
  const client = await opened('leaver');
  client.send(subscribe(5, 1, ['later/#'], { qos: 1 }));
  await client.expect('suback');
  client.drop();
  await target.restart();
  const back = await opened('leaver');
  await takeAll(back);
  back.send(unsubscribe(5, 2, ['later/#']));
  back.drop();
});
