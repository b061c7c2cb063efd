/** What of users and vhosts outlives a restart. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { Broker, ConnectionScope, Session } from '../../../src/broker/index.ts';
import { guest } from '../../../src/broker/principal.ts';
import { vhostEntry } from '../../../src/broker/topology-entry.ts';
import { openLocal } from '../../../src/engine/local/index.ts';

async function directory(context: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'postrider-users-'));
  context.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

async function opened(path: string): Promise<Broker> {
  const broker = new Broker({ engine: openLocal(path) });
  await broker.open();
  return broker;
}

const nothing = (): void => undefined;
const listener = {
  failed: nothing,
  blocked: nothing,
  unblocked: nothing,
  behind: nothing,
  caughtUp: nothing,
  damaged: nothing,
  leaseLost: nothing,
  notice: nothing,
};
const here = { loopback: true };
const all = { configure: '.*', write: '.*', read: '.*' };

test('a new broker has a guest, which this machine alone may be', async (context) => {
  const broker = await opened(await directory(context));
  assert.deepEqual(broker.users.list(), [{ user: 'guest', tags: ['administrator'] }]);
  assert.deepEqual(broker.users.listPermissions(), [{ user: 'guest', vhost: '/', ...all }]);
  const user = broker.authenticate('guest', 'guest', here);
  assert.ok(user !== null && !(user instanceof Promise), 'its password is known without hashing');
  assert.equal(await broker.authenticate('guest', 'guest', { loopback: false }), null);
  await broker.users.put('guest', { password: 'other' }, 'known');
  assert.equal(await broker.authenticate('guest', 'guest', here), null);
  assert.equal(await broker.authenticate('guest', 'other', here), user);
  assert.equal(await broker.authenticate('guest', 'other', { loopback: false }), null);
  await broker.close();
});

test('users, permissions and vhosts outlive a restart, and so does that they are gone', async (context) => {
  const path = await directory(context);
  let broker = await opened(path);
  await broker.createVhost('kept');
  await broker.createVhost('gone');
  await broker.users.put('ann', { password: 'secret', tags: ['monitoring'] }, 'new');
  for (const vhost of ['kept', 'gone']) await broker.users.setPermissions('ann', vhost, all, () => true);
  const topics = { user: 'ann', exchange: 'amq.topic', write: '^a$', read: '^{username}$' };
  for (const vhost of ['kept', 'gone']) await broker.users.setTopicPermissions({ ...topics, vhost }, () => true);
  await broker.users.setTopicPermissions({ ...topics, vhost: 'kept', exchange: 'cleared' }, () => true);
  await broker.users.clearTopicPermissions('ann', 'kept', 'cleared');
  await broker.users.setTopicPermissions({ ...topics, user: 'guest', vhost: 'kept' }, () => true);
  const vhost = broker.vhost('gone')!;
  const session = new Session(broker, vhost, guest, new ConnectionScope(vhost, 'test'));
  const declaration = { durable: true, exclusive: false, autoDelete: false, arguments: {} };
  await vhost.declareQueue(session, { ...declaration, name: 'q' });
  await vhost.declareExchange(session, { ...declaration, name: 'x', type: 'topic', internal: false });
  await vhost.bindQueue(session, { queue: 'q', exchange: 'x', routingKey: '#', arguments: {} });
  await vhost.bindExchange(session, { destination: 'amq.fanout', source: 'amq.topic', routingKey: '#', arguments: {} });
  await broker.deleteVhost('gone');
  await assert.rejects(async () => vhost.declareQueue(session, { ...declaration, name: 'late' }), {
    code: 'NOT_ALLOWED',
  });
  await session.close();
  await broker.users.delete('guest');
  await broker.close();

  broker = await opened(path);
  assert.deepEqual(Array.from(broker.vhosts, ({ name }) => name).sort(), ['/', 'kept']);
  assert.deepEqual(broker.users.list(), [{ user: 'ann', tags: ['monitoring'] }]);
  assert.deepEqual(broker.users.listPermissions(), [{ user: 'ann', vhost: 'kept', ...all }]);
  assert.deepEqual(broker.users.listTopicPermissions(), [{ ...topics, vhost: 'kept' }]);
  const ann = await broker.authenticate('ann', 'secret', { loopback: false });
  assert.equal(ann?.user, 'ann');
  assert.equal(ann.allowsTopic('kept', 'amq.topic', 'read', 'ann', null), true);
  assert.equal(ann.allowsTopic('kept', 'amq.topic', 'read', 'a', null), false);
  assert.equal(await broker.authenticate('ann', 'wrong', here), null);
  await broker.createVhost('gone');
  assert.deepEqual([broker.vhost('gone')!.graph.queues.size, broker.vhost('gone')!.graph.exchanges.size], [0, 6]);
  await broker.close();
  const engine = openLocal(path);
  const { entries, queues } = await engine.open(listener);
  assert.deepEqual(queues, []);
  assert.deepEqual(entries.map(({ kind, key }) => `${kind} ${key}`).sort(), [
    'made guest',
    'permission 3:ann4:kept',
    'topic-permission 3:ann4:kept9:amq.topic',
    'user ann',
    'vhost /',
    'vhost gone',
    'vhost kept',
  ]);
  await engine.close();
});

test('a directory from before there were users gets its guest', async (context) => {
  const path = await directory(context);
  const engine = openLocal(path);
  await engine.open(listener);
  await engine.change([{ op: 'put', entry: vhostEntry('/') }]);
  await engine.close();
  const broker = await opened(path);
  assert.deepEqual(broker.users.list(), [{ user: 'guest', tags: ['administrator'] }]);
  await broker.close();
});
