import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { encodeEnvelope } from '../../../src/broker/envelope.ts';
import { isShortened, routingKeyOf } from '../../../src/broker/subscription/topic-key.ts';
import {
  type BasicProperties,
  checkProperties,
  decodeProperties,
  encodeProperties,
} from '../../../src/format/basic-properties.ts';
import { FieldDecimal, FieldTimestamp } from '../../../src/format/field-table.ts';
import { SentProperties } from '../../../src/server/mqtt/sent-properties.ts';
import { StoredProperties } from '../../../src/server/mqtt/stored-properties.ts';
import { PublishProperties, UserPropertyCursor } from '../../../src/wire/mqtt/publish-properties.ts';
import type { Qos } from '../../../src/wire/mqtt/packet-type.ts';

interface Given {
  format?: number | undefined;
  expiry?: number | undefined;
  contentType?: string | undefined;
  responseTopic?: string | undefined;
  correlation?: Buffer | undefined;
  user?: readonly (readonly [string, string])[] | undefined;
}

const require = createRequire(import.meta.url);
/** What these packages do not export, but decode every message with. */
const inside = (name: string, file: string): unknown => require(join(dirname(require.resolve(name)), file));
const defs = inside('amqplib', 'lib/defs.js') as { decode(id: number, bytes: Buffer): Record<string, unknown> };
const codec = inside('rabbitmq-client', 'codec.js') as {
  decodeFrame(read: (bytes: number) => Promise<Buffer>): Promise<{ fields: { headers: Record<string, unknown> } }>;
};

const everything = {
  format: 0,
  expiry: 4_000_000_000,
  contentType: 'text/plain;'.padEnd(300, 'x'),
  responseTopic: 'answers/'.repeat(60),
  correlation: Buffer.from([0xff, 0, 1]),
  user: [
    ['plain', 'yes'],
    ['CC', 'c'],
    ['plain', 'again'],
  ],
} as const;

const stored = new StoredProperties();
const sent = new SentProperties();
const now = 1_700_000_000_000;

function text(value: string): Buffer {
  return binary(Buffer.from(value));
}

function binary(bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]);
}

function mqttBytes({ format, expiry, contentType, responseTopic, correlation, user }: Given): Buffer {
  const parts: Buffer[] = [];
  // User properties first: their order among the others is nobody's.
  for (const [name, value] of user ?? []) parts.push(Buffer.from([0x26]), text(name), text(value));
  if (format !== undefined) parts.push(Buffer.from([0x01, format]));
  if (expiry !== undefined) {
    const bytes = Buffer.from([0x02, 0, 0, 0, 0]);
    bytes.writeUInt32BE(expiry, 1);
    parts.push(bytes);
  }
  if (contentType !== undefined) parts.push(Buffer.from([0x03]), text(contentType));
  if (responseTopic !== undefined) parts.push(Buffer.from([0x08]), text(responseTopic));
  if (correlation !== undefined) parts.push(Buffer.from([0x09]), binary(correlation));
  return Buffer.concat(parts);
}

function readMqtt(bytes: Buffer): Given {
  const properties = new PublishProperties();
  properties.read(bytes, 0, bytes.length);
  const part = (start: number, end: number) => (start < 0 ? undefined : bytes.subarray(start, end));
  const user: [string, string][] = [];
  const cursor = new UserPropertyCursor();
  cursor.begin(bytes, properties);
  while (cursor.next()) {
    user.push([
      bytes.toString('utf8', cursor.nameStart, cursor.nameEnd),
      bytes.toString('utf8', cursor.valueStart, cursor.valueEnd),
    ]);
  }
  return {
    format: properties.payloadFormat < 0 ? undefined : properties.payloadFormat,
    expiry: properties.expirySeconds < 0 ? undefined : properties.expirySeconds,
    contentType: part(properties.contentTypeStart, properties.contentTypeEnd)?.toString(),
    responseTopic: part(properties.responseTopicStart, properties.responseTopicEnd)?.toString(),
    correlation: part(properties.correlationStart, properties.correlationEnd),
    user,
  };
}

/** Answers the stored block; a string: why it was refused. */
function store(given: Given, qos: Qos = 1, retain = false, topic: string | null = null): Buffer | string {
  const source = mqttBytes(given);
  const properties = new PublishProperties();
  properties.read(source, 0, source.length);
  const refusal = stored.write(qos, retain, properties, source, topic);
  return refusal ?? Buffer.from(stored.bytes.subarray(stored.start, stored.end));
}

function stores(given: Given, qos: Qos = 1, retain = false): BasicProperties {
  const block = store(given, qos, retain);
  assert.ok(typeof block !== 'string', String(block));
  checkProperties(block, 0, block.length);
  return decodeProperties(block, 0, block.length);
}

