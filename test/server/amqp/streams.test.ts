import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeProperties, encodeProperties } from '../../../src/format/basic-properties.ts';
import { type FieldTable, FieldTimestamp } from '../../../src/format/field-table.ts';
import {
  basicAck,
  basicConsume,
  basicGet,
  basicNack,
  basicQos,
  basicRecover,
  basicReject,
  confirmSelect,
  txCommit,
  txRollback,
  txSelect,
} from '../../../src/wire/amqp/basic-methods.ts';
import { exchangeDeclare } from '../../../src/wire/amqp/exchange-methods.ts';
import { queueBind, queueDeclare, queueDelete, queuePurge } from '../../../src/wire/amqp/queue-methods.ts';
import { declaration, publish, type RawClient } from './raw-client.ts';
import { serve } from './serve.ts';

const served = await serve();
const stream = { 'x-queue-type': 'stream' };
const consuming = { consumerTag: '', noLocal: false, noAck: false, exclusive: false, noWait: false };

async function declare(client: RawClient, queue: string, more: FieldTable = {}): Promise<void> {
  const args = { ...declaration, queue, durable: true, arguments: { ...stream, ...more } };
  await client.call(1, queueDeclare, args, 'queue.declare_ok');
}

async function prefetch(client: RawClient, prefetchCount: number, global = false): Promise<void> {
  await client.call(1, basicQos, { prefetchSize: 0, prefetchCount, global }, 'basic.qos_ok');
}

async function consume(client: RawClient, queue: string, args: FieldTable, consumerTag = ''): Promise<void> {
  await client.call(1, basicConsume, { ...consuming, queue, consumerTag, arguments: args }, 'basic.consume_ok');
}

/** Publishes and waits until all is confirmed. */
async function fill(client: RawClient, queue: string, bodies: readonly string[], properties?: Buffer): Promise<void> {
  await client.call(1, confirmSelect, { noWait: false }, 'confirm.select_ok');
  client.send(...bodies.map((body) => publish(queue, body, properties === undefined ? {} : { properties })));
  for (let confirmed = 0; confirmed < bodies.length;) {
    const { args } = await client.expect('basic.ack');
    confirmed = args['deliveryTag'] as number;
  }
}

interface Delivered {
  readonly offset: unknown;
  readonly text: string;
  readonly tag: number;
  readonly redelivered: boolean;
  readonly headers: FieldTable;
  readonly contentType: string | undefined;
}

async function next(client: RawClient): Promise<Delivered> {
  const { frame, properties, body } = await client.message('basic.deliver');
  const { headers = {}, contentType } = decodeProperties(properties, 0, properties.length);
  return {
    offset: headers['x-stream-offset'],
    text: body.toString(),
    tag: frame.args['deliveryTag'] as number,
    redelivered: frame.args['redelivered'] as boolean,
    headers,
    contentType,
  };
}

async function take(client: RawClient, count: number): Promise<string[]> {
  const taken: string[] = [];
  for (let n = 0; n < count; n++) {
    const { offset, text } = await next(client);
    taken.push(`${String(offset)} ${text}`);
  }
  return taken;
}

async function nothingComes(client: RawClient): Promise<void> {
  await assert.rejects(client.expect('basic.deliver', 60));
}

test('what is read stays, numbered by its offsets, and acknowledging it gives credit back and nothing else', async () => {
  const client = await served.client();
  await declare(client, 'read');
  await prefetch(client, 2);
  await fill(client, 'read', ['a', 'b', 'c', 'd', 'e', 'f']);
  await consume(client, 'read', { 'x-stream-offset': 'first' });
  assert.deepEqual(await take(client, 2), ['0 a', '1 b']);
  await nothingComes(client);
  client.send(basicAck.frame(1, { deliveryTag: 2, multiple: true }));
  assert.deepEqual(await take(client, 2), ['2 c', '3 d']);
  // Given back or rejected, it does not come again either.
  client.send(basicNack.frame(1, { deliveryTag: 3, multiple: false, requeue: true }));
  assert.deepEqual(await take(client, 1), ['4 e']);
  client.send(basicReject.frame(1, { deliveryTag: 4, requeue: false }));
  assert.deepEqual(await take(client, 1), ['5 f']);
  await client.call(1, basicRecover, { requeue: true }, 'basic.recover_ok');
  await nothingComes(client);
  const counted = await client.call(
    1,
    queueDeclare,
    { ...declaration, queue: 'read', passive: true },
    'queue.declare_ok',
  );
  assert.deepEqual([counted.args['messageCount'], counted.args['consumerCount']], [6, 1]);
  const deleted = await client.call(
    1,
    queueDelete,
    { queue: 'read', ifUnused: false, ifEmpty: false, noWait: false },
    'queue.delete_ok',
  );
  assert.equal(deleted.args['messageCount'], 6);
  await client.expect('basic.cancel');
});

