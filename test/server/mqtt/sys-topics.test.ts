import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Broker, type MessageView, type Subscription } from '../../../src/broker/index.ts';
import { guest } from '../../../src/broker/principal.ts';
import { memoryEngine } from '../../../src/engine/local/index.ts';
import { SysTopics } from '../../../src/server/mqtt/sys-topics.ts';
import { ManualClock } from '../../conformance/manual-clock.ts';
import { Bench } from '../../broker/harness.ts';

async function opened() {
  const clock = new ManualClock();
  const engine = memoryEngine(clock);
  const bench = new Bench(engine);
  Object.assign(bench, { broker: new Broker({ engine, clock }) });
  await bench.open();
  const source = {
    broker: bench.broker,
    version: '1.2.3',
    sessions: { count: 5, offlineCount: 2 },
    traffic: { mostConnections: 0, bytesReceived: 0, messagesReceived: 0, messagesSent: 0, dropped: 0 },
    bytesSent: 7,
  };
  const { subscribers } = bench.vhost;
  const subscribe = async (clientId: string, ...filters: string[]) => {
    const got: [string, string][] = [];
    const subscriber = subscribers.create('guest', clientId, { durable: false });
    subscriber.sink = { take: (message, _route, topic) => void got.push([topic, bodyOf(message)]) };
    const requests = filters.map((filter) => ({
      filter,
      share: null,
      queued: filter.endsWith('uptime'),
      noLocal: false,
      options: 0,
      identifier: 0,
    }));
    await subscribers.subscribe(guest, subscriber, requests);
    return { got, subscriber };
  };
  return { bench, clock, source, sys: new SysTopics(source), subscribe };
}

function bodyOf({ body, bodyStart, bodyEnd }: MessageView): string {
  return body.toString('utf8', bodyStart, bodyEnd);
}

describe('sys-topics', () => {
  it('says at once what a new subscription matches', async () => {
    const { sys, subscribe } = await opened();
    const { subscriber } = await subscribe('c', '$SYS/broker/clients/+', '$SYS/#', '#');
    const sent = (filter: string) => {
      const got = new Map<string, string>();
      const taker = {
        takeRetained: (message: MessageView, topic: string, to: Subscription) => {
          assert.equal(to.filter, filter);
          got.set(topic.slice('$SYS/broker/'.length), bodyOf(message));
        },
      };
      sys.sendTo(taker, subscriber.subscriptions.get(filter)!);
      return got;
    };
    assert.deepEqual(Array.from(sent('$SYS/broker/clients/+')), [
      ['clients/connected', '3'],
      ['clients/disconnected', '2'],
      ['clients/total', '5'],
      ['clients/maximum', '0'],
    ]);
    const all = sent('$SYS/#');
    assert.equal(all.get('version'), 'postrider version 1.2.3');
    assert.equal(all.get('bytes/sent'), '7');
    assert.equal(all.get('subscriptions/count'), '3');
    assert.equal(all.get('retained messages/count'), '0');
    assert.ok(Number(all.get('heap/current')) > 0);
    assert.equal(sent('#').size, 0);
  });

  it('sends what has changed, to each subscriber once and past its mailbox', async () => {
    const { bench, sys, subscribe, clock, source } = await opened();
    const a = await subscribe('a', '$SYS/broker/uptime', '$SYS/broker/+');
    const b = await subscribe('b', '$SYS/broker/publish/#');
    const c = await subscribe('c', '#', '+/broker/uptime');
    sys.send();
    assert.deepEqual(a.got.splice(0), [
      ['$SYS/broker/version', 'postrider version 1.2.3'],
      ['$SYS/broker/uptime', '0 seconds'],
    ]);
    assert.equal(b.got.splice(0).length, 3);
    await clock.advance(10_000);
    source.traffic.messagesReceived = 12;
    sys.send();
    assert.deepEqual(a.got, [['$SYS/broker/uptime', '10 seconds']]);
    assert.deepEqual(b.got, [['$SYS/broker/publish/messages/received', '12']]);
    assert.deepEqual(c.got, []);
    const { handle } = a.subscriber.queue!;
    assert.equal((await bench.engine.stats(handle!)).ready, 0);
  });

  it('is passed over while a client is away', async () => {
    const { sys, subscribe } = await opened();
    const { got, subscriber } = await subscribe('a', '$SYS/#');
    subscriber.sink = null;
    sys.send();
    assert.equal(got.length, 0);
  });

  it('takes nothing from publishers, of whatever protocol', async () => {
    const { bench, subscribe } = await opened();
    const { got, subscriber } = await subscribe('a', '$SYS/#', '$SYS/broker/uptime', '$SYSTEM/up');
    const session = bench.session();
    assert.equal(await bench.publish(session, 'amq.topic', '$SYS.broker.uptime', 'forged'), 'unroutable');
    const { handle } = subscriber.queue!;
    assert.equal((await bench.engine.stats(handle!)).ready, 0);
    assert.deepEqual(got, []);
    const route = bench.vhost.route(guest, 'amq.topic', '$SYSTEM.up');
    assert.equal(route.live?.length, 1);
  });
});
