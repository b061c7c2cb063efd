import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { packetType, type ProtocolVersion } from '../../../src/wire/mqtt/packet-type.ts';
import type { Recipient } from '../../../src/wire/mqtt/packet-writer.ts';
import { reasonCode } from '../../../src/wire/mqtt/reason-code.ts';
import {
  encodeAck,
  encodeAuth,
  encodeConnack,
  encodeDisconnect,
  encodeSuback,
  encodeUnsuback,
  pingresp,
} from '../../../src/wire/mqtt/server-packets.ts';
import { bytesOf } from './refusal.ts';

function recipient(version: ProtocolVersion, changes: Partial<Recipient> = {}): Recipient {
  return { version, maxPacketBytes: Infinity, problemInformation: true, ...changes };
}

const explanation = { reasonString: 'no', userProperties: [['k', 'v']] } as const;

describe('CONNACK', () => {
  test('before 5.0', () => {
    assert.deepEqual(encodeConnack(recipient(4), true, reasonCode.success), bytesOf('20 02 01 00'));
    assert.deepEqual(encodeConnack(recipient(4), false, reasonCode.success), bytesOf('20 02 00 00'));
    assert.deepEqual(encodeConnack(recipient(4), false, reasonCode.notAuthorized), bytesOf('20 02 00 05'));
    assert.deepEqual(encodeConnack(recipient(4), false, reasonCode.unsupportedProtocolVersion), bytesOf('20 02 00 01'));
    assert.equal(encodeConnack(recipient(4), false, reasonCode.malformedPacket), null);
    assert.deepEqual(encodeConnack(recipient(3), true, reasonCode.success), bytesOf('20 02 00 00'));
  });

  test('of 5.0 has properties', () => {
    assert.deepEqual(encodeConnack(recipient(5), false, reasonCode.success), bytesOf('20 03 00 00 00'));
    assert.deepEqual(
      encodeConnack(recipient(5), true, reasonCode.success, {
        sessionExpiryInterval: 3600,
        receiveMaximum: 1000,
        maximumQos: true,
        retainAvailable: false,
        maximumPacketSize: 16_777_216,
        assignedClientIdentifier: 'id',
        topicAliasMaximum: 64,
        wildcardSubscriptionAvailable: true,
        subscriptionIdentifierAvailable: true,
        sharedSubscriptionAvailable: true,
        serverKeepAlive: 60,
        responseInformation: 'r/',
        serverReference: 'other',
        authenticationMethod: 'M',
        authenticationData: Buffer.of(0xaa),
      }),
      bytesOf(
        `20 3a 01 00 37 11 00 00 0e 10 21 03 e8 24 01 25 00 27 01 00 00 00 12 00 02 'id' 22 00 40 28 01 29 01 2a 01 13 00 3c
         1a 00 02 'r/' 1c 00 05 'other' 15 00 01 'M' 16 00 01 aa`,
      ),
    );
    assert.deepEqual(
      encodeConnack(recipient(5), false, reasonCode.banned, {}, explanation),
      bytesOf("20 0f 00 8a 0c 1f 00 02 'no' 26 00 01 'k' 00 01 'v'"),
    );
  });

  test('that refuses has no session present [MQTT-3.2.2-6]', () => {
    assert.deepEqual(encodeConnack(recipient(5), true, reasonCode.serverBusy), bytesOf('20 03 00 89 00'));
    assert.deepEqual(encodeConnack(recipient(4), true, reasonCode.serverBusy), bytesOf('20 02 00 03'));
  });

  test('explains itself also to who wants no problem information [MQTT-3.1.2-29]', () => {
    const packet = encodeConnack(
      recipient(5, { problemInformation: false }),
      false,
      reasonCode.banned,
      {},
      explanation,
    );
    assert.equal(packet!.length, 17);
  });
});

describe('a packet for a client that takes only small ones', () => {
  function connack(maxPacketBytes: number): Buffer | null {
    return encodeConnack(
      recipient(5, { maxPacketBytes }),
      false,
      reasonCode.success,
      { topicAliasMaximum: 1 },
      explanation,
    );
  }

  test('loses its user properties [MQTT-3.2.2-20], then its reason string [MQTT-3.2.2-19]', () => {
    const whole = bytesOf("20 12 00 00 0f 22 00 01 1f 00 02 'no' 26 00 01 'k' 00 01 'v'");
    const reason = bytesOf("20 0b 00 00 08 22 00 01 1f 00 02 'no'");
    const bare = bytesOf('20 06 00 00 03 22 00 01');
    assert.deepEqual(connack(whole.length), whole);
    assert.deepEqual(connack(whole.length - 1), reason);
    assert.deepEqual(connack(reason.length), reason);
    assert.deepEqual(connack(reason.length - 1), bare);
    assert.deepEqual(connack(bare.length), bare);
  });

  test('is none at all where even that is too large [MQTT-3.1.2-24]', () => {
    assert.equal(connack(7), null);
    assert.equal(encodeSuback(recipient(5, { maxPacketBytes: 5 }), 1, [0]), null);
    assert.deepEqual(
      encodeSuback(recipient(5, { maxPacketBytes: 6 }), 1, [0], explanation),
      bytesOf('90 04 00 01 00 00'),
    );
  });
});

