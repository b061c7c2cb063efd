import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeProperties } from '../../../src/format/basic-properties.ts';
import { basicAck, basicGet, basicNack, basicPublish, confirmSelect } from '../../../src/wire/amqp/basic-methods.ts';
import { bodyFrame, headerFrame } from '../../../src/wire/amqp/content.ts';
import { queueDeclare, queuePurge } from '../../../src/wire/amqp/queue-methods.ts';
import { defaultAmqpSettings } from '../../../src/server/amqp/settings.ts';
import { declaration, publish, type RawClient } from './raw-client.ts';
import { serve } from './serve.ts';

const served = await serve();
const strict = await serve({ maxMessageBytes: 1_000_000, maxPartialBytes: 1_500_000 });

const persistent = Buffer.from([0x10, 0, 2]);

async function confirming(client: RawClient): Promise<RawClient> {
  await client.call(1, confirmSelect, { noWait: false }, 'confirm.select_ok');
  return client;
}

/** Reads acks until everything up to `last` is confirmed; answers the nacked ones. */
async function confirms(client: RawClient, last: number): Promise<number[]> {
  const nacked: number[] = [];
  for (let confirmed = 0; confirmed < last;) {
    const frame = await client.next();
    assert.ok(frame !== null);
    const tag = frame.args['deliveryTag'] as number;
    if (frame.name === basicNack.name) nacked.push(tag);
    else assert.equal(frame.name, basicAck.name);
    assert.ok(tag > confirmed, 'a confirm came twice');
    if (frame.args['multiple'] !== true) assert.equal(tag, confirmed + 1);
    confirmed = tag;
  }
  return nacked;
}

test('the same bytes give the same messages, wherever reads cut them', async () => {
  const client = await confirming(await served.client());
  await client.declare('cut');
  const bodies = ['', 'a', 'bb'.repeat(50), 'c'.repeat(9_000)];
  const stream = Buffer.concat(bodies.map((body) => publish('cut', body, { properties: persistent, frameMax: 4_096 })));
  let sequence = 0;
  const cutsOf = fc.array(fc.nat(stream.length), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(cutsOf, async (cuts) => {
      const ends = [...cuts, stream.length].sort((a, b) => a - b);
      let at = 0;
      for (const end of ends) {
        client.send(stream.subarray(at, end));
        at = end;
        await new Promise((resolve) => setImmediate(resolve));
      }
      sequence += bodies.length;
      await confirmsUpTo(client, sequence);
      for (const body of bodies) {
        client.send(basicGet.frame(1, { queue: 'cut', noAck: true }));
        const got = await client.message('basic.get_ok');
        assert.equal(got.body.toString(), body);
        assert.deepEqual(got.properties, persistent);
      }
    }),
    { numRuns: 25 },
  );
});

async function confirmsUpTo(client: RawClient, last: number): Promise<void> {
  for (;;) {
    const frame = await client.expect('basic.ack');
    if (frame.args['deliveryTag'] === last) return;
  }
}

