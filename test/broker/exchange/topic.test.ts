import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Binding, Destination } from '../../../src/broker/binding.ts';
import { TopicMatcher } from '../../../src/broker/exchange/topic.ts';

/** A binding is its pattern; its destination stands for itself. */
function bindingOf(pattern: string): Binding {
  const destination = { name: pattern } as Destination;
  return { source: null as never, destination, routingKey: pattern, arguments: {}, key: pattern, durable: true };
}

function matched(matcher: TopicMatcher, key: string): string[] {
  const found = new Set<Destination>();
  matcher.match(key, null, found);
  return Array.from(found, (destination) => destination.name).sort();
}

/** The definition: one word at a time, by trying everything. */
function naive(pattern: readonly string[], key: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return key.length === 0;
  if (first === '#') return naive(rest, key) || (key.length > 0 && naive(pattern, key.slice(1)));
  return key.length > 0 && (first === '*' || first === key[0]) && naive(rest, key.slice(1));
}

const words = (text: string) => (text === '' ? [] : text.split('.'));
const keys = fc.array(fc.constantFrom('a', 'b', 'c', ''), { maxLength: 6 }).map((list) => list.join('.'));
const patterns = fc.array(fc.constantFrom('a', 'b', '*', '#', ''), { maxLength: 6 }).map((list) => list.join('.'));

test('the trie matches what the definition matches, also after bindings went', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(patterns, { maxLength: 20 }),
      fc.array(fc.nat()),
      fc.array(keys, { minLength: 1 }),
      (given, gone, routed) => {
        const matcher = new TopicMatcher();
        const bindings = given.map(bindingOf);
        for (const binding of bindings) matcher.add(binding);
        const removed = new Set(bindings.length === 0 ? [] : gone.map((index) => bindings[index % bindings.length]!));
        for (const binding of removed) matcher.remove(binding);
        for (const key of routed) {
          const expected = bindings.filter(
            (binding) => !removed.has(binding) && naive(words(binding.routingKey), words(key)),
          );
          assert.deepEqual(matched(matcher, key), expected.map((binding) => binding.routingKey).sort());
        }
      },
    ),
    { numRuns: 1000 },
  );
});

test('matches at the edges as RabbitMQ does', () => {
  const cases: [pattern: string, key: string, matches: boolean][] = [
    ['#', '', true],
    ['', '', true],
    ['*', '', false],
    ['a.*', 'a.', true],
    ['a.#', 'a', true],
    ['#.a', 'a', true],
    ['a.*.b', 'a..b', true],
    ['*.*', '.', true],
    ['a*', 'ab', false],
    ['#.#', 'a', true],
    ['a.#.b', 'a.b', true],
    ['', 'a', false],
  ];
  for (const [pattern, key, matches] of cases) {
    const matcher = new TopicMatcher();
    matcher.add(bindingOf(pattern));
    assert.equal(matched(matcher, key).length === 1, matches, `${pattern} against ${key}`);
  }
});

test('a pattern of many # costs no more than its words times the key: no backtracking', () => {
  const matcher = new TopicMatcher();
  matcher.add(bindingOf(Array.from({ length: 60 }, () => '#.*').join('.')));
  assert.deepEqual(matched(matcher, Array.from({ length: 120 }, () => 'a').join('.')).length, 1);
  assert.deepEqual(matched(matcher, Array.from({ length: 59 }, () => 'a').join('.')).length, 0);
});
