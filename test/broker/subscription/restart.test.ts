/** What is remembered of subscribers over a stop, over a crash, and over one between two things that belong together. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { guest } from '../../../src/broker/principal.ts';
import { Mailbox } from '../../../src/broker/subscription/mailbox.ts';
import { subscriptionKey, subscriptionValue } from '../../../src/broker/subscription/subscription-state.ts';
import { brokerSettings } from '../../../src/broker/broker-settings.ts';
import type { DeliveryView } from '../../../src/engine/engine.ts';
import { localEngine } from '../../../src/engine/local/index.ts';
import { Bench, rest, until } from '../harness.ts';
import { publish, Reader, requestOf } from './reader.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));

async function scratch(context: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'postrider-subscribers-'));
  context.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

function opened(directory: string): Promise<Bench> {
  return new Bench(localEngine(directory)).open();
}

/** The numbers and bodies of what waits for a subscriber. */
async function waiting(bench: Bench, user: string, clientId: string, count: number): Promise<string[]> {
  const subscriber = bench.vhost.subscribers.find(user, clientId)!;
  const got: string[] = [];
  const session = bench.session();
  const deliver = (_tag: number, { number, body, bodyStart, bodyEnd }: DeliveryView): boolean => {
    got.push(`${number} ${body.toString('utf8', bodyStart, bodyEnd)}`);
    return true;
  };
  const request = { consumerTag: 'm', noAck: false, afterSync: true, prefetch: 0 };
  await session.consumeMailbox(subscriber, request, { deliver, cancelled: () => undefined });
  await until(() => got.length >= count, `${count} messages`);
  await rest();
  await session.close();
  return got;
}

test('a durable subscriber is there again, with what it subscribes to, what waits for it and its records', async (context) => {
  const directory = await scratch(context);
  let bench = await opened(directory);
  const reader = new Reader(bench, 'lasts', true);
  const brief = new Reader(bench, 'brief');
  await reader.subscribe('q/#', { queued: true, noLocal: true, options: 37, identifier: 268_435_455 });
  await reader.subscribe('live/+', { options: 1 });
  await reader.subscribe('shared', { share: 'g', options: 2 });
  await reader.subscribe('was/there');
  await reader.unsubscribe('was/there');
  await brief.subscribe('q/#', { queued: true });
  await brief.subscribe('only/brief', { share: 'g' });
  await bench.vhost.subscribers.setRecord(reader.subscriber, 'session', Buffer.from('its own'));
  await bench.vhost.subscribers.setRecord(reader.subscriber, 'will', Buffer.from('gone'));
  await bench.vhost.subscribers.setRecord(reader.subscriber, 'will', null);
  const session = bench.session();
  for (let i = 1; i <= 3; i++) await publish(bench, session, `q/${i}`, `m${i}`);
  await publish(bench, session, 'shared', 'for one of them');
  await bench.commit((batch) => batch.put(reader.subscriber.stateKey('packets'), Buffer.from([7])));
  await bench.broker.close();

  bench = await opened(directory);
  const { subscribers } = bench.vhost;
  assert.deepEqual(
    Array.from(subscribers.restored(), ({ clientId }) => clientId),
    ['lasts'],
  );
  const subscriber = subscribers.find('guest', 'lasts')!;
  assert.deepEqual(
    new Map(Array.from(subscriber.records, ([name, value]) => [name, Buffer.from(value).toString('latin1')])),
    new Map([
      ['session', 'its own'],
      ['packets', '\x07'],
    ]),
  );
  assert.deepEqual(
    Array.from(subscriber.subscriptions.values(), ({ name, queued, noLocal, options, identifier, group }) => [
      [name, queued, noLocal, options, identifier].join(' '),
      group === null ? 0 : group.members.size,
    ]).sort(),
    [
      ['$share/g/shared false false 2 0', 1],
      ['live/+ false false 1 0', 0],
      ['q/# true true 37 268435455', 0],
    ],
  );
  assert.equal(subscriber.durable, true);
  // The group of the one that went with its connection went too.
  const durable = Array.from(bench.vhost.subscribers, (each) => each.queue?.key);
  assert.equal(durable.length, 1);
  assert.equal(await publish(bench, bench.session(), 'only/brief', 'nobody'), false);
  assert.deepEqual(await waiting(bench, 'guest', 'lasts', 3), ['1 m1', '2 m2', '3 m3']);
  const group = subscriber.subscriptions.get('$share/g/shared')!.group!;
  assert.equal((await bench.engine.stats(group.queue.handle!)).ready, 1);
  assert.equal(await publish(bench, bench.session(), 'q/4', 'm4'), true);
  assert.equal((await waiting(bench, 'guest', 'lasts', 4)).at(-1), '4 m4');

  await subscribers.remove(subscriber);
  await bench.broker.close();
  bench = await opened(directory);
  assert.deepEqual(Array.from(bench.vhost.subscribers), []);
  assert.deepEqual(await bench.engine.state('subscri'), []);
  await bench.broker.close();
});

