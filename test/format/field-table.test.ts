import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  checkFieldTable,
  decodeFieldTable,
  decodeFieldValue,
  encodeFieldTable,
  FieldDecimal,
  FieldTimestamp,
  findField,
  maxTableDepth,
  replaceFields,
} from '../../src/format/field-table.ts';
import type { FieldTable, FieldValue } from '../../src/format/field-table.ts';
import { FormatError } from '../../src/format/format-error.ts';

const name = fc.string({ maxLength: 40 }).filter((text) => Buffer.byteLength(text) < 256);

const fieldValue = fc.letrec<{ value: FieldValue; table: FieldTable }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true }).filter((value) => !Object.is(value, -0)),
    fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
    fc.string({ unit: 'binary', maxLength: 30 }),
    fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)),
    fc.nat().map((seconds) => new FieldTimestamp(seconds)),
    fc.tuple(fc.nat(255), fc.integer()).map(([scale, value]) => new FieldDecimal(scale, value)),
    fc.array(tie('value'), { maxLength: 4 }),
    tie('table'),
  ),
  table: fc.dictionary(name, tie('value'), { maxKeys: 4, noNullPrototype: false }).map((plain) => {
    return Object.assign(Object.create(null), plain) as FieldTable;
  }),
}));

function nestedArrays(depth: number): Buffer {
  let inner = Buffer.alloc(0);
  for (let level = 0; level < depth; level++) {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(inner.length);
    inner = Buffer.concat([Buffer.from('A'), length, inner]);
  }
  const body = Buffer.concat([Buffer.from('\x01a'), inner]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
}

test('a table survives a round trip', () => {
  fc.assert(
    fc.property(fieldValue.table, (table) => {
      const bytes = encodeFieldTable(table);
      assert.equal(checkFieldTable(bytes, 0, bytes.length), bytes.length);
      assert.deepEqual(decodeFieldTable(bytes, 0, bytes.length), table);
    }),
  );
});

test('bytes that were changed give a table or a FormatError, and check and decode agree', () => {
  const changed = fc.tuple(fieldValue.table, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }));
  fc.assert(
    fc.property(changed, ([table, changes]) => {
      const bytes = Buffer.from(encodeFieldTable(table));
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      assert.equal(
        refusal(() => checkFieldTable(bytes, 0, bytes.length)),
        refusal(() => decodeFieldTable(bytes, 0, bytes.length)),
      );
    }),
    { numRuns: 500 },
  );
});

function refusal(read: () => unknown): string {
  try {
    read();
    return 'none';
  } catch (error) {
    assert.ok(error instanceof FormatError, String(error));
    return 'FormatError';
  }
}

test('Deep nesting: a table nested 5,000 deep is refused without recursing into it', () => {
  const bytes = nestedArrays(5_000);
  assert.throws(() => checkFieldTable(bytes, 0, bytes.length), FormatError);
  assert.throws(() => decodeFieldTable(bytes, 0, bytes.length), /nested deeper than 64/);
  assert.throws(() => findField(bytes, 0, bytes.length, 'zz'), FormatError);
});

test('nesting up to the limit is taken', () => {
  const bytes = nestedArrays(maxTableDepth);
  assert.equal(checkFieldTable(bytes, 0, bytes.length), bytes.length);
});

test('a declared length beyond the bytes is refused before anything is allocated', () => {
  const bytes = Buffer.from([0, 0, 0, 7, 1, 0x61, 0x53, 0xff, 0xff, 0xff, 0xff]);
  assert.throws(() => decodeFieldTable(bytes, 0, bytes.length), FormatError);
  assert.throws(() => decodeFieldTable(Buffer.from([0xff, 0xff, 0xff, 0xff]), 0, 4), FormatError);
});

test('__proto__ is a name like any other', () => {
  const bytes = replaceFields(Buffer.alloc(0), -1, 0, JSON.parse('{"__proto__": {"polluted": true}}') as FieldTable);
  const table = decodeFieldTable(bytes, 0, bytes.length);
  assert.deepEqual(Object.keys(table), ['__proto__']);
  assert.equal(({} as { polluted?: boolean }).polluted, undefined);
});

test('replacing fields keeps the bytes of all others', () => {
  // a: i8 5 (which encoding would make an i32), b: string, c: void
  const fields = Buffer.concat([
    Buffer.from('\x01ab\x05', 'latin1'),
    Buffer.from('\x01bS\0\0\0\x01x'),
    Buffer.from('\x01cV'),
  ]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(fields.length);
  const bytes = Buffer.concat([length, fields]);
  const replaced = replaceFields(bytes, 0, bytes.length, { b: undefined, d: 7 });
  assert.equal(replaced.subarray(4, 8).toString('latin1'), '\x01ab\x05');
  assert.deepEqual({ ...decodeFieldTable(replaced, 0, replaced.length) }, { a: 5, c: null, d: 7 });
  const at = findField(replaced, 0, replaced.length, 'd');
  assert.equal(decodeFieldValue(replaced, at, replaced.length), 7);
  assert.equal(findField(replaced, 0, replaced.length, 'b'), -1);
});

test('a long string that is not UTF-8 stays bytes', () => {
  const bytes = Buffer.from([0, 0, 0, 9, 1, 0x61, 0x53, 0, 0, 0, 2, 0xff, 0xfe]);
  assert.deepEqual(decodeFieldTable(bytes, 0, bytes.length)['a'], Buffer.from([0xff, 0xfe]));
});
