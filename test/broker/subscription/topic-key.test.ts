import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isShortened, routingKeyOf, topicOf } from '../../../src/broker/subscription/topic-key.ts';

/** No wildcards, no NUL, at least a character. */
const topics = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom('/', '.', '*', '%', '%2A', '%25', '%23', '~', '$') },
      { weight: 2, arbitrary: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }) },
    ),
    { minLength: 1, maxLength: 60 },
  )
  .map((parts) => parts.join('').replace(/[#+\0]/g, 'x'));

describe('topic-key', () => {
  it('swaps / and . and escapes what a binding key would read', () => {
    assert.equal(routingKeyOf('site/12/temperature'), 'site.12.temperature');
    assert.equal(routingKeyOf('a/b.c/*/100%'), 'a.b/c.%2A.100%25');
    assert.equal(routingKeyOf('/a//'), '.a..');
    assert.equal(routingKeyOf('temperature'), 'temperature');
  });

  it('gives each key a topic that MQTT allows', () => {
    assert.equal(topicOf('site.12.temperature'), 'site/12/temperature');
    assert.equal(topicOf('a.#.b+.c\0*'), 'a/%23/b%2B/c%00*');
    assert.equal(topicOf('100%.50%2.%2a.%'), '100%/50%2/%2a/%');
    assert.equal(topicOf(''), '%');
  });

  it('leads back to the topic', () => {
    fc.assert(
      fc.property(topics, (topic) => {
        const key = routingKeyOf(topic);
        assert.ok(Buffer.byteLength(key) <= 255);
        if (Buffer.byteLength(key) === 255 || isShortened(key)) return;
        assert.equal(topicOf(key), topic);
      }),
      { numRuns: 300 },
    );
  });

  it('makes a topic of any key', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary-ascii' }), (key) => {
        const topic = topicOf(key);
        assert.ok(topic.length > 0);
        assert.doesNotMatch(topic, /[#+\0]/);
      }),
      { numRuns: 300 },
    );
  });

  it('shortens what 255 bytes do not hold, at a word', () => {
    const longest = `${'a'.repeat(200)}/${'b'.repeat(54)}`;
    assert.equal(routingKeyOf(longest), longest.replace('/', '.'));
    const topic = `site/${'é'.repeat(100)}/${'x'.repeat(100)}/end`;
    const key = routingKeyOf(topic);
    assert.match(key, /^site\.é{100}\.~[\w-]{22}$/);
    assert.ok(isShortened(key));
    assert.notEqual(routingKeyOf(`${topic}s`), key);
    assert.match(routingKeyOf('x'.repeat(65_535)), /^~[\w-]{22}$/);
    assert.match(routingKeyOf('/'.repeat(65_535)), /^\.{232}~[\w-]{22}$/);
  });

  it('knows a shortened key by its end', () => {
    const mark = `~${'a'.repeat(22)}`;
    for (const key of [mark, `a.${mark}`]) assert.ok(isShortened(key), key);
    for (const key of ['', 'a.b', `a${mark}`, `${mark}.`, `${mark}a`, `a.~${'a'.repeat(21)}!`]) {
      assert.ok(!isShortened(key), key);
    }
  });

  it('keeps keys of any topic within 255 bytes', () => {
    const levels = fc.array(fc.string({ unit: 'grapheme', maxLength: 80 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(levels, (parts) => {
        const topic = parts.join('/');
        const key = routingKeyOf(topic);
        assert.ok(Buffer.byteLength(key) <= 255);
        if (Buffer.byteLength(topic) <= 85 && !/[%*]/.test(topic) && topic !== '') assert.ok(!isShortened(key));
      }),
      { numRuns: 300 },
    );
  });
});
