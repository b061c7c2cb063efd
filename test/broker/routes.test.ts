import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { guest } from '../../src/broker/principal.ts';
import { Bench, messageOf } from './harness.ts';

const exchanges = ['d', 'f', 't', 'h', 'auto'] as const;
const queues = ['q0', 'q1', 'q2'] as const;
const keys = ['', 'a', 'a.b', '#', 'q0'] as const;

const changes = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        op: fc.constantFrom('bind', 'unbind'),
        source: fc.constantFrom(...exchanges),
        to: fc.constantFrom(...queues),
        key: fc.constantFrom(...keys),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        op: fc.constantFrom('link', 'unlink'),
        source: fc.constantFrom(...exchanges),
        to: fc.constantFrom(...exchanges),
        key: fc.constantFrom(...keys),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        op: fc.constantFrom('drop', 'declare'),
        source: fc.constantFrom(...exchanges),
        to: fc.constantFrom(...queues),
        key: fc.constant(''),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        op: fc.constantFrom('dropExchange', 'declareExchange'),
        source: fc.constantFrom(...exchanges),
        to: fc.constant('q0'),
        key: fc.constant(''),
      }),
    },
  ),
  { maxLength: 40 },
);

test('a cached route is what fresh routing finds, after any changes', async () => {
  await fc.assert(
    fc.asyncProperty(changes, async (script) => {
      const bench = await new Bench().open();
      const { vhost } = bench;
      const session = bench.session();
      const declareExchange = (name: (typeof exchanges)[number]) => {
        const type = { d: 'direct', f: 'fanout', t: 'topic', h: 'headers', auto: 'fanout' }[name];
        // Unroutable at d goes to f, and from there back to d: a cycle of alternates.
        const alternate = name === 'd' ? 'f' : name === 'f' ? 'd' : undefined;
        return vhost.declareExchange(session, {
          name,
          type,
          durable: true,
          autoDelete: name === 'auto',
          internal: false,
          arguments: alternate === undefined ? {} : { 'alternate-exchange': alternate },
        });
      };
      for (const name of exchanges) await declareExchange(name);
      for (const name of queues) await bench.queue(session, name);
      for (const { op, source, to, key } of script) {
        const request = { routingKey: key, arguments: {} };
        const done =
          op === 'bind'
            ? vhost.bindQueue(session, { ...request, queue: to, exchange: source })
            : op === 'unbind'
              ? vhost.unbindQueue(session, { ...request, queue: to, exchange: source })
              : op === 'link'
                ? vhost.bindExchange(session, { ...request, destination: to, source })
                : op === 'unlink'
                  ? vhost.unbindExchange(session, { ...request, destination: to, source })
                  : op === 'drop'
                    ? vhost.deleteQueue(session, to, { ifUnused: false, ifEmpty: false })
                    : op === 'declare'
                      ? bench.queue(session, to)
                      : op === 'dropExchange'
                        ? vhost.deleteExchange(session, source, { ifUnused: false })
                        : declareExchange(source);
        // What is bound may have gone.
        await Promise.resolve(done).catch((error: unknown) =>
          assert.equal((error as { code?: string }).code, 'NOT_FOUND'),
        );
        for (const name of ['', ...exchanges]) {
          const exchange = vhost.graph.exchanges.get(name);
          if (exchange === undefined) continue;
          for (const routingKey of keys) {
            const route = vhost.route(guest, name, routingKey);
            const fresh = vhost.routes.find(exchange, [routingKey], null);
            assert.equal(route.version, vhost.version);
            assert.equal(route.byHeaders, fresh.byHeaders);
            const expected = fresh.byHeaders ? [] : fresh.queues.map((queue) => queue.name).sort();
            assert.deepEqual((route.targets?.queues ?? []).map((queue) => queue.key.slice(5)).sort(), expected);
            assert.ok((route.targets?.queues ?? []).every((queue) => !queue.deleted));
          }
        }
      }
    }),
    { numRuns: 60 },
  );
});

test('a change elsewhere costs a route no new search', async () => {
  const bench = await new Bench().open();
  const session = bench.session();
  await bench.queue(session, 'q');
  await bench.bind(session, 'q', 'amq.topic', 'a.*');
  const before = bench.vhost.route(guest, 'amq.topic', 'a.b');
  const direct = bench.vhost.route(guest, '', 'q');
  const made = bench.fake.targetsMade;
  await bench.queue(session, 'other');
  await bench.bind(session, 'other', 'amq.direct', 'x');
  assert.notEqual(before.version, bench.vhost.version);
  assert.equal(bench.vhost.route(guest, 'amq.topic', 'a.b'), before);
  assert.equal(bench.vhost.route(guest, '', 'q'), direct);
  assert.equal(bench.fake.targetsMade, made);
});

test('the cache is bounded', async () => {
  const bench = new Bench();
  const session = (await bench.open()).session();
  await bench.exchange(session, 't', 'topic');
  const { maxCachedRoutes } = bench.broker.context.settings;
  for (let i = 0; i < maxCachedRoutes + 10; i++) bench.vhost.route(guest, 't', `k${i}`);
  assert.equal(bench.vhost.routes.cachedCount, 10);
});

test('routes to many queues are bounded by what they take', async () => {
  const bench = new Bench();
  const session = (await bench.open()).session();
  await bench.exchange(session, 'f', 'fanout');
  await bench.exchange(session, 'h', 'headers');
  for (let i = 0; i < 100; i++) {
    await bench.queue(session, `q${i}`);
    await bench.bind(session, `q${i}`, 'f', '');
    await bench.bind(session, `q${i}`, 'h', '');
  }
  const { routes, graph } = bench.vhost;
  const most = bench.broker.context.settings.maxCachedRouteBytes / (100 * 32);
  const headers = graph.exchanges.get('h')!;
  for (let i = 0; i < most; i++) {
    bench.vhost.route(guest, 'f', `k${i}`);
    routes.routeWith(headers, [`k${i}`], null);
  }
  assert.ok(routes.cachedCount < 2 * most, `${routes.cachedCount} routes`);
  await bench.queue(session, 'other');
  routes.routeWith(headers, ['k'], null);
  assert.equal(routes.cachedCount, graph.cachedRoutes + 1, 'routes of an older version are kept');
});