function sends(block: Buffer, expiresAt = 0, at = now): Given {
  // Not at the beginning of its bytes, as in a journal.
  const head = Buffer.concat([Buffer.from('before'), block, Buffer.from('behind')]);
  sent.read(head, 6, 6 + block.length);
  sent.encode(expiresAt, at);
  return readMqtt(sent.bytes.subarray(0, sent.length));
}

function sendsAmqp(properties: BasicProperties): Given {
  return sends(encodeProperties(properties));
}

function filled(given: Given): Given {
  const { format, expiry, contentType, responseTopic, correlation, user } = given;
  return { format, expiry, contentType, responseTopic, correlation, user: user ?? [] };
}

const mqttText = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 20 }).map((value) => value.replaceAll('\0', '?')),
  fc.constantFrom(
    '',
    'CC',
    'BCC',
    'x-delay',
    'x-death',
    'x-mqtt-qos',
    'x-mqtt-topic',
    '__proto__',
    'a',
    'a',
    'b\n\u0085',
  ),
  fc.string({ unit: 'binary-ascii', minLength: 250, maxLength: 300 }).map((value) => value.replaceAll('\0', '?')),
);
const messages = fc.record(
  {
    format: fc.constantFrom(0, 1),
    expiry: fc.oneof(fc.nat(100_000), fc.integer({ min: 0, max: 0xffff_ffff })),
    contentType: mqttText,
    responseTopic: mqttText.map((value) => value.replace(/[+#]/g, '-')).filter((value) => value !== ''),
    correlation: fc.oneof(
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      mqttText.map((value) => Buffer.from(value)),
    ),
    user: fc.array(fc.tuple(mqttText, mqttText), { maxLength: 30 }),
  },
  { requiredKeys: [] },
);

describe('stored-properties', () => {
  it('has constant blocks for messages without properties', () => {
    for (const qos of [0, 1, 2] as const) {
      for (const retain of [false, true]) {
        assert.equal(stored.write(qos, retain, null, Buffer.alloc(0), null), null);
        const { bytes, start, end } = stored;
        checkProperties(bytes, start, end);
        assert.deepEqual(
          { ...decodeProperties(bytes, start, end).headers },
          {
            ...(qos === 2 ? { 'x-mqtt-qos': 2 } : {}),
            ...(retain ? { 'x-mqtt-retain': true } : {}),
          },
        );
        assert.equal(decodeProperties(bytes, start, end).deliveryMode, qos === 0 ? 1 : 2);
        sent.read(bytes, start, end);
        assert.equal(sent.qos, qos);
        assert.equal(sent.retain, retain);
        sent.encode(0, now);
        assert.equal(sent.length, 0);
      }
    }
  });

  it('gives AMQP consumers what AMQP has a place for', () => {
    const given = {
      format: 1,
      expiry: 60,
      contentType: 'application/json',
      responseTopic: 'answers/12',
      correlation: Buffer.from('request 7'),
      user: [
        ['site', 'north'],
        ['unit', '°C'],
      ] as const,
    };
    const { headers, ...properties } = stores(given);
    assert.deepEqual(properties, {
      contentType: 'application/json',
      deliveryMode: 2,
      correlationId: 'request 7',
      replyTo: 'answers.12',
      expiration: '60000',
    });
    assert.deepEqual({ ...headers }, { 'x-mqtt-payload-format': 1, site: 'north', unit: '°C' });
  });

  it('lets no user property be a header that AMQP acts on', () => {
    const user = [
      ['CC', 'secrets'],
      ['plain', '1'],
      ['BCC', 'secrets'],
      ['x-delay', '60000'],
      ['plain', 'again'],
      ['x-mqtt-retain', 'true'],
      ['', 'nameless'],
      ['last', '2'],
    ] as const;
    const { headers } = stores({ user }, 0);
    assert.deepEqual(Object.keys(headers!), ['plain', 'last', 'x-mqtt-user-properties']);
    assert.deepEqual(headers!['x-mqtt-user-properties'], [
      [0, 'CC', 'secrets'],
      [2, 'BCC', 'secrets'],
      [3, 'x-delay', '60000'],
      [4, 'plain', 'again'],
      [5, 'x-mqtt-retain', 'true'],
      [6, '', 'nameless'],
    ]);
    const block = store({ user }, 0);
    assert.ok(typeof block !== 'string');
    assert.deepEqual(sends(block).user, user);
    assert.equal(sent.retain, false);
  });

  it('comes back as it was published', () => {
    fc.assert(
      fc.property(messages, fc.constantFrom<Qos>(0, 1, 2), fc.boolean(), (given, qos, retain) => {
        const block = store(given, qos, retain);
        assert.ok(typeof block !== 'string', String(block));
        checkProperties(block, 0, block.length);
        const { expiration } = decodeProperties(block, 0, block.length);
        const expiresAt = expiration === undefined ? 0 : now + Number(expiration);
        assert.deepEqual(sends(block, expiresAt), filled(given));
        assert.equal(sent.qos, qos);
        assert.equal(sent.retain, retain);
      }),
      { numRuns: 300 },
    );
  });

  it('keeps many user properties apart by name', () => {
    const user = Array.from({ length: 500 }, (_, i) => [`name ${i % 100}`, `${i}`] as const);
    const block = store({ user });
    assert.ok(typeof block !== 'string');
    assert.equal(Object.keys(decodeProperties(block, 0, block.length).headers!).length, 101);
    assert.deepEqual(sends(block).user, user);
  });

  it('refuses what fits into no content header', () => {
    const user = Array.from({ length: 3 }, (_, i) => [`${i}`, 'x'.repeat(60_000)] as const);
    assert.match(store({ user }) as string, /take 1800\d\d bytes, more than 131052/);
    const many = Array.from({ length: 9_000 }, () => ['a', 'b'] as const);
    assert.match(store({ user: many }) as string, /more than 131052/);
    assert.ok(typeof store({ user: user.slice(1) }) !== 'string');
    assert.ok(typeof store({}) !== 'string');
  });

  it('carries a topic that is too long for a key', () => {
    const topic = `${'level/'.repeat(60)}end`;
    const key = routingKeyOf(topic);
    assert.ok(isShortened(key));
    const block = store({}, 0, false, topic);
    assert.ok(typeof block !== 'string');
    const topicOf = (routingKey: string, properties: Buffer) => {
      const head = Buffer.concat([encodeEnvelope('amq.topic', routingKey), properties]);
      sent.read(head, head.length - properties.length, head.length);
      return sent.topic(0);
    };
    assert.equal(topicOf(key, block), topic);
    assert.equal(topicOf('a.b', block), 'a/b', 'a header of somebody else');
    assert.equal(topicOf('a.b', encodeProperties({ deliveryMode: 2 })), 'a/b');
    sent.encode(0, now);
    assert.equal(sent.length, 0);
  });

  it('is read by the decoders of amqplib and rabbitmq-client', async () => {
    const block = store(everything, 2, true, 'a/topic');
    assert.ok(typeof block !== 'string');
    const { headers, ...properties } = defs.decode(60, block);
    const given = Object.fromEntries(Object.entries(properties).filter(([, value]) => value !== undefined));
    const expected = {
      deliveryMode: 2,
      correlationId: undefined,
      replyTo: routingKeyOf(everything.responseTopic),
      expiration: '315360000000',
    };
    assert.deepEqual({ ...given, correlationId: undefined }, expected);
    const list = [
      [1, 'CC', 'c'],
      [2, 'plain', 'again'],
    ];
    const own = {
      'x-mqtt-qos': 2,
      'x-mqtt-retain': true,
      'x-mqtt-topic': 'a/topic',
      'x-mqtt-content-type': everything.contentType,
      'x-mqtt-payload-format': 0,
      'x-mqtt-expiry': 4_000_000_000,
      'x-mqtt-response-topic': everything.responseTopic,
      'x-mqtt-correlation': everything.correlation,
      plain: 'yes',
      'x-mqtt-user-properties': list,
    };
    assert.deepEqual(headers, own);

    const frame = Buffer.alloc(7 + 12 + block.length + 1);
    frame[0] = 2;
    frame.writeUInt32BE(12 + block.length, 3);
    frame.writeUInt16BE(60, 7);
    block.copy(frame, 19);
    frame[frame.length - 1] = 0xce;
    let at = 0;
    const { fields } = await codec.decodeFrame((length) => Promise.resolve(frame.subarray(at, (at += length))));
    assert.deepEqual({ ...fields.headers }, own);
  });
});

describe('sent-properties', () => {
  it('sends on what is left of the expiry', () => {
    const block = store({ expiry: 60 });
    assert.ok(typeof block !== 'string');
    assert.equal(sends(block, now + 60_000, now).expiry, 60);
    assert.equal(sends(block, now + 60_000, now + 12_500).expiry, 48);
    assert.equal(sends(block, now + 60_000, now + 61_000).expiry, 0);
    const longest = store({ expiry: 0xffff_ffff });
    assert.ok(typeof longest !== 'string');
    const tenYears = 315_360_000_000;
    assert.equal(decodeProperties(longest, 0, longest.length).expiration, `${tenYears}`);
    assert.equal(sends(longest, now + tenYears, now + 5_000).expiry, 0xffff_ffff - 5);
  });

  it('takes the QoS of an AMQP message from its delivery mode, or its header', () => {
    for (const [properties, qos, retain] of [
      [{}, 0, false],
      [{ deliveryMode: 1 }, 0, false],
      [{ deliveryMode: 2, contentType: 'text/plain' }, 1, false],
      [{ deliveryMode: 2, headers: { a: 'b' } }, 1, false],
      [{ deliveryMode: 1, headers: { 'x-mqtt-qos': 2 } }, 2, false],
      [{ deliveryMode: 2, headers: { 'x-mqtt-qos': 0n, 'x-mqtt-retain': true } }, 0, true],
      [{ deliveryMode: 2, headers: { 'x-mqtt-qos': 3, 'x-mqtt-retain': 'yes' } }, 1, false],
      [{ contentType: '' }, 0, false],
    ] as const) {
      const block = encodeProperties(properties);
      sent.read(block, 0, block.length);
      assert.deepEqual([sent.qos, sent.retain], [qos, retain], JSON.stringify(Object.keys(properties)));
    }
  });

  it("makes user properties of an AMQP message's headers and own properties", () => {
    const given = sendsAmqp({
      contentType: 'text/plain',
      contentEncoding: 'gzip',
      headers: {
        text: 'ä',
        lines: 'one\ntwo\0',
        whole: 7,
        big: 2n ** 60n,
        part: 1.5,
        yes: true,
        at: new FieldTimestamp(1_700_000_000),
        price: new FieldDecimal(2, 1999),
        nothing: null,
        bytes: Buffer.from([1, 2]),
        list: ['a'],
        table: { a: 'b' },
        long: 'x'.repeat(65_536),
        'x-mqtt-ours': 'stays',
        'x-first-death-queue': 'jobs',
      },
      deliveryMode: 2,
      priority: 5,
      correlationId: 'id',
      replyTo: 'amq.gen-1/#',
      expiration: '5000',
      messageId: 'm1',
      timestamp: 1_700_000_000,
      type: 'order',
      userId: 'guest',
      appId: 'shop',
    });
    assert.deepEqual(given, {
      format: undefined,
      expiry: undefined,
      contentType: 'text/plain',
      responseTopic: 'amq/gen-1.%23',
      correlation: Buffer.from('id'),
      user: [
        ['text', 'ä'],
        ['lines', 'one\ufffdtwo\ufffd'],
        ['whole', '7'],
        ['big', '1152921504606846976'],
        ['part', '1.5'],
        ['yes', 'true'],
        ['at', '1700000000'],
        ['price', '19.99'],
        ['x-first-death-queue', 'jobs'],
        ['amqp-content-encoding', 'gzip'],
        ['amqp-priority', '5'],
        ['amqp-message-id', 'm1'],
        ['amqp-timestamp', '1700000000'],
        ['amqp-type', 'order'],
        ['amqp-app-id', 'shop'],
      ],
    });
  });

  it('passes over headers of ours that others filled with something else', () => {
    const given = sendsAmqp({
      headers: {
        'x-mqtt-payload-format': 'utf-8',
        'x-mqtt-correlation': 5,
        'x-mqtt-content-type': Buffer.from('bytes'),
        'x-mqtt-response-topic': 'not/of/this/key',
        'x-mqtt-user-properties': [
          'a',
          ['b'],
          [0, 'c'],
          [0, 'd', 5],
          [1, 'e', 'f'],
          [0, 'g', 'h', 'i'],
          [-1, 'j', 'k'],
        ],
        'x-mqtt-expiry': 'long',
        plain: 'yes',
      },
      replyTo: 'key',
      contentType: 'a/b',
      correlationId: '',
    });
    assert.deepEqual(given, {
      ...filled({ contentType: 'a/b', responseTopic: 'key', correlation: Buffer.alloc(0) }),
      user: [
        ['plain', 'yes'],
        ['e', 'f'],
      ],
    });
  });

  it('makes valid properties of whatever AMQP clients publish', () => {
    const field = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 2 },
        fc.string({ unit: 'binary', maxLength: 300 }),
        fc.integer(),
        fc.double(),
        fc.boolean(),
        fc.constant(null),
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        fc.uint8Array({ maxLength: 9 }).map((bytes) => Buffer.from(bytes)),
        fc.array(tie('value'), { maxLength: 4 }),
      ),
    })).value as fc.Arbitrary<string>;
    const names = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.constantFrom('x-mqtt-qos', 'x-mqtt-user-properties', 'x-mqtt-correlation', 'x-mqtt-content-type', 'CC'),
    );
    const short = fc.string({ unit: 'binary', maxLength: 50 });
    const amqp = fc.record(
      {
        contentType: short,
        headers: fc.dictionary(names, field, { maxKeys: 8 }),
        deliveryMode: fc.nat(255),
        priority: fc.nat(255),
        correlationId: short,
        replyTo: short,
        messageId: short,
        timestamp: fc.nat(),
        type: short,
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(amqp, (properties) => {
        const { responseTopic } = sendsAmqp(properties);
        assert.doesNotMatch(responseTopic ?? '', /[#+\0]/);
      }),
      { numRuns: 200 },
    );
  });
});
