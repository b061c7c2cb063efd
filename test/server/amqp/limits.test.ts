import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { test } from 'node:test';
import { basicConsume } from '../../../src/wire/amqp/basic-methods.ts';
import { publish } from './raw-client.ts';
import { serve } from './serve.ts';

const served = await serve({ maxConsumersPerConnection: 3 });
const short = await serve({ maxUnsentBytes: 64 * 1024, frozenAfterMs: 50 });

test('Consumer storm: a connection has so many consumers, on whatever channels', async () => {
  const client = await served.client();
  await client.openChannel(2);
  await client.declare('storm');
  for (const tag of ['a', 'b']) await client.consume('storm', tag);
  await client.consume('storm', 'c', false, 2);
  const args = { queue: 'storm', consumerTag: 'd', noLocal: false, noAck: false, exclusive: false, arguments: {} };
  client.send(basicConsume.frame(2, { ...args, noWait: false }));
  const text = 'NOT_ALLOWED - reached maximum (3) of consumers per connection';
  assert.equal((await client.expect('connection.close')).args['replyText'], text);
  await (await served.client()).consume('storm', 'd');
});

test('a client without heartbeats is asked by TCP whether it is there', async (t) => {
  const asked = t.mock.method(Socket.prototype, 'setKeepAlive');
  await served.client({ heartbeat: 60 });
  assert.equal(asked.mock.callCount(), 0);
  await served.client({ heartbeat: 0 });
  assert.deepEqual(asked.mock.calls[0]?.arguments, [true, 60_000]);
});

test('a user name of any length is a short line in the log', async () => {
  const client = served.raw();
  await client.startOk({ user: 'u'.repeat(7_000) });
  assert.equal((await client.expect('connection.close')).args['replyCode'], 403);
  const line = served.lines.find((each) => each.includes('uuu'));
  assert.ok(line !== undefined && line.length < 1_200);
});

test(
  'Frozen subscriber: one that takes nothing is cut while memory is short, and no other',
  { timeout: 20_000 },
  async (t) => {
    const { pressure } = short.broker;
    const frozen = await short.client();
    const reading = await short.client();
    await frozen.declare('frozen');
    await frozen.consume('frozen', 'f');
    frozen.socket.pause();
    const publisher = await short.client();
    for (let index = 0; index < 16; index++) publisher.send(publish('frozen', Buffer.alloc(1024 * 1024)));
    await publisher.declare('sent');
    await new Promise((resolve) => setTimeout(resolve, 150));
    assert.equal(short.server.connectionCount, 3, 'memory is not short yet');
    let lowOnMemory = true;
    t.mock.getter(pressure, 'lowOnMemory', () => lowOnMemory);
    // Whatever is told has the server look again.
    pressure.setDisk(true);
    while (short.server.connectionCount > 2) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.ok(short.lines.some((line) => /took nothing of \d+ bytes for 0.05 s while memory is short/.test(line)));
    lowOnMemory = false;
    pressure.setDisk(false);
    await reading.declare('still-there');
  },
);