test('what a crash left without its other half is made whole, or goes', async (context) => {
  const directory = await scratch(context);
  let bench = await opened(directory);
  const { engine, vhost } = bench;
  const settings = brokerSettings();
  const whole = new Reader(bench, 'whole', true);
  const unsubscribed = new Reader(bench, 'unsubscribed', true);
  await unsubscribed.subscribe('a', { queued: true });
  await publish(bench, bench.session(), 'a', 'before it unsubscribed');
  await unsubscribed.unsubscribe('a');
  const keyOf = (clientId: string, filter: string) => subscriptionKey('/', 'guest', clientId, requestOf(filter));
  await vhost.subscribers.setRecord(whole.subscriber, 'x', Buffer.from('x'));
  await bench.commit((batch) => {
    // Subscribed, and no mailbox made.
    batch.put(keyOf('whole', 'a'), subscriptionValue(requestOf('a', { queued: true })));
    // Of a session that has ended: its subscription and a record.
    batch.put(keyOf('gone', 'b'), subscriptionValue(requestOf('b', { queued: true })));
    batch.put(whole.subscriber.stateKey('x').replace('whole', 'other'), Buffer.from('x'));
    batch.put(subscriptionKey('no vhost', 'guest', 'c', requestOf('c')), subscriptionValue(requestOf('c')));
  });
  const orphans = [
    new Mailbox('/', { kind: 'client', user: 'guest', clientId: 'gone' }, true),
    new Mailbox('/', { kind: 'group', share: 'g', filter: 'a' }, true),
    new Mailbox('no vhost', { kind: 'client', user: 'guest', clientId: 'whole' }, true),
  ];
  await engine.change(orphans.map((mailbox) => ({ op: 'put-queue', queue: mailbox.spec(settings) })));
  // A user that was deleted, whose sessions were not any more.
  const deleted = vhost.subscribers.create('deleted', 'whole', { durable: true });
  await vhost.subscribers.subscribe(guest, deleted, [requestOf('a', { queued: true })]);
  await bench.broker.close();

  bench = await opened(directory);
  const names = Array.from(bench.vhost.subscribers.restored(), ({ clientId }) => clientId);
  assert.deepEqual(names.sort(), ['unsubscribed', 'whole']);
  for (const { key } of [...orphans, deleted.queue!]) assert.equal(bench.engine.queue(key), undefined, key);
  const keys = (await bench.engine.state('subscri')).map(({ key }) => key).filter((key) => key.includes('whole'));
  assert.equal(keys.length, 3);
  assert.equal((await bench.engine.state('subscri')).length, 4);
  assert.equal(await publish(bench, bench.session(), 'a', 'taken'), true);
  assert.deepEqual(await waiting(bench, 'guest', 'whole', 1), ['1 taken']);
  // What waited before it unsubscribed is its own still.
  assert.deepEqual(await waiting(bench, 'guest', 'unsubscribed', 1), ['1 before it unsubscribed']);
  await bench.broker.close();
});

