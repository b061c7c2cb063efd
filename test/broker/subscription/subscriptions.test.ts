import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Mailbox } from '../../../src/broker/subscription/mailbox.ts';
import { SharedGroup } from '../../../src/broker/subscription/shared-group.ts';
import { Subscriber } from '../../../src/broker/subscription/subscriber.ts';
import type { Subscription } from '../../../src/broker/subscription/subscription.ts';
import { Subscriptions } from '../../../src/broker/subscription/subscriptions.ts';

const subscriptions = (): { trie: Subscriptions; add: (filter: string, client?: string) => Subscription } => {
  const trie = new Subscriptions();
  const clients = new Map<string, Subscriber>();
  return {
    trie,
    add: (filter, client = 'c') => {
      const subscriber =
        clients.get(client) ?? new Subscriber(trie, '/', 'u', client, { durable: false }, clients.size);
      clients.set(client, subscriber);
      const subscription = subscriptionOf(subscriber, filter);
      trie.add(subscription);
      return subscription;
    },
  };
};

function subscriptionOf(subscriber: Subscriber, filter: string): Subscription {
  const options = { queued: false, noLocal: false, options: 0, identifier: 0 };
  return { name: filter, filter, share: null, subscriber, group: null, ...options };
}

function matched(trie: Subscriptions, topic: string): string[] {
  const found: string[] = [];
  trie.match(topic, {
    subscription: ({ filter, subscriber }) => found.push(`${subscriber.clientId} ${filter}`),
    group: ({ name, filter }) => found.push(`$share ${name} ${filter}`),
  });
  return found.sort();
}

/** As the specification says it (MQTT 5.0 §4.7), by backtracking. */
function matches(filter: string, topic: string): boolean {
  if (topic.startsWith('$') && (filter.startsWith('+') || filter.startsWith('#'))) return false;
  const step = (levels: readonly string[], of: readonly string[]): boolean => {
    const [level, ...rest] = levels;
    if (level === '#') return true;
    if (of.length === 0) return level === undefined;
    if (level === undefined) return false;
    return (level === '+' || level === of[0]) && step(rest, of.slice(1));
  };
  return step(filter.split('/'), topic.split('/'));
}

for (const [filter, topic, does] of [
  ['sport/tennis/player1/#', 'sport/tennis/player1', true],
  ['sport/tennis/player1/#', 'sport/tennis/player1/score/wimbledon', true],
  ['sport/#', 'sport', true],
  ['#', 'sport/tennis', true],
  ['sport/tennis/+', 'sport/tennis/player1/ranking', false],
  ['sport/+', 'sport', false],
  ['sport/+', 'sport/', true],
  ['+/+', '/finance', true],
  ['/+', '/finance', true],
  ['+', '/finance', false],
  ['#', '$SYS/uptime', false],
  ['+/monitor/Clients', '$SYS/monitor/Clients', false],
  ['$SYS/#', '$SYS/uptime', true],
  ['$SYS/#', '$SYS', true],
  ['$SYS/monitor/+', '$SYS/monitor/Clients', true],
  ['a/+', 'a/$b', true],
  ['ACCOUNTS', 'Accounts', false],
] as const) {
  test(`${filter} ${does ? 'matches' : 'does not match'} ${topic}`, () => {
    const { trie, add } = subscriptions();
    add(filter);
    assert.deepEqual(matched(trie, topic), does ? [`c ${filter}`] : []);
    assert.equal(matches(filter, topic), does);
  });
}

const level = fc.constantFrom('a', 'b', '', '$a');
const topics = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'));
const filters = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 4 }), fc.boolean())
  .map(([levels, rest]) => [...levels, ...(rest || levels.length === 0 ? ['#'] : [])].join('/'))
  .filter((filter) => filter !== '');

test('finds what the rules say, whatever came and went', () => {
  const steps = fc.array(fc.record({ filter: filters, client: fc.constantFrom('c', 'd'), goes: fc.boolean() }), {
    maxLength: 30,
  });
  fc.assert(
    fc.property(
      steps,
      fc.array(
        topics.filter((topic) => topic !== ''),
        { minLength: 1, maxLength: 5 },
      ),
      (script, asked) => {
        const { trie, add } = subscriptions();
        const there = new Map<string, Subscription>();
        for (const { filter, client, goes } of script) {
          const name = `${client} ${filter}`;
          const known = there.get(name);
          if (goes && known !== undefined) {
            trie.remove(known);
            there.delete(name);
          } else there.set(name, add(filter, client));
        }
        assert.equal(trie.size, there.size);
        for (const topic of asked) {
          const expected = Array.from(there).filter(([, { filter }]) => matches(filter, topic));
          assert.deepEqual(matched(trie, topic), expected.map(([name]) => name).sort());
          for (const { subscriber } of there.values()) {
            const own = expected.map(([, each]) => each).filter((each) => each.subscriber === subscriber);
            assert.deepEqual(new Set(subscriber.matching(topic)), new Set(own));
          }
        }
        for (const subscription of there.values()) trie.remove(subscription);
        assert.equal(trie.size, 0);
        // Nothing is left of it: a search looks at the root alone.
        const before = trie.steps;
        trie.match('a/b', { subscription: () => assert.fail(), group: () => assert.fail() });
        assert.equal(trie.steps, before);
      },
    ),
  );
});

test('a shared group is found by its filter, beside who does not share', () => {
  const { trie, add } = subscriptions();
  const mailbox = new Mailbox('/', { kind: 'group', share: 'g', filter: 'a/+' }, true);
  const group = new SharedGroup('g', 'a/+', mailbox);
  add('a/+');
  trie.addGroup(group);
  assert.deepEqual(matched(trie, 'a/b'), ['$share g a/+', 'c a/+']);
  assert.equal(trie.group('g', 'a/+'), group);
  assert.equal(trie.group('h', 'a/+'), undefined);
  trie.removeGroup(group);
  trie.removeGroup(group);
  assert.deepEqual(matched(trie, 'a/b'), ['c a/+']);
  assert.equal(trie.size, 1);
});

test('ten thousand subscriptions with wildcards make no search longer', () => {
  const { trie, add } = subscriptions();
  for (let i = 0; i < 10_000; i++) add(`site/+/device${i}/#`, `c${i}`);
  const before = trie.steps;
  assert.deepEqual(matched(trie, 'site/4/device77/temperature'), ['c77 site/+/device77/#']);
  assert.equal(trie.steps - before, 4);
  for (let i = 0; i < 10_000; i++) add(`site/${i}/+/temperature`, `d${i}`);
  assert.equal(matched(trie, 'site/4/device77/temperature').length, 2);
  assert.ok(trie.steps - before < 15, String(trie.steps));
});

test('no filter makes a search look at a place twice', () => {
  const { trie, add } = subscriptions();
  const depth = 40;
  for (let i = 0; i < depth; i++) {
    const levels = Array.from({ length: depth }, (_, at) => (at < i ? '+' : 'a'));
    add(levels.join('/'), `c${i}`);
    add([...levels.slice(0, i + 1), '#'].join('/'), `d${i}`);
  }
  const topic = Array.from({ length: depth }, () => 'a').join('/');
  assert.equal(matched(trie, topic).length, 2 * depth);
  // As many as there are nodes, where backtracking over `+` and `a` would look 2 ** 40 times.
  assert.ok(trie.steps < depth * depth, String(trie.steps));
});

test('a topic of many more levels than any filter ends the search early', () => {
  const { trie, add } = subscriptions();
  add('a/#');
  assert.deepEqual(matched(trie, `a${'/'.repeat(60_000)}`), ['c a/#']);
  assert.equal(trie.steps, 2);
});
