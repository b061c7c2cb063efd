import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { guest } from '../../../src/broker/principal.ts';
import { routingKeyOf } from '../../../src/broker/subscription/topic-key.ts';
import { Bench, rest } from '../harness.ts';
import { requestOf } from './reader.ts';

const long = `a/${'x'.repeat(300)}`;
const topics = ['a', 'a/b', 'a/*', '$a', '%', long] as const;
const filters = [...topics, '#', '+', 'a/+', '+/b', 'a/#', '$a/#'] as const;
const clients = ['c', 'd'] as const;

const steps = fc.array(
  fc.record({
    op: fc.constantFrom('subscribe', 'subscribe', 'unsubscribe', 'remove', 'bind', 'unbind', 'link', 'unlink'),
    client: fc.constantFrom(...clients),
    filter: fc.constantFrom(...filters),
    share: fc.constantFrom(null, null, null, 'g'),
    queued: fc.boolean(),
    noLocal: fc.boolean(),
  }),
  { maxLength: 25 },
);

test('few routes are kept of those who want nothing of their own, however many they are', async () => {
  const bench = await new Bench().open();
  const { vhost } = bench;
  const many = Array.from({ length: 100 }, (_, i) => vhost.subscribers.create('guest', `c${i}`, { durable: false }));
  for (const each of many) await vhost.subscribers.subscribe(guest, each, [requestOf('a/b', { noLocal: true })]);
  const route = vhost.routes.routeOfTopic(vhost.graph.exchanges.get('amq.topic')!, 'a/b');
  for (const each of many) assert.deepEqual(vhost.routes.withoutLocal(route, each).live?.includes(each), false);
  assert.ok(route.withoutLocal.size <= 16, `${route.withoutLocal.size} copies of ${many.length} receivers`);
  await bench.broker.close();
});

test('a cached route is what a fresh search finds, whatever was subscribed, bound and linked meanwhile', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (script) => {
      const bench = await new Bench().open();
      const { vhost } = bench;
      const { subscribers } = vhost;
      const session = bench.session();
      await bench.exchange(session, 'first', 'fanout');
      await bench.queue(session, 'q');
      const of = (client: string) =>
        subscribers.find('guest', client) ?? subscribers.create('guest', client, { durable: client === 'c' });
      for (const { op, client, filter, share, queued, noLocal } of script) {
        const binding = { queue: 'q', exchange: 'amq.topic', routingKey: 'a.#', arguments: {} };
        const link = { source: 'first', destination: 'amq.topic', routingKey: '', arguments: {} };
        if (op === 'subscribe') {
          await subscribers.subscribe(guest, of(client), [requestOf(filter, { share, queued, noLocal })]);
        } else if (op === 'unsubscribe') await subscribers.unsubscribe(of(client), [{ filter, share }]);
        else if (op === 'remove') await subscribers.remove(of(client));
        else if (op === 'bind') await vhost.bindQueue(session, binding);
        else if (op === 'unbind') await vhost.unbindQueue(session, binding);
        else if (op === 'link') await vhost.bindExchange(session, link);
        else await vhost.unbindExchange(session, link);
        for (const topic of topics) {
          for (const name of ['amq.topic', 'first']) {
            // A long topic that comes by another exchange is routed by its headers.
            if (topic === long && name === 'first') continue;
            const key = routingKeyOf(topic);
            const cached =
              name === 'first' ? vhost.route(guest, name, key) : vhost.routeTopic(guest, name, topic, null);
            const exchange = vhost.graph.exchanges.get(name)!;
            const fresh = vhost.routes.find(exchange, [key], null, null, false, topic === long ? topic : null);
            assert.deepEqual(
              cached.queues.map((queue) => queue.key).sort(),
              fresh.queues.map((queue) => queue.key).sort(),
            );
            for (const what of ['live', 'noLocal'] as const) {
              assert.deepEqual(new Set(cached[what]), new Set(fresh[what]), `${what} of ${topic}`);
            }
            assert.ok(cached.queues.every((queue) => !queue.deleted && queue.handle !== null));
            assert.equal(cached.version, vhost.version);
            for (const subscriber of cached.noLocal ?? []) {
              const own = vhost.routes.withoutLocal(cached, subscriber);
              const wants = subscriber.matching(topic).filter((subscription) => !subscription.noLocal);
              const isQueued = wants.some((subscription) => subscription.queued);
              assert.equal(own.live?.includes(subscriber) ?? false, wants.length > 0 && !isQueued);
              assert.equal(subscriber.queue !== null && own.queues.includes(subscriber.queue), isQueued);
              const others = (route: typeof own) => route.live?.filter((each) => each !== subscriber) ?? [];
              assert.deepEqual(others(own), others(cached as typeof own));
            }
          }
        }
      }
      await rest(1);
    }),
    { numRuns: 60 },
  );
});
