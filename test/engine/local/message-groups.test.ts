import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { localEngine, memoryEngine, type LocalEngineOptions } from '../../../src/engine/local/index.ts';
import { MOST_PARKED } from '../../../src/engine/local/grouped-dispatch.ts';
import type { LocalQueue } from '../../../src/engine/local/queue.ts';
import { Collector, Fixture, type MessageSpec, type Opened, turn, until } from '../../conformance/fixture.ts';
import { crashing } from './crashing.ts';
import { commands, GroupWorld } from './message-groups.property.ts';

const KiB = 1024;
const small: LocalEngineOptions = {
  windowBytes: 8 * KiB,
  blockBytes: 4 * KiB,
  firstSegmentBytes: 16 * KiB,
  segmentBytes: 32 * KiB,
  checkpointBytes: 8 * KiB,
  reserveBytes: 16 * KiB,
  sparseShare: 0.5,
};

const inMemory = (): Opened => ({ engine: memoryEngine(), cleanup: () => Promise.resolve() });

async function onDisk(options: LocalEngineOptions = small): Promise<Opened> {
  const directory = await mkdtemp(join(tmpdir(), 'postrider-groups-'));
  return {
    engine: localEngine(directory, options),
    reopen: () => Promise.resolve(localEngine(directory, options)),
    cleanup: () => rm(directory, { recursive: true, force: true }),
  };
}

const of = (key: string, text: string): MessageSpec => ({ body: text, properties: Buffer.from(`k${key}`) });

test('in memory, whatever consumers do, keys have one owner and their order', { timeout: 300_000 }, () =>
  fc.assert(
    fc.asyncProperty(commands([]), fc.boolean(), (all, priorities) =>
      GroupWorld.play(inMemory(), priorities ? { maxPriority: 2 } : {}, all),
    ),
    { numRuns: 60 },
  ),
);

test('on a disk, over restarts, keys have one owner and their order', { timeout: 300_000 }, () =>
  fc.assert(
    fc.asyncProperty(commands(['reopen']), fc.boolean(), async (all, priorities) =>
      GroupWorld.play(await onDisk(), priorities ? { maxPriority: 2 } : {}, all),
    ),
    { numRuns: 20 },
  ),
);

test('so many are passed over and no more; what is behind waits until one goes', async () => {
  const { fixture, queue } = await openQueue(inMemory());
  const texts = Array.from({ length: MOST_PARKED + 10 }, (_, at) => `a${at}`);
  await fixture.fill(queue, ...texts.map((text) => of('a', text)), of('b', 'b'));
  const first = await fixture.held(queue, 1);
  const second = await fixture.consume(queue, { credit: 1 });
  await fixture.quiet();
  assert.deepEqual(second.sink.texts, []);
  assert.equal(queue.groups!.parked, MOST_PARKED);
  assert.equal(queue.ready, texts.length);
  // Those that its holder gets make room; then the other's turn comes.
  first.consumer.addCredit(10);
  await until('b', () => second.sink.deliveries.length === 1);
  assert.deepEqual(second.sink.texts, ['b']);
  await fixture.settle(first.lease, first.sink.deliveries, 'ack');
  second.consumer.setCredit(Infinity);
  await until('all', () => first.sink.deliveries.length + second.sink.deliveries.length === texts.length + 1);
  assert.deepEqual([...first.sink.texts, ...second.sink.texts.slice(1)], texts);
  assert.equal(queue.groups!.parked, 0);
  await fixture.dispose();
});

test('what came back is not stopped by what is passed over', async () => {
  const { fixture, queue } = await openQueue(inMemory());
  const texts = Array.from({ length: MOST_PARKED }, (_, at) => `b${at}`);
  await fixture.fill(queue, of('a', 'a'), of('b', 'b'), ...texts.map((text) => of('b', text)));
  const first = await fixture.held(queue, 1);
  const second = await fixture.held(queue, 1);
  const third = await fixture.consume(queue, { credit: 1 });
  await fixture.quiet();
  assert.equal(queue.groups!.parked, MOST_PARKED);
  await fixture.settle(first.lease, first.sink.deliveries, 'requeue');
  await until('a again', () => third.sink.deliveries.length === 1);
  assert.deepEqual([third.sink.texts, second.sink.texts], [['a'], ['b']]);
  await fixture.dispose();
});

