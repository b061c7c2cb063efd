/** Threats: remaining-length overflow and desync, memory from declared lengths, CPU by user properties, bad will properties. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { generate, type Packet } from 'mqtt-packet';
import { FixedHeader, variableIntegerBytes, writeVariableInteger } from '../../../src/wire/mqtt/fixed-header.ts';
import { MqttError } from '../../../src/wire/mqtt/mqtt-error.ts';
import type { ProtocolVersion } from '../../../src/wire/mqtt/packet-type.ts';
import { reasonCode } from '../../../src/wire/mqtt/reason-code.ts';
import * as arbitrary from './arbitrary-packets.ts';
import { decodeAny } from './decode-any.ts';
import { bytesOf, refusal } from './refusal.ts';

interface Sent {
  readonly version: ProtocolVersion;
  readonly bytes: Buffer;
}

const anyPacket: fc.Arbitrary<Sent> = fc
  .oneof(
    arbitrary.connect.map((packet) => ({
      ...packet,
      cmd: 'connect',
      protocolId: 'MQTT',
      password: packet.username === undefined ? undefined : packet.password,
    })),
    arbitrary.publish.map((packet) => ({ ...packet, cmd: 'publish', dup: packet.dup && packet.qos > 0 })),
    arbitrary.subscribe.map(({ subscriptionIdentifier, ...packet }) => ({
      ...packet,
      cmd: 'subscribe',
      properties: { subscriptionIdentifier },
    })),
    arbitrary.subscribe.map(({ messageId, subscriptions }) => ({
      cmd: 'unsubscribe',
      messageId,
      unsubscriptions: subscriptions.map(({ topic }) => topic),
    })),
    fc.record({ cmd: fc.constantFrom('puback', 'pubrec', 'pubrel', 'pubcomp'), messageId: arbitrary.packetId }),
    fc.constantFrom({ cmd: 'pingreq' }, { cmd: 'disconnect' }),
  )
  .chain((packet) =>
    arbitrary.version.map((any) => {
      const version = 'protocolVersion' in packet ? packet.protocolVersion : any;
      return { version, bytes: generate(packet as Packet, { protocolVersion: version }) };
    }),
  );

/** True where it was read, false where it was refused; anything else fails. */
function judged(bytes: Buffer, version: ProtocolVersion): boolean {
  try {
    decodeAny(bytes, 0, bytes.length, version);
    return true;
  } catch (error) {
    if (!(error instanceof MqttError)) throw error;
    assert.ok(Object.values(reasonCode).includes(error.reason) && error.reason >= 0x80);
    return false;
  }
}

describe('any bytes are read, or refused with a reason', () => {
  test('mutated packets', () => {
    const mutation = fc.record({
      kind: fc.constantFrom('set', 'flip', 'insert', 'remove', 'cut', 'repeat'),
      at: fc.nat(0xffff),
      byte: fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 0x26, 0x7f, 0x80, 0xff)),
    });
    fc.assert(
      fc.property(anyPacket, fc.array(mutation, { minLength: 1, maxLength: 4 }), ({ bytes, version }, mutations) => {
        let changed = Buffer.from(bytes);
        for (const { kind, at: any, byte } of mutations) {
          const at = any % (changed.length + 1);
          if (kind === 'set' && at < changed.length) changed[at] = byte;
          else if (kind === 'flip' && at < changed.length) changed[at]! ^= 1 << (byte & 7);
          else if (kind === 'insert')
            changed = Buffer.concat([changed.subarray(0, at), Buffer.of(byte), changed.subarray(at)]);
          else if (kind === 'remove') changed = Buffer.concat([changed.subarray(0, at), changed.subarray(at + 1)]);
          else if (kind === 'cut') changed = changed.subarray(0, at);
          else if (kind === 'repeat') changed = Buffer.concat([changed, changed.subarray(at)]);
        }
        judged(changed, version);
        // With a length that fits again, what was changed gets past the fixed header.
        const first = changed[0] ?? 0;
        const rest = changed.subarray(1 + variableIntegerBytes(bytes.length - 2));
        judged(withLength(first, rest), version);
      }),
      { numRuns: 1000 },
    );
  });

  test('noise of every type', () => {
    fc.assert(
      fc.property(fc.nat(255), fc.uint8Array({ maxLength: 60 }), arbitrary.version, (first, rest, version) => {
        judged(withLength(first, rest), version);
      }),
      { numRuns: 1000 },
    );
  });
});

function withLength(first: number, rest: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head[0] = first;
  return Buffer.concat([head.subarray(0, writeVariableInteger(head, 1, rest.length)), rest]);
}

