import assert from 'node:assert/strict';
import { test } from 'node:test';
import { besideSubscriptions, topics } from '../../../src/bench/mqtt/loads.ts';
import { rows } from '../../../src/bench/mqtt/rows.ts';
import { rows as amqpRows } from '../../../src/bench/rows.ts';

test('ids are unique, beside those of AMQP too, and two rows are quick', () => {
  const ids = [...rows, ...amqpRows].map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
  assert.deepEqual(
    rows.filter((row) => row.kind === 'compared' && row.quick).map(({ id }) => id),
    ['mqtt-qos0', 'mqtt-qos1'],
  );
});

test('a subscriber to many publishers expects a stream of each', () => {
  const load = topics({ qos: 1, publishers: 50 });
  assert.equal(new Set(load.publishers.map(({ topic }) => topic)).size, 50);
  assert.deepEqual(
    load.publishers.map(({ stream }) => stream),
    Array.from({ length: 50 }, (_, index) => index),
  );
  assert.equal(load.subscribers[0]?.streams, 50);
  assert.ok(load.publishers.every(({ topic }) => matches(load.subscribers[0]?.filter ?? '', topic)));
});

test('with QoS 0 the ring holds all that may be on its way', () => {
  for (const { qos, ring } of topics({ qos: 0 }).publishers)
    assert.ok(qos === 0 && ring >= topics({ qos: 0 }).maxAhead);
});

test('of 10,000 subscriptions one matches', () => {
  const load = besideSubscriptions(0, 9999);
  const topic = load.publishers[0]?.topic ?? '';
  const filters = [load.subscribers[0]?.filter ?? '', ...(load.bystanders ?? [])];
  assert.equal(new Set(filters).size, 10_000);
  assert.ok(filters.every((filter) => /[+#]/.test(filter)));
  assert.deepEqual(
    filters.filter((filter) => matches(filter, topic)),
    [filters[0]],
  );
});

/** MQTT's rules in the plainest way. */
function matches(filter: string, topic: string): boolean {
  const pattern = filter
    .split('/')
    .map((level) => (level === '+' ? '[^/]*' : level === '#' ? '.*' : level))
    .join('/');
  return new RegExp(`^${pattern}$`).test(topic);
}
