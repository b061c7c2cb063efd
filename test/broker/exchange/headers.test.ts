import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Binding, Destination } from '../../../src/broker/binding.ts';
import { checkHeadersBinding, HeadersMatcher } from '../../../src/broker/exchange/headers.ts';
import type { FieldTable } from '../../../src/format/field-table.ts';

function matches(given: FieldTable, headers: FieldTable | null): boolean {
  const matcher = new HeadersMatcher();
  const destination = { name: 'q' } as Destination;
  const binding: Binding = {
    source: null as never,
    destination,
    routingKey: '',
    arguments: given,
    key: '',
    durable: true,
  };
  matcher.add(binding);
  const found = new Set<Destination>();
  matcher.match('', headers, found);
  matcher.remove(binding);
  return found.size > 0;
}

test('matches what RabbitMQ 3.10 was seen to match', () => {
  const cases: [FieldTable, FieldTable | null, boolean][] = [
    [{ a: 1 }, { a: 1 }, true],
    [{ a: 1 }, { a: '1' }, false],
    [{}, {}, true],
    [{}, { a: 1 }, true],
    [{ 'x-match': 'any' }, { a: 1 }, false],
    [{ 'x-match': 'any', a: 1 }, { b: 1 }, false],
    [{ 'x-match': 'any', a: 1, b: 2 }, { b: 2 }, true],
    [{ 'x-match': 'all', 'x-foo': 1 }, {}, true],
    [{ 'x-match': 'all-with-x', 'x-foo': 1 }, {}, false],
    [{ 'x-match': 'any', 'x-foo': 1 }, { 'x-foo': 1 }, false],
    [{ 'x-match': 'any-with-x', 'x-foo': 1 }, { 'x-foo': 1 }, true],
    [{ a: null }, { a: 5 }, true],
    [{ 'x-match': 'any-with-x' }, { a: 5 }, false],
    [{ 'x-match': 'all', a: { b: 1 } }, { a: { b: 1 } }, true],
    [{ 'x-match': 'all', a: { b: 1 } }, { a: { b: 2 } }, false],
    [{ 'x-match': 'all', a: [1] }, { a: [1] }, true],
    [{ 'x-match': 'all', a: 1 }, null, false],
    [{ 'x-match': 'all' }, null, true],
    [{ constructor: null }, null, false],
  ];
  for (const [given, headers, expected] of cases) {
    assert.equal(matches(given, headers), expected, `${JSON.stringify(given)} against ${JSON.stringify(headers)}`);
  }
});

test('refuses an x-match that it does not know', () => {
  assert.throws(() => checkHeadersBinding({ 'x-match': 'foo' }), {
    code: 'PRECONDITION_FAILED',
    message: 'Invalid x-match field value <<"foo">>; expected all, any, all-with-x, or any-with-x',
  });
  assert.throws(() => checkHeadersBinding({ 'x-match': 5 }), {
    message: 'Invalid x-match field type signedint (value 5); expected longstr',
  });
  checkHeadersBinding({ 'x-match': 'any-with-x' });
  checkHeadersBinding({});
});
