import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FixedHeader } from '../../../src/wire/mqtt/fixed-header.ts';
import type { ProtocolVersion, Qos } from '../../../src/wire/mqtt/packet-type.ts';
import {
  publishBytes,
  subscriptionIdentifierBytes,
  writeMessageExpiry,
  writePublishHead,
  writeSubscriptionIdentifier,
  writeTopicAlias,
} from '../../../src/wire/mqtt/publish-packet.ts';
import { PublishView } from '../../../src/wire/mqtt/publish-view.ts';
import { bytesOf } from './refusal.ts';

interface Message {
  readonly topic: Buffer;
  readonly qos: Qos;
  readonly dup?: boolean;
  readonly retain?: boolean;
  readonly packetId?: number;
  readonly version: ProtocolVersion;
  readonly properties?: Buffer;
  readonly payload: Buffer;
}

const before = 3;

/** As the server does it: somewhere within a larger buffer, properties and payload copied behind the head. */
function publish(message: Message): Buffer {
  const {
    topic,
    qos,
    dup = false,
    retain = false,
    packetId = 0,
    version,
    properties = Buffer.alloc(0),
    payload,
  } = message;
  const size = publishBytes(topic.length, qos, version, properties.length, payload.length);
  const bytes = Buffer.alloc(before + size + 5, 0xee);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const topicView = new DataView(topic.buffer, topic.byteOffset, topic.length);
  let at = writePublishHead(
    bytes,
    view,
    before,
    topic,
    topicView,
    qos,
    dup,
    retain,
    packetId,
    version,
    properties.length,
    payload.length,
  );
  bytes.set(properties, at);
  at += properties.length;
  bytes.set(payload, at);
  at += payload.length;
  assert.equal(at, before + size, 'the size told before');
  assert.ok([...bytes.subarray(0, before), ...bytes.subarray(at)].every((byte) => byte === 0xee));
  return bytes.subarray(before, at);
}

describe('PUBLISH to a client', () => {
  test('before 5.0', () => {
    assert.deepEqual(
      publish({ topic: Buffer.from('a/b'), qos: 0, version: 4, payload: Buffer.from('hi') }),
      bytesOf("30 07 00 03 'a/b' 'hi'"),
    );
    assert.deepEqual(
      publish({ topic: Buffer.from('a/b'), qos: 1, packetId: 0x0102, version: 4, payload: Buffer.from('hi') }),
      bytesOf("32 09 00 03 'a/b' 01 02 'hi'"),
    );
    assert.deepEqual(
      publish({
        topic: Buffer.from('a'),
        qos: 2,
        dup: true,
        retain: true,
        packetId: 9,
        version: 4,
        payload: Buffer.alloc(0),
      }),
      bytesOf("3d 05 00 01 'a' 00 09"),
    );
  });

  test('in 5.0', () => {
    assert.deepEqual(
      publish({ topic: Buffer.from('a/b'), qos: 0, version: 5, payload: Buffer.from('hi') }),
      bytesOf("30 08 00 03 'a/b' 00 'hi'"),
    );
    assert.deepEqual(
      publish({
        topic: Buffer.alloc(0),
        qos: 1,
        packetId: 1,
        version: 5,
        properties: bytesOf('23 00 01'),
        payload: Buffer.from('hi'),
      }),
      bytesOf("32 0a 00 00 00 01 03 23 00 01 'hi'"),
    );
  });

  test('is read again as it was, of any size', () => {
    const edge = fc.constantFrom(0, 1, 100, 118, 119, 120, 126, 127, 128, 200, 16_370, 16_383, 16_384);
    const message = fc.record({
      topicBytes: fc.integer({ min: 1, max: 300 }),
      qos: fc.constantFrom<Qos>(0, 1, 2),
      dup: fc.boolean(),
      retain: fc.boolean(),
      packetId: fc.integer({ min: 1, max: 65_535 }),
      version: fc.constantFrom<ProtocolVersion>(3, 4, 5),
      userBytes: edge,
      payloadBytes: edge,
    });
    fc.assert(
      fc.property(message, ({ topicBytes, userBytes, payloadBytes, dup, ...rest }) => {
        const value = Buffer.alloc(userBytes, 'v');
        const properties =
          rest.version === 5
            ? Buffer.concat([Buffer.of(0x26, 0, 0, userBytes >> 8, userBytes & 255), value])
            : Buffer.alloc(0);
        const topic = Buffer.alloc(topicBytes, 'topic/');
        const payload = Buffer.alloc(payloadBytes, 'p');
        const bytes = publish({ ...rest, dup: dup && rest.qos > 0, topic, properties, payload });
        const header = new FixedHeader();
        assert.ok(header.read(bytes, 0, bytes.length, rest.version));
        assert.equal(header.end, bytes.length);
        const view = new PublishView();
        view.read(bytes, header.firstByte, header.start, header.end, rest.version);
        assert.equal(view.qos, rest.qos);
        assert.equal(view.dup, dup && rest.qos > 0);
        assert.equal(view.retain, rest.retain);
        assert.equal(view.packetId, rest.qos === 0 ? 0 : rest.packetId);
        assert.deepEqual(bytes.subarray(view.topicStart, view.topicEnd), topic);
        assert.deepEqual(bytes.subarray(view.propertiesStart, view.propertiesEnd), properties);
        assert.deepEqual(bytes.subarray(view.payloadStart, view.payloadEnd), payload);
      }),
    );
  });
});

test('properties that the server adds', () => {
  const bytes = Buffer.alloc(16);
  assert.deepEqual(bytes.subarray(0, writeTopicAlias(bytes, 0, 0x0102)), bytesOf('23 01 02'));
  for (const [identifier, drawn] of [
    [1, '0b 01'],
    [128, '0b 80 01'],
    [268_435_455, '0b ff ff ff 7f'],
  ] as const) {
    const end = writeSubscriptionIdentifier(bytes, 0, identifier);
    assert.deepEqual(bytes.subarray(0, end), bytesOf(drawn));
    assert.equal(subscriptionIdentifierBytes(identifier), end);
  }
  const end = writeMessageExpiry(bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, 0xffff_fffe);
  assert.deepEqual(bytes.subarray(0, end), bytesOf('02 ff ff ff fe'));
});
