import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  checkPingreq,
  decodeAuth,
  decodeDisconnect,
  type AuthPacket,
  type DisconnectPacket,
} from '../../../src/wire/mqtt/disconnect-packet.ts';
import type { ProtocolVersion } from '../../../src/wire/mqtt/packet-type.ts';
import { bytesOf, refusal } from './refusal.ts';

function disconnect(drawn: string, version: ProtocolVersion): DisconnectPacket {
  const bytes = bytesOf(drawn);
  return decodeDisconnect(bytes, 0, bytes.length, version);
}

function auth(drawn: string): AuthPacket {
  const bytes = bytesOf(drawn);
  return decodeAuth(bytes, 0, bytes.length);
}

describe('DISCONNECT', () => {
  test('before 5.0 holds nothing', () => {
    assert.deepEqual(disconnect('', 4), { reason: 0, properties: {} });
    assert.throws(() => disconnect('00', 4), refusal('malformedPacket', /too many/));
  });

  test('of 5.0 may end after nothing, its reason, or its properties', () => {
    assert.deepEqual(disconnect('', 5), { reason: 0, properties: {} });
    assert.deepEqual(disconnect('04', 5), { reason: 4, properties: {} });
    assert.deepEqual(disconnect('00 00', 5), { reason: 0, properties: {} });
    assert.deepEqual(disconnect("04 11 11 00 00 00 0a 1f 00 02 'ok' 26 00 01 'k' 00 01 'v'", 5), {
      reason: 4,
      properties: { sessionExpiryInterval: 10, reasonString: 'ok' },
    });
  });

  test("gives a reason that is a client's [MQTT-3.14.2-1]", () => {
    for (const reason of ['01', '10', '8e', '8b', '9d', 'ff']) {
      assert.throws(() => disconnect(reason, 5), refusal('protocolError', /reason code/), reason);
    }
  });

  test('holds a property once, and none of other packets', () => {
    assert.throws(() => disconnect('00 0a 11 00 00 00 01 11 00 00 00 01', 5), refusal('protocolError', /twice/));
    assert.throws(() => disconnect('00 03 21 00 01', 5), refusal('malformedPacket', /can't hold/));
    assert.throws(() => disconnect('00 05 11 00 00 00', 5), refusal('malformedPacket', /ends before/));
    assert.throws(() => disconnect('00 00 00', 5), refusal('malformedPacket', /too many/));
  });
});

describe('AUTH', () => {
  test('has a reason, a method and data', () => {
    assert.deepEqual(auth("18 0a 15 00 02 'SC' 16 00 02 00 ff"), {
      reason: 0x18,
      method: 'SC',
      data: Buffer.of(0, 0xff),
    });
    assert.deepEqual(auth("19 05 15 00 02 'SC'"), { reason: 0x19, method: 'SC', data: null });
  });

  test("gives a reason that is a client's [MQTT-3.15.2-1]", () => {
    for (const drawn of ['', "00 05 15 00 02 'SC'", "87 05 15 00 02 'SC'"]) {
      assert.throws(() => auth(drawn), refusal('protocolError', /reason code/), drawn);
    }
  });

  test('names its method', () => {
    assert.throws(() => auth('18 00'), refusal('protocolError', /no authentication method/));
    assert.throws(() => auth('18 04 16 00 01 aa'), refusal('protocolError', /no authentication method/));
    assert.throws(() => auth('18'), refusal('malformedPacket', /ends before/));
    assert.throws(() => auth("18 05 15 00 02 'SC' 00"), refusal('malformedPacket', /too many/));
  });
});

test('PINGREQ holds nothing', () => {
  checkPingreq(2, 2);
  assert.throws(() => checkPingreq(2, 3), refusal('malformedPacket'));
});
