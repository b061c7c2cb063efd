import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { compare, readExpectations, writeExpectations, type Result } from '../../scripts/upstream/expectations.ts';

const list = readExpectations('# of 1.0\npass a > b\nskip c\napart d | its world is another\n');
const asExpected: Result[] = [
  { test: 'a > b', outcome: 'pass' },
  { test: 'c', outcome: 'skip' },
  { test: 'd', outcome: 'fail' },
];

test('results as on the list are right, and what does not apply is told with its reason', () => {
  assert.deepEqual(compare(asExpected, list), { apart: ['d: its world is another'], wrong: [] });
  assert.deepEqual(compare([...asExpected, { test: 'new', outcome: 'pass' }], list).wrong, []);
});

test('everything else is wrong', () => {
  const wrong = (...results: Result[]): string[] =>
    compare([...asExpected.filter(({ test }) => !results.some((other) => other.test === test)), ...results], list)
      .wrong;
  assert.deepEqual(wrong({ test: 'a > b', outcome: 'fail' }), ['a > b: fail instead of pass']);
  assert.deepEqual(wrong({ test: 'a > b', outcome: 'skip' }), ['a > b: skip instead of pass']);
  assert.deepEqual(wrong({ test: 'd', outcome: 'pass' }), ['d: listed as not applying, but its result is pass']);
  assert.deepEqual(wrong({ test: 'new', outcome: 'fail' }), ['new: fail, and is not on the list']);
  assert.deepEqual(compare(asExpected.slice(1), list).wrong, ['a > b: is on the list, and did not run']);
});

test('a list is written as it is read, and needs a reason for what does not apply', () => {
  assert.deepEqual(readExpectations(writeExpectations(asExpected, list)), [list[2], list[0], list[1]]);
  assert.throws(() => readExpectations('apart d'), /not an expectation/);
  assert.throws(() => readExpectations('fail d'), /not an expectation/);
});

test('docs/COMPATIBILITY.md names every test of another suite that does not apply', () => {
  const page = readFileSync(new URL('../../docs/COMPATIBILITY.md', import.meta.url), 'utf8');
  for (const name of ['amqplib', 'pika']) {
    const text = readFileSync(new URL(`../../scripts/upstream/${name}.txt`, import.meta.url), 'utf8');
    const expectations = readExpectations(text);
    assert.ok(expectations.filter(({ kind }) => kind === 'pass').length > 70);
    for (const { test, kind } of expectations) if (kind === 'apart') assert.ok(page.includes(`\`${test}\``), test);
  }
});
