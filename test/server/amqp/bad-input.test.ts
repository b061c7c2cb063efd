/** What no client of good will sends: RabbitMQ's code on the level where it has it, others undisturbed, memory bounded. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { Broker } from '../../../src/broker/index.ts';
import { localEngine } from '../../../src/engine/local/index.ts';
import { ByteWriter } from '../../../src/format/byte-writer.ts';
import { AmqpServer } from '../../../src/server/amqp/index.ts';
import { basicConsume, basicGet, basicPublish, confirmSelect } from '../../../src/wire/amqp/basic-methods.ts';
import { channelClose, channelCloseOk, channelFlow, channelOpen } from '../../../src/wire/amqp/channel-methods.ts';
import { bodyFrame, headerFrame } from '../../../src/wire/amqp/content.ts';
import { exchangeBind, exchangeDeclare, exchangeDelete } from '../../../src/wire/amqp/exchange-methods.ts';
import { queueBind, queueDeclare, queueDelete } from '../../../src/wire/amqp/queue-methods.ts';
import { declaration, publish, RawClient } from './raw-client.ts';
import { serve } from './serve.ts';

const served = await serve();

const exchange = {
  type: 'direct',
  passive: false,
  durable: false,
  autoDelete: false,
  internal: false,
  noWait: false,
  arguments: {},
};

/** A table in which arrays, or tables, lie within each other. */
function nested(depth: number, kind: 'arrays' | 'tables'): Buffer {
  const writer = new ByteWriter();
  if (kind === 'arrays') {
    writer.u32(2 + 5 * depth);
    writer.raw(Buffer.from('\x01a'));
    for (let level = depth - 1; level >= 0; level--) {
      writer.u8(0x41);
      writer.u32(5 * level);
    }
    return Buffer.from(writer.bytes());
  }
  writer.u32(7 * depth);
  for (let level = depth - 1; level >= 0; level--) {
    writer.raw(Buffer.from('\x01aF'));
    writer.u32(7 * level);
  }
  return Buffer.from(writer.bytes());
}

/** The frame with this table in place of the empty one at the end of its arguments. */
function withTable(frame: Buffer, table: Buffer): Buffer {
  const payload = Buffer.concat([frame.subarray(7, -5), table]);
  const head = Buffer.from(frame.subarray(0, 7));
  head.writeUInt32BE(payload.length, 3);
  return Buffer.concat([head, payload, Buffer.of(0xce)]);
}

function frameOf(type: number, channel: number, payload: readonly number[]): Buffer {
  const head = Buffer.alloc(7);
  head.writeUInt8(type);
  head.writeUInt16BE(channel, 1);
  head.writeUInt32BE(payload.length, 3);
  return Buffer.concat([head, Buffer.from(payload), Buffer.of(0xce)]);
}

const withTables: Readonly<Record<string, Buffer>> = {
  'queue.declare': queueDeclare.frame(1, { ...declaration, queue: 'q' }),
  'queue.bind': queueBind.frame(1, {
    queue: 'q',
    exchange: 'amq.direct',
    routingKey: '',
    noWait: false,
    arguments: {},
  }),
  'exchange.declare': exchangeDeclare.frame(1, { ...exchange, exchange: 'e' }),
  'exchange.bind': exchangeBind.frame(1, {
    destination: 'amq.direct',
    source: 'amq.fanout',
    routingKey: '',
    noWait: false,
    arguments: {},
  }),
  'basic.consume': basicConsume.frame(1, {
    queue: 'q',
    consumerTag: 'c',
    noLocal: false,
    noAck: false,
    exclusive: false,
    noWait: false,
    arguments: {},
  }),
};
const method = basicPublish.frame(1, { exchange: '', routingKey: 'q', mandatory: false, immediate: false });
const empty = [0, 0];

interface Case {
  readonly name: string;
  readonly frames: Buffer;
  readonly code: number;
  readonly text: RegExp;
}