test('each consumer has a place of its own, on one channel too', async () => {
  const client = await served.client();
  const other = await served.client();
  await declare(client, 'shared');
  await prefetch(client, 10);
  await prefetch(other, 10);
  await fill(client, 'shared', ['a', 'b']);
  await consume(client, 'shared', { 'x-stream-offset': 'first' }, 'one');
  assert.deepEqual(await take(client, 2), ['0 a', '1 b']);
  await consume(client, 'shared', { 'x-stream-offset': 1 }, 'two');
  assert.deepEqual(await take(client, 1), ['1 b']);
  await consume(other, 'shared', { 'x-stream-offset': 'first' });
  assert.deepEqual(await take(other, 2), ['0 a', '1 b']);
  client.send(basicAck.frame(1, { deliveryTag: 0, multiple: true }), publish('shared', 'c'));
  assert.deepEqual(await take(other, 1), ['2 c']);
});

test('a consumer begins where it says', async () => {
  const client = await served.client();
  await declare(client, 'places');
  await prefetch(client, 100);
  await fill(client, 'places', ['a', 'b', 'c']);
  const seconds = Math.floor(Date.now() / 1000);
  const from = async (offset: FieldTable[string] | undefined, expected: string[]): Promise<void> => {
    const reader = await served.client();
    await prefetch(reader, 100);
    await consume(reader, 'places', offset === undefined ? {} : { 'x-stream-offset': offset });
    assert.deepEqual(await take(reader, expected.length), expected);
    client.send(publish('places', 'z'));
    assert.equal((await next(reader)).text, 'z');
    reader.end();
  };
  await from(undefined, []);
  await from('next', []);
  await from('last', ['4 z']);
  await from(2, ['2 c', '3 z', '4 z', '5 z']);
  await from(2n, ['2 c', '3 z', '4 z', '5 z', '6 z']);
  await from(new FieldTimestamp(seconds - 60), ['0 a', '1 b', '2 c', '3 z', '4 z', '5 z', '6 z', '7 z']);
  await from(new FieldTimestamp(seconds + 3600), []);
  await from('1h', ['0 a', '1 b', '2 c', '3 z', '4 z', '5 z', '6 z', '7 z', '8 z', '9 z']);
});

test('the header joins whatever properties a message has', async () => {
  const client = await served.client();
  await declare(client, 'headers');
  await prefetch(client, 100);
  await consume(client, 'headers', {}, 'c');
  const all = {
    contentType: 'text/plain',
    contentEncoding: 'utf-8',
    headers: { 'x-stream-offset': 77, first: 'one', 'not-x-stream-offset': true },
    deliveryMode: 2,
    priority: 3,
    correlationId: 'id',
    replyTo: 'there',
    messageId: 'm',
    timestamp: 1_700_000_000,
    type: 't',
    appId: 'app',
  };
  const { headers, ...bare } = all;
  const kinds = [{}, {}, bare, bare, all, { headers }, { headers: { a: [1, { b: null }] } }, { headers: {} }, bare, {}];
  for (const properties of kinds) client.send(publish('headers', 'x', { properties: encodeProperties(properties) }));
  for (const [at, properties] of kinds.entries()) {
    const { properties: bytes, frame } = await client.message('basic.deliver');
    const expected = { ...properties, headers: { ...(properties as typeof all).headers, 'x-stream-offset': at } };
    assert.deepEqual(
      JSON.stringify(sorted(decodeProperties(bytes, 0, bytes.length))),
      JSON.stringify(sorted(expected)),
    );
    assert.deepEqual([frame.args['exchange'], frame.args['routingKey']], ['', 'headers']);
    const at8 = bytes.indexOf('x-stream-offset', bytes.includes('not-x') ? bytes.indexOf('not-x') + 20 : 0);
    assert.equal(bytes.subarray(at8 + 15, at8 + 16).toString(), 'l', 'it is a long');
  }
});

