import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plainTable } from '../../src/format/field-json.ts';
import { FieldDecimal, FieldTimestamp, type FieldTable } from '../../src/format/field-table.ts';

test('a field table becomes JSON, whatever its types', () => {
  const table: FieldTable = {
    text: 'a',
    none: null,
    many: [1, true, { inner: 2n }],
    large: 2n ** 63n,
    odd: NaN,
    bytes: Buffer.from([0, 255]),
    at: new FieldTimestamp(1_700_000_000),
    never: new FieldTimestamp(1e15),
    price: new FieldDecimal(2, 1234),
  };
  assert.deepEqual(plainTable(table), {
    text: 'a',
    none: null,
    many: [1, true, { inner: 2 }],
    large: '9223372036854775808',
    odd: 'NaN',
    bytes: 'AP8=',
    at: '2023-11-14T22:13:20.000Z',
    never: 1e15,
    price: 12.34,
  });
});

test('no name is special', () => {
  const table = Object.assign(Object.create(null) as FieldTable, {});
  Object.defineProperty(table, '__proto__', { value: 'x', enumerable: true });
  assert.equal(JSON.stringify(plainTable(table)), '{"__proto__":"x"}');
});