const tooDeep = { code: 502, text: /^SYNTAX_ERROR - a field table is nested deeper than 64$/ };
const cases: readonly Case[] = [
  ...(['arrays', 'tables'] as const).flatMap((kind) =>
    Object.entries(withTables).map(([name, frame]) => ({
      name: `${kind} nested 10,000 deep in ${name}`,
      frames: withTable(frame, nested(10_000, kind)),
      ...tooDeep,
    })),
  ),
  {
    name: 'arrays nested 10,000 deep in headers',
    frames: publish('q', 'x', { properties: Buffer.concat([Buffer.from([0x20, 0]), nested(10_000, 'arrays')]) }),
    ...tooDeep,
  },
  {
    name: 'a table longer than its frame',
    frames: withTable(withTables['queue.declare']!, Buffer.from([0, 1, 0, 0])),
    code: 501,
    text: /^FRAME_ERROR - cannot decode <<0,0,1,113,0,0,1,0,0>>$/,
  },
  {
    name: 'a table of 4 GiB',
    frames: withTable(withTables['queue.declare']!, Buffer.from([0xff, 0xff, 0xff, 0xff])),
    code: 501,
    text: /^FRAME_ERROR - cannot decode/,
  },
  {
    name: 'a field longer than its table',
    frames: withTable(withTables['queue.declare']!, Buffer.from([0, 0, 0, 7, 1, 0x61, 0x53, 0xff, 0xff, 0xff, 0xff])),
    code: 502,
    text: /^SYNTAX_ERROR - /,
  },
  {
    name: 'a field of no type',
    frames: withTable(withTables['queue.declare']!, Buffer.from([0, 0, 0, 4, 1, 0x61, 0x5a, 0])),
    code: 502,
    text: /^SYNTAX_ERROR - no field type has the letter 0x5a$/,
  },
  {
    name: 'a name that is not UTF-8',
    frames: frameOf(1, 1, [0, 50, 0, 10, 0, 0, 2, 0xff, 0xfe, 0, 0, 0, 0, 0]),
    code: 501,
    text: /^FRAME_ERROR - Malformed UTF-8 in shortstr$/,
  },
  {
    name: 'an unknown class',
    frames: frameOf(1, 1, [0, 77, 0, 10]),
    code: 503,
    text: /^COMMAND_INVALID - unimplemented method$/,
  },
  {
    name: 'a method frame without a method',
    frames: frameOf(1, 1, [0, 50]),
    code: 501,
    text: /^FRAME_ERROR - type 1, unknown frame$/,
  },
  {
    name: 'a body frame behind a whole message',
    frames: Buffer.concat([publish('q', 'body'), bodyFrame(1, Buffer.from('more'))]),
    code: 505,
    text: /^UNEXPECTED_FRAME - expected method frame, got non method frame instead$/,
  },
  {
    name: 'a body larger than declared, in its second frame',
    frames: Buffer.concat([
      method,
      headerFrame(1, 5, Buffer.from(empty)),
      bodyFrame(1, Buffer.from('abc')),
      bodyFrame(1, Buffer.from('abc')),
    ]),
    code: 501,
    text: /^FRAME_ERROR - content body frame exceeds remaining content size$/,
  },
  {
    name: 'a body where a header must be',
    frames: Buffer.concat([method, bodyFrame(1, Buffer.from('abc'))]),
    code: 505,
    text: /^UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead$/,
  },
  {
    name: 'two headers',
    frames: Buffer.concat([method, headerFrame(1, 5, Buffer.from(empty)), headerFrame(1, 5, Buffer.from(empty))]),
    code: 505,
    text: /^UNEXPECTED_FRAME - expected content body, got non content body frame instead$/,
  },
  {
    name: 'a header with a weight',
    frames: Buffer.concat([method, frameOf(2, 1, [0, 60, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0])]),
    code: 505,
    text: /^UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead$/,
  },
  {
    name: 'opening channel 0',
    frames: channelOpen.frame(0, {}),
    code: 504,
    text: /^CHANNEL_ERROR - unexpected method in connection state running$/,
  },
  {
    name: 'declaring on channel 0',
    frames: queueDeclare.frame(0, { ...declaration, queue: 'q' }),
    code: 504,
    text: /^CHANNEL_ERROR - unexpected method in connection state running$/,
  },
  {
    name: 'a header on channel 0',
    frames: headerFrame(0, 5, Buffer.from(empty)),
    code: 505,
    text: /^UNEXPECTED_FRAME - type 2/,
  },
  {
    name: 'the highest channel number there is',
    frames: channelOpen.frame(65_535, {}),
    code: 530,
    text: /^NOT_ALLOWED - channel number 65535 is beyond the negotiated channel_max \(2047\)$/,
  },
];

describe('ends its own connection', () => {
  for (const { name, frames, code, text } of cases) {
    test(`${name}: ${code}`, async () => {
      const [witness, client] = [await served.client(), await served.client()];
      await witness.declare(`witness of ${name}`.slice(0, 255));
      client.send(frames);
      const { args, channel } = await client.expect('connection.close');
      assert.deepEqual([args['replyCode'], channel], [code, 0]);
      assert.match(args['replyText'] as string, text);
      witness.send(publish(`witness of ${name}`, 'x'));
      await witness.consume(`witness of ${name}`, 'c', true);
      assert.equal(String((await witness.message('basic.deliver')).body), 'x');
      witness.end();
      client.end();
    });
  }
});

test('more channels than channel_max: 530, and those below it are all there', async () => {
  const client = served.raw();
  await client.handshake({ channelMax: 20 });
  for (let number = 1; number <= 20; number++) await client.openChannel(number);
  const close = { replyCode: 200, replyText: '', classId: 0, methodId: 0 };
  await client.call(7, channelClose, close, 'channel.close_ok');
  await client.openChannel(7);
  await client.call(20, channelFlow, { active: true }, 'channel.flow_ok');
  client.send(channelOpen.frame(21, {}));
  const { args } = await client.expect('connection.close');
  assert.equal(args['replyCode'], 530);
});