test(
  'a deep backlog comes from the disk, each key in order, with few messages remembered',
  { timeout: 300_000 },
  async () => {
    const { fixture, queue } = await openQueue(await onDisk({ ...small, segmentBytes: 256 * KiB }));
    const count = 2_500;
    const keys = Array.from({ length: count }, (_, at) => `${(at * 7) % 31 === 0 ? 'hot' : (at * 13) % 40}`);
    for (let from = 0; from < count; from += 500) {
      const specs = keys.slice(from, from + 500).map((key, at) => of(key, `${from + at}`));
      await fixture.fill(queue, ...specs);
    }
    const got = new Map<string, number[]>();
    let left = count;
    const consumers = await Promise.all(
      [3, 10, 40].map(async (credit) => {
        const { sink, consumer, lease } = await fixture.consume(queue, { credit: 0 });
        let unsettled: typeof sink.deliveries = [];
        sink.onDeliver = (delivery) => {
          const key = keys[Number(delivery.text)]!;
          const own = got.get(key);
          if (own === undefined) got.set(key, [Number(delivery.text)]);
          else own.push(Number(delivery.text));
          unsettled.push(delivery);
          return true;
        };
        consumer.setCredit(credit);
        return async () => {
          const some = unsettled;
          unsettled = [];
          left -= some.length;
          await fixture.settle(
            lease,
            some.sort((a, b) => a.number - b.number),
            'ack',
          );
          consumer.addCredit(some.length);
          return some.length;
        };
      }),
    );
    let most = 0;
    for (let idle = 0; left > 0 && idle < 2_000; idle++) {
      for (const work of consumers) if ((await work()) > 0) idle = 0;
      most = Math.max(most, queue.groups!.parked);
      await turn();
    }
    assert.equal(left, 0);
    for (const [key, numbers] of got)
      assert.deepEqual(
        numbers,
        numbers.toSorted((a, b) => a - b),
        key,
      );
    assert.ok(most <= MOST_PARKED);
    // Nothing is kept of keys that nobody has.
    assert.deepEqual([queue.groups!.size, queue.groups!.parked, queue.held.held], [0, 0, 0]);
    await fixture.dispose();
  },
);

for (const deliveryLimit of [1, 2]) {
  test(`at ${deliveryLimit} deliveries, what was passed over is no nearer to the limit after a crash`, async (context) => {
    const { fixture } = await crashing(context);
    const before = await fixture.declare({ groupBy: 'key', deliveryLimit }, { key: 'q' });
    await fixture.fill(before, of('a', 'a1'), of('a', 'a2'), of('b', 'b1'), of('a', 'a3'), of('c', 'c1'));
    const first = await fixture.held(before, 1);
    const second = await fixture.held(before, 2);
    assert.deepEqual([...first.sink.texts, ...second.sink.texts], ['a1', 'b1', 'c1']);
    // What is lazily noted is on disk by then.
    await fixture.fill(before, of('d', 'd1'));
    await fixture.crash();
    const all = await fixture.consume(fixture.queue('q'));
    const held = deliveryLimit === 1 ? [] : ['a1', 'b1', 'c1'];
    await until('what is left', () => all.sink.deliveries.length === held.length + 3);
    assert.deepEqual(all.sink.texts.toSorted(), [...held, 'a2', 'a3', 'd1'].toSorted());
    assert.deepEqual(
      all.sink.texts.filter((text) => text.startsWith('a')),
      deliveryLimit === 1 ? ['a2', 'a3'] : ['a1', 'a2', 'a3'],
    );
  });
}

test('many that came back to many keys are counted with a few syncs', async () => {
  const { fixture, queue } = await openQueue(await onDisk({ scrubIntervalMs: 0 }));
  const texts = Array.from({ length: 600 }, (_, at) => `${at}`);
  await fixture.fill(queue, ...texts.map((text) => of(text, text)));
  const first = await fixture.held(queue, 600);
  await fixture.release(first.lease);
  const { sequence } = queue.host.journal;
  const second = await fixture.consume(queue);
  await until('all', () => second.sink.deliveries.length === 600);
  assert.deepEqual(second.sink.texts, texts);
  assert.ok(queue.host.journal.sequence - sequence < 10, `${queue.host.journal.sequence - sequence} groups`);
  await fixture.dispose();
});