test('a fan-out reaches streams and other queues, and exchanges are told from each other', async () => {
  const client = await served.client();
  await declare(client, 'fanned');
  await client.declare('plain');
  for (const name of ['fan-a', 'fan-b']) {
    const args = { exchange: name, type: 'fanout', passive: false, durable: false, autoDelete: true, internal: false };
    await client.call(1, exchangeDeclare, { ...args, noWait: false, arguments: {} }, 'exchange.declare_ok');
    for (const queue of ['fanned', 'plain'])
      await client.call(
        1,
        queueBind,
        { queue, exchange: name, routingKey: '', noWait: false, arguments: {} },
        'queue.bind_ok',
      );
  }
  await prefetch(client, 10);
  await consume(client, 'fanned', { 'x-stream-offset': 'first' });
  const sent = ['fan-a', 'fan-b', 'fan-a'];
  sent.forEach((exchange, at) => client.send(publish(`key-${at}`, 'x', { exchange })));
  for (const [at, exchange] of sent.entries()) {
    const { frame } = await client.message('basic.deliver');
    assert.deepEqual([frame.args['exchange'], frame.args['routingKey']], [exchange, `key-${at}`]);
  }
  for (let left = 2; left >= 0; left--) {
    client.send(basicGet.frame(1, { queue: 'plain', noAck: true }));
    const { frame } = await client.message('basic.get_ok');
    assert.equal(frame.args['messageCount'], left);
  }
});

test('a transaction publishes to a stream, and gives back the credit of what it acknowledges', async () => {
  const client = await served.client();
  await declare(client, 'in-tx');
  await fill(client, 'in-tx', ['a', 'b', 'c']);
  const reader = await served.client();
  await prefetch(reader, 2);
  await reader.call(1, txSelect, {}, 'tx.select_ok');
  await consume(reader, 'in-tx', { 'x-stream-offset': 'first' });
  assert.deepEqual(await take(reader, 2), ['0 a', '1 b']);
  reader.send(basicAck.frame(1, { deliveryTag: 2, multiple: true }), publish('in-tx', 'x'));
  await reader.call(1, txRollback, {}, 'tx.rollback_ok');
  await nothingComes(reader);
  reader.send(basicAck.frame(1, { deliveryTag: 2, multiple: true }), publish('in-tx', 'd'));
  reader.send(txCommit.frame(1, {}));
  const texts: string[] = [];
  for (let committed = false; !committed || texts.length < 2;) {
    const frame = await reader.next();
    if (frame?.name === 'tx.commit_ok') committed = true;
    else if (frame?.name === 'body') texts.push(frame.payload.toString());
  }
  assert.deepEqual(texts, ['c', 'd']);
});

test('a delayed message gets its offset when it is due', async () => {
  const client = await served.client();
  await declare(client, 'late');
  await prefetch(client, 10);
  await consume(client, 'late', { 'x-stream-offset': 'first' });
  client.send(publish('late', 'later', { properties: encodeProperties({ headers: { 'x-delay': 80 } }) }));
  client.send(publish('late', 'now'));
  assert.deepEqual(await take(client, 2), ['0 now', '1 later']);
});

test('retention goes on behind a consumer that is slow', async () => {
  const client = await served.client();
  await declare(client, 'short', { 'x-max-length-bytes': 1000 });
  await prefetch(client, 1);
  await consume(client, 'short', { 'x-stream-offset': 'first' });
  client.send(publish('short', 'the first'));
  assert.equal((await next(client)).offset, 0);
  const publisher = await served.client();
  for (let n = 1; n < 30; n++) await fill(publisher, 'short', [`${n}`.padStart(100, '.')]);
  client.send(basicAck.frame(1, { deliveryTag: 1, multiple: false }));
  const { offset, text } = await next(client);
  assert.equal(offset, 20);
  assert.equal(text, String(offset).padStart(100, '.'));
});

test('a stream takes dead letters', async () => {
  const client = await served.client();
  await declare(client, 'morgue');
  await client.declare('sick', { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'morgue' });
  await prefetch(client, 10);
  await consume(client, 'morgue', { 'x-stream-offset': 'first' });
  await consume(client, 'sick', {}, 'sick');
  client.send(publish('sick', 'x'));
  const { tag } = await next(client);
  client.send(basicReject.frame(1, { deliveryTag: tag, requeue: false }));
  const { offset, text, headers } = await next(client);
  assert.deepEqual([offset, text, headers['x-first-death-queue']], [0, 'x', 'sick']);
});