test('a header that declares more than any message may have: 406 on its channel, whatever follows', async () => {
  const client = await served.client();
  await client.openChannel(2);
  const huge = [0, 60, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0];
  client.send(method, frameOf(2, 1, huge), bodyFrame(1, Buffer.alloc(100_000)));
  const { args, channel } = await client.expect('channel.close');
  assert.deepEqual([args['replyCode'], channel], [406, 1]);
  await client.call(2, channelFlow, { active: true }, 'channel.flow_ok');
});

test('publishing to an exchange that was deleted, also by somebody else: 404 on the channel', async () => {
  const [client, other] = [await served.client(), await served.client()];
  await client.call(1, exchangeDeclare, { ...exchange, exchange: 'brief' }, 'exchange.declare_ok');
  await client.call(1, confirmSelect, { noWait: false }, 'confirm.select_ok');
  for (let n = 0; n < 3; n++) client.send(publish('k', 'x', { exchange: 'brief' }));
  while ((await client.expect('basic.ack')).args['deliveryTag'] !== 3);
  await other.call(1, exchangeDelete, { exchange: 'brief', ifUnused: false, noWait: false }, 'exchange.delete_ok');
  client.send(publish('k', 'x', { exchange: 'brief' }));
  const { args } = await client.expect('channel.close');
  assert.deepEqual([args['replyCode'], args['replyText']], [404, "NOT_FOUND - no exchange 'brief' in vhost '/'"]);
  client.send(channelCloseOk.frame(1, {}));
  await client.openChannel(1);
});

const names = [
  'n'.repeat(255),
  'ż'.repeat(127),
  '😀 queue',
  'with/slash',
  '../../etc/passwd',
  '..',
  '.',
  'nul\0nul',
  ' ',
  '%2e%2e%2f',
  'CON',
  'quote\'"\\',
  '\u202egnirts',
  '__proto__',
  'constructor',
];

test('names of any characters are names, in memory, on disk, and after a restart', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'postrider-names-'));
  after(() => rm(directory, { recursive: true, force: true }));
  const inside = join(directory, 'data');
  const open = async (): Promise<{ client: RawClient; close: () => Promise<void> }> => {
    const broker = new Broker({ engine: localEngine(inside) });
    await broker.open();
    const server = new AmqpServer({ broker });
    const { port } = await server.listen('127.0.0.1', 0);
    const client = await RawClient.open(port);
    const close = async (): Promise<void> => {
      client.end();
      await server.close('test over', 200);
      await broker.close();
    };
    return { client, close };
  };
  const first = await open();
  await first.client.call(1, confirmSelect, { noWait: false }, 'confirm.select_ok');
  for (const [index, name] of names.entries()) {
    const { client } = first;
    const declared = await client.call(
      1,
      queueDeclare,
      { ...declaration, queue: name, durable: true },
      'queue.declare_ok',
    );
    assert.equal(declared.args['queue'], name);
    await client.call(1, exchangeDeclare, { ...exchange, exchange: name, durable: true }, 'exchange.declare_ok');
    const binding = { queue: name, exchange: name, routingKey: name, noWait: false, arguments: {} };
    await client.call(1, queueBind, binding, 'queue.bind_ok');
    client.send(publish(name, `message ${index}`, { exchange: name }));
    await client.expect('basic.ack');
  }
  await first.close();
  const second = await open();
  for (const [index, name] of names.entries()) {
    second.client.send(basicGet.frame(1, { queue: name, noAck: true }));
    const { frame, body } = await second.client.message('basic.get_ok');
    assert.deepEqual(
      [frame.args['exchange'], frame.args['routingKey'], String(body)],
      [name, name, `message ${index}`],
    );
    const deletion = { queue: name, ifUnused: false, ifEmpty: false, noWait: false };
    await second.client.call(1, queueDelete, deletion, 'queue.delete_ok');
  }
  await second.close();
  assert.deepEqual(await readdir(directory), ['data']);
  for (const file of await readdir(inside)) assert.match(file, /^[a-z0-9.-]+$/i);
});

test('memory: what bad input leaves behind is nothing', async () => {
  const partial = (): number => process.memoryUsage().arrayBuffers;
  const before = partial();
  for (let round = 0; round < 30; round++) {
    const client = await served.client();
    // Half a message of 16 MiB, then what ends the connection.
    client.send(method, headerFrame(1, 16 * 1024 * 1024, Buffer.from(empty)), bodyFrame(1, Buffer.alloc(100_000)));
    client.send(frameOf(1, 1, [0, 77, 0, 10]));
    await client.expect('connection.close');
    client.end();
  }
  const witness = await served.client();
  await witness.call(1, channelFlow, { active: true }, 'channel.flow_ok');
  assert.ok(partial() - before < 64 * 1024 * 1024, `${partial() - before} bytes more`);
});