test('what another finds for the holder of a key goes behind what waits for the holder', async () => {
  const { fixture, queue } = await openQueue(inMemory());
  await fixture.fill(queue, of('a', 'a1'), of('a', 'a2'), of('b', 'b1'));
  const first = await fixture.held(queue, 1);
  const second = await fixture.held(queue, 1);
  await fixture.fill(queue, of('a', 'a3'), of('c', 'c1'));
  // Both can take more at the same moment, and it is the other's turn.
  await fixture.commit(() => {
    second.consumer.addCredit(1);
    first.consumer.addCredit(2);
  });
  await until('all', () => first.sink.deliveries.length + second.sink.deliveries.length === 5);
  assert.deepEqual(
    [first.sink.texts, second.sink.texts],
    [
      ['a1', 'a2', 'a3'],
      ['b1', 'c1'],
    ],
  );
  await fixture.dispose();
});

test('a deleted queue and a purged one forget what was passed over', async () => {
  const { fixture, queue } = await openQueue(inMemory());
  await fixture.fill(queue, of('a', 'a1'), of('a', 'a2'), of('b', 'b1'));
  const first = await fixture.held(queue, 1);
  const second = await fixture.held(queue, 1);
  assert.deepEqual(second.sink.texts, ['b1']);
  assert.equal(await fixture.engine.purge(queue), 1);
  assert.equal(queue.groups!.parked, 0);
  await fixture.settle(first.lease, first.sink.deliveries, 'requeue');
  await fixture.fill(queue, of('b', 'b2'));
  second.consumer.addCredit(5);
  await until('two', () => second.sink.deliveries.length === 3);
  assert.deepEqual(second.sink.texts, ['b1', 'a1', 'b2']);
  await fixture.change({ op: 'delete-queue', key: queue.key });
  assert.equal(queue.groups!.size, 0);
  await fixture.release(second.lease);
  await fixture.dispose();
});

test('a sink may delete the queue while it gets what waited for it alone', async () => {
  const { fixture, queue } = await openQueue(inMemory());
  const thrown: unknown[] = [];
  queue.host.dispatcher.threw = (error) => thrown.push(error);
  await fixture.fill(queue, of('a', 'a1'), of('a', 'a2'), of('a', 'a3'), of('b', 'b1'));
  const first = await fixture.held(queue, 1);
  const second = await fixture.held(queue, 1);
  let deleted: Promise<unknown> = Promise.resolve();
  first.sink.onDeliver = () => {
    deleted = fixture.change({ op: 'delete-queue', key: queue.key });
    return true;
  };
  // It is the turn of the other, for whom there is nothing.
  await fixture.commit(() => {
    second.consumer.addCredit(1);
    first.consumer.addCredit(5);
  });
  await until('the end', () => first.sink.cancellations.length + second.sink.cancellations.length === 2);
  await deleted;
  assert.deepEqual([first.sink.texts, second.sink.texts, thrown], [['a1', 'a2'], ['b1'], []]);
  await fixture.dispose();
});

test('at most once, a key is free when its message was delivered, whatever else is on its way to its consumer', async () => {
  const { fixture, queue } = await openQueue(await onDisk());
  await fixture.fill(queue, 'none', of('a', 'a1'), of('b', 'b1'), of('c', 'c1'));
  const sink = new Collector(fixture);
  sink.onDeliver = ({ text }) => text !== 'a1';
  const first = await fixture.consume(queue, { noAck: true, sink });
  await until('two', () => sink.deliveries.length === 2);
  const second = await fixture.consume(queue);
  await fixture.fill(queue, of('b', 'b2'), of('a', 'a2'), of('c', 'c2'));
  await until('a2', () => second.sink.deliveries.length === 1);
  await fixture.quiet();
  assert.deepEqual([sink.texts, second.sink.texts], [['none', 'a1'], ['a2']]);
  first.consumer.resume();
  await until('all', () => sink.deliveries.length + second.sink.deliveries.length === 7);
  assert.deepEqual(sink.texts.slice(2, 4), ['b1', 'c1']);
  await fixture.release(second.lease);
  await until('nothing of any key', () => queue.groups!.size === 0);
  await fixture.dispose();
});

async function openQueue(opened: Opened): Promise<{ fixture: Fixture; queue: LocalQueue }> {
  const fixture = await Fixture.open(opened);
  const queue = await fixture.declare({ groupBy: 'key' });
  return { fixture, queue: queue as LocalQueue };
}
