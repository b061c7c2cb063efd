import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { Broker, type BrokerSettings } from '../../../src/broker/index.ts';
import { RetainedMessage } from '../../../src/broker/subscription/retained-message.ts';
import { RetainedTopics } from '../../../src/broker/subscription/retained-topics.ts';
import { localEngine, memoryEngine } from '../../../src/engine/local/index.ts';
import { decodeProperties } from '../../../src/format/basic-properties.ts';
import type { BasicProperties } from '../../../src/format/basic-properties.ts';
import { filterMatches } from '../../../src/wire/mqtt/topic.ts';
import { ManualClock } from '../../conformance/manual-clock.ts';
import { Bench, messageOf, rest } from '../harness.ts';

async function opened(settings: Partial<BrokerSettings> = {}, directory: string | null = null) {
  const clock = new ManualClock();
  const engine = directory === null ? memoryEngine(clock) : localEngine(directory, { clock });
  const bench = new Bench(engine);
  const log = (line: string) => bench.lines.push(line);
  Object.assign(bench, { broker: new Broker({ engine, clock, settings, log }) });
  await bench.open();
  const { retained } = bench.vhost;
  const put = async (topic: string, body: string, properties: BasicProperties = {}, ttlMs = 0): Promise<boolean> => {
    let done = false;
    await bench.commit((batch) => {
      const message = messageOf(body, properties);
      message.expiresAt = ttlMs === 0 ? 0 : clock.now() + ttlMs;
      done = retained.put(batch, topic, message, { user: 'guest', clientId: 'sensor-1' });
    });
    return done;
  };
  return { bench, clock, engine, retained, put, keys: async () => (await engine.state('retained/')).length };
}

function bodiesOf(messages: Iterable<RetainedMessage>): string[] {
  return Array.from(messages, ({ message }) =>
    message.body.toString('utf8', message.bodyStart, message.bodyEnd),
  ).sort();
}

async function directoryOf(context: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'postrider-retained-'));
  context.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

function topicsOf(topics: readonly string[]): RetainedTopics {
  const found = new RetainedTopics();
  const value = RetainedMessage.encode(messageOf('x'), { user: 'guest', clientId: '' }, 0);
  for (const topic of topics) found.set(new RetainedMessage(topic, value));
  return found;
}

describe('retained-topics', () => {
  it('finds what a filter matches, as MQTT has it', () => {
    const topics = topicsOf(['a', 'a/b', 'a/b/c', 'a/', '/a', '/', '$SYS/up', '$SYS', 'b']);
    const matching = (filter: string) => Array.from(topics.matching(filter), ({ topic }) => topic).sort();
    assert.deepEqual(matching('#'), ['/', '/a', 'a', 'a/', 'a/b', 'a/b/c', 'b']);
    assert.deepEqual(matching('a/#'), ['a', 'a/', 'a/b', 'a/b/c']);
    assert.deepEqual(matching('a/+'), ['a/', 'a/b']);
    assert.deepEqual(matching('+'), ['a', 'b']);
    assert.deepEqual(matching('+/+'), ['/', '/a', 'a/', 'a/b']);
    assert.deepEqual(matching('+/b/#'), ['a/b', 'a/b/c']);
    assert.deepEqual(matching('$SYS/#'), ['$SYS', '$SYS/up']);
    assert.deepEqual(matching('+/up'), []);
    assert.deepEqual(matching('a/b'), ['a/b']);
    assert.deepEqual(matching('a/c'), []);
  });

  it('agrees with a comparison of each topic', () => {
    const level = fc.constantFrom('', 'a', 'b', '$c');
    const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'));
    const filter = fc
      .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 4 }), fc.boolean())
      .map(([levels, rest]) => [...levels, ...(rest || levels.length === 0 ? ['#'] : [])].join('/'));
    fc.assert(
      fc.property(fc.uniqueArray(topic, { maxLength: 20 }), fc.array(topic), filter, (topics, gone, wanted) => {
        const kept = topics.filter((each) => each !== '');
        const trie = topicsOf(kept);
        for (const each of gone) trie.delete(each);
        const expected = kept.filter((each) => !gone.includes(each) && filterMatches(wanted, each));
        assert.deepEqual(Array.from(trie.matching(wanted), (message) => message.topic).sort(), expected.sort());
      }),
      { numRuns: 300 },
    );
  });

  it('goes on where topics come and go while a filter is followed', () => {
    const topics = topicsOf(['a/1', 'a/2', 'b/1', 'c']);
    const found: string[] = [];
    for (const { topic } of topics.matching('#')) {
      found.push(topic);
      if (topic !== 'a/1') continue;
      topics.delete('a/1');
      topics.delete('a/2');
      topics.delete('b/1');
      topics.set(new RetainedMessage('d/e', RetainedMessage.encode(messageOf('x'), { user: '', clientId: '' }, 0)));
    }
    assert.deepEqual(found, ['a/1', 'c', 'd/e']);
  });

  it('takes a topic of as many levels as there can be', () => {
    const deepest = '/'.repeat(65_535);
    const topics = topicsOf([deepest]);
    assert.equal(Array.from(topics.matching('#')).length, 1);
    assert.equal(Array.from(topics.matching(deepest)).length, 1);
    topics.delete(deepest);
    assert.equal(Array.from(topics.matching('#')).length, 0);
  });
});

