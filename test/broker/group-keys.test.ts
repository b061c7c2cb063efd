import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { groupKeys, isGroupBy } from '../../src/broker/group-keys.ts';
import { type BasicProperties, encodeProperties } from '../../src/format/basic-properties.ts';
import { encodeFieldTable, FieldDecimal, FieldTimestamp, type FieldValue } from '../../src/format/field-table.ts';

function key(groupBy: string, properties: BasicProperties): number {
  const bytes = Buffer.concat([Buffer.from('around'), encodeProperties(properties), Buffer.from('around')]);
  return groupKeys.reader(groupBy)(bytes, 6, bytes.length - 6);
}

const byHeader = (value: FieldValue, name = 'customer'): number => key(name, { headers: { before: 1, [name]: value } });

test('every property that is text is a key', () => {
  const names = {
    content_type: 'contentType',
    content_encoding: 'contentEncoding',
    correlation_id: 'correlationId',
    reply_to: 'replyTo',
    expiration: 'expiration',
    message_id: 'messageId',
    type: 'type',
    user_id: 'userId',
    app_id: 'appId',
    cluster_id: 'clusterId',
  } as const;
  for (const [groupBy, name] of Object.entries(names)) {
    const around: BasicProperties = {
      contentType: 'a',
      messageId: 'b',
      clusterId: 'c',
      priority: 3,
      headers: { x: 1 },
    };
    const one = key(groupBy, { ...around, [name]: '1' });
    assert.notEqual(one, 0, groupBy);
    assert.equal(one, key(groupBy, { [name]: '1' }), groupBy);
    assert.notEqual(one, key(groupBy, { [name]: '2' }), groupBy);
    assert.equal(key(groupBy, {}), 0, groupBy);
    assert.equal(key(groupBy, { [name]: '' }), 0, groupBy);
  }
});

test('headers of any type are keys, and what is nothing is none', () => {
  const values: FieldValue[] = [
    'text',
    7,
    -7,
    0.5,
    true,
    false,
    2n ** 40n,
    new FieldTimestamp(7),
    new FieldDecimal(2, 7),
    [1, 2],
    { a: 1 },
    Buffer.from([0xff, 0xfe]),
  ];
  const keys = values.map((value) => byHeader(value));
  assert.equal(new Set(keys).size, values.length);
  assert.ok(keys.every((one) => Number.isInteger(one) && one > 0 && one < 2 ** 32));
  for (const none of [null, '', Buffer.alloc(0)]) assert.equal(byHeader(none), 0);
  assert.equal(key('customer', { headers: { customers: 1, custome: 2 } }), 0);
  assert.equal(key('customer', { messageId: 'customer' }), 0);
});

test('a value is the same key whatever its type on the wire', () => {
  const typed = (letter: string, value: Buffer): number => {
    const table = Buffer.concat([Buffer.from([0, 0, 0, 0, 1]), Buffer.from(`k${letter}`), value]);
    table.writeUInt32BE(table.length - 4);
    return groupKeys.reader('k')(Buffer.concat([Buffer.from([0x20, 0]), table]), 0, 2 + table.length);
  };
  const big = (value: bigint): Buffer => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64BE(value);
    return bytes;
  };
  for (const value of [7, -7]) {
    const word = big(BigInt(value));
    const keys = [
      typed('b', word.subarray(7)),
      typed('s', word.subarray(6)),
      typed('I', word.subarray(4)),
      typed('l', word),
    ];
    assert.equal(new Set(keys).size, 1, String(value));
  }
  const keys = [
    typed('B', Buffer.from([200])),
    typed('u', Buffer.from([0, 200])),
    typed('i', Buffer.from([0, 0, 0, 200])),
  ];
  assert.deepEqual(new Set(keys), new Set([typed('L', big(200n))]));
  const text = Buffer.from([0, 0, 0, 1, 0x61]);
  assert.equal(typed('S', text), typed('x', text));
  assert.equal(typed('S', text), key('app_id', { appId: 'a' }));
});

test('a header of a name that is a property is asked for by its prefix', () => {
  const both: BasicProperties = { type: 'property', headers: { type: 'header' } };
  assert.equal(key('type', both), key('app_id', { appId: 'property' }));
  assert.equal(key('header:type', both), key('app_id', { appId: 'header' }));
  assert.equal(key('header:x', { headers: { x: 'a' } }), key('x', { headers: { x: 'a' } }));
});

test('names that no header can have are refused', () => {
  for (const good of ['a', 'header:a', 'correlation_id', 'é'.repeat(127)]) assert.ok(isGroupBy(good), good);
  for (const bad of ['', 'header:', 'a'.repeat(256), 'é'.repeat(128)]) assert.ok(!isGroupBy(bad), bad);
});

test('bytes that are no properties have no key and stop nothing', () => {
  const read = groupKeys.reader('k');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.boolean(), (bytes, isTable) => {
      const given = isTable
        ? Buffer.concat([Buffer.from([0x20, 0, 0, 0, 0, bytes.length]), bytes])
        : Buffer.from(bytes);
      const found = read(given, 0, given.length);
      assert.ok(Number.isInteger(found) && found >= 0 && found < 2 ** 32);
    }),
  );
});

test('the same text is found behind any other headers', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string({ maxLength: 20 }), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 8 }),
      (others) => {
        const headers = Object.assign(Object.create(null) as Record<string, FieldValue>, others as object, {
          key: 'a',
        });
        encodeFieldTable(headers);
        assert.equal(key('key', { headers }), byHeader('a', 'key'));
      },
    ),
  );
});
