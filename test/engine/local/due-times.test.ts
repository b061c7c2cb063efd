import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../../../src/engine/clock.ts';
import { DueTimes } from '../../../src/engine/local/due-times.ts';
import { memoryEngine, type LocalEngine } from '../../../src/engine/local/index.ts';
import type { LocalQueue } from '../../../src/engine/local/queue.ts';
import { Fixture, turn, until } from '../../conformance/fixture.ts';
import { ManualClock } from '../../conformance/manual-clock.ts';

const day = 24 * 60 * 60 * 1000;

/** Its timers ring when told, whatever time it says. */
class WallClock implements Clock {
  time = 1_700_000_000_000;
  readonly timers: { readonly delayMs: number; readonly task: () => void }[] = [];

  now(): number {
    return this.time;
  }

  defer(task: () => void): void {
    setImmediate(task);
  }

  after(delayMs: number, task: () => void): { cancel: () => void } {
    assert.ok(delayMs > 0 && delayMs <= 0x7fff_ffff, `a timer of ${delayMs} ms`);
    const timer = { delayMs, task };
    this.timers.push(timer);
    return { cancel: () => void this.timers.splice(this.timers.indexOf(timer), 1) };
  }

  async ring(): Promise<void> {
    for (const { task } of this.timers.splice(0)) task();
    await turn();
  }
}

async function opened(): Promise<{ clock: WallClock; fixture: Fixture; engine: LocalEngine }> {
  const clock = new WallClock();
  const engine = memoryEngine(clock);
  return { clock, engine, fixture: await Fixture.open({ engine, cleanup: () => Promise.resolve() }) };
}

test('one timer for all queues, for whatever is due next', async () => {
  const { clock, fixture } = await opened();
  const queues = await Promise.all(Array.from({ length: 20 }, () => fixture.declare()));
  for (const [at, queue] of queues.entries())
    await fixture.publish(queue, { dueAt: clock.time + 5000 - 100 * at }, { dueAt: clock.time + 60 * day });
  assert.deepEqual(
    clock.timers.map(({ delayMs }) => delayMs),
    [5000 - 1900],
  );
  clock.time += 3100;
  await clock.ring();
  await fixture.expectStats(queues[19]!, { ready: 1, delayed: 1 });
  await fixture.expectStats(queues[18]!, { ready: 0, delayed: 2 });
  assert.deepEqual(
    clock.timers.map(({ delayMs }) => delayMs),
    [100],
  );
  await fixture.dispose();
  assert.equal(clock.timers.length, 0);
});

test('months are waited for in short naps, so that a clock which is set is noticed', async () => {
  const { clock, fixture } = await opened();
  const queue = await fixture.declare();
  await fixture.publish(queue, { body: 'in two months', dueAt: clock.time + 60 * day });
  assert.ok(clock.timers[0]!.delayMs <= 10_000);
  await clock.ring();
  await fixture.expectStats(queue, { ready: 0, delayed: 1 });
  // Back, and far ahead.
  clock.time -= 5 * day;
  await clock.ring();
  await fixture.expectStats(queue, { ready: 0, delayed: 1 });
  clock.time += 100 * day;
  await clock.ring();
  await fixture.expectStats(queue, { ready: 1, delayed: 0 });
  assert.equal(clock.timers.length, 0);
  await fixture.dispose();
});

test('a timer that is early by less than a millisecond rings again', async () => {
  const { clock, fixture } = await opened();
  const queue = await fixture.declare();
  await fixture.publish(queue, { body: 'x', dueAt: clock.time + 10.5 });
  clock.time += 10;
  await clock.ring();
  await fixture.expectStats(queue, { ready: 0, delayed: 1 });
  clock.time += 1;
  await clock.ring();
  await fixture.expectStats(queue, { ready: 1, delayed: 0 });
  await fixture.dispose();
});

test('what is due at one moment becomes ready turn by turn, and others are served between', async () => {
  const { clock, fixture } = await opened();
  const [flooded, other] = [await fixture.declare(), await fixture.declare()];
  const targets = fixture.engine.targets([flooded], Buffer.from('e'));
  await fixture.commit((batch) => {
    for (let n = 0; n < 10_000; n++) fixture.append(batch, targets.queues, { body: 'x', dueAt: clock.time + 100 });
  });
  const { sink } = await fixture.consume(other);
  clock.time += 100;
  let most = 0;
  let before = 0;
  let turns = 0;
  await clock.ring();
  while (turns++ < 1000) {
    const { ready } = await fixture.stats(flooded);
    most = Math.max(most, ready - before);
    before = ready;
    if (ready === 10_000) break;
    await fixture.fill(other, 'meanwhile');
  }
  assert.equal(before, 10_000);
  assert.ok(most < 5000, `${most} in one turn`);
  await until('others', () => sink.deliveries.length > 0);
  await fixture.dispose();
});

