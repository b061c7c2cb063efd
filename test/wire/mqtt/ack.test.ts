import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AckView, writeAck, writeAckReason } from '../../../src/wire/mqtt/ack.ts';
import { FixedHeader } from '../../../src/wire/mqtt/fixed-header.ts';
import { packetType, type AckType, type ProtocolVersion } from '../../../src/wire/mqtt/packet-type.ts';
import { reasonCode } from '../../../src/wire/mqtt/reason-code.ts';
import { bytesOf, refusal } from './refusal.ts';

const firstBytes = { puback: '40', pubrec: '50', pubrel: '62', pubcomp: '70' } as const;
const names = Object.keys(firstBytes) as (keyof typeof firstBytes)[];

function read(drawn: string, version: ProtocolVersion, view = new AckView()): AckView {
  const bytes = bytesOf(drawn);
  const header = new FixedHeader();
  assert.ok(header.read(bytes, 0, bytes.length, version));
  assert.equal(header.end, bytes.length, 'the length drawn');
  view.read(bytes, header.type as AckType, header.start, header.end, version);
  return view;
}

for (const name of names) {
  const first = firstBytes[name];
  const type = packetType[name];
  const failure = name === 'puback' || name === 'pubrec' ? '87' : '92';

  describe(name.toUpperCase(), () => {
    test('of two bytes means success, in every version', () => {
      for (const version of [3, 4, 5] as const) {
        const { packetId, reason } = read(`${first} 02 01 02`, version);
        assert.deepEqual([packetId, reason], [0x0102, reasonCode.success]);
      }
    });

    test('of 5.0 may give a reason, and properties behind it', () => {
      const view = new AckView();
      assert.equal(read(`${first} 03 00 07 ${failure}`, 5, view).reason, parseInt(failure, 16));
      assert.equal(read(`${first} 02 00 08`, 5, view).reason, 0, 'not the reason of the one before');
      assert.equal(read(`${first} 03 00 07 00`, 5).reason, 0);
      assert.equal(read(`${first} 04 00 07 00 00`, 5).packetId, 7);
      read(`${first} 10 00 07 ${failure} 0c 1f 00 02 'no' 26 00 01 'a' 00 01 'b'`, 5);
    });

    test('before 5.0 is two bytes long', () => {
      for (const bytes of ['00', '01 00', '03 00 01 00', '04 00 01 00 00']) {
        assert.throws(() => read(`${first} ${bytes}`, 4), refusal('malformedPacket'), bytes);
      }
    });

    test('of 5.0 has an identifier [MQTT-2.2.1-3] and ends where its fields do', () => {
      assert.throws(() => read(`${first} 02 00 00`, 5), refusal('protocolError', /identifier 0/));
      for (const bytes of [
        '00',
        '01 07',
        '04 00 07 00 01',
        '05 00 07 00 00 00',
        '07 00 07 00 03 1f 00 01',
        '08 00 07 00 04 1f 00 01 ff',
      ]) {
        assert.throws(() => read(`${first} ${bytes}`, 5), refusal('malformedPacket'), bytes);
      }
    });

    test('gives a reason of its own [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]', () => {
      const wrong = name === 'puback' || name === 'pubrec' ? '92' : '10';
      for (const reason of [wrong, '01', '8e', 'ff']) {
        assert.throws(() => read(`${first} 03 00 07 ${reason}`, 5), refusal('protocolError', /reason code/), reason);
      }
    });

    test('holds a reason string once, and no other property', () => {
      assert.throws(() => read(`${first} 0a 00 07 00 06 1f 00 00 1f 00 00`, 5), refusal('protocolError', /twice/));
      assert.throws(() => read(`${first} 06 00 07 00 02 01 00`, 5), refusal('malformedPacket', /can't hold/));
    });

    test('is written in four bytes, with a reason in five', () => {
      const bytes = Buffer.alloc(12, 0xee);
      assert.equal(writeAck(bytes, 2, type, 0x1234), 6);
      assert.deepEqual(bytes.subarray(1, 7), bytesOf(`ee ${first} 02 12 34 ee`));
      assert.equal(writeAckReason(bytes, 6, type, 0xffff, reasonCode.packetIdentifierNotFound), 11);
      assert.deepEqual(bytes.subarray(6), bytesOf(`${first} 03 ff ff 92 ee`));
    });
  });
}
