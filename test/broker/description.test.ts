import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describe, requireReadAll } from '../../src/broker/description.ts';
import { memoryEngine } from '../../src/engine/local/index.ts';
import { Bench } from './harness.ts';

test('a vhost is described: exchanges, queues with counts, bindings', async () => {
  const bench = await new Bench(memoryEngine()).open();
  const { broker, vhost } = bench;
  const session = bench.session();
  const declaration = { durable: true, exclusive: false, autoDelete: false };
  await vhost.declareQueue(session, { ...declaration, name: 'b', arguments: { 'x-max-length': 5 } });
  await vhost.declareQueue(session, { ...declaration, name: 'a', exclusive: true, arguments: {} });
  const binding = { queue: 'b', exchange: 'amq.topic', routingKey: 'orders.*', arguments: {} };
  await vhost.bindQueue(session, binding);
  await bench.publish(session, '', 'b', 'hello');

  const described = JSON.parse(JSON.stringify(await describe(broker, vhost))) as Awaited<ReturnType<typeof describe>>;
  assert.equal(described.vhost, '/');
  assert.deepEqual(
    described.exchanges.map(({ name, type }) => `${name}:${type}`),
    [
      ':direct',
      'amq.direct:direct',
      'amq.fanout:fanout',
      'amq.headers:headers',
      'amq.match:headers',
      'amq.topic:topic',
    ],
  );
  const empty = { autoDelete: false, unacked: 0, delayed: 0, consumers: 0 };
  assert.deepEqual(described.queues, [
    { ...empty, name: 'a', durable: false, exclusive: true, arguments: {}, ready: 0, readyBytes: 0 },
    { ...empty, name: 'b', durable: true, exclusive: false, arguments: { 'x-max-length': 5 }, ready: 1, readyBytes: 5 },
  ]);
  assert.deepEqual(described.bindings, [
    { source: 'amq.topic', destination: 'b', destinationType: 'queue', routingKey: 'orders.*', arguments: {} },
  ]);
});

test('all of a vhost is for those who may read all of it', async () => {
  const bench = await new Bench().open();
  const session = bench.session();
  const declaration = { durable: true, exclusive: false, autoDelete: false, arguments: {} };
  await bench.vhost.declareQueue(session, { ...declaration, name: 'open' });
  await bench.vhost.declareQueue(session, { ...declaration, name: 'secret' });
  const reader = {
    user: 'reader',
    permissions: 0,
    tags: [],
    entersVhost: () => true,
    limitsTopics: () => false,
    allowsTopic: () => true,
    allows: (_vhost: string, permission: string, resource: string) => permission === 'read' && resource !== 'secret',
  };
  assert.throws(() => requireReadAll(reader, bench.vhost), {
    code: 'ACCESS_REFUSED',
    message: "access to queue 'secret' in vhost '/' refused for user 'reader'",
  });
  requireReadAll({ ...reader, allows: (_vhost: string, permission: string) => permission === 'read' }, bench.vhost);
});
