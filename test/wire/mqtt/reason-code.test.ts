import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reasonCode, reasonName, returnCode, returnCodeOf } from '../../../src/wire/mqtt/reason-code.ts';

test('every code has one name', () => {
  const codes = Object.values(reasonCode);
  assert.equal(new Set(codes).size, codes.length);
  assert.equal(reasonName(0x95), 'packetTooLarge');
  assert.equal(reasonName(0x07), '0x07');
  // All from 0x80 to 0xa2 are taken (5.0 §2.4).
  for (let code = 0x80; code <= 0xa2; code++) assert.doesNotMatch(reasonName(code), /^0x/);
});

test('before 5.0 a refusal is one of five, or none where only closing is left', () => {
  assert.equal(returnCodeOf(reasonCode.success), returnCode.accepted);
  assert.equal(returnCodeOf(reasonCode.unsupportedProtocolVersion), returnCode.unacceptableProtocolVersion);
  assert.equal(returnCodeOf(reasonCode.clientIdentifierNotValid), returnCode.identifierRejected);
  assert.equal(returnCodeOf(reasonCode.serverUnavailable), returnCode.serverUnavailable);
  assert.equal(returnCodeOf(reasonCode.badUserNameOrPassword), returnCode.badUserNameOrPassword);
  assert.equal(returnCodeOf(reasonCode.notAuthorized), returnCode.notAuthorized);
  for (const reason of [reasonCode.malformedPacket, reasonCode.protocolError, reasonCode.packetTooLarge]) {
    assert.equal(returnCodeOf(reason), null);
  }
});
