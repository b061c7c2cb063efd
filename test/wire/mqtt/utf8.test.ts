import assert from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import { isMqttText } from '../../../src/wire/mqtt/utf8.ts';

function isText(...bytes: number[]): boolean {
  return isMqttText(Buffer.from(bytes), 0, bytes.length);
}

test('well-formed UTF-8 is text [MQTT-1.5.4-1]', () => {
  for (const text of [
    '',
    'a',
    'sensor/1',
    'grün',
    '€',
    '\u07ff',
    '\u0800',
    '\ud7ff',
    '\ue000',
    '\uffff',
    '😀',
    '\u{10ffff}',
  ]) {
    const bytes = Buffer.from(text);
    assert.ok(isMqttText(bytes, 0, bytes.length), text);
  }
});

test('a byte order mark is a character like others [MQTT-1.5.4-3]', () => {
  assert.ok(isText(0xef, 0xbb, 0xbf, 0x61));
});

test('U+0000 is none [MQTT-1.5.4-2]', () => {
  assert.ok(!isText(0));
  assert.ok(!isText(0x61, 0, 0x62));
  assert.ok(!isText(0xc3, 0xbc, 0));
});

test('surrogates are none [MQTT-1.5.4-1]', () => {
  assert.ok(!isText(0xed, 0xa0, 0x80));
  assert.ok(!isText(0xed, 0xbf, 0xbf));
  assert.ok(!isText(0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80), 'a pair of them in six bytes');
});

test('overlong forms, cut characters and what is beyond U+10FFFF are none', () => {
  assert.ok(!isText(0xc0, 0x80));
  assert.ok(!isText(0xc1, 0xbf));
  assert.ok(!isText(0xe0, 0x9f, 0xbf));
  assert.ok(!isText(0xf0, 0x8f, 0xbf, 0xbf));
  assert.ok(!isText(0xf4, 0x90, 0x80, 0x80));
  assert.ok(!isText(0xf5, 0x80, 0x80, 0x80));
  assert.ok(!isText(0xff));
  assert.ok(!isText(0x80));
  assert.ok(!isText(0xe2, 0x82));
  assert.ok(!isText(0xe2, 0x82, 0x41));
});

test('a character that ends behind the range is none, though its bytes follow', () => {
  const bytes = Buffer.from('a€b');
  assert.ok(!isMqttText(bytes, 0, 3));
  assert.ok(isMqttText(bytes, 0, 4));
  assert.ok(!isMqttText(bytes, 2, 4));
});

test('agrees with Node on any bytes, but for U+0000', () => {
  // Bytes that are likely to be nearly right.
  const byte = fc.oneof(
    fc.nat(255),
    fc.constantFrom(
      0x41,
      0x7f,
      0x80,
      0x8f,
      0x90,
      0x9f,
      0xa0,
      0xbf,
      0xc2,
      0xdf,
      0xe0,
      0xe1,
      0xed,
      0xef,
      0xf0,
      0xf1,
      0xf4,
    ),
  );
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 8 }), (list) => {
      const bytes = Buffer.from(list);
      assert.equal(isMqttText(bytes, 0, bytes.length), isUtf8(bytes) && !bytes.includes(0));
    }),
    { numRuns: 3000 },
  );
});