test('a filter passes over what it does not name', async () => {
  const client = await served.client();
  await declare(client, 'filtered', { 'x-stream-filter-size-bytes': 32 });
  const of = (value: string): Buffer => encodeProperties({ headers: { 'x-stream-filter-value': value } });
  await fill(client, 'filtered', ['a1', 'a2'], of('a'));
  await fill(client, 'filtered', ['b1'], of('b'));
  await fill(client, 'filtered', ['none']);
  await fill(client, 'filtered', ['a3', 'a4'], of('a'));
  await prefetch(client, 1);
  const reads = async (args: FieldTable, expected: string[]): Promise<void> => {
    const reader = await served.client();
    await prefetch(reader, 1);
    await consume(reader, 'filtered', { 'x-stream-offset': 'first', ...args });
    for (const wanted of expected) {
      const { text, tag } = await next(reader);
      assert.equal(text, wanted);
      reader.send(basicAck.frame(1, { deliveryTag: tag, multiple: false }));
    }
    await nothingComes(reader);
  };
  await reads({ 'x-stream-filter': 'a' }, ['a1', 'a2', 'a3', 'a4']);
  await reads({ 'x-stream-filter': ['b', 'c'] }, ['b1']);
  await reads({ 'x-stream-filter': 'b', 'x-stream-match-unfiltered': true }, ['b1', 'none']);
});

test('thousands of messages come in order to slow and to fast readers', async () => {
  const client = await served.client();
  await declare(client, 'many');
  const count = 5_000;
  await fill(
    client,
    'many',
    Array.from({ length: count }, (_, at) => `${at}`.padStart(100, '.')),
  );
  for (const credit of [7, 2_000]) {
    const reader = await served.client();
    await prefetch(reader, credit);
    await consume(reader, 'many', { 'x-stream-offset': 'first' });
    for (let at = 0; at < count; at++) {
      const { offset, text, tag, redelivered } = await next(reader);
      assert.deepEqual([offset, text, redelivered], [at, `${at}`.padStart(100, '.'), false]);
      if (at % 5 === 4) reader.send(basicAck.frame(1, { deliveryTag: tag, multiple: true }));
    }
    reader.end();
  }
});

const name = "queue 'errors' in vhost '/'";
const declaring = { ...declaration, queue: 'refused', durable: true };
const refused = "queue 'refused' in vhost '/'";
const consumption = (more: object, args: FieldTable = {}): Buffer =>
  basicConsume.frame(1, { ...consuming, queue: 'errors', ...more, arguments: args });
const declared = (args: FieldTable, more: object = {}): Buffer =>
  queueDeclare.frame(1, { ...declaring, ...more, arguments: { ...stream, ...args } });

