import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { checkTopicFilter, checkTopicName, filterMatches, parseSharedFilter } from '../../../src/wire/mqtt/topic.ts';
import { refusal } from './refusal.ts';

describe('a topic name', () => {
  test('may be anything else: spaces, slashes alone, a leading $', () => {
    for (const topic of ['a', '/', '//', '/a/', 'a b/c', '$SYS/x', 'ünï/€', ' ', '$share/a/b']) checkTopicName(topic);
  });

  test('is not empty [MQTT-4.7.3-1], without wildcards [MQTT-4.7.0-1] and without U+0000 [MQTT-4.7.3-2]', () => {
    assert.throws(() => checkTopicName(''), refusal('topicNameInvalid', /empty/));
    assert.throws(() => checkTopicName('a/+'), refusal('topicNameInvalid', /wildcard/));
    assert.throws(() => checkTopicName('a#'), refusal('topicNameInvalid', /wildcard/));
    assert.throws(() => checkTopicName('a\0b'), refusal('topicNameInvalid', /U\+0000/));
  });

  test('has as many levels as is allowed', () => {
    checkTopicName('a/b/c', 3);
    assert.throws(() => checkTopicName('a/b/c/', 3), refusal('topicNameInvalid', /3 levels/));
    checkTopicName('/'.repeat(199));
    assert.throws(() => checkTopicName('/'.repeat(200)), refusal('topicNameInvalid', /200 levels/));
  });
});

describe('a topic filter', () => {
  test('holds wildcards as whole levels', () => {
    for (const filter of ['#', '+', '/', '+/+', '/+', 'a/#', 'a/+/b', '+/a/#', '$SYS/#', 'a//+', '+/#'])
      checkTopicFilter(filter);
  });

  test("has '#' only at its end [MQTT-4.7.1-1] and wildcards only alone [MQTT-4.7.1-2]", () => {
    for (const filter of [
      '#/a',
      'a/#/b',
      '##',
      'a#',
      'a/b#',
      '#a',
      '+a',
      'a+',
      'a/+b',
      'a/b+/c',
      '++',
      '+#',
      '#+',
      '/#/',
    ]) {
      assert.throws(() => checkTopicFilter(filter), refusal('topicFilterInvalid'), filter);
    }
  });

  test('is not empty, without U+0000, and not too deep', () => {
    assert.throws(() => checkTopicFilter(''), refusal('topicFilterInvalid', /empty/));
    assert.throws(() => checkTopicFilter('a\0'), refusal('topicFilterInvalid', /U\+0000/));
    assert.throws(() => checkTopicFilter('+/+/+', 2), refusal('topicFilterInvalid', /2 levels/));
  });
});

describe('a shared subscription', () => {
  test('is a name and a filter', () => {
    assert.deepEqual(parseSharedFilter('$share/workers/a/+'), { name: 'workers', filter: 'a/+' });
    assert.deepEqual(parseSharedFilter('$share/n//'), { name: 'n', filter: '/' });
    assert.deepEqual(parseSharedFilter('$share/n/'), { name: 'n', filter: '' });
    for (const filter of ['a/b', '$shared/a/b', '$share', '$SYS/share', 'x$share/a/b', '$Share/a/b']) {
      assert.equal(parseSharedFilter(filter), null);
    }
  });

  test('has a name [MQTT-4.8.2-1] without wildcards, and a filter behind it [MQTT-4.8.2-2]', () => {
    for (const filter of ['$share/', '$share/name', '$share//a', '$share/a+/b', '$share/#/b', '$share/+/b']) {
      assert.throws(() => parseSharedFilter(filter), refusal('topicFilterInvalid'), filter);
    }
  });
});

/** Another way to say the same, to compare with. */
function matchesByLevels(filter: readonly string[], topic: readonly string[]): boolean {
  const [first, ...others] = filter;
  if (first === '#') return true;
  if (first === undefined) return topic.length === 0;
  if (topic.length === 0) return false;
  return (first === '+' || first === topic[0]) && matchesByLevels(others, topic.slice(1));
}

describe('a filter matches', () => {
  const matching: [string, string[], string[]][] = [
    // 5.0 §4.7.1.2, §4.7.1.3
    [
      'sport/tennis/player1/#',
      ['sport/tennis/player1', 'sport/tennis/player1/ranking', 'sport/tennis/player1/score/wimbledon'],
      ['sport/tennis/player2', 'sport/tennis'],
    ],
    ['sport/#', ['sport', 'sport/'], ['sports', 'a/sport']],
    ['sport/tennis/+', ['sport/tennis/player1', 'sport/tennis/'], ['sport/tennis/player1/ranking', 'sport/tennis']],
    ['sport/+', ['sport/'], ['sport', 'sport/a/b']],
    ['+/+', ['/finance', '/', 'a/b'], ['a', 'a/b/c']],
    ['/+', ['/finance', '/'], ['finance', '//']],
    ['+', ['finance', 'a'], ['/finance', '/']],
    ['#', ['a', '/', 'a/b', '/a'], ['$SYS', '$SYS/a', '$']],
    // 5.0 §4.7.2 [MQTT-4.7.2-1]
    ['+/monitor/Clients', ['a/monitor/Clients'], ['$SYS/monitor/Clients']],
    ['$SYS/#', ['$SYS', '$SYS/', '$SYS/a/b'], ['a', '$SY']],
    ['$SYS/monitor/+', ['$SYS/monitor/Clients'], ['$SYS/monitor']],
    ['a/$b/+', ['a/$b/c'], []],
    ['a/+', ['a/$b'], []],
    ['a/+/#', ['a/b', 'a/', 'a/b/c'], ['a']],
    // [MQTT-4.7.3-4]
    ['ACCOUNTS', ['ACCOUNTS'], ['Accounts']],
    ['\u00fc', ['\u00fc'], ['u\u0308']],
    ['a', ['a'], ['a/', '/a', 'ab', '']],
  ];

  for (const [filter, these, others] of matching) {
    test(`"${filter}"`, () => {
      for (const topic of these) assert.equal(filterMatches(filter, topic), true, topic);
      for (const topic of others) assert.equal(filterMatches(filter, topic), false, topic);
    });
  }

  test('as its levels do', () => {
    const level = fc.constantFrom('', 'a', 'b', 'ab', '$a');
    const topics = fc.array(level, { minLength: 1, maxLength: 5 });
    const filters = fc
      .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 5 }), fc.boolean())
      .map(([levels, all]) => (all ? [...levels, '#'] : levels))
      .filter((levels) => levels.length > 0 && levels.join('/') !== '');
    fc.assert(
      fc.property(filters, topics, (filter, topic) => {
        fc.pre(topic.join('/') !== '');
        checkTopicFilter(filter.join('/'));
        const hidden = topic[0]!.startsWith('$') && (filter[0] === '+' || filter[0] === '#');
        assert.equal(filterMatches(filter.join('/'), topic.join('/')), !hidden && matchesByLevels(filter, topic));
      }),
      { numRuns: 1000 },
    );
  });
});