test('one byte at a time', async () => {
  const client = await confirming(await served.client());
  await client.declare('slow');
  for (const byte of publish('slow', 'body', { properties: persistent })) {
    client.send(Buffer.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(await confirms(client, 1), []);
  client.send(basicGet.frame(1, { queue: 'slow', noAck: true }));
  assert.equal((await client.message('basic.get_ok')).body.toString(), 'body');
});

test('a message that is confirmed by itself is confirmed as one', async () => {
  const client = await confirming(await served.client());
  await client.declare('single');
  for (const deliveryTag of [1, 2]) {
    client.send(publish('single', 'x'));
    assert.deepEqual({ ...(await client.expect('basic.ack')).args }, { deliveryTag, multiple: false });
  }
  client.send(publish('single', 'x'), publish('single', 'x'));
  assert.deepEqual({ ...(await client.expect('basic.ack')).args }, { deliveryTag: 4, multiple: true });
});

test('one ack confirms all of a read, and channels confirm by themselves', async () => {
  const client = await confirming(await served.client());
  await client.openChannel(2);
  await client.call(2, confirmSelect, { noWait: false }, 'confirm.select_ok');
  await client.declare('many');
  const read = Array.from({ length: 20 }, (_, index) => publish('many', 'x', { channel: 1 + (index % 2) }));
  client.send(...read);
  const last = [0, 0, 0];
  while (last[1] !== 10 || last[2] !== 10) {
    const frame = await client.expect('basic.ack');
    last[frame.channel] = frame.args['deliveryTag'] as number;
  }
});

test('unroutable messages are confirmed, mandatory ones after they came back', async () => {
  const client = await confirming(await served.client());
  client.send(publish('nowhere', 'lost'));
  assert.deepEqual(await confirms(client, 1), []);
  client.send(publish('nowhere', 'back', { mandatory: true, properties: persistent }));
  const { frame, body, properties } = await client.message('basic.return');
  const expected = { replyCode: 312, replyText: 'NO_ROUTE', exchange: '', routingKey: 'nowhere' };
  assert.deepEqual({ ...frame.args }, expected);
  assert.equal(body.toString(), 'back');
  assert.deepEqual(properties, persistent);
  assert.equal((await client.expect('basic.ack')).args['deliveryTag'], 2);
});

test('refused messages are nacked, the others of the same read acked', async () => {
  const client = await confirming(await served.client());
  await client.declare('full', { 'x-max-length': 3, 'x-overflow': 'reject-publish' });
  await client.declare('free');
  client.send(...['full', 'full', 'free', 'full', 'full', 'free', 'full'].map((queue) => publish(queue, 'x')));
  assert.deepEqual(await confirms(client, 7), [5, 7]);
});

test('publishes find a queue that the frame before them declared, and none that it deleted', async () => {
  const client = await confirming(await served.client());
  const declare = queueDeclare.frame(1, { ...declaration, queue: 'pipelined' });
  client.send(declare, publish('pipelined', 'one'), queuePurge.frame(1, { queue: '', noWait: false }));
  const answers = [await client.next(), await client.next(), await client.next()];
  const purged = answers.find((frame) => frame?.name === 'queue.purge_ok');
  assert.equal(purged?.args['messageCount'], 1);
});

test('a body in many frames arrives whole', async () => {
  const client = await served.client({ frameMax: 4_096 });
  await client.declare('large');
  await client.consume('large', 'c', true);
  const body = Buffer.alloc(300_001, 'abcdefg');
  client.send(publish('large', body, { frameMax: 4_096, properties: persistent }));
  const got = await client.message('basic.deliver');
  assert.ok(got.body.equals(body));
});

test('a message of the largest size is taken', async () => {
  const client = await confirming(await strict.client());
  await client.declare('largest');
  client.send(publish('largest', Buffer.alloc(1_000_000, 1)));
  assert.deepEqual(await confirms(client, 1), []);
});

test('Memory from declared length: partial bodies of one connection are bounded, and cost what came', async () => {
  const client = await strict.client();
  const publishOn = (number: number): Buffer =>
    basicPublish.frame(number, { exchange: '', routingKey: 'x', mandatory: false, immediate: false });
  for (let number = 2; number <= 500; number++)
    client.send(Buffer.from([1, 0, 0, 0, 0, 0, 5, 0, 20, 0, 10, 0, 0xce].with(1, number >> 8).with(2, number & 0xff)));
  for (let number = 2; number <= 500; number++) await client.expect('channel.open_ok');
  const before = process.memoryUsage().arrayBuffers;
  // 500 MB declared, one byte sent on each channel.
  for (let number = 1; number <= 20; number++) {
    client.send(publishOn(number), headerFrame(number, 1_000_000, persistent), bodyFrame(number, Buffer.of(1)));
  }
  await client.declare('alive', {}, 21);
  assert.ok(process.memoryUsage().arrayBuffers - before < 20 * 200_000);
  const piece = Buffer.alloc(100_000);
  for (let number = 1; number <= 20; number++) client.send(bodyFrame(number, piece));
  const { args } = await client.expect('connection.close');
  assert.equal(
    args['replyText'],
    'RESOURCE_ERROR - messages that are not whole hold more than 1500000 bytes on this connection',
  );
});

test(
  'Memory from declared length: properties count as part of what is not whole, until it is',
  { timeout: 300_000 },
  async () => {
    const client = await strict.client();
    const properties = encodeProperties({ headers: { filler: 'x'.repeat(100_000) } });
    // Far more than may be held at a time, but each is whole at once.
    for (let round = 0; round < 20; round++) client.send(publish('nowhere', '', { properties }));
    for (let number = 2; number <= 20; number++) await client.openChannel(number);
    for (let number = 1; number <= 20; number++) {
      const target = { exchange: '', routingKey: 'x', mandatory: false, immediate: false };
      client.send(basicPublish.frame(number, target), headerFrame(number, 1, properties));
    }
    const { args } = await client.expect('connection.close');
    assert.equal(
      args['replyText'],
      'RESOURCE_ERROR - messages that are not whole hold more than 1500000 bytes on this connection',
    );
  },
);

test('four messages of the largest size can come in at once, as a client mixes the frames of its channels', async () => {
  const client = await served.client();
  const channels = [1, 2, 3, 4];
  const properties = encodeProperties({ headers: { padding: 'p'.repeat(1_000) } });
  const body = Buffer.alloc(defaultAmqpSettings.maxMessageBytes);
  const pieceBytes = 131_072 - 8;
  for (const number of channels) {
    if (number > 1) await client.openChannel(number);
    await client.call(number, confirmSelect, { noWait: false }, 'confirm.select_ok');
    const args = { exchange: '', routingKey: 'nobody', mandatory: false, immediate: false };
    client.send(basicPublish.frame(number, args), headerFrame(number, body.length, properties));
  }
  for (let at = 0; at < body.length; at += pieceBytes) {
    for (const number of channels) client.send(bodyFrame(number, body.subarray(at, at + pieceBytes)));
  }
  for (const _ of channels) await client.expect('basic.ack');
});
