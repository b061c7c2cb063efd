import assert from 'node:assert/strict';
import { test } from 'node:test';
import { duration, pairs, positiveNumber, wholeNumber } from '../../src/cli/option-value.ts';
import { printable, printableLine } from '../../src/cli/printable.ts';

test('a time has its unit', () => {
  const read = duration('--delay');
  assert.deepEqual(
    ['0s', '500ms', '1.5s', '10m', '2h', '1d'].map(read),
    [0, 500, 1500, 600_000, 7_200_000, 86_400_000],
  );
  for (const text of ['', '5', 's', '-1s', '5 s', '1e3s', '5S', '999999999999d']) {
    assert.throws(() => read(text), {
      exitCode: 2,
      message: /^--delay must be a time with its unit, such as .*, not /,
    });
  }
});

test('numbers are numbers, within their limits', () => {
  assert.equal(wholeNumber('--priority', 0, 255)('255'), 255);
  for (const text of ['', '-1', '256', '1.5', '0x1']) {
    assert.throws(
      () => wholeNumber('--priority', 0, 255)(text),
      /^CommandError: --priority must be a whole number from 0 to 255/,
    );
  }
  assert.equal(positiveNumber('--rate')('0.5'), 0.5);
  assert.throws(() => positiveNumber('--rate')('0'), /--rate must be a number above 0, not "0"/);
});

test('pairs add up, and a value may have any sign', () => {
  const read = pairs('--header');
  assert.deepEqual(read('b=x=y', read('a=1')), { a: '1', b: 'x=y' });
  assert.deepEqual(read('a='), { a: '' });
  for (const text of ['a', '=1', '']) assert.throws(() => read(text), { exitCode: 2 });
});

test('what others wrote does nothing to a terminal', () => {
  assert.equal(printable('a\tb\n\u001b[2J\u0007\u009b'), 'a\tb\n\\x1b[2J\\x07\\x9b');
  assert.equal(printableLine('a\r\nb\tc'), 'a\\r\\nb\\tc');
});
