/** What others can make the server keep for a client, and what a client can that has not logged in. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTarget } from './broker.ts';
import { MqttClient } from './client.ts';
import { connect, pingreq } from './packet.ts';

const target = await startTarget();

test('no more is kept behind CONNECT than a CONNECT may have, until it is known whose it is', async () => {
  if (target.own === null) return;
  await target.own.broker.users.put('slow', { password: 'secret', tags: [] }, 'new');
  await target.own.broker.users.setPermissions('slow', '/', { configure: '', write: '', read: '' }, () => true);
  const packets = (count: number) => Buffer.concat(Array.from({ length: count }, () => pingreq));
  const login = { user: 'slow', password: 'secret' };
  const greedy = new MqttClient(target.port, 5, 'greedy');
  greedy.send(connect(5, { clientId: 'greedy', ...login }), packets(10_000));
  await greedy.refusedConnect(0x97);
  const modest = new MqttClient(target.port, 5, 'modest');
  modest.send(connect(5, { clientId: 'modest', ...login }), packets(8_000));
  assert.equal((await modest.expect('connack')).reason, 0);
  for (let i = 0; i < 8_000; i++) await modest.expect('pingresp');
  modest.drop();
});

test('messages of a shared subscription and retained ones use no topic aliases up', async () => {
  if (target.own === null) return;
  const publisher = new MqttClient(target.port, 5, 'publisher');
  await publisher.connect();
  for (const at of [1, 2, 3]) await publisher.publish(`kept/${at}`, 'kept', { qos: 1, retain: true });
  const client = new MqttClient(target.port, 5, 'client');
  await client.connect({ properties: { topicAliasMaximum: 2 } });
  await client.subscribe('kept/#', { qos: 0 });
  await client.messages(3);
  await client.subscribe('$share/group/shared/#', { qos: 1 });
  for (const at of [1, 2, 3]) {
    await publisher.publish(`shared/${at}`, 'shared', { qos: 1 });
    await client.message('shared');
  }
  await client.subscribe('plain/#', { qos: 1 });
  await publisher.publish('plain/x', 'plain', { qos: 1 });
  assert.ok((await client.message('plain')).properties.topicAlias! > 0);
  client.drop();
  publisher.drop();
});
