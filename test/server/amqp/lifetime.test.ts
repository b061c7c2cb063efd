import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { basicGet, confirmSelect } from '../../../src/wire/amqp/basic-methods.ts';
import { channelFlow } from '../../../src/wire/amqp/channel-methods.ts';
import { connectionCloseOk } from '../../../src/wire/amqp/connection-methods.ts';
import { heartbeatFrame } from '../../../src/wire/amqp/content.ts';
import { allCapabilities, publish } from './raw-client.ts';
import { serve } from './serve.ts';

const served = await serve();
const closing = await serve();
const small = await serve({ maxConnections: 1 });

describe('back-pressure', () => {
  test('publishers are told once that they are blocked, and go on when they are not; consumers go on all the time', async () => {
    const { pressure } = served.broker;
    const publisher = await served.client();
    const consumer = await served.client();
    const plain = await served.client({ capabilities: {} });
    await publisher.declare('blocked');
    await consumer.consume('blocked', 'c', true);
    await publisher.call(1, confirmSelect, { noWait: false }, 'confirm.select_ok');
    publisher.send(publish('blocked', 'before'));
    await publisher.expect('basic.ack');
    pressure.setDisk(true);
    try {
      assert.deepEqual({ ...(await publisher.expect('connection.blocked')).args }, { reason: 'low on disk' });
      publisher.send(publish('blocked', 'during'));
      assert.equal((await consumer.message('basic.deliver')).body.toString(), 'before');
      await consumer.call(1, channelFlow, { active: true }, 'channel.flow_ok');
      // The first publish makes it one that is held back; without the capability it is not told.
      plain.send(publish('blocked', 'plain'));
    } finally {
      pressure.setDisk(false);
    }
    await publisher.expect('connection.unblocked');
    await publisher.expect('basic.ack');
    const bodies = [(await consumer.message('basic.deliver')).body, (await consumer.message('basic.deliver')).body];
    assert.deepEqual(bodies.map(String).sort(), ['during', 'plain']);
    await plain.call(1, channelFlow, { active: true }, 'channel.flow_ok');
  });

  test('a disk that is behind stops reading from publishers, without a word', async () => {
    const { pressure } = served.broker;
    const publisher = await served.client();
    const getter = await served.client();
    await publisher.declare('behind');
    publisher.send(publish('behind', '1'));
    await publisher.call(1, channelFlow, { active: true }, 'channel.flow_ok');
    pressure.setBehind(true);
    try {
      publisher.send(publish('behind', '2'));
      await getter.call(1, channelFlow, { active: true }, 'channel.flow_ok');
      await getter.call(1, channelFlow, { active: true }, 'channel.flow_ok');
      assert.equal(
        (await getter.call(1, basicGet, { queue: 'behind', noAck: true }, 'basic.get_ok')).args['messageCount'],
        0,
      );
    } finally {
      pressure.setBehind(false);
    }
    await publisher.call(1, channelFlow, { active: true }, 'channel.flow_ok');
  });
});

describe('heartbeats', () => {
  test('are sent, and a client that sends none is taken for dead', async () => {
    const client = served.raw();
    await client.handshake({ heartbeat: 1 });
    const started = Date.now();
    await client.untilEnd();
    assert.ok(Date.now() - started >= 1_900, 'two intervals had not passed');
    assert.ok(served.lines.some((line) => line.includes('missed heartbeats from client, timeout: 1s')));
  });

  test('anything that the client sends keeps it alive', async () => {
    const client = await served.client({ heartbeat: 1 });
    const bytesBefore = client.socket.bytesRead;
    const timer = setInterval(() => client.send(heartbeatFrame()), 300);
    await new Promise((resolve) => setTimeout(resolve, 2_600));
    clearInterval(timer);
    assert.ok(client.socket.bytesRead - bytesBefore >= 2 * 8, 'no heartbeats came');
    await client.call(1, channelFlow, { active: true }, 'channel.flow_ok');
  });
});

describe('the end', () => {
  test('the server asks its clients to go and waits for them', async () => {
    const client = await closing.client();
    const closed = closing.server.close('shutdown', 2_000);
    const { args } = await client.expect('connection.close');
    const text = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'";
    assert.deepEqual([args['replyCode'], args['replyText']], [320, text]);
    client.send(connectionCloseOk.frame(0, {}));
    assert.deepEqual(await client.untilEnd(), []);
    client.end();
    await closed;
    assert.equal(closing.server.connectionCount, 0);
  });

  test('connections beyond the limit are refused', async () => {
    const first = await small.client();
    assert.deepEqual(await small.raw().untilEnd(), []);
    assert.deepEqual(await small.raw().untilEnd(), []);
    assert.deepEqual(small.lines, ['amqp: connections are refused: 1 are open']);
    first.end();
    while (small.server.connectionCount > 0) await new Promise((resolve) => setImmediate(resolve));
    await small.client({ capabilities: allCapabilities });
  });

  test('a client that just goes leaves nothing', async () => {
    const before = served.server.connectionCount;
    const client = await served.client();
    await client.declare('left');
    client.send(publish('left', 'x'), Buffer.from([1, 0, 1, 0, 0]));
    client.socket.resetAndDestroy();
    while (served.server.connectionCount > before) await new Promise((resolve) => setImmediate(resolve));
  });
});
