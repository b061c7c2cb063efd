/** Delayed messages on disk: what a checkpoint, compaction and a crash make of them. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { localEngine, type LocalEngine, type LocalEngineOptions } from '../../../src/engine/local/index.ts';
import { inspectJournal } from '../../../src/engine/local/journal/inspect.ts';
import { Fixture, until } from '../../conformance/fixture.ts';
import { ManualClock } from '../../conformance/manual-clock.ts';
import { crashing, groupsIn, small } from './crashing.ts';

const minute = 60_000;

interface OnDisk {
  readonly fixture: Fixture;
  readonly clock: ManualClock;
  readonly directory: string;
}

async function onDisk(test: TestContext, options: LocalEngineOptions): Promise<OnDisk> {
  const directory = await mkdtemp(join(tmpdir(), 'postrider-delayed-'));
  const clock = new ManualClock();
  const make = (): ReturnType<typeof localEngine> => localEngine(directory, { ...options, clock });
  const fixture = await Fixture.open({
    engine: make(),
    reopen: () => Promise.resolve(make()),
    advance: (ms) => clock.advance(ms),
    now: () => clock.now(),
    cleanup: () => Promise.resolve(),
  });
  test.after(async () => {
    await fixture.dispose();
    await rm(directory, { recursive: true, force: true });
  });
  return { fixture, clock, directory };
}

const segmentsIn = async (directory: string): Promise<string[]> =>
  (await readdir(directory)).filter((name) => name.startsWith('journal-'));

test('what waits, and what waited and is ready, does not keep its segment', async (t) => {
  const { fixture, directory } = await onDisk(t, { ...small, checkpointBytes: 32 * 1024, sparseShare: 0.5 });
  const [kept, busy] = [await fixture.declare(), await fixture.declare()];
  const dueAt = fixture.now() + minute;
  const texts: string[] = [];
  const traffic = async (rounds: number): Promise<void> => {
    for (let n = 0; n < rounds; n++) {
      await fixture.fill(busy, ...Array.from({ length: 10 }, () => ({ body: Buffer.alloc(1000) })));
      await fixture.drain(busy);
    }
  };
  for (let n = 0; n < 20; n++) {
    await fixture.publish(kept, { body: `soon ${n}`, dueAt }, { body: `late ${n}`, dueAt: dueAt + minute });
    texts.push(`soon ${n}`);
    await traffic(2);
  }
  await traffic(60);
  assert.ok((await segmentsIn(directory)).length < 8, `${(await segmentsIn(directory)).length} segments`);
  assert.ok((await groupsIn(directory)).flat().some((entry) => entry.kind === 'moved' && entry.delayed));
  await fixture.advance(minute + 10);
  await fixture.untilStats(kept, { ready: 20, delayed: 20 });
  const oldest = (await segmentsIn(directory)).sort()[0]!;
  await traffic(60);
  assert.ok(!(await segmentsIn(directory)).includes(oldest), `${oldest} is kept`);
  assert.ok((await segmentsIn(directory)).length < 8, `${(await segmentsIn(directory)).length} segments`);
  await fixture.reopen();
  assert.deepEqual(await fixture.drainTexts(fixture.queue(kept.key)), texts);
  await fixture.advance(minute);
  await fixture.untilStats(fixture.queue(kept.key), { ready: 20, delayed: 0 });
  assert.deepEqual(
    await fixture.drainTexts(fixture.queue(kept.key)),
    texts.map((text) => text.replace('soon', 'late')),
  );
});

test('a checkpoint writes what waits once, whatever becomes ready or is taken out meanwhile', async (t) => {
  const { fixture, directory } = await onDisk(t, { ...small, windowBytes: 4e6, blockBytes: 1e6, segmentBytes: 4e6 });
  const queue = await fixture.declare();
  const count = 5000;
  const dueAt = fixture.now() + minute;
  const targets = fixture.engine.targets([queue], Buffer.from('e'));
  await fixture.commit((batch) => {
    // Those due first lie in every page.
    for (let n = 0; n < count; n++)
      fixture.append(batch, targets.queues, { body: 'x', dueAt: n % 10 === 0 ? dueAt : dueAt + minute + n });
  });
  const sizes = async (): Promise<number[]> => {
    const names = (await readdir(directory)).filter((name) => name.startsWith('checkpoint-')).sort();
    return Promise.all(names.map(async (name) => (await stat(join(directory, name))).size));
  };
  await fixture.reopen();
  const [first] = await sizes();
  assert.ok(first! > 20 * count);
  await fixture.advance(minute + 10);
  await fixture.untilStats(fixture.queue(queue.key), { ready: 500, delayed: count - 500 });
  await fixture.reopen();
  const second = (await sizes()).at(-1)!;
  assert.ok(second < 20 * count * 0.2, `${second} bytes for what did not change`);
  await fixture.reopen();
  await fixture.expectStats(fixture.queue(queue.key), { ready: 500, delayed: count - 500 });
});

test('what is delayed takes no place from others in the window', async (t) => {
  const blockBytes = 16 * 1024;
  const { fixture } = await onDisk(t, { ...small, windowBytes: 1e6, blockBytes });
  const queue = await fixture.declare();
  const dueAt = fixture.now() + minute;
  for (let n = 0; n < 100; n++) {
    await fixture.publish(queue, { body: Buffer.alloc(2000, n), dueAt });
  }
  const { window } = (fixture.engine as LocalEngine).journal;
  assert.ok(window.bytes <= 3 * blockBytes, `${window.bytes} bytes`);
  await fixture.advance(minute + 10);
  await fixture.untilStats(queue, { ready: 100, delayed: 0 });
  assert.deepEqual(
    (await fixture.drain(queue)).map(({ body }) => body[0]),
    Array.from({ length: 100 }, (_, n) => n),
  );
});

test('who has no use for the numbers of what is delayed is not told them', async (t) => {
  const { fixture } = await onDisk(t, small);
  const queue = await fixture.declare();
  const told = (tellsWaiting?: boolean): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const batch = fixture.engine.begin(undefined, tellsWaiting);
      fixture.append(batch, [queue], { body: 'x', dueAt: fixture.now() + minute });
      batch.commit({ committed: (_, outcomes) => resolve(outcomes), failed: (_, error) => reject(error) }, null);
    });
  assert.equal(await told(false), null);
  assert.deepEqual(await told(), [{ item: 0, outcome: 'waiting', reason: null, numbers: [2] }]);
});

test('what is due is delivered once the journal knows its number, and only then', async (t) => {
  const { fixture, engine, directory } = await crashing(t);
  const queue = await fixture.declare();
  const { sink } = await fixture.consume(queue);
  let known = false;
  sink.onDeliver = () => {
    known = engine().journal.isIdle || engine().journal.synced >= noted;
    return true;
  };
  const { journal } = engine();
  let noted = Infinity;
  const { becomeReady } = engine().topology.queues.get(queue.key)!.delayed;
  engine().topology.queues.get(queue.key)!.delayed.becomeReady = function (numbers) {
    becomeReady.call(this, numbers);
    noted = journal.sequence;
  };
  await fixture.publish(queue, { body: 'late', dueAt: fixture.now() + 20 });
  await until('the delivery', () => sink.deliveries.length === 1);
  assert.ok(journal.synced >= noted && known);
  const entries = (await groupsIn(directory())).flat();
  const due = entries.find((entry) => entry.kind === 'due');
  assert.deepEqual([due?.first, due?.numbers], [1, [1]]);
});

test('inspect counts what waits apart', async (t) => {
  const { fixture, directory } = await onDisk(t, small);
  const queue = await fixture.declare();
  await fixture.publish(queue, 'now', { body: 'late', dueAt: fixture.now() + minute });
  await fixture.engine.close();
  const { queues, damage } = await inspectJournal(directory);
  assert.deepEqual(damage, []);
  assert.deepEqual(queues, [{ key: queue.key, durable: true, ready: 1, bytes: 3, delayed: 1 }]);
});

test('a queue whose delayed messages lay in a segment that is missing stops', async (t) => {
  const { fixture, directory } = await onDisk(t, small);
  const [lost, other] = [await fixture.declare(), await fixture.declare()];
  await fixture.publish(lost, { body: 'late', dueAt: fixture.now() + minute });
  await fixture.reopen();
  await fixture.fill(fixture.queue(other.key), 'x');
  const [first] = (await segmentsIn(directory)).sort();
  await fixture.engine.close();
  await rm(join(directory, first!));
  const engine = localEngine(directory, small);
  await engine.open(fixture.listener);
  assert.match(engine.queue(lost.key)?.damage?.message ?? '', /is missing/);
  assert.equal(engine.queue(other.key)?.damage, null);
  await engine.close();
});