describe('retained-messages', () => {
  it('keeps the last message of a topic, and who published it', async () => {
    const { retained, put, keys } = await opened();
    await put('a/b', 'first', { deliveryMode: 2, contentType: 'text/plain' });
    await put('a/b', 'second', { deliveryMode: 2, headers: { 'x-mqtt-qos': 2 } });
    await put('a/c', 'third', { deliveryMode: 1 });
    assert.deepEqual(bodiesOf(retained.matching('a/#')), ['second', 'third']);
    const message = retained.get('a/b')!;
    assert.deepEqual([message.user, message.clientId, message.qos], ['guest', 'sensor-1', 2]);
    assert.equal(retained.get('a/c')!.qos, 0);
    const { head, propertiesStart, propertiesEnd } = message.message;
    assert.equal(decodeProperties(head, propertiesStart, propertiesEnd).deliveryMode, 2);
    assert.equal(await keys(), 2);
  });

  it('takes a message away with an empty one', async () => {
    const { retained, put, keys } = await opened();
    await put('a', 'x');
    assert.ok(retained.bytes > 0);
    await put('a', '');
    await put('never', '');
    assert.deepEqual([retained.count, retained.bytes, await keys()], [0, 0, 0]);
    assert.deepEqual(bodiesOf(retained.matching('#')), []);
  });

  it('sends none that has expired, and has it go', async () => {
    const { retained, put, keys, clock } = await opened();
    await put('short', 'x', {}, 1_000);
    await put('long', 'x', {}, 100_000);
    await put('other', 'x', {}, 2_000);
    await clock.advance(1_000);
    assert.equal(retained.get('short'), null);
    await rest();
    assert.equal(await keys(), 2);
    await clock.advance(1_000);
    assert.deepEqual(
      Array.from(retained.matching('#'), ({ topic }) => topic),
      ['long'],
    );
    // A topic's next one is not taken away in the place of the one before.
    await put('other', 'y');
    await rest();
    assert.equal(await keys(), 2);
    await clock.advance(120_000);
    await rest();
    assert.deepEqual([retained.count, await keys()], [1, 1]);
    assert.deepEqual(bodiesOf(retained.matching('#')), ['y']);
  });

  it('refuses another topic beyond its limits', async () => {
    const { retained, put, clock } = await opened({ maxRetained: 2, maxRetainedBytes: 10_000 });
    assert.ok(await put('a', 'x'));
    assert.ok(await put('b', 'x', {}, 5_000));
    assert.ok(!(await put('c', 'x')));
    assert.ok(await put('a', 'y'), 'the same topic');
    assert.ok(await put('a', ''));
    assert.ok(!(await put('c', 'x'.repeat(10_000))), 'too many bytes');
    assert.ok(await put('c', 'x'));
    assert.ok(!(await put('d', 'x')));
    await clock.advance(6_000);
    assert.ok(await put('d', 'x'), 'one has expired');
    assert.deepEqual(bodiesOf(retained.matching('#')), ['x', 'x']);
  });

  it('has what was retained after a restart', async (context) => {
    const directory = await directoryOf(context);
    const before = await opened({}, directory);
    await before.put('a/b', 'old');
    await before.put('a/b', 'new', { deliveryMode: 2, headers: { 'x-mqtt-retain': true } });
    await before.put('a/gone', 'x');
    await before.put('a/gone', '');
    await before.put('a/short', 'x', {}, 10_000);
    const { bytes } = before.retained;
    await before.bench.broker.close();
    const after = await opened({}, directory);
    assert.equal(after.retained.bytes, bytes);
    assert.deepEqual(bodiesOf(after.retained.matching('a/b')), ['new']);
    assert.equal(after.retained.get('a/b')!.user, 'guest');
    assert.deepEqual([after.retained.get('a/gone'), after.retained.count], [null, 2]);
    await after.clock.advance(10_000);
    assert.equal(after.retained.get('a/short'), null);
    await after.bench.broker.close();
  });

  it('ends with its vhost', async (context) => {
    const directory = await directoryOf(context);
    const { bench, keys } = await opened({}, directory);
    await bench.broker.createVhost('other');
    const { retained } = bench.broker.vhost('other')!;
    await bench.commit((batch) => retained.put(batch, 'a', messageOf('x'), { user: 'guest', clientId: '' }));
    // As a crash leaves it that comes before the vhost is gone and its keys are not.
    await bench.commit((batch) => batch.put('retained/4:gone1:a', Buffer.from('x')));
    assert.equal(await keys(), 2);
    await bench.broker.deleteVhost('other');
    assert.equal(await keys(), 1);
    await bench.broker.close();
    const after = await opened({}, directory);
    assert.equal(await after.keys(), 0);
    await after.bench.broker.close();
  });

  it('passes over what it can not read', async (context) => {
    const directory = await directoryOf(context);
    const { bench } = await opened({}, directory);
    await bench.commit((batch) => batch.put('retained/1:/1:a', Buffer.from([9])));
    await bench.broker.close();
    const after = await opened({}, directory);
    assert.equal(after.retained.get('a'), null);
    assert.match(after.bench.lines.join('\n'), /retained message of topic 'a' in vhost '\/' can't be read/);
    await after.bench.broker.close();
  });
});
