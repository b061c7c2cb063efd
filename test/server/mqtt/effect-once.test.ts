/** A message of QoS 2 and the packet id that it came with are in one group of the journal, wherever groups end: no crash leaves one of them. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Broker } from '../../../src/broker/index.ts';
import { localEngine } from '../../../src/engine/local/index.ts';
import { MqttServer } from '../../../src/server/mqtt/index.ts';
import { groupsIn, small } from '../../engine/local/crashing.ts';
import { MqttClient } from './client.ts';
import { acknowledge, publish } from './packet.ts';

const MiB = 1024 * 1024;

test('no group has a message of QoS 2 without its packet id, nor what PUBREC settles without its own', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'postrider-mqtt-'));
  // In one segment: what goes from another is not there to be looked at.
  const options = { ...small, firstSegmentBytes: 4 * MiB, segmentBytes: 4 * MiB, checkpointBytes: 64 * MiB };
  const broker = new Broker({ engine: localEngine(directory, options) });
  await broker.open();
  const server = new MqttServer({ broker });
  t.after(async () => {
    await server.close({ timeoutMs: 100 });
    await broker.close();
    await rm(directory, { recursive: true });
  });
  const { port } = await server.listen('127.0.0.1', 0);
  const subscriber = new MqttClient(port, 4, 'subscriber');
  await subscriber.connect({ durable: true });
  await subscriber.subscribe('topic', { qos: 2 });
  const publisher = new MqttClient(port, 4, 'publisher');
  await publisher.connect({ durable: true });
  const ids = Array.from({ length: 300 }, (_, at) => at + 1);
  for (let at = 0; at < ids.length; at += 10) {
    const packets = ids.slice(at, at + 10).map((id) => publish(4, 'topic', 'x'.repeat(400 + id), { qos: 2, id }));
    publisher.send(...packets);
    for (const _ of packets) await publisher.expect('pubrec');
    for (const _ of packets) {
      const { id } = await subscriber.expect('publish');
      subscriber.send(acknowledge('pubrec', id));
    }
    for (const _ of packets) await subscriber.expect('pubrel');
  }
  let groups = 0;
  for (const group of await groupsIn(directory)) {
    const hasState = (client: string): boolean =>
      group.some((entry) => entry.kind === 'state' && entry.key.includes(client) && entry.key.endsWith('/packets'));
    if (group.some(({ kind }) => kind === 'run')) {
      groups++;
      assert.ok(hasState('publisher'), 'a message without its id');
    }
    if (group.some(({ kind }) => kind === 'settled'))
      assert.ok(hasState('subscriber'), 'settled, and no PUBREL to come');
  }
  assert.ok(groups > 10, `${groups} groups`);
});