describe('SUBACK', () => {
  test('gives a reason for each filter, before 5.0 one failure only (3.1.1 [MQTT-3.9.3-2])', () => {
    const reasons = [reasonCode.success, reasonCode.grantedQos1, reasonCode.grantedQos2, reasonCode.notAuthorized];
    assert.deepEqual(encodeSuback(recipient(4), 0x0102, reasons, explanation), bytesOf('90 06 01 02 00 01 02 80'));
    assert.deepEqual(encodeSuback(recipient(5), 0x0102, reasons), bytesOf('90 07 01 02 00 00 01 02 87'));
    assert.deepEqual(
      encodeSuback(recipient(5), 1, [reasonCode.quotaExceeded], explanation),
      bytesOf("90 10 00 01 0c 1f 00 02 'no' 26 00 01 'k' 00 01 'v' 97"),
    );
  });

  test('may be long', () => {
    const packet = encodeSuback(recipient(5), 1, new Array<0>(200).fill(0))!;
    assert.deepEqual(packet.subarray(0, 6), bytesOf('90 cb 01 00 01 00'));
    assert.equal(packet.length, 3 + 203);
  });
});

test('UNSUBACK says before 5.0 only that it was done', () => {
  const reasons = [reasonCode.success, reasonCode.noSubscriptionExisted];
  assert.deepEqual(encodeUnsuback(recipient(4), 0x0102, reasons), bytesOf('b0 02 01 02'));
  assert.deepEqual(encodeUnsuback(recipient(5), 0x0102, reasons), bytesOf('b0 05 01 02 00 00 11'));
});

test('acknowledgements may be explained', () => {
  const { puback, pubrec, pubrel, pubcomp } = packetType;
  for (const [type, first] of [
    [puback, '40'],
    [pubrec, '50'],
    [pubrel, '62'],
    [pubcomp, '70'],
  ] as const) {
    assert.deepEqual(
      encodeAck(recipient(5), type, 7, reasonCode.packetIdentifierNotFound, { reasonString: 'no' }),
      bytesOf(`${first} 09 00 07 92 05 1f 00 02 'no'`),
    );
  }
});

test('who wants no problem information gets none [MQTT-3.1.2-29]', () => {
  const quiet = recipient(5, { problemInformation: false });
  assert.deepEqual(encodeSuback(quiet, 1, [0], explanation), bytesOf('90 04 00 01 00 00'));
  assert.deepEqual(encodeUnsuback(quiet, 1, [0], explanation), bytesOf('b0 04 00 01 00 00'));
  assert.deepEqual(encodeAck(quiet, packetType.puback, 1, 0x87, explanation), bytesOf('40 04 00 01 87 00'));
  assert.deepEqual(
    encodeAuth(quiet, 0x18, { authenticationMethod: 'M' }, explanation),
    bytesOf("f0 06 18 04 15 00 01 'M'"),
  );
  assert.equal(encodeDisconnect(quiet, 0x98, {}, explanation)!.length, 16);
});

test('DISCONNECT is of 5.0 only', () => {
  assert.equal(encodeDisconnect(recipient(4), reasonCode.sessionTakenOver), null);
  assert.deepEqual(encodeDisconnect(recipient(5), reasonCode.sessionTakenOver), bytesOf('e0 02 8e 00'));
  assert.deepEqual(
    encodeDisconnect(recipient(5), reasonCode.serverMoved, { serverReference: 'h:1' }, { reasonString: 'no' }),
    bytesOf("e0 0d 9d 0b 1c 00 03 'h:1' 1f 00 02 'no'"),
  );
});

test('AUTH goes on, or ends well', () => {
  assert.deepEqual(
    encodeAuth(recipient(5), reasonCode.continueAuthentication, {
      authenticationMethod: 'M',
      authenticationData: Buffer.of(1, 2),
    }),
    bytesOf("f0 0b 18 09 15 00 01 'M' 16 00 02 01 02"),
  );
});

test('PINGRESP', () => {
  assert.deepEqual(pingresp, bytesOf('d0 00'));
});

test('texts that MQTT does not allow are made so that it does', () => {
  const packet = encodeDisconnect(recipient(5), 0x80, {}, { reasonString: 'a\0b' })!;
  assert.deepEqual(packet, bytesOf("e0 0a 80 08 1f 00 05 'a' ef bf bd 'b'"));
  const long = encodeDisconnect(recipient(5), 0x80, {}, { reasonString: 'x'.repeat(65_534) + 'ü' })!;
  assert.equal(long.readUInt16BE(long.indexOf(0x1f, 5) + 1), 65_534);
  assert.equal(long.at(-1), 0x78);
});
