/** What one user may have, so that others find room. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mqttSettings } from '../../../src/server/mqtt/settings.ts';
import { startTarget } from './broker.ts';
import { MqttClient } from './client.ts';
import { connect, disconnect, type Version } from './packet.ts';

const timeout = 300_000;
const few = await startTarget({ settings: { maxConnectionsPerUser: 2 } });
const fewSessions = await startTarget({ settings: { maxSessionsPerUser: 2 } });

function clientOf(port: number, name: string, version: Version = 5): MqttClient {
  return new MqttClient(port, version, name);
}

/** What CONNACK says. */
async function answer(client: MqttClient): Promise<number | undefined> {
  client.send(connect(client.version, { clientId: client.clientId }));
  return (await client.expect('connack')).reason;
}

/** Its session knows by then. */
async function leave(client: MqttClient): Promise<void> {
  client.send(disconnect(client.version));
  await client.untilEnd();
}

for (const version of [4, 5] as const) {
  test(`a user has as many connections as it may have (${version})`, { timeout }, async () => {
    if (few.own === null) return;
    const [one, two] = [clientOf(few.port, 'one', version), clientOf(few.port, 'two', version)];
    await one.connect();
    await two.connect();
    assert.equal(await answer(clientOf(few.port, 'three', version)), version === 5 ? 0x97 : 3);
    // Who comes again is no third.
    const again = clientOf(few.port, 'two', version);
    await again.connect();
    await leave(one);
    const next = clientOf(few.port, 'three', version);
    await next.connect();
    await leave(next);
    await leave(again);
    assert.equal(few.own.server.sessions.count, 0);
  });
}

test('a user has as many sessions as it may have, connected or not', { timeout }, async () => {
  if (fewSessions.own === null) return;
  for (const name of ['one', 'two']) {
    const client = clientOf(fewSessions.port, name);
    await client.connect({ durable: true });
    await leave(client);
  }
  assert.equal(await answer(clientOf(fewSessions.port, 'three')), 0x97);
  const one = clientOf(fewSessions.port, 'one');
  await one.connect({ clean: true });
  await leave(one);
  await clientOf(fewSessions.port, 'three').connect();
});

test('what one user may have follows what all may have, unless it is given', () => {
  const { maxConnectionsPerUser, maxSessionsPerUser } = mqttSettings({
    maxConnections: 100_000,
    maxSessions: 2_000_000,
  });
  assert.deepEqual([maxConnectionsPerUser, maxSessionsPerUser], [75_000, 1_500_000]);
  assert.equal(mqttSettings({ maxConnections: 100_000, maxConnectionsPerUser: 10 }).maxConnectionsPerUser, 10);
  assert.equal(mqttSettings().maxConnectionsPerUser, 49_152);
  assert.equal(mqttSettings().maxSessionsPerUser, 750_000);
});
