import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Pattern } from '../../../src/broker/access/pattern.ts';

describe('Pattern', () => {
  it('matches as a regular expression does', () => {
    const patterns = [
      ...[
        '.*',
        '^.*$',
        '^$',
        'a',
        '^a',
        'a$',
        '^a$',
        '^(amq\\.gen.*|amq\\.default)$',
        '^tenant-[a-c0-9_]+\\.',
        '[^a-z]',
      ],
      ...[
        'a|b|',
        '(a|b)*c',
        '^(?:ab?)+$',
        'a{2}',
        '^a{2,}$',
        '^a{1,3}$',
        '^(ab){0,2}$',
        '\\d+\\w*?\\s?',
        '^[\\d.-]+$',
        '[]a]',
        '[a-]',
      ],
      ...[
        '(a*)*b',
        '(a+)+$',
        '(a|aa)+$',
        '^(a?){5}a{5}$',
        'ä.ö',
        '^\\S+@\\W',
        '{',
        'a{',
        '()',
        '^|x',
        '(^a|b$)',
        '\\^\\$\\.',
      ],
    ];
    const names = fc.oneof(fc.string({ unit: fc.constantFrom('a', 'b', 'c', '.', '-', '1', ' ', '@'), maxLength: 12 }));
    for (const source of patterns) {
      const [pattern, expected] = [new Pattern(source), new RegExp(source.replace('[]a]', '[\\]a]'), '')];
      const same = (name: string): void =>
        assert.equal(pattern.matches(name), expected.test(name), `${source} on ${name}`);
      for (const name of ['', 'a', 'b', 'ab', 'aaa', 'amq.gen-1', 'amq.default', 'tenant-a.orders', 'äxö', '^$.', 'x{'])
        same(name);
      fc.assert(fc.property(names, same), { numRuns: 50 });
    }
  });

  it('permits nothing where it is empty, as in RabbitMQ', () => {
    assert.equal(new Pattern('').matches('orders'), false);
    assert.equal(new Pattern('').matches(''), true);
  });

  it('ends on a name that was made to be slow', () => {
    // Tried one way after another, each of these takes longer than the test has.
    const name = `${'a'.repeat(254)}!`;
    for (const source of ['^(a+)+$', '^(a|a)*$', '^(a|aa)+$', '^(.*a){40}$', '^a*a*a*a*a*a*a*a*b$', '^((a*)*)*$']) {
      assert.equal(new Pattern(source).matches(name), false);
    }
  });

  it('refuses what it does not know, in a line', () => {
    for (const source of [
      ...[
        '(',
        ')',
        'a)',
        '(a',
        '[a',
        '[',
        'a\\',
        '*',
        '+a',
        '?',
        'a**',
        'a*+',
        'a++',
        '(?=a)',
        '(?!a)',
        '(?<=a)',
        '(?<n>a)',
        '(?i)a',
      ],
      ...[
        '\\1',
        '\\b',
        '\\k<n>',
        '\\p{L}',
        '[z-a]',
        '[[:alpha:]]',
        'a{3,2}',
        'a{256}',
        '(a{200}){200}',
        'x'.repeat(1_001),
      ],
    ]) {
      assert.throws(
        () => new Pattern(source),
        { code: 'PRECONDITION_FAILED', message: /^'.*' can't be used as .*: [^\n]+$/s },
        source,
      );
    }
  });
});