test('names and filters of any length and any characters are kept', async (context) => {
  const directory = await scratch(context);
  let bench = await opened(directory);
  const filter = `${'ä€/'.repeat(90)}${'x'.repeat(60_000)}/#`;
  const clientId = '5:€/'.repeat(5_000);
  const reader = new Reader(bench, clientId, true);
  await reader.subscribe(filter, { queued: true });
  await reader.subscribe(filter, { share: '3:a' });
  await bench.vhost.subscribers.setRecord(reader.subscriber, 'a/b', Buffer.from('x'));
  await bench.broker.close();
  bench = await opened(directory);
  const [subscriber] = Array.from(bench.vhost.subscribers.restored());
  assert.equal(subscriber?.clientId, clientId);
  assert.deepEqual(Array.from(subscriber.subscriptions.keys()).sort(), [`$share/3:a/${filter}`, filter]);
  assert.deepEqual(Array.from(subscriber.records.keys()), ['a/b']);
  await bench.broker.close();
});

/** Publishes for ever, and says what is durable: with each message, in its batch, goes a record with its number. */
const program = `
  import { Broker, ConnectionScope, Session } from './src/broker/index.ts';
  import { guest } from './src/broker/principal.ts';
  import { localEngine } from './src/engine/local/index.ts';
  import { messageOf } from './test/broker/harness.ts';
  const broker = new Broker({ engine: localEngine(process.argv[1]) });
  await broker.open();
  const vhost = broker.vhost('/');
  const subscriber = vhost.subscribers.find('guest', 'c') ?? vhost.subscribers.create('guest', 'c', { durable: true });
  const request = { filter: 'a/+', share: null, queued: true, noLocal: false, options: 1, identifier: 0 };
  await vhost.subscribers.subscribe(guest, subscriber, [request]);
  const session = new Session(broker, vhost, guest, new ConnectionScope(vhost, 'test'));
  const from = Number(Buffer.from(subscriber.records.get('last') ?? '0').toString());
  for (let i = from + 1; ; i++) {
    await new Promise((resolve, reject) => {
      const batch = broker.begin();
      const message = messageOf(String(i));
      const route = session.resolve(vhost.routeTopic(guest, 'amq.topic', 'a/' + (i % 7), 'p'), message);
      session.publish(batch, route, message);
      batch.put(subscriber.stateKey('last'), Buffer.from(String(i)));
      batch.commit({ committed: resolve, failed: (_token, error) => reject(error) }, null);
    });
    console.log(i);
  }
`;

/** Runs it until it has said `count` lines, and kills it. The last that it said to be durable. */
async function killed(directory: string, count: number): Promise<number> {
  const args = ['--import', 'tsx', '--input-type=module', '-e', program, directory];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  const patience = setTimeout(() => child.kill('SIGTERM'), 300_000);
  let said = '';
  child.stdout.on('data', (text) => {
    said += String(text);
    if (said.split('\n').length > count) child.kill('SIGKILL');
  });
  const signal = await new Promise((resolve) => child.once('close', (_code, how) => resolve(how)));
  clearTimeout(patience);
  assert.equal(signal, 'SIGKILL');
  return Number(said.slice(0, said.lastIndexOf('\n')).split('\n').at(-1));
}

test('killed again and again, a mailbox has what was confirmed, and each message the record of its batch', async (context) => {
  const directory = await scratch(context);
  let confirmed = 0;
  for (let round = 0; round < 2; round++) {
    confirmed = await killed(directory, 60);
    const bench = await opened(directory);
    const subscriber = bench.vhost.subscribers.find('guest', 'c')!;
    const last = Number(Buffer.from(subscriber.records.get('last')!).toString());
    assert.ok(last >= confirmed, `${last} of ${confirmed}`);
    const got = await waiting(bench, 'guest', 'c', last);
    // Nothing is missing, nothing is there twice, and the message's number in its mailbox is what it was.
    assert.deepEqual(
      got,
      Array.from({ length: last }, (_, i) => `${i + 1} ${i + 1}`),
    );
    await bench.broker.close();
  }
  assert.ok(confirmed >= 120);
});