test('a route that holds no more does not keep the queues that it led to', async () => {
  const bench = await new Bench().open();
  const session = bench.session();
  await bench.exchange(session, 't', 'topic');
  for (let i = 0; i < 5; i++) {
    await bench.queue(session, `reply-${i}`);
    await bench.bind(session, `reply-${i}`, 't', `to.${i}`);
    bench.vhost.route(guest, 't', `to.${i}`);
    await bench.vhost.deleteQueue(session, `reply-${i}`, { ifUnused: false, ifEmpty: false });
  }
  assert.equal(bench.vhost.routes.cachedCount, 0);
  assert.equal(bench.vhost.graph.cachedRouteBytes, 0);
});

test('a queue that goes takes the route to its name with it', async () => {
  const bench = await new Bench().open();
  const session = bench.session();
  await bench.exchange(session, 't', 'topic');
  bench.vhost.route(guest, 't', 'kept');
  for (let i = 0; i < 5; i++) {
    await bench.queue(session, `reply-${i}`);
    bench.vhost.route(guest, '', `reply-${i}`);
    await bench.vhost.deleteQueue(session, `reply-${i}`, { ifUnused: false, ifEmpty: false });
  }
  assert.equal(bench.vhost.routes.cachedCount, 1);
  await bench.vhost.deleteExchange(session, 't', { ifUnused: false });
  assert.equal(bench.vhost.routes.cachedCount, 0);
});

test('a headers exchange behind another makes the message decide', async () => {
  const bench = await new Bench().open();
  const session = bench.session();
  await bench.queue(session, 'red');
  await bench.queue(session, 'plain');
  await bench.bind(session, 'red', 'amq.headers', '', { colour: 'red' });
  await bench.bind(session, 'plain', 'amq.fanout', '');
  await bench.vhost.bindExchange(session, {
    destination: 'amq.headers',
    source: 'amq.fanout',
    routingKey: '',
    arguments: {},
  });
  const route = bench.vhost.route(guest, 'amq.fanout', 'k');
  assert.equal(route.byHeaders, true);
  const names = (headers: Record<string, string>) =>
    session
      .resolve(route, messageOf('', { headers }))
      .targets?.queues.map((queue) => queue.key)
      .sort();
  assert.deepEqual(names({ colour: 'red' }), ['1:/3:red', '1:/5:plain']);
  assert.deepEqual(names({ colour: 'blue' }), ['1:/5:plain']);
  const [first, second] = ['x', 'y'].map((id) =>
    session.resolve(route, messageOf('', { headers: { colour: 'red', id } })),
  );
  assert.equal(first, second, 'equal decisions share a route');
});

test('5,000 bindings are made, used and removed without looking at each other', async () => {
  const bench = await new Bench().open();
  const session = bench.session();
  await bench.queue(session, 'q');
  for (let i = 0; i < 5000; i++) {
    await bench.bind(session, 'q', 'amq.topic', `sensor.${i}.*`);
    bench.vhost.route(guest, 'amq.topic', `sensor.${i}.heat`);
  }
  await bench.vhost.deleteQueue(session, 'q', { ifUnused: false, ifEmpty: false });
  assert.equal(bench.vhost.graph.exchanges.get('amq.topic')!.bindings.size, 0);
});

test('a route through another exchange is found again when that changes, and does not keep queues that are gone', async () => {
  const bench = await new Bench().open();
  const { vhost } = bench;
  const session = bench.session();
  for (const name of ['outer', 'inner']) await bench.exchange(session, name, 'direct');
  const to = (destination: string, source: string, routingKey: string) =>
    vhost.bindExchange(session, { destination, source, routingKey, arguments: {} });
  await bench.queue(session, 'stays');
  await to('inner', 'outer', 'k');
  await bench.bind(session, 'stays', 'inner', 'k');
  const queuesAt = (routingKey: string) => {
    const route = vhost.routes.route(vhost.graph.exchanges.get('outer')!, routingKey);
    return route.queues.map((queue) => queue.name);
  };
  assert.deepEqual(queuesAt('k'), ['stays']);
  await vhost.unbindQueue(session, { queue: 'stays', exchange: 'inner', routingKey: 'k', arguments: {} });
  assert.deepEqual(queuesAt('k'), []);
  for (let n = 0; n < 2_500; n++) {
    await bench.queue(session, `q${n}`, {}, false);
    await to('inner', 'outer', `q${n}`);
    await bench.bind(session, `q${n}`, 'inner', `q${n}`);
    assert.deepEqual(queuesAt(`q${n}`), [`q${n}`]);
    await vhost.deleteQueue(session, `q${n}`, { ifUnused: false, ifEmpty: false });
  }
  const remembered = [...vhost.graph.exchanges.values()].flatMap((exchange) => [...exchange.routes.values()]);
  const gone = remembered.filter((route) => route.queues.some((queue) => queue.deleted));
  assert.ok(gone.length <= 1_000, `${gone.length} routes keep a queue that is gone`);
  assert.equal(vhost.graph.cachedRoutes, remembered.length);
  assert.equal(
    vhost.graph.cachedRouteBytes,
    remembered.reduce((sum, route) => sum + route.bytes, 0),
  );
});
