import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { test } from 'node:test';
import { basicAck, basicCancel, basicConsume, basicGet } from '../../../src/wire/amqp/basic-methods.ts';
import { channelClose } from '../../../src/wire/amqp/channel-methods.ts';
import { queueDeclare } from '../../../src/wire/amqp/queue-methods.ts';
import { declaration, publish, type RawClient } from './raw-client.ts';
import { serve } from './serve.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

const served = await serve({ maxConsumersPerConnection: 3 });
const short = await serve({ maxUnsentBytes: 64 * KiB, frozenAfterMs: 50 });
const full = await serve({ maxUnsentBytesOfAll: 2 * MiB, frozenAfterMs: 60_000 });
const fullAndQuick = await serve({ maxUnsentBytesOfAll: 2 * MiB, frozenAfterMs: 100 });
const impatient = await serve({ consumerTimeoutMs: 1_000 });
const tiny = await serve({ maxConnections: 4, handshakeTimeoutMs: 60_000 });
const narrow = await serve({ maxConnections: 12, handshakeTimeoutMs: 60_000 });

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

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
  { timeout: 300_000 },
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

/** Clients that consume and read nothing, each with more than it takes. */
async function frozenClients(server: typeof full, count: number): Promise<void> {
  const publisher = await server.client();
  for (let n = 0; n < count; n++) {
    const client = await server.client();
    await client.declare(`frozen-${n}`);
    await client.consume(`frozen-${n}`, 'c', true);
    client.socket.pause();
    for (let index = 0; index < 80; index++) publisher.send(publish(`frozen-${n}`, Buffer.alloc(100 * KiB)));
  }
  await publisher.declare('sent');
}

test('all clients together leave no more than so much untaken, and who reads goes on', async () => {
  await frozenClients(full, 8);
  const { outputBudget } = full.server;
  while (!outputBudget.isNarrow) await pause(5);
  // Two messages beyond the limit of each, and chunks that are not full.
  assert.ok(outputBudget.heldBytes < 2 * MiB + 9 * 512 * KiB, `${outputBudget.heldBytes} bytes`);
  const [publisher, reader] = [await full.client(), await full.client()];
  await reader.declare('lively');
  await reader.consume('lively', 'c', true);
  for (let n = 0; n < 100; n++) publisher.send(publish('lively', Buffer.alloc(20 * KiB, n)));
  for (let n = 0; n < 100; n++) assert.equal((await reader.message('basic.deliver')).body[0], n);
});

test('those who take nothing are cut while all have too much, and then there is room again', async () => {
  await frozenClients(fullAndQuick, 8);
  const { server, lines } = fullAndQuick;
  while (server.connectionCount === 9 || server.outputBudget.isNarrow) await pause(10);
  assert.ok(lines.some((line) => /took nothing of \d+ bytes for 0.1 s while others wait/.test(line)));
  assert.ok(server.connectionCount > 1, 'no more than it takes to have room');
});

test('a delivery that nobody acknowledges ends its channel, and its message is there again', async () => {
  const client = await impatient.client();
  await client.declare('work');
  await client.openChannel(2);
  await client.openChannel(3);
  for (const body of ['a', 'b']) client.send(publish('work', body));
  await client.consume('work', 'c');
  await client.message('basic.deliver');
  await client.message('basic.deliver');
  // The second one is: what counts is the oldest.
  client.send(basicAck.frame(1, { deliveryTag: 2, multiple: false }));
  const { channel, args } = await client.expect('channel.close');
  assert.deepEqual([channel, args['replyCode']], [1, 406]);
  assert.match(
    args['replyText'] as string,
    /^PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out\. Timeout value used: 1000 ms\./,
  );
  client.send(basicGet.frame(2, { queue: 'work', noAck: true }));
  const got = await client.message('basic.get_ok');
  assert.deepEqual([got.body.toString(), got.frame.args['redelivered']], ['a', true]);
});

test('while the broker does not read acknowledgements, none is late', async () => {
  const { pressure } = impatient.broker;
  const client = await impatient.client();
  await client.declare('unread');
  await client.consume('unread', 'c');
  client.send(publish('unread', 'm'));
  await client.message('basic.deliver');
  pressure.setDisk(true);
  await client.expect('connection.blocked');
  client.send(basicAck.frame(1, { deliveryTag: 1, multiple: false }));
  await pause(1_500);
  pressure.setDisk(false);
  await client.expect('connection.unblocked');
  await client.declare('still-open-after-it');
  // It counts again.
  client.send(publish('unread', 'm'));
  await client.message('basic.deliver');
  assert.equal((await client.expect('channel.close')).args['replyCode'], 406);
});

