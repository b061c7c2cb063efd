/** Whose will is published when the broker itself is killed, and so every connection with it [MQTT-3.1.2-8]. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MqttClient } from '../server/mqtt/client.ts';
import { begin } from './killed-mqtt-broker.ts';

for (const version of [4, 5] as const) {
  const name = version === 4 ? '3.1.1' : '5.0';

  test(`a will is published after the broker was killed, once, and none that was taken back (${name})`, async (context) => {
    const broker = await begin(context);
    const open = async (clientId: string, options: Parameters<MqttClient['connect']>[0]) => {
      const client = new MqttClient(broker.port, version, clientId);
      await client.connect(options);
      return client;
    };
    const watcher = await open('watcher', { durable: true });
    await watcher.subscribe('status/#', { qos: 1 });
    const will = (of: string) => ({ topic: `status/${of}`, payload: `${of} is gone`, qos: 1, retain: true });
    await open('clean', { will: will('clean') });
    await open('kept', { durable: true, will: will('kept') });
    const polite = await open('polite', { will: will('polite') });
    await polite.disconnect();
    await broker.restart();

    const back = await open('watcher', { durable: true });
    const came = await back.messages(2);
    assert.deepEqual(came.map(({ payload }) => payload).sort(), ['clean is gone', 'kept is gone']);
    for (const packet of came) await back.acknowledge(packet);
    await back.disconnect();
    await broker.restart();

    const again = await open('watcher', { durable: true });
    await again.quiet();
    const late = await open('late', {});
    await late.subscribe('status/#');
    const retained = await late.messages(2);
    assert.deepEqual(retained.map(({ payload }) => payload).sort(), ['clean is gone', 'kept is gone']);
    again.drop();
    late.drop();
  });
}