test('what was withdrawn, or went with its queue, is forgotten before it is due', async () => {
  const { clock, fixture, engine } = await opened();
  const queue = await fixture.declare();
  const doomed = await fixture.declare();
  for (let n = 0; n < 1500; n++) {
    const [outcome] = await fixture.publish(queue, { body: 'x', dueAt: clock.time + day + n });
    await fixture.publish(doomed, { body: 'x', dueAt: clock.time + day });
    if (n > 0) assert.equal(await fixture.engine.cancel(queue, outcome!.numbers![0]!), true);
  }
  await fixture.change({ op: 'delete-queue', key: doomed.key });
  await until('they are forgotten', () => engine.dueTimes.size < 10);
  clock.time += 2 * day;
  await clock.ring();
  await fixture.expectStats(queue, { ready: 1, delayed: 0 });
  await fixture.dispose();
});

test('a great many are forgotten a few at a time', async () => {
  const clock = new WallClock();
  let looks = 0;
  const queueOf = (): undefined => {
    looks++;
    return undefined;
  };
  const dueTimes = new DueTimes(
    clock,
    queueOf,
    () => true,
    () => undefined,
  );
  await dueTimes.start([]);
  const deleted = { id: 1 } as LocalQueue;
  for (let n = 1; n <= 50_000; n++) dueTimes.add(clock.time + day + n, n, deleted);
  let most = 0;
  dueTimes.forget(50_000);
  do {
    most = Math.max(most, looks);
    looks = 0;
    await turn();
  } while (dueTimes.size > 0);
  assert.ok(most <= 5000, `${most} at once`);
  dueTimes.stop();
});

test('in memory, one that waits keeps nothing of what is published beside it', async () => {
  const { clock, fixture, engine } = await opened();
  const queue = await fixture.declare();
  const body = Buffer.alloc(100 * 1024);
  for (let n = 0; n < 200; n++) {
    await fixture.publish(queue, { body: `${n}`, dueAt: clock.time + day }, { body }, { body });
    await fixture.drain(queue);
  }
  assert.ok(engine.journal.window.bytes < 8 * 1024 * 1024, `${engine.journal.window.bytes} bytes`);
  clock.time += day;
  await clock.ring();
  assert.deepEqual(
    await fixture.drainTexts(queue),
    Array.from({ length: 200 }, (_, n) => `${n}`),
  );
  await fixture.dispose();
});

test('in memory, one that waits long keeps nothing of those that waited with it', async () => {
  const clock = new ManualClock();
  const engine = memoryEngine(clock);
  const fixture = await Fixture.open({ engine, cleanup: () => Promise.resolve() });
  const [queue, second, third] = [await fixture.declare(), await fixture.declare(), await fixture.declare()];
  const start = clock.now();
  const late: string[] = [];
  const body = Buffer.alloc(1000, 'x');
  for (let n = 0; n < 20; n++) {
    await fixture.commit((batch) => {
      for (let at = 0; at < 500; at++) fixture.append(batch, queue, { body, dueAt: start + 1000 });
      fixture.append(batch, [queue, second, third], { body: `${n}`, dueAt: start + day + 1000 * n });
    });
    late.push(`${n}`);
  }
  const MiB = 1024 * 1024;
  assert.ok(engine.journal.window.bytes > 10 * MiB);
  await clock.advance(1000);
  await fixture.untilStats(queue, { ready: 10_000, delayed: 20 });
  await fixture.engine.purge(queue);
  assert.equal(await fixture.engine.cancel(third, 1), true);
  await clock.advance(6000);
  for (let n = 0; n < 30; n++) await turn();
  assert.ok(engine.journal.window.bytes <= 3 * MiB, `${engine.journal.window.bytes} bytes`);
  await clock.advance(day + 20_000);
  for (const each of [queue, second]) assert.deepEqual(await fixture.drainTexts(each), late);
  assert.deepEqual(await fixture.drainTexts(third), late.slice(1));
  await clock.advance(20_000);
  assert.ok(engine.journal.window.bytes <= 2 * MiB, `${engine.journal.window.bytes} bytes`);
  await fixture.dispose();
});
