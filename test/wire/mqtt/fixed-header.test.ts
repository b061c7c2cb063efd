import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FixedHeader, variableIntegerBytes, writeVariableInteger } from '../../../src/wire/mqtt/fixed-header.ts';
import { largestVariableInteger, packetType, type ProtocolVersion } from '../../../src/wire/mqtt/packet-type.ts';
import { bytesOf, refusal } from './refusal.ts';

const versions: readonly (ProtocolVersion | 0)[] = [0, 3, 4, 5];

function read(drawn: string, version: ProtocolVersion | 0 = 4): FixedHeader | null {
  const bytes = bytesOf(drawn);
  const header = new FixedHeader();
  return header.read(bytes, 0, bytes.length, version) ? header : null;
}

describe('the remaining length', () => {
  const table: [string, number][] = [
    ['00', 0],
    ['7f', 127],
    ['80 01', 128],
    ['ff 7f', 16_383],
    ['80 80 01', 16_384],
    ['ff ff 7f', 2_097_151],
    ['80 80 80 01', 2_097_152],
    ['ff ff ff 7f', largestVariableInteger],
  ];

  for (const [drawn, value] of table) {
    test(`${drawn} is ${value} (5.0 table 1-1)`, () => {
      const header = read(`30 ${drawn}`)!;
      assert.equal(header.end - header.start, value);
      assert.equal(header.start, 1 + drawn.split(' ').length);
      const bytes = Buffer.alloc(4);
      const end = writeVariableInteger(bytes, 0, value);
      assert.deepEqual(bytes.subarray(0, end), bytesOf(drawn));
      assert.equal(variableIntegerBytes(value), end);
    });
  }

  test('more than four bytes are malformed, as soon as the fourth says that a fifth follows', () => {
    for (const version of versions) {
      assert.throws(() => read('30 ff ff ff ff', version), refusal('malformedPacket', /more than four bytes/));
      assert.throws(() => read('30 80 80 80 80 01', version), refusal('malformedPacket'));
    }
  });

  test('more bytes than it needs are malformed in 5.0 [MQTT-1.5.5-1]', () => {
    assert.throws(() => read('30 80 00', 5), refusal('malformedPacket', /more bytes than it needs/));
    assert.throws(() => read('30 81 80 00', 5), refusal('malformedPacket'));
    assert.equal(read('30 81 00', 4)!.end, 4);
  });

  test('is read from whatever pieces it comes in', () => {
    fc.assert(
      fc.property(fc.nat(largestVariableInteger), fc.nat(20), (length, before) => {
        const bytes = Buffer.alloc(before + 5);
        bytes[before] = 0x30;
        const whole = writeVariableInteger(bytes, before + 1, length);
        const header = new FixedHeader();
        for (let end = before; end < whole; end++) assert.equal(header.read(bytes, before, end, 5), false);
        assert.equal(header.read(bytes, before, whole, 5), true);
        assert.equal(header.type, packetType.publish);
        assert.equal(header.start, whole);
        assert.equal(header.end - header.start, length);
      }),
    );
  });
});

describe('types and flags', () => {
  const fromClient: readonly [keyof typeof packetType, number][] = [
    ['connect', 0],
    ['puback', 0],
    ['pubrec', 0],
    ['pubrel', 2],
    ['pubcomp', 0],
    ['subscribe', 2],
    ['unsubscribe', 2],
    ['pingreq', 0],
    ['disconnect', 0],
    ['auth', 0],
  ];

  for (const [name, flags] of fromClient) {
    test(`${name} has the flags ${flags} and no others [MQTT-2.1.3-1]`, () => {
      for (let other = 0; other < 16; other++) {
        const bytes = Buffer.of((packetType[name] << 4) | other, 0);
        const header = new FixedHeader();
        if (other === flags) {
          assert.ok(header.read(bytes, 0, 2, 5));
          assert.equal(header.type, packetType[name]);
          assert.equal(header.firstByte, bytes[0]);
        } else {
          assert.throws(() => header.read(bytes, 0, 2, 5), refusal('malformedPacket', /reserved flags/));
          // At once: what is wrong need not come whole.
          assert.throws(() => header.read(bytes, 0, 1, 5), refusal('malformedPacket'));
        }
      }
    });
  }

  test('PUBLISH may have any: they are its own', () => {
    for (let flags = 0; flags < 16; flags++) {
      assert.ok(new FixedHeader().read(Buffer.of((packetType.publish << 4) | flags, 0), 0, 2, 5));
    }
  });

  test('a type that only servers send is a protocol error', () => {
    for (const type of [packetType.connack, packetType.suback, packetType.unsuback, packetType.pingresp]) {
      assert.throws(
        () => new FixedHeader().read(Buffer.of(type << 4, 0), 0, 2, 5),
        refusal('protocolError', /a client does not send/),
      );
    }
  });

  test('type 0 is malformed, and type 15 before 5.0', () => {
    for (const version of versions) assert.throws(() => read('00 00', version), refusal('malformedPacket', /type 0/));
    assert.throws(() => read('f0 00', 4), refusal('malformedPacket', /type 15/));
    assert.equal(read('f0 00', 5)!.type, packetType.auth);
  });
});
