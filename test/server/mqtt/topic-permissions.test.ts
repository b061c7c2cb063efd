/** Topic permissions, as MQTT clients meet them: one check for publishes, wills, retained messages, subscriptions and shared ones. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTarget } from './broker.ts';
import { MqttClient, type OpenOptions } from './client.ts';
import { publish, type Version } from './packet.ts';

const { port, own } = await startTarget();
const skip = own === null ? 'users are ours' : false;
const all = { configure: '.*', write: '.*', read: '.*' };
const vhost = '/';
const exchange = 'amq.topic';
const quiet = '^quiet\\.';

function users() {
  return own!.broker.users;
}

function limit(user: string, write: string, read: string): Promise<void> {
  const traits = { user, vhost, exchange, write: `${quiet}|${write}`, read: `${quiet}|${read}` };
  return users().setTopicPermissions(traits, () => true);
}

let count = 0;

async function withUser(write: string, read: string): Promise<string> {
  const user = `user${(count += 1)}`;
  await users().put(user, { password: 'secret', tags: [] }, 'new');
  await users().setPermissions(user, vhost, all, () => true);
  await limit(user, write, read);
  return user;
}

async function open(version: Version, clientId: string, options: OpenOptions = {}): Promise<MqttClient> {
  const client = new MqttClient(port, version, clientId);
  await client.connect(options.user === undefined ? options : { ...options, password: 'secret' });
  return client;
}

for (const version of [4, 5] as const) {
  const name = version === 4 ? '3.1.1' : '5.0';

  test(`a publish is refused, and the next one not (${name})`, { skip }, async () => {
    const user = await withUser('^own\\.', '');
    const watcher = await open(version, 'watcher');
    await watcher.subscribe('#', { qos: 1 });
    const client = await open(version, 'publisher', { user });
    await client.publish('own/a', 'one', { qos: 1 });
    await client.publish('foreign/a', 'never', { qos: 0 });
    await client.publish('foreign/a', 'never', { qos: 0, retain: true });
    await client.publish('own/a', 'two', { qos: 0 });
    if (version === 5) {
      assert.equal((await client.publish('foreign/a', 'never', { qos: 1 })).reason, 0x87);
      assert.equal((await client.publish('foreign/a', 'never', { qos: 2 })).reason, 0x87);
      assert.equal((await client.publish('own/a', 'three', { qos: 2 })).reason, 0);
    } else {
      await client.publish('own/a', 'three', { qos: 2 });
      // It has no answer that says no.
      client.send(publish(version, 'foreign/a', 'never', { qos: 1, id: 9 }));
      assert.deepEqual(await client.untilEnd(), []);
    }
    assert.deepEqual(
      (await watcher.messages(3)).map(({ topic, payload }) => `${topic} ${payload}`),
      ['own/a one', 'own/a two', 'own/a three'],
    );
    await watcher.unsubscribe('#');
    await watcher.quiet();
    const later = await open(version, 'later');
    await later.subscribe('foreign/#');
    await later.quiet();
    for (const each of [watcher, client, later]) each.drop();
  });

  test(`a subscription is refused, shared ones too, and those beside it not (${name})`, { skip }, async () => {
    const user = await withUser('.', '^own\\.');
    const client = await open(version, 'reader', { user });
    const filters = ['own/#', 'foreign/#', '#', '+/a', '$share/group/foreign/a', '$share/group/own/a'];
    const asked = version === 5 ? filters : filters.slice(0, 4);
    const granted = [1, 0x80, 0x80, 0x80, 0x80, 1];
    assert.deepEqual((await client.subscribe(asked, { qos: 1 })).reasons, granted.slice(0, asked.length));
    const owner = await open(version, 'owner');
    await owner.publish('foreign/a', 'secret', { qos: 1 });
    await owner.publish('own/b', 'known', { qos: 1 });
    await client.message('known');
    await client.quiet();
    for (const each of [client, owner]) each.drop();
  });

  test(`a will is refused when it is to be published (${name})`, { skip }, async () => {
    const user = await withUser('^own\\.', '');
    const watcher = await open(version, 'mourner');
    await watcher.subscribe(['own/will', 'foreign/will']);
    const wills = ['foreign/will', 'own/will'].map((topic) => ({ topic, payload: topic, retain: true }));
    for (const [i, will] of wills.entries()) (await open(version, `mortal${i}`, { user, will })).drop();
    await watcher.message('own/will');
    await watcher.quiet();
    const later = await open(version, 'heir');
    await later.subscribe('foreign/will');
    await later.quiet();
    await later.publish('own/will', '', { retain: true });
    for (const each of [watcher, later]) each.drop();
  });

  test(`a change holds at once, for who is connected and for what is subscribed (${name})`, { skip }, async () => {
    const user = await withUser('.', '.');
    const client = await open(version, 'changed', { user });
    await client.subscribe(['both/x', 'one/x'], { qos: 1 });
    const offline = await open(version, 'offline', { user, durable: true });
    await offline.subscribe(['both/x', 'one/x'], { qos: 1 });
    await offline.disconnect();
    await client.publish('one/x', 'before', { qos: 1 });
    await client.message('before');
    await limit(user, '^both\\.', '^both\\.');
    const owner = await open(version, 'changer');
    await owner.publish('one/x', 'secret', { qos: 1 });
    await owner.publish('both/x', 'open', { qos: 1 });
    await client.message('open');
    await client.quiet();
    const back = await open(version, 'offline', { user, durable: true });
    await back.message('before');
    await back.message('open');
    await back.quiet();
    client.send(publish(version, 'one/x', 'never', { qos: 1, id: 77 }));
    if (version === 5) assert.equal((await client.expect('puback')).reason, 0x87);
    else assert.deepEqual(await client.untilEnd(), []);
    for (const each of [client, owner, back]) each.drop();
  });

  test(`a client has the topics of its id alone, whatever its id is (${name})`, { skip }, async () => {
    const user = await withUser('^d\\.{client_id}\\.', '^d\\.{client_id}\\.');
    const granted = async (client: MqttClient, filter: string) => (await client.subscribe(filter, { qos: 1 })).reasons;
    for (const id of ['plain', 'with.dots.', 'a(b|c)', '.*', '[a-z]+', '$x', '{username}']) {
      const client = await open(version, id, { user });
      const may = !/[*+#]/.test(id);
      if (may) assert.deepEqual(await granted(client, `d/${id}/#`), [1], id);
      for (const filter of ['d/other/#', 'd/+/x', 'd/#', '#', 'd/with/dots/#']) {
        assert.deepEqual(await granted(client, filter), [0x80], `${id} ${filter}`);
      }
      if (may && version === 5) {
        assert.equal((await client.publish(`d/${id}/x`, 'mine', { qos: 1 })).reason, 0, id);
        await client.message('mine');
      }
      if (version === 5) assert.equal((await client.publish('d/other/x', 'm', { qos: 1 })).reason, 0x87, id);
      client.drop();
    }
    for (const id of ['#', '+', 'other/x', '*']) {
      const client = await open(version, id, { user });
      for (const filter of ['d/#', 'd/+/x', 'd/other/x/#', 'd/other/#']) {
        assert.deepEqual(await granted(client, filter), [0x80], `${id} ${filter}`);
      }
      client.drop();
    }
  });

  test(`a topic that is too long for a routing key is judged whole (${name})`, { skip }, async () => {
    const middle = 'long/'.repeat(80);
    const user = await withUser('^long\\.(long\\.)+end$', '');
    const watcher = await open(version, 'far');
    await watcher.subscribe('long/#');
    const client = await open(version, 'teller', { user });
    await client.publish(`${middle}end`, 'heard');
    await client.publish(`${middle}other`, 'never');
    await watcher.message('heard');
    await watcher.quiet();
    for (const each of [watcher, client]) each.drop();
  });
}
