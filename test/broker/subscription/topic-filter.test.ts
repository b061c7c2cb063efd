import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrokerError } from '../../../src/broker/broker-error.ts';
import { bindingKeyOf, isFilter, isTopic, requireFilter } from '../../../src/broker/subscription/topic-filter.ts';
import { routingKeyOf } from '../../../src/broker/subscription/topic-key.ts';

test('tells filters from what is none', () => {
  for (const filter of ['a', '/', '//', '#', '+', 'a/#', '+/a/+', '/#', '$SYS/#', 'a b', '+/#']) {
    assert.ok(isFilter(filter), filter);
  }
  for (const filter of ['', 'a#', 'a/#/b', '#/', 'a+', '+a/b', 'a/b+', 'a\0', '##', '++']) {
    assert.ok(!isFilter(filter), filter);
  }
});

test('a topic has no wildcards', () => {
  assert.ok(isTopic('a/b'));
  for (const topic of ['', 'a/+', '#', 'a\0b']) assert.ok(!isTopic(topic), topic);
});

test('is the pattern of a topic exchange, and of a topic its key', () => {
  assert.equal(bindingKeyOf('a/+/c/#'), 'a.*.c.#');
  assert.equal(bindingKeyOf('a.b/*/%'), 'a/b.%2A.%25');
  for (const topic of ['a/b', 'a.b/*%', '/', 'x//y']) assert.equal(bindingKeyOf(topic), routingKeyOf(topic));
});

test('refuses what is no filter, no share name, or too deep', () => {
  const code = (filter: string, share: string | null = null): string | null => {
    try {
      requireFilter(filter, share, 3);
      return null;
    } catch (error) {
      assert.ok(error instanceof BrokerError);
      return error.code;
    }
  };
  assert.equal(code('a/b/c'), null);
  assert.equal(code('a/b/c/d'), 'PRECONDITION_FAILED');
  assert.equal(code('a#'), 'COMMAND_INVALID');
  assert.equal(code('a', 'group'), null);
  for (const share of ['', 'a/b', '+', 'g#']) assert.equal(code('a', share), 'COMMAND_INVALID', share);
  // It would be told from a shared one by nothing.
  assert.equal(code('$share/g/a'), 'COMMAND_INVALID');
});
