/** Wherever the reads of a socket cut a conversation, its answers are the same. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeProperties } from '../../../src/format/basic-properties.ts';
import {
  basicAck,
  basicCancel,
  basicConsume,
  basicGet,
  basicNack,
  basicQos,
  confirmSelect,
  txCommit,
  txRollback,
  txSelect,
} from '../../../src/wire/amqp/basic-methods.ts';
import { channelClose, channelFlow, channelOpen } from '../../../src/wire/amqp/channel-methods.ts';
import { exchangeBind, exchangeDeclare, exchangeDelete } from '../../../src/wire/amqp/exchange-methods.ts';
import { queueBind, queueDeclare, queueDelete, queuePurge } from '../../../src/wire/amqp/queue-methods.ts';
import { declaration, publish, type RawClient } from './raw-client.ts';
import { serve } from './serve.ts';

const served = await serve();

const exchange = {
  exchange: 'split-e',
  type: 'topic',
  passive: false,
  durable: false,
  autoDelete: false,
  internal: false,
  noWait: false,
  arguments: { 'alternate-exchange': 'amq.fanout' },
};
const properties = encodeProperties({ contentType: 'text/plain', headers: { a: [1, { b: 'c' }] }, messageId: 'm' });
const queue = 'split-q';
const get = basicGet.frame(1, { queue, noAck: false });

/** Every class, a transaction, messages of one frame and of many, and an error of a channel. */
const conversation = Buffer.concat([
  exchangeDeclare.frame(1, exchange),
  queueDeclare.frame(1, { ...declaration, queue, arguments: { 'x-max-priority': 3 } }),
  queueBind.frame(1, { queue, exchange: 'split-e', routingKey: 'k.#', noWait: false, arguments: {} }),
  exchangeBind.frame(1, {
    destination: 'split-e',
    source: 'amq.direct',
    routingKey: 'k',
    noWait: false,
    arguments: {},
  }),
  channelOpen.frame(2, {}),
  confirmSelect.frame(2, { noWait: false }),
  // Channels do not wait for each other: what this one uses is there before.
  publish('split-c', 'one', { channel: 2, properties }),
  publish('nowhere', 'returned', { channel: 2, mandatory: true }),
  txSelect.frame(1, {}),
  publish('k', 'two'.repeat(3_000), { exchange: 'amq.direct', properties, frameMax: 4_096 }),
  publish(queue, ''),
  publish('k.x', 'before', { exchange: 'split-e', properties }),
  txCommit.frame(1, {}),
  get,
  basicAck.frame(1, { deliveryTag: 1, multiple: false }),
  txRollback.frame(1, {}),
  publish(queue, 'three', { mandatory: true }),
  publish('nobody', 'returned at commit', { mandatory: true, properties }),
  basicNack.frame(1, { deliveryTag: 1, multiple: true, requeue: false }),
  txCommit.frame(1, {}),
  basicQos.frame(1, { prefetchSize: 0, prefetchCount: 1, global: false }),
  get,
  queuePurge.frame(1, { queue, noWait: false }),
  channelFlow.frame(2, { active: true }),
  basicConsume.frame(2, {
    queue: 'split-empty',
    consumerTag: 'c',
    noLocal: false,
    noAck: false,
    exclusive: false,
    noWait: false,
    arguments: {},
  }),
  basicCancel.frame(2, { consumerTag: 'c', noWait: false }),
  channelOpen.frame(3, {}),
  basicAck.frame(3, { deliveryTag: 9, multiple: false }),
  queueDelete.frame(1, { queue, ifUnused: false, ifEmpty: false, noWait: false }),
  exchangeDelete.frame(1, { exchange: 'split-e', ifUnused: false, noWait: false }),
  channelClose.frame(1, { replyCode: 200, replyText: '', classId: 0, methodId: 0 }),
]);

/** The answers of each channel, in their order; how many publishes one confirm covers depends on the reads. */
async function answers(client: RawClient): Promise<Record<number, string[]>> {
  const found: Record<number, string[]> = { 1: [], 2: [], 3: [] };
  let confirmed = 0;
  for (let closed = 0; closed < 2 || confirmed < 2;) {
    const frame = await client.next();
    assert.ok(frame !== null);
    if (frame.name === 'basic.ack') confirmed = frame.args['deliveryTag'] as number;
    else
      found[frame.channel]!.push(
        `${frame.name} ${JSON.stringify(frame.args)} ${frame.type === 1 ? '' : frame.payload.toString('hex')}`,
      );
    if (frame.name === 'channel.close' || frame.name === 'channel.close_ok') closed += 1;
  }
  return found;
}

async function talk(cuts: readonly number[]): Promise<Record<number, string[]>> {
  const client = await served.client();
  await client.declare('split-c');
  await client.declare('split-empty');
  let from = 0;
  for (const cut of [...new Set(cuts)].sort((a, b) => a - b)) {
    client.send(conversation.subarray(from, cut));
    from = cut;
    // Each part is a read of its own, mostly.
    await new Promise((resolve) => setImmediate(resolve));
  }
  client.send(conversation.subarray(from));
  const found = await answers(client);
  client.end();
  return found;
}

test('a conversation has the same answers wherever it is cut', async () => {
  const whole = await talk([]);
  assert.ok(whole[1]!.length > 15 && whole[3]!.some((answer) => answer.includes('unknown delivery tag 9')));
  const cuts = fc.array(fc.nat(conversation.length), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(cuts, async (at) => assert.deepEqual(await talk(at), whole)),
    { numRuns: 60 },
  );
});

test('and byte by byte, but for long bodies', async () => {
  const cuts = Array.from({ length: conversation.length }, (_, at) => at).filter(
    (at) => at < 900 || at > conversation.length - 900,
  );
  assert.deepEqual(await talk(cuts), await talk([]));
});
