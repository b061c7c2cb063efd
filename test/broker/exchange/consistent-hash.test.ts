import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Binding, Destination } from '../../../src/broker/binding.ts';
import { ConsistentHashMatcher } from '../../../src/broker/exchange/consistent-hash.ts';
import type { BasicProperties } from '../../../src/format/basic-properties.ts';
import type { FieldTable } from '../../../src/format/field-table.ts';
import { Bench, messageOf } from '../harness.ts';

const binding = (name: string, weight: number): Binding =>
  ({ destination: destinations.get(name) ?? added(name), routingKey: String(weight) }) as unknown as Binding;
const destinations = new Map<string, Destination>();
function added(name: string): Destination {
  const destination = { kind: 'queue', name } as Destination;
  destinations.set(name, destination);
  return destination;
}

function chosen(matcher: ConsistentHashMatcher, key: string, properties: BasicProperties = {}): string | undefined {
  const found = new Set<Destination>();
  const message = messageOf('', properties);
  matcher.match(key, properties.headers ?? null, found, message);
  assert.ok(found.size <= 1);
  return [...found][0]?.name;
}

const keys = Array.from({ length: 20_000 }, (_, i) => `key-${i}`);
const spread = (matcher: ConsistentHashMatcher): Map<string, string> =>
  new Map(keys.map((key) => [key, chosen(matcher, key)!]));

function counts(of: Map<string, string>): Record<string, number> {
  const counted: Record<string, number> = {};
  for (const name of of.values()) counted[name] = (counted[name] ?? 0) + 1;
  return counted;
}

test('messages are shared out by weight', () => {
  const matcher = new ConsistentHashMatcher({});
  assert.equal(chosen(matcher, 'k'), undefined);
  for (const [name, weight] of [
    ['a', 1],
    ['b', 1],
    ['c', 2],
  ] as const) {
    matcher.add(binding(name, weight));
  }
  const { a, b, c } = counts(spread(matcher));
  for (const [name, count, share] of [
    ['a', a, 0.25],
    ['b', b, 0.25],
    ['c', c, 0.5],
  ] as const) {
    assert.ok(Math.abs((count ?? 0) / keys.length - share) < 0.02, `${name}: ${count}`);
  }
});

test('a destination that comes or goes moves only its own', () => {
  const matcher = new ConsistentHashMatcher({});
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => binding(name, 10)) as [Binding, Binding, Binding, Binding];
  for (const each of [a, b, c]) matcher.add(each);
  const before = spread(matcher);
  matcher.add(d);
  for (const [key, name] of spread(matcher)) assert.ok(name === 'd' || name === before.get(key));
  matcher.remove(b);
  matcher.remove(d);
  for (const [key, name] of spread(matcher)) assert.ok(before.get(key) === 'b' || name === before.get(key));
  matcher.add(b);
  assert.deepEqual(spread(matcher), before);
  const other = new ConsistentHashMatcher({});
  for (const each of [c, b, a]) other.add(each);
  assert.deepEqual(spread(other), before, 'whatever the order');
});

test('a destination that is bound twice has the larger weight, until the last binding goes', () => {
  const matcher = new ConsistentHashMatcher({});
  const [light, heavy] = [binding('a', 1), binding('a', 3)];
  for (const each of [light, heavy, binding('b', 1)]) matcher.add(each);
  assert.ok(counts(spread(matcher))['a']! > 0.7 * keys.length);
  matcher.remove(heavy);
  assert.ok(counts(spread(matcher))['a']! < 0.6 * keys.length);
  matcher.remove(light);
  assert.equal(counts(spread(matcher))['a'], undefined);
});

test('a header or a property decides, whatever the routing key', () => {
  const of = (given: FieldTable, properties: (i: number) => BasicProperties) => {
    const matcher = new ConsistentHashMatcher(given);
    for (const name of ['a', 'b', 'c']) matcher.add(binding(name, 1));
    assert.equal(matcher.byHeaders, true);
    const names = new Set<string>();
    for (let i = 0; i < 50; i++) {
      const first = chosen(matcher, `k${i}`, properties(i));
      assert.equal(chosen(matcher, 'other', properties(i)), first);
      names.add(first!);
    }
    return names.size;
  };
  assert.equal(
    of({ 'hash-header': 'who' }, (i) => ({ headers: { who: `u${i}` } })),
    3,
  );
  assert.equal(
    of({ 'hash-header': 'who' }, (i) => ({ headers: { who: i } })),
    3,
  );
  assert.equal(
    of({ 'hash-header': 'who' }, (i) => ({ headers: { other: i } })),
    1,
  );
  assert.equal(
    of({ 'hash-header': 'who' }, () => ({})),
    1,
  );
  assert.equal(
    of({ 'hash-property': 'message_id' }, (i) => ({ messageId: `m${i}` })),
    3,
  );
  assert.equal(
    of({ 'hash-property': 'correlation_id' }, (i) => ({ correlationId: `m${i}` })),
    3,
  );
  assert.equal(
    of({ 'hash-property': 'timestamp' }, (i) => ({ timestamp: i })),
    3,
  );
  assert.equal(
    of({ 'hash-property': 'timestamp' }, () => ({})),
    1,
  );
});

