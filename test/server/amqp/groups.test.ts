import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeProperties } from '../../../src/format/basic-properties.ts';
import type { FieldTable, FieldValue } from '../../../src/format/field-table.ts';
import { basicAck, basicGet, basicNack, basicQos } from '../../../src/wire/amqp/basic-methods.ts';
import { channelClose } from '../../../src/wire/amqp/channel-methods.ts';
import { queueDeclare } from '../../../src/wire/amqp/queue-methods.ts';
import { declaration, publish, type RawClient } from './raw-client.ts';
import { serve } from './serve.ts';

const served = await serve();
const grouped = { 'x-group-by': 'customer' };
let queues = 0;

/** Two channels, each with a consumer of its own and so many messages at a time. */
async function open(args: FieldTable, prefetchCount: number): Promise<{ client: RawClient; queue: string }> {
  const client = await served.client();
  const queue = `grouped.${++queues}`;
  await client.declare(queue, args);
  await client.openChannel(2);
  for (const channel of [1, 2]) {
    await client.call(channel, basicQos, { prefetchSize: 0, prefetchCount, global: false }, 'basic.qos_ok');
    await client.consume(queue, `c${channel}`, false, channel);
  }
  return { client, queue };
}

function send(client: RawClient, queue: string, customer: FieldValue, ...bodies: string[]): void {
  const properties = encodeProperties({ headers: { customer } });
  client.send(...bodies.map((body) => publish(queue, body, { properties })));
}

interface Delivered {
  readonly channel: number;
  readonly text: string;
  readonly tag: number;
}

async function next(client: RawClient): Promise<Delivered> {
  const { frame, body } = await client.message('basic.deliver');
  return { channel: frame.channel, text: body.toString(), tag: frame.args['deliveryTag'] as number };
}

async function some(client: RawClient, count: number): Promise<Delivered[]> {
  const delivered: Delivered[] = [];
  while (delivered.length < count) delivered.push(await next(client));
  return delivered;
}

async function nothingComes(client: RawClient): Promise<void> {
  await assert.rejects(client.expect('basic.deliver', 60));
}

const ack = (client: RawClient, { channel, tag }: Delivered): void =>
  client.send(basicAck.frame(channel, { deliveryTag: tag, multiple: false }));
const requeue = (client: RawClient, { channel, tag }: Delivered): void =>
  client.send(basicNack.frame(channel, { deliveryTag: tag, multiple: false, requeue: true }));

test('of two channels, one at a time has the messages of a key', async () => {
  const { client, queue } = await open(grouped, 1);
  send(client, queue, 'ann', 'ann 1', 'ann 2');
  send(client, queue, 'bob', 'bob 1', 'bob 2');
  send(client, queue, 17, 'seventeen');
  const [first, second] = await some(client, 2);
  assert.deepEqual([first!.text, second!.text], ['ann 1', 'bob 1']);
  assert.notEqual(first!.channel, second!.channel);
  // Whoever has credit gets what comes next of a key that nobody has.
  ack(client, second!);
  const third = await next(client);
  assert.deepEqual([third.text, third.channel], ['bob 2', second!.channel]);
  ack(client, third);
  const fourth = await next(client);
  assert.deepEqual([fourth.text, fourth.channel], ['seventeen', second!.channel]);
  ack(client, fourth);
  await nothingComes(client);
  ack(client, first!);
  assert.equal((await next(client)).text, 'ann 2');
});

test('a key goes over with what was not acknowledged when its channel is closed', async () => {
  const { client, queue } = await open(grouped, 2);
  send(client, queue, 'ann', 'ann 1', 'ann 2', 'ann 3', 'ann 4');
  const [first] = await some(client, 2);
  await nothingComes(client);
  const args = { replyCode: 200, replyText: '', classId: 0, methodId: 0 };
  client.send(channelClose.frame(first!.channel, args));
  // What was given back reaches the other channel before this one is told.
  const again = await some(client, 2);
  await client.expect('channel.close_ok');
  const other = 3 - first!.channel;
  assert.deepEqual(
    again.map(({ text, channel }) => [text, channel]),
    [
      ['ann 1', other],
      ['ann 2', other],
    ],
  );
});

test('what is given back goes again before what is behind it, once the others are settled', async () => {
  const { client, queue } = await open(grouped, 3);
  send(client, queue, 'ann', 'ann 1', 'ann 2', 'ann 3', 'ann 4');
  const [one, two, three] = await some(client, 3);
  requeue(client, three!);
  requeue(client, one!);
  await nothingComes(client);
  ack(client, two!);
  const again = await some(client, 3);
  assert.deepEqual(
    again.map(({ text }) => text),
    ['ann 1', 'ann 3', 'ann 4'],
  );
  assert.equal(new Set(again.map(({ channel }) => channel)).size, 1);
});

test('basic.get passes over what another channel has', async () => {
  const client = await served.client();
  await client.openChannel(2);
  await client.declare('taken', { 'x-group-by': 'correlation_id' });
  const of = (correlationId: string): { properties: Buffer } => ({ properties: encodeProperties({ correlationId }) });
  client.send(publish('taken', '1', of('a')), publish('taken', '2', of('a')), publish('taken', '3', of('b')));
  const take = async (channel: number): Promise<string> => {
    client.send(basicGet.frame(channel, { queue: 'taken', noAck: false }));
    return (await client.message('basic.get_ok')).body.toString();
  };
  assert.equal(await take(1), '1');
  assert.equal(await take(2), '3');
  await client.call(2, basicGet, { queue: 'taken', noAck: false }, 'basic.get_empty');
  assert.equal(await take(1), '2');
});

test('what it is grouped by is checked', async (t) => {
  const refusals: [name: string, args: FieldTable, text: string][] = [
    [
      'an integer',
      { 'x-group-by': 7 },
      "invalid arg 'x-group-by' for queue 'wrong' in vhost '/': {unacceptable_type,signedint}",
    ],
    [
      'no name',
      { 'x-group-by': '' },
      `invalid arg 'x-group-by' for queue 'wrong' in vhost '/': "expected the name of a header or of a property"`,
    ],
    [
      'a stream',
      { 'x-group-by': 'customer', 'x-queue-type': 'stream' },
      "invalid arg 'x-group-by' for queue 'wrong' in vhost '/' of queue type rabbit_stream_queue",
    ],
  ];
  for (const [name, args, text] of refusals) {
    await t.test(name, async () => {
      const client = await served.client();
      const given = { ...declaration, queue: 'wrong', durable: true, arguments: args };
      const closed = await client.call(1, queueDeclare, given, 'channel.close');
      assert.deepEqual([closed.args['replyCode'], closed.args['replyText']], [406, `PRECONDITION_FAILED - ${text}`]);
    });
  }
});

test('declared again it must be grouped by the same', async () => {
  const client = await served.client();
  await client.declare('again', grouped);
  await client.declare('again', grouped);
  const given = { ...declaration, queue: 'again', arguments: {} };
  const closed = await client.call(1, queueDeclare, given, 'channel.close');
  assert.equal(
    closed.args['replyText'],
    "PRECONDITION_FAILED - inequivalent arg 'x-group-by' for queue 'again' in vhost '/': received none but current is the value 'customer' of type 'longstr'",
  );
});
