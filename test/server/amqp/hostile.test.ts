import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeProperties } from '../../../src/format/basic-properties.ts';
import { ByteWriter } from '../../../src/format/byte-writer.ts';
import {
  basicAck,
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
import { exchangeDeclare } from '../../../src/wire/amqp/exchange-methods.ts';
import { queueBind, queueDeclare } from '../../../src/wire/amqp/queue-methods.ts';
import { declaration, publish } from './raw-client.ts';
import { serve } from './serve.ts';

const served = await serve();

const exchange = {
  exchange: 'e',
  type: 'headers',
  passive: false,
  durable: false,
  autoDelete: false,
  internal: false,
  noWait: false,
  arguments: { a: [1, { b: 'c' }] },
};
const consume = {
  queue: '',
  consumerTag: 'c',
  noLocal: false,
  noAck: false,
  exclusive: false,
  noWait: false,
  arguments: { 'x-priority': 1 },
};
const properties = encodeProperties({
  contentType: 'text/plain',
  headers: { x: 1, y: ['z'] },
  priority: 3,
  expiration: '60000',
});

/** A conversation that touches every class. */
const conversation = Buffer.concat([
  channelOpen.frame(2, {}),
  confirmSelect.frame(2, { noWait: false }),
  exchangeDeclare.frame(2, exchange),
  queueDeclare.frame(2, { ...declaration, queue: 'h', arguments: { 'x-max-length': 10, 'x-max-priority': 5 } }),
  queueBind.frame(2, { queue: 'h', exchange: 'e', routingKey: 'k', noWait: false, arguments: { x: 1 } }),
  basicQos.frame(2, { prefetchSize: 0, prefetchCount: 5, global: true }),
  basicConsume.frame(2, consume),
  publish('h', 'hello', { channel: 2, properties }),
  publish('k', 'world'.repeat(2_000), { channel: 2, exchange: 'e', mandatory: true, properties, frameMax: 4_096 }),
  basicAck.frame(2, { deliveryTag: 0, multiple: true }),
  basicGet.frame(2, { queue: 'h', noAck: false }),
  channelOpen.frame(3, {}),
  txSelect.frame(3, {}),
  publish('h', 'in a transaction', { channel: 3, properties, mandatory: true }),
  basicGet.frame(3, { queue: 'h', noAck: false }),
  basicNack.frame(3, { deliveryTag: 1, multiple: true, requeue: true }),
  txRollback.frame(3, {}),
  basicAck.frame(3, { deliveryTag: 0, multiple: true }),
  txCommit.frame(3, {}),
  channelFlow.frame(2, { active: true }),
  channelClose.frame(2, { replyCode: 200, replyText: '', classId: 0, methodId: 0 }),
]);

test('bytes that were changed anywhere end at most their own connection', async () => {
  const witness = await served.client();
  const changes = fc.array(fc.tuple(fc.nat(conversation.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(changes, async (edits) => {
      const bytes = Buffer.from(conversation);
      for (const [at, byte] of edits) bytes[at] = byte;
      const client = await served.client();
      client.send(bytes);
      await witness.call(1, channelFlow, { active: true }, 'channel.flow_ok');
      client.end();
    }),
    { numRuns: 300 },
  );
  await witness.call(1, channelFlow, { active: true }, 'channel.flow_ok');
  assert.equal(served.broker.context.transactions.bytes, 0, 'what transactions kept is free again');
  const bugs = served.lines.filter((line) => line.includes('INTERNAL_ERROR'));
  assert.deepEqual(bugs, []);
});

test('random bytes end at most their own connection', async () => {
  const witness = await served.client();
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.boolean(), async (bytes, opened) => {
      const client = opened ? await served.client() : served.raw();
      client.send(Buffer.from(bytes));
      await witness.call(1, channelFlow, { active: true }, 'channel.flow_ok');
      client.end();
    }),
    { numRuns: 100 },
  );
});

test('Deep nesting: a table nested 5,000 deep is refused, in arguments and in headers', async () => {
  const nested = new ByteWriter();
  const depth = 5_000;
  // One table with a field that is an array in an array in an array ...
  nested.u32(2 + 5 * depth);
  nested.raw(Buffer.from('\x01a'));
  for (let level = depth - 1; level >= 0; level--) {
    nested.u8(0x41);
    nested.u32(5 * level);
  }
  const table = Buffer.from(nested.bytes());

  const inArguments = await served.client();
  const plain = queueDeclare.frame(1, { ...declaration, queue: 'deep' });
  const body = Buffer.concat([plain.subarray(7, -5), table]);
  const head = Buffer.from(plain.subarray(0, 7));
  head.writeUInt32BE(body.length, 3);
  inArguments.send(head, body, Buffer.of(0xce));
  const text = 'SYNTAX_ERROR - a field table is nested deeper than 64';
  assert.equal((await inArguments.expect('connection.close')).args['replyText'], text);

  const inHeaders = await served.client();
  inHeaders.send(publish('q', 'x', { properties: Buffer.concat([Buffer.from([0x20, 0]), table]) }));
  assert.equal((await inHeaders.expect('connection.close')).args['replyText'], text);
});

test('Control characters injected: names with them stay names of this connection and break no log line', async () => {
  const client = await served.client();
  const name = 'x\r\ninjected: line';
  client.send(publish(name, 'x', { exchange: name }));
  assert.equal(
    (await client.expect('channel.close')).args['replyText'],
    `NOT_FOUND - no exchange '${name}' in vhost '/'`,
  );
  assert.ok(served.lines.every((line) => !line.startsWith('injected')));
  assert.ok(served.lines.every((line) => !/[\r\n]/.test(line)));
});
