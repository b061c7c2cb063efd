import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { TopicPermission, type TopicNames } from '../../../src/broker/access/topic-permission.ts';
import { routingKeyOf } from '../../../src/broker/subscription/topic-key.ts';

const overAmqp: TopicNames = { username: 'ann', vhost: '/', clientId: null };

function reads(read: string, routingKey: string, names: Partial<TopicNames> = {}) {
  return new TopicPermission({ write: '', read }).allows('read', routingKey, { ...overAmqp, ...names });
}

describe('TopicPermission', () => {
  it('keeps what may be published apart from what may be subscribed to', () => {
    const permission = new TopicPermission({ write: '^a\\.', read: '^b\\.' });
    assert.deepEqual(permission.texts, { write: '^a\\.', read: '^b\\.' });
    assert.equal(permission.allows('write', 'a.x', overAmqp), true);
    assert.equal(permission.allows('write', 'b.x', overAmqp), false);
    assert.equal(permission.allows('read', 'a.x', overAmqp), false);
    assert.equal(permission.allows('read', 'b.x', overAmqp), true);
  });

  it('permits nothing where it is empty, and refuses what is no expression', () => {
    assert.equal(reads('', 'a'), false);
    assert.throws(() => new TopicPermission({ write: '(a', read: '' }), { code: 'PRECONDITION_FAILED' });
    assert.throws(() => new TopicPermission({ write: '', read: '{client_id}{300}' }), { code: 'PRECONDITION_FAILED' });
  });

  it('puts in who asks', () => {
    const pattern = '^{vhost}-{username}\\.{client_id}\\.(?:a|b)$';
    const names = { username: 'ann', vhost: 'v', clientId: 'c1' };
    assert.equal(reads(pattern, 'v-ann.c1.a', names), true);
    assert.equal(reads(pattern, 'v-ann.c2.a', names), false);
    assert.equal(reads(pattern, 'v-ann.c2.b', { ...names, clientId: 'c2' }), true);
    assert.equal(reads(pattern, 'v-bob.c1.a', names), false);
    assert.equal(reads('^{username}{2}$', 'annann', names), true);
    assert.equal(reads('^{client_id}$', 'c1'), false, 'there is no client id over AMQP');
    assert.equal(reads('^{client_id}?$', ''), true);
    assert.equal(reads('^{other}$', '{other}', names), true);
  });

  it('takes names as text, whatever characters are in them', () => {
    for (const clientId of ['.*', '.+', 'a|b', '(a', '[a-z]', '\\w', '^', '$', '{username}', 'a{0}', '?', 'x|^.*']) {
      const key = routingKeyOf(`d/${clientId}/s`);
      const pattern = '^d\\.{client_id}\\.s$';
      assert.equal(reads(pattern, 'd.other.s', { clientId }), false, clientId);
      assert.equal(reads(pattern, 'd.ann.s', { clientId }), false, clientId);
      assert.equal(reads(pattern, 'd.s', { clientId }), false, clientId);
      assert.equal(reads(pattern, key, { clientId }), !clientId.includes('*') && !clientId.includes('+'), clientId);
    }
  });

  it('lets no client subscribe to the topics of others by an id that is a wildcard, or more than a level', () => {
    for (const clientId of ['#', '+', '*', 'a/b', '/', 'a/#', '']) {
      for (const key of ['d.#', 'd.*', 'd.+', 'd.a.b', 'd./', 'd..', 'd.a.#', 'd.', 'd']) {
        assert.equal(reads('^d\\.{client_id}', key, { clientId }), false, `${clientId} on ${key}`);
      }
    }
    assert.equal(reads('^u\\.{username}', 'u.#', { username: '#' }), false);
    assert.equal(reads('^u\\.{username}', 'u.*', { username: '*' }), false);
  });

  it('takes a name over MQTT as it stands in a topic, and over AMQP as it is', () => {
    assert.equal(reads('^{username}\\.', 'ann.b.x', { username: 'ann.b' }), true);
    assert.equal(reads('^{username}\\.', routingKeyOf('ann.b/x'), { username: 'ann.b', clientId: 'c' }), true);
    assert.equal(reads('^{username}\\.', 'ann.b.x', { username: 'ann.b', clientId: 'c' }), false);
    assert.equal(reads('^{client_id}\\.', routingKeyOf('dev.1/x'), { clientId: 'dev.1' }), true);
    assert.equal(reads('^{client_id}\\.', routingKeyOf('dev/1/x'), { clientId: 'dev.1' }), false);
  });

  it('matches a client alone with its own level, property', () => {
    const id = fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' });
    fc.assert(
      fc.property(id, id, (mine, other) => {
        fc.pre(mine !== other && !/[/+#\0]/.test(other));
        assert.equal(reads('^d\\.{client_id}\\.s$', routingKeyOf(`d/${other}/s`), { clientId: mine }), false);
      }),
    );
  });

  it('refuses where a name makes it too large, and remembers no long one', () => {
    assert.equal(reads('^{client_id}$', 'a'.repeat(255), { clientId: 'a'.repeat(255) }), true);
    assert.equal(reads('^{client_id}{20}$', 'a'.repeat(255), { clientId: 'a'.repeat(255) }), false);
    const permission = new TopicPermission({ write: '', read: '^{client_id}' });
    for (const clientId of ['a'.repeat(256), 'é'.repeat(128), 'a'.repeat(65_535)]) {
      assert.equal(permission.allows('read', 'a'.repeat(255), { ...overAmqp, clientId }), false);
    }
    for (let i = 0; i < 1_000; i++) {
      assert.equal(permission.allows('read', `c${i}.x`, { ...overAmqp, clientId: `c${i}` }), true);
    }
  });
});
