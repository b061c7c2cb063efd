import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTarget } from './broker.ts';
import { MqttClient } from './client.ts';
import { acknowledge } from './packet.ts';

const most = 3;
const count = 4 * most;
const target = await startTarget({ durable: true, settings: { maxInFlight: most } });

for (const version of [4, 5] as const) {
  test(`releases that connections leave count among what is in flight (${version})`, { timeout: 300_000 }, async () => {
    if (target.own === null) return;
    const clientId = `left${version}`;
    const publisher = new MqttClient(target.port, version, `${clientId}publisher`);
    let client = new MqttClient(target.port, version, clientId);
    try {
      await client.connect({ durable: true });
      await client.subscribe(clientId, { qos: 2 });
      await publisher.connect();
      for (let at = 0; at < count; at++) await publisher.publish(clientId, `m${at}`, { qos: 2 });
      const left: number[] = [];
      for (let at = 0; at < most; at++) {
        const { id, payload } = await client.expect('publish');
        assert.equal(payload, `m${at}`);
        client.send(acknowledge('pubrec', id));
        await client.expectRelease(id);
        left.push(id);
      }
      for (let round = 0; round < 4; round++) {
        client.drop();
        if (round === 2) await target.restart();
        client = new MqttClient(target.port, version, clientId);
        await client.connect({ durable: true });
        for (const id of left) await client.expectRelease(id);
        // Each of these waits for what is behind it, and for the disk.
        await client.subscribe(`${clientId}/other`, { qos: 2 });
        await client.ping();
        assert.equal(client.pending, 0, 'a message while the window is full');
      }
      const open: number[] = [];
      for (const [at, id] of left.entries()) {
        client.send(acknowledge('pubcomp', id));
        const message = await client.expect('publish');
        assert.equal(message.payload, `m${most + at}`);
        await client.ping();
        assert.equal(client.pending, 0, 'more messages than there is room for');
        open.push(message.id);
      }
      for (const id of open) await client.acknowledge({ qos: 2, id } as Parameters<MqttClient['acknowledge']>[0]);
      for (let at = 2 * most; at < count; at++) await client.message(`m${at}`);
      await client.quiet();
    } finally {
      client.drop();
      publisher.drop();
    }
  });
}
