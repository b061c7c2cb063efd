import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { lineRanges } from '../../src/cli/line-ranges.ts';
import { LineSplitter } from '../../src/cli/line-splitter.ts';

function split(chunks: readonly Buffer[], maxBytes = 100): (string | null)[] {
  const splitter = new LineSplitter(maxBytes);
  const lines = chunks.flatMap((chunk) => Array.from(splitter.split(chunk)));
  const rest = splitter.rest();
  if (rest !== null) lines.push(rest);
  lines.forEach(({ number }, index) => {
    assert.equal(number, index + 1);
  });
  return lines.map(({ bytes }) => bytes?.toString('latin1') ?? null);
}

test('lines end with LF or CRLF, the last with neither', () => {
  assert.deepEqual(split([Buffer.from('a\nb\r\n\n\rc\n')]), ['a', 'b', '', '\rc']);
  assert.deepEqual(split([Buffer.from('a\n'), Buffer.from('b')]), ['a', 'b']);
  assert.deepEqual(split([]), []);
});

test('however the bytes come, they are the same lines', () => {
  const bytes = fc
    .uint8Array({ maxLength: 60 })
    .map((array) => Buffer.from(array.map((byte) => [10, 13, 65, 255][byte % 4]!)));
  fc.assert(
    fc.property(fc.array(bytes, { maxLength: 8 }), (chunks) => {
      assert.deepEqual(split(chunks, 1000), split([Buffer.concat(chunks)], 1000));
    }),
  );
});

test('a line that is too long is told, and not kept', () => {
  const long = Buffer.alloc(40, 'x');
  assert.deepEqual(split([long, long, long, Buffer.from('\nb\n')]), [null, 'b']);
  assert.deepEqual(split([Buffer.from(`${'x'.repeat(100)}\r\n`)]), ['x'.repeat(100)]);
});

test('lines are named as ranges', () => {
  assert.equal(lineRanges([3]), '3');
  assert.equal(lineRanges([1, 2, 3, 7, 9, 10]), '1-3, 7, 9-10');
  assert.equal(lineRanges([1, 3, 5, 7, 9, 11, 13, 15, 17]), '1, 3, 5, 7, 9, 11, 13, 15 and more');
});