test('a vhost has exchanges of the type, through bindings, dead letters and CC', async () => {
  const bench = await new Bench().open();
  const session = bench.session();
  await bench.exchange(session, 'by-key', 'x-consistent-hash');
  await bench.exchange(session, 'by-id', 'x-consistent-hash', { 'hash-property': 'message_id' });
  for (const queue of ['a', 'b', 'c']) {
    await bench.queue(session, queue);
    await bench.bind(session, queue, 'by-key', '1');
    await bench.bind(session, queue, 'by-id', '1');
  }
  for (let i = 0; i < 30; i++) await bench.publish(session, 'by-key', `k${i}`, 'x', { headers: { CC: [`cc${i}`] } });
  let all = 0;
  for (const queue of ['a', 'b', 'c']) all += await bench.count(queue);
  assert.equal(all, 30, 'CC makes it no second destination');
  for (const queue of ['a', 'b', 'c']) await bench.vhost.purgeQueue(session, queue);
  for (let i = 0; i < 30; i++) await bench.publish(session, 'by-id', `k${i}`, 'x', { messageId: 'same' });
  const depths = [await bench.count('a'), await bench.count('b'), await bench.count('c')].sort((x, y) => x - y);
  assert.deepEqual(depths, [0, 0, 30]);
});

test('arguments and weights are refused in the words of the plugin', async () => {
  const bench = await new Bench().open();
  const session = bench.session();
  const declare = (args: FieldTable) => bench.exchange(session, 'h', 'x-consistent-hash', args);
  const refused = (promise: Promise<void>, message: string) =>
    assert.rejects(promise, { code: 'PRECONDITION_FAILED', message });
  await refused(
    declare({ 'hash-header': 'h', 'hash-property': 'message_id' }),
    'hash-header and hash-property are mutually exclusive',
  );
  await refused(declare({ 'hash-property': 'app_id' }), 'Unsupported property: app_id');
  await refused(declare({ 'hash-header': 5 }), "Invalid argument 'hash-header': expected longstr, got signedint");
  await declare({});
  await bench.queue(session, 'q');
  const bind = (key: string) => bench.bind(session, 'q', 'h', key);
  await refused(bind('heavy'), 'The binding key must be an integer: <<"heavy">>');
  await refused(bind(''), 'The binding key must be an integer: <<"">>');
  await refused(bind('0'), 'The binding key must be greater than 0');
  await refused(bind('-3'), 'The binding key must be greater than 0');
  await refused(bind('10001'), 'The binding key must not exceed 10000');
  await bind('10000');
});

test('a destination that is bound again and again has its largest weight, and no binding costs more for those before it', (context) => {
  const max = context.mock.method(Math, 'max');
  const matcher = new ConsistentHashMatcher({});
  matcher.add(binding('other', 5));
  const weights = [1, 7, 7, 3, ...Array.from({ length: 2_000 }, () => 2)];
  const bindings = weights.map((weight) => binding('often', weight));
  const like = (weight: number): void => {
    const plain = new ConsistentHashMatcher({});
    plain.add(binding('other', 5));
    plain.add(binding('often', weight));
    for (const key of keys.slice(0, 500)) assert.equal(chosen(matcher, key), chosen(plain, key), `weight ${weight}`);
  };
  for (const each of bindings) matcher.add(each);
  like(7);
  matcher.remove(bindings[1]!);
  like(7);
  matcher.remove(bindings[2]!);
  like(3);
  matcher.remove(bindings[0]!);
  like(3);
  matcher.remove(bindings[3]!);
  like(2);
  for (const each of bindings.slice(4, -1)) matcher.remove(each);
  like(2);
  assert.ok(Math.max(...max.mock.calls.map((call) => call.arguments.length)) <= 4);
  matcher.remove(bindings.at(-1)!);
  for (const key of keys.slice(0, 500)) assert.equal(chosen(matcher, key), 'other');
});