test('packets are the same in whatever pieces they come', () => {
  const stream = arbitrary.version.chain((version) =>
    fc.record({
      version: fc.constant(version),
      packets: fc.array(
        anyPacket.filter((packet) => packet.version === version),
        { minLength: 1, maxLength: 6 },
      ),
      pieces: fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 20 }),
    }),
  );
  fc.assert(
    fc.property(stream, ({ version, packets, pieces }) => {
      const bytes = Buffer.concat(packets.map((packet) => packet.bytes));
      const ends: number[] = [];
      let at = 0;
      for (let come = 0, piece = 0; come < bytes.length; piece++) {
        come = Math.min(bytes.length, come + pieces[piece % pieces.length]!);
        for (let end = decodeAny(bytes, at, come, version); end !== -1; end = decodeAny(bytes, at, come, version)) {
          ends.push(end);
          at = end;
        }
      }
      let sum = 0;
      assert.deepEqual(
        ends,
        packets.map((packet) => (sum += packet.bytes.length)),
      );
    }),
    { numRuns: 50 },
  );
});

describe('a declared length', () => {
  const lies: [string, ProtocolVersion][] = [
    // A text, a user name, the properties, a filter of which nothing follows.
    ["10 0d 00 04 'MQTT' 04 02 00 3c ff ff 'a'", 4],
    ["10 0f 00 04 'MQTT' 04 42 00 3c 00 01 'a' ff ff", 4],
    ["10 0e 00 04 'MQTT' 05 02 00 3c ff ff ff 7f", 5],
    ['30 02 ff ff', 4],
    ["30 07 00 01 'a' ff ff ff 7f", 5],
    ["30 07 00 01 'a' 03 09 ff ff", 5],
    ['82 04 00 01 ff ff', 4],
    ['82 06 00 01 ff ff ff 7f', 5],
    ['40 07 00 01 00 ff ff ff 7f', 5],
    ['f0 05 18 ff ff ff 7f', 5],
  ];

  test('takes no memory', () => {
    const packets = lies.map(([drawn, version]) => ({ bytes: bytesOf(drawn), version }));
    const round = (): void => {
      for (const { bytes, version } of packets) {
        assert.throws(() => decodeAny(bytes, 0, bytes.length, version), refusal('malformedPacket'));
      }
    };
    round();
    const before = process.memoryUsage().arrayBuffers;
    for (let turn = 0; turn < 20; turn++) round();
    assert.ok(process.memoryUsage().arrayBuffers - before < 65_536);
  });

  test('of a whole packet is told before any of it has come', () => {
    const bytes = bytesOf('30 ff ff ff 7f');
    const header = new FixedHeader();
    assert.ok(header.read(bytes, 0, bytes.length, 5));
    assert.equal(header.end, 5 + 268_435_455);
  });
});

describe('a megabyte of the smallest fields is read in one pass', () => {
  const megabyte = 1_048_576;

  test('user properties of PUBLISH and SUBSCRIBE', () => {
    const pairs = Buffer.alloc(megabyte - (megabyte % 5), Buffer.of(0x26, 0, 0, 0, 0));
    const length = Buffer.alloc(4);
    const properties = Buffer.concat([length.subarray(0, writeVariableInteger(length, 0, pairs.length)), pairs]);
    assert.ok(judged(withLength(0x30, Buffer.concat([bytesOf("00 01 'a'"), properties])), 5));
    assert.ok(judged(withLength(0x82, Buffer.concat([bytesOf('00 01'), properties, bytesOf("00 01 'a' 00")])), 5));
  });

  test('filters, as many as one packet may have', () => {
    const filters = Buffer.alloc(4 * 65_536, bytesOf("00 01 'a' 00"));
    assert.ok(judged(withLength(0x82, Buffer.concat([bytesOf('00 01'), filters])), 4));
    const more = Buffer.concat([bytesOf('00 01'), filters, bytesOf("00 01 'a' 00")]);
    assert.throws(() => decodeAny(withLength(0x82, more), 0, more.length + 4, 4), refusal('quotaExceeded'));
  });

  test('levels of the longest topic', () => {
    const topic = Buffer.concat([bytesOf('ff ff'), Buffer.alloc(65_535, '/')]);
    assert.ok(judged(withLength(0x30, topic), 4));
    const filter = Buffer.concat([bytesOf('00 01'), topic, bytesOf('00')]);
    assert.throws(
      () => decodeAny(withLength(0x82, filter), 0, filter.length + 4, 4),
      refusal('topicFilterInvalid', /levels/),
    );
  });
});