const errors: [
  title: string,
  frame: Buffer,
  closes: 'channel' | 'connection',
  code: number,
  text: string,
  qos?: boolean,
][] = [
  ['no prefetch', consumption({}), 'channel', 406, `consumer prefetch count is not set for stream ${name}`, false],
  [
    'no ack',
    consumption({ noAck: true }),
    'connection',
    540,
    `automatic acknowledgement not supported by stream ${name}`,
  ],
  [
    'an offset that is none',
    consumption({}, { 'x-stream-offset': 'foo' }),
    'channel',
    406,
    `invalid arg 'x-stream-offset' for ${name}: {invalid_stream_offset_arg,{longstr,<<"foo">>}}`,
  ],
  [
    'a negative offset',
    consumption({}, { 'x-stream-offset': -1 }),
    'channel',
    406,
    `invalid arg 'x-stream-offset' for ${name}: {invalid_stream_offset_arg,{signedint,-1}}`,
  ],
  [
    'a priority',
    consumption({}, { 'x-priority': 1 }),
    'channel',
    406,
    `invalid arg 'x-priority' for ${name} of queue type rabbit_stream_queue`,
  ],
  [
    'an offset of a classic queue',
    consumption({ queue: 'classic' }, { 'x-stream-offset': 'first' }),
    'channel',
    406,
    "invalid arg 'x-stream-offset' for queue 'classic' in vhost '/' of queue type rabbit_classic_queue",
  ],
  [
    'basic.get',
    basicGet.frame(1, { queue: 'errors', noAck: false }),
    'connection',
    540,
    `basic.get not supported by stream queues ${name}`,
  ],
  [
    'queue.purge',
    queuePurge.frame(1, { queue: 'errors', noWait: false }),
    'connection',
    540,
    `queue.purge not supported by stream queues ${name}`,
  ],
  ['transient', declared({}, { durable: false }), 'channel', 406, `invalid property 'non-durable' for ${refused}`],
  ['auto-delete', declared({}, { autoDelete: true }), 'channel', 406, `invalid property 'auto-delete' for ${refused}`],
  ['exclusive', declared({}, { exclusive: true }), 'channel', 406, `invalid property 'exclusive-owner' for ${refused}`],
  [
    'a name by the server',
    declared({}, { queue: '' }),
    'channel',
    406,
    'Cannot declare a server-named queue for type rabbit_stream_queue',
  ],
  [
    'an age that is none',
    declared({ 'x-max-age': '1x' }),
    'channel',
    406,
    `invalid arg 'x-max-age' for ${refused}: invalid_max_age`,
  ],
  [
    'an age that is a number',
    declared({ 'x-max-age': 5 }),
    'channel',
    406,
    `invalid arg 'x-max-age' for ${refused}: {unacceptable_type,signedint}`,
  ],
  [
    'a large segment',
    declared({ 'x-stream-max-segment-size-bytes': 3_000_000_001 }),
    'channel',
    406,
    'Exceeded max value for x-stream-max-segment-size-bytes',
  ],
  [
    'a small filter',
    declared({ 'x-stream-filter-size-bytes': 15 }),
    'channel',
    406,
    'Invalid value for x-stream-filter-size-bytes',
  ],
  ...['x-max-length', 'x-message-ttl', 'x-expires', 'x-max-priority', 'x-delivery-limit', 'x-max-in-memory-length'].map(
    (argument): (typeof errors)[number] => [
      argument,
      declared({ [argument]: 5 }),
      'channel',
      406,
      `invalid arg '${argument}' for ${refused} of queue type rabbit_stream_queue`,
    ],
  ),
  ...['x-dead-letter-exchange', 'x-overflow', 'x-single-active-consumer'].map((argument): (typeof errors)[number] => [
    argument,
    declared({ [argument]: 'a' }),
    'channel',
    406,
    `invalid arg '${argument}' for ${refused} of queue type rabbit_stream_queue`,
  ]),
  [
    'a stream that is none',
    queueDeclare.frame(1, { ...declaring, queue: 'errors' }),
    'channel',
    406,
    `inequivalent arg 'x-queue-type' for ${name}: received none but current is the value 'stream' of type 'longstr'`,
  ],
  [
    'another age',
    queueDeclare.frame(1, { ...declaring, queue: 'errors', arguments: { ...stream, 'x-max-age': '1h' } }),
    'channel',
    406,
    `inequivalent arg 'x-max-age' for ${name}: received the value '1h' of type 'longstr' but current is none`,
  ],
];

for (const [title, frame, closes, code, text, qos = true] of errors) {
  test(`refused: ${title}`, async () => {
    const client = await served.client();
    await declare(client, 'errors');
    await client.call(1, queueDeclare, { ...declaring, queue: 'classic' }, 'queue.declare_ok');
    if (qos) await prefetch(client, 10);
    client.send(frame);
    const { args } = await client.expect(`${closes}.close`);
    assert.equal(args['replyCode'], code);
    assert.ok((args['replyText'] as string).endsWith(text), args['replyText'] as string);
  });
}

test('a prefetch that all consumers share is refused', async () => {
  const client = await served.client();
  await declare(client, 'errors');
  await prefetch(client, 10);
  await prefetch(client, 10, true);
  client.send(consumption({}));
  const { args } = await client.expect('connection.close');
  assert.deepEqual(
    [args['replyCode'], args['replyText']],
    [540, `NOT_IMPLEMENTED - ${name} does not support global qos`],
  );
});

test('an exclusive consumer is alone', async () => {
  const client = await served.client();
  await declare(client, 'alone');
  await prefetch(client, 10);
  client.send(basicConsume.frame(1, { ...consuming, queue: 'alone', exclusive: true, arguments: {} }));
  await client.expect('basic.consume_ok');
  client.send(basicConsume.frame(1, { ...consuming, queue: 'alone', arguments: {} }));
  const { args } = await client.expect('channel.close');
  assert.equal(args['replyCode'], 403);
});

function sorted(value: unknown): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}
