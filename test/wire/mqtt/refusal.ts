import assert from 'node:assert/strict';
import { MqttError } from '../../../src/wire/mqtt/mqtt-error.ts';
import { reasonCode, reasonName, type ReasonName } from '../../../src/wire/mqtt/reason-code.ts';

/** What `assert.throws` takes: an `MqttError` of this reason, and in this message where one is given. */
export function refusal(reason: ReasonName, message?: RegExp): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof MqttError, String(error));
    assert.equal(reasonName(error.reason), reason, error.message);
    assert.equal(error.reason, reasonCode[reason]);
    if (message !== undefined) assert.match(error.message, message);
    return true;
  };
}

/** Bytes as the specification draws them: "10 14 'MQTT' 05". */
export function bytesOf(drawn: string): Buffer {
  const parts = drawn.matchAll(/'([^']*)'|([0-9a-f]{2})|(\S)/g);
  return Buffer.concat(
    [...parts].map(([, text, octet, wrong]) => {
      assert.equal(wrong, undefined, `not drawn right: ${drawn}`);
      return text === undefined ? Buffer.from(octet!, 'hex') : Buffer.from(text);
    }),
  );
}
