import assert from 'node:assert/strict';
import { createServer, type AddressInfo } from 'node:net';
import { it } from 'node:test';
import { connectAsync } from 'mqtt';
import { connect, type PostriderError } from '../../src/index.ts';

const log = (): void => undefined;

it('serves MQTT over TCP and WebSocket, and topics are those of the API', async () => {
  await using mq = await connect('memory:', { log });
  const { amqp, mqtt, ws } = await mq.listen({ mqtt: { port: 0 }, ws: { port: 0 } });
  assert.equal(amqp, null);
  const readings = await mq.topic('site.7.temperature').subscribe('readings');
  for (const [n, url] of [`mqtt://127.0.0.1:${mqtt!.port}`, `ws://127.0.0.1:${ws!.port}/mqtt`].entries()) {
    const client = await connectAsync(url, { reconnectPeriod: 0 });
    await client.publishAsync('site/7/temperature', JSON.stringify({ n: n + 1 }), { qos: 1 });
    await client.endAsync();
  }
  const received: unknown[] = [];
  for await (const message of readings.messages()) {
    received.push(JSON.parse(String(message.payload)));
    await message.ack();
    if (received.length === 2) break;
  }
  assert.deepEqual(received, [{ n: 1 }, { n: 2 }]);
});

it('serves MQTT once at a time, and again once that is closed', async () => {
  await using mq = await connect('memory:', { log });
  const first = await mq.listen({ amqp: { port: 0 }, mqtt: { port: 0 } });
  await assert.rejects(mq.listen({ ws: { port: 0 } }), (error: PostriderError) => {
    assert.equal(error.code, 'INVALID_OPTION');
    assert.match(error.message, /MQTT is served already; name mqtt and ws in one call/);
    return true;
  });
  await first.close();
  const second = await mq.listen({ ws: { port: 0 } });
  assert.deepEqual([second.amqp, second.mqtt], [null, null]);
});

it('leaves nothing listening where one of the ports is taken', async (context) => {
  const other = createServer();
  context.after(() => other.close());
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as AddressInfo;
  await using mq = await connect('memory:', { log });
  const free = await mq.listen({ amqp: { port: 0 } });
  await free.close();
  const amqp = { port: free.amqp!.port };
  for (const options of [
    { amqp, ws: { port } },
    { amqp, mqtt: { port: 0 }, ws: { port } },
  ]) {
    await assert.rejects(mq.listen(options), {
      code: 'REFUSED',
      message: new RegExp(`127\\.0\\.0\\.1:${port}: .*taken`),
    });
  }
  const { amqp: again } = await mq.listen({ amqp, mqtt: { port: 0 } });
  assert.deepEqual(again, { host: '127.0.0.1', port: amqp.port });
});
