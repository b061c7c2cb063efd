import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { createWebSocketStream, WebSocket } from 'ws';
import { startTarget } from './broker.ts';
import { MqttClient } from './client.ts';
import { conformsOn } from './conforms.ts';
import { connect, pingreq, publish, subscribe, type Version } from './packet.ts';

const target = await startTarget();
const conforms = conformsOn(target);

async function open(): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${target.wsPort}/mqtt`, ['mqtt']);
  socket.on('error', () => undefined);
  await once(socket, 'open');
  return socket;
}

async function client(version: Version, clientId: string): Promise<MqttClient> {
  const stream = createWebSocketStream(await open());
  stream.on('error', () => undefined);
  const made = new MqttClient(stream, version, clientId);
  await made.connect();
  return made;
}

if (target.own === null) {
  test('WebSocket needs our server', { skip: 'Mosquitto is not asked to listen for it' }, () => undefined);
} else {
  conforms(
    'MQTT is spoken over WebSocket, in binary frames',
    { v3: '6.0.0-1 6.0.0-4 7.1.1-1', v5: '4.2-1 6.0.0-1 6.0.0-4' },
    async ({ version, topic }) => {
      const socket = await open();
      assert.equal(socket.protocol, 'mqtt');
      let frames = 0;
      socket.on('message', (_, isBinary) => {
        frames++;
        assert.ok(isBinary);
      });
      const stream = createWebSocketStream(socket);
      const subscriber = new MqttClient(stream, version, `${topic}subscriber`);
      await subscriber.connect();
      await subscriber.subscribe(topic, { qos: 2 });
      const publisher = await client(version, `${topic}publisher`);
      for (const qos of [0, 1, 2]) {
        await publisher.publish(topic, 'm'.repeat(100_000), { qos });
        await subscriber.message('m'.repeat(100_000));
      }
      assert.ok(frames > 0);
      await publisher.disconnect();
      await subscriber.disconnect();
    },
  );

  conforms('a text frame ends the connection', { v3: '6.0.0-1', v5: '6.0.0-1' }, async ({ version }) => {
    for (const early of [true, false]) {
      const socket = await open();
      const closed = once(socket, 'close');
      if (!early) {
        socket.send(connect(version, { clientId: 'text' }));
        await once(socket, 'message');
      }
      socket.send(pingreq.toString('latin1'));
      await closed;
    }
  });

  conforms(
    'frames hold parts of packets and many packets as they come',
    { v3: '6.0.0-2', v5: '6.0.0-2' },
    async ({ version, topic }) => {
      const socket = await open();
      const received: Buffer[] = [];
      let wake = (): void => undefined;
      socket.on('message', (data: Buffer) => {
        received.push(data);
        wake();
      });
      const bytes = Buffer.concat([
        connect(version, { clientId: `${topic}parts` }),
        subscribe(version, 1, [topic], { qos: 0 }),
        publish(version, topic, 'one'),
        publish(version, topic, 'two'),
        pingreq,
      ]);
      for (let at = 0; at < 40; at++) socket.send(bytes.subarray(at, at + 1));
      socket.send(bytes.subarray(40));
      const end = Buffer.from([0xd0, 0]);
      while (!Buffer.concat(received).includes(end)) await new Promise<void>((resolve) => (wake = resolve));
      const all = Buffer.concat(received);
      for (const payload of ['one', 'two']) assert.ok(all.includes(payload), payload);
      socket.terminate();
    },
  );

  conforms('a client over TCP and one over WebSocket meet', { v3: '7.1.1-1', v5: '4.2-1' }, async (world) => {
    const overTcp = await world.open('tcp');
    await overTcp.subscribe(world.topic, { qos: 1 });
    const overWs = await client(world.version, `${world.topic}ws`);
    await overWs.subscribe(world.topic, { qos: 1 });
    await overWs.publish(world.topic, 'm', { qos: 1 });
    await overTcp.message('m');
    await overWs.message('m');
    await overWs.disconnect();
  });
}