test('who acknowledges in time keeps the channel, however long it lasts', async () => {
  const client = await impatient.client();
  await client.declare('steady');
  await client.consume('steady', 'c');
  for (let tag = 1; tag <= 5; tag++) {
    client.send(publish('steady', 'm'));
    await client.message('basic.deliver');
    await pause(250);
    // The newest stays out for one delivery more.
    if (tag > 1) client.send(basicAck.frame(1, { deliveryTag: tag - 1, multiple: false }));
  }
  client.send(basicAck.frame(1, { deliveryTag: 5, multiple: false }));
  await pause(1_500);
  await client.declare('still-open');
});

test('Connections without a login: few, and they give way', { timeout: 300_000 }, async () => {
  const { server, lines } = narrow;
  const raw: RawClient[] = [];
  const gone = async (count: number): Promise<void> => {
    while (raw.filter(({ ended }) => ended).length < count) await pause(5);
  };
  for (let n = 0; n < 20; n++) raw.push(narrow.raw());
  await gone(17);
  assert.equal(server.connectionCount, 3, 'a quarter of all');
  assert.ok(lines.some((line) => line === 'amqp: connections are refused: too many are at their handshake'));
  // Those that wait for a second make room, one for one.
  await pause(1_100);
  for (let n = 0; n < 9; n++) await narrow.client();
  for (let n = 0; n < 5; n++) raw.push(narrow.raw());
  await gone(22);
  assert.equal(server.connectionCount, 12);
});

test('that connections are refused is said of those that are', async () => {
  const told = (): boolean => tiny.lines.some((line) => line.includes('connections are refused'));
  const first = tiny.raw();
  await pause(1_100);
  // It takes the place of the first.
  tiny.raw();
  await first.untilEnd();
  assert.deepEqual([tiny.server.connectionCount, told()], [1, false]);
  await tiny.raw().untilEnd();
  assert.deepEqual([tiny.server.connectionCount, told()], [1, true]);
});

for (const noAck of [true, false]) {
  const how = noAck ? 'at most once' : 'with acknowledgements';
  const server = await serve({ maxUnsentBytesOfAll: 4 * MiB, frozenAfterMs: 60_000 });
  test(`Frozen subscriber: many that took nothing yet do not get a large message each, ${how}`, async () => {
    const { outputBudget } = server.server;
    const clients: RawClient[] = [];
    for (let n = 0; n < 8; n++) {
      const client = await server.client();
      await client.declare(`idle-${n}`);
      await client.consume(`idle-${n}`, 'c', noAck);
      client.socket.pause();
      clients.push(client);
    }
    const publisher = await server.client();
    for (let n = 0; n < 8; n++) publisher.send(publish(`idle-${n}`, Buffer.alloc(4 * MiB, n)));
    // Until each has its message, or waits for room.
    for (let had = -1; had + outputBudget.waitingCount !== 8;) {
      had = 0;
      for (let n = 0; n < 8; n++) {
        const passive = { ...declaration, queue: `idle-${n}`, passive: true };
        const { args } = await publisher.call(1, queueDeclare, passive, 'queue.declare_ok');
        if (args['messageCount'] === 0) had += 1;
      }
    }
    // Two messages and their frames; what the others would get waits in its queue.
    assert.ok(outputBudget.heldBytes > 2 * MiB && outputBudget.heldBytes <= 9 * MiB, `${outputBudget.heldBytes} bytes`);
    // Who comes and goes leaves nothing that waits.
    const waiting = outputBudget.waitingCount;
    assert.ok(waiting >= 5, `${waiting} wait`);
    const passing = await server.client();
    await passing.consume('idle-5', 'p', noAck);
    await passing.openChannel(2);
    await passing.consume('idle-6', 'p', noAck, 2);
    await passing.declare('idle-6');
    assert.equal(outputBudget.waitingCount, waiting + 2);
    const closing = { replyCode: 200, replyText: '', classId: 0, methodId: 0 };
    passing.send(basicCancel.frame(1, { consumerTag: 'p', noWait: false }), channelClose.frame(2, closing));
    await passing.expect('basic.cancel_ok');
    await passing.expect('channel.close_ok');
    assert.equal(outputBudget.waitingCount, waiting);
    // Small ones go on.
    const reader = await server.client();
    await reader.declare('small');
    await reader.consume('small', 'c', true);
    publisher.send(publish('small', 'here'));
    assert.equal((await reader.message('basic.deliver')).body.toString(), 'here');
    // One that is gone while it waits gives its room to the next.
    clients.splice(3, 1)[0]!.end();
    for (const [n, client] of clients.entries()) {
      client.socket.resume();
      const { body } = await client.message('basic.deliver');
      assert.deepEqual([body.length, body[0]], [4 * MiB, n < 3 ? n : n + 1]);
    }
    while (outputBudget.heldBytes > 0) await pause(5);
    assert.deepEqual([outputBudget.hasRoom(8 * MiB), outputBudget.waitingCount], [true, 0]);
    // Nothing is promised any more.
    outputBudget.take();
    assert.equal(outputBudget.hasRoom(8 * MiB - 64 * KiB), true);
    outputBudget.giveBack();
  });
}
