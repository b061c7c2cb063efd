/** A stream shares its turns with others, and outlives what its sinks do and what happens to the clock. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StreamLimits } from '../../../src/engine/engine.ts';
import { memoryEngine } from '../../../src/engine/local/index.ts';
import type { LocalQueue } from '../../../src/engine/local/queue.ts';
import { Collector, Fixture, turn, until } from '../../conformance/fixture.ts';
import { ManualClock } from '../../conformance/manual-clock.ts';

async function opened(stream: StreamLimits = {}): Promise<{ fixture: Fixture; queue: LocalQueue; clock: ManualClock }> {
  const clock = new ManualClock();
  const fixture = await Fixture.open({
    engine: memoryEngine(clock),
    advance: (ms) => clock.advance(ms),
    now: () => clock.now(),
    cleanup: () => Promise.resolve(),
  });
  return { fixture, clock, queue: (await fixture.declare({ stream })) as LocalQueue };
}

test('a sink that deletes the stream gets no more of it, and neither does another one', async () => {
  const { fixture, queue } = await opened();
  const deleter = new Collector(fixture);
  let deleted: Promise<unknown> = Promise.resolve();
  deleter.onDeliver = ({ text }) => {
    if (text === '2') deleted = fixture.change({ op: 'delete-queue', key: queue.key });
    return true;
  };
  await fixture.consume(queue, { from: 'first', sink: deleter });
  const other = await fixture.consume(queue, { from: 'first' });
  await fixture.fill(queue, '0', '1', '2', '3', '4');
  await until('it is deleted', () => deleter.cancellations.length === 1);
  await deleted;
  await fixture.quiet();
  assert.deepEqual(deleter.texts, ['0', '1', '2']);
  assert.deepEqual(other.sink.texts, []);
  await fixture.dispose();
});

test('a sink that gives its credit back for each message does not keep the turn', async () => {
  const { fixture, queue } = await opened();
  const messages = Array.from({ length: 500 }, () => 'x');
  for (let n = 0; n < 18; n++) await fixture.fill(queue, ...messages);
  const { sink, consumer } = await fixture.consume(queue, { from: 'first', credit: 0 });
  let most = 0;
  let inTurn = 0;
  let over = false;
  const count = (): void => {
    most = Math.max(most, inTurn);
    inTurn = 0;
    if (!over) setImmediate(count);
  };
  count();
  sink.onDeliver = () => {
    inTurn++;
    consumer.addCredit(1);
    return true;
  };
  consumer.setCredit(1);
  await until('all is passed over', () => sink.deliveries.length === 9_000);
  over = true;
  await turn();
  assert.ok(most <= 2_000, `${most} in one turn`);
  assert.deepEqual(
    sink.deliveries.map(({ number }) => number),
    Array.from({ length: 9_000 }, (_, at) => at + 1),
  );
  await fixture.dispose();
});

for (const limits of [{ maxAgeMs: 60_000 }, { maxBytes: 100_000 }] as StreamLimits[]) {
  test(`retention takes a bounded share in one turn (${Object.keys(limits).join()})`, async () => {
    const { fixture, queue, clock } = await opened({ ...limits, partBytes: 10 });
    for (let n = 0; n < 300; n++) await fixture.fill(queue, { body: Buffer.alloc(100) });
    assert.equal(queue.ready, 300);
    let passed: Promise<unknown> | null = null;
    if (limits.maxAgeMs !== undefined) passed = clock.advance(70_000);
    else passed = fixture.declare({ stream: { maxBytes: 1_000, partBytes: 10 } }, { key: queue.key });
    const least = limits.maxAgeMs === undefined ? 10 : 0;
    for (let before = 300, turns = 0; before > least; turns++) {
      assert.ok(turns < 100, `${queue.ready} are left`);
      assert.ok(before - queue.ready <= 64, `${before - queue.ready} went in one turn`);
      assert.equal(queue.readyBytes, 100 * queue.ready);
      before = queue.ready;
      await turn();
    }
    await passed;
    await fixture.expectStats(queue, { ready: least, readyBytes: 100 * least });
    await fixture.fill(queue, 'one more');
    const { sink } = await fixture.consume(queue, { from: 'last' });
    await until('it is there', () => sink.deliveries.length === 1);
    assert.equal(sink.deliveries[0]!.number, 301);
    await fixture.dispose();
  });
}

test('retention by age goes on when the clock was set forward once', async () => {
  const { fixture, queue, clock } = await opened({ maxAgeMs: 3_600_000 });
  await fixture.fill(queue, 'before');
  await clock.jump(1e12);
  await fixture.fill(queue, 'wrong');
  await clock.jump(-1e12);
  await fixture.fill(queue, 'after');
  await clock.advance(3_000_000);
  await fixture.fill(queue, 'later');
  await fixture.expectStats(queue, { ready: 3 });
  await clock.advance(1_000_000);
  await fixture.fill(queue, 'now');
  // What was stored after the wrong time goes at its own.
  await fixture.expectStats(queue, { ready: 2 });
  await clock.advance(3_000_000);
  await fixture.expectStats(queue, { ready: 1 });
  await clock.advance(1_000_000);
  await fixture.expectStats(queue, { ready: 0 });
  await fixture.dispose();
});

test('a clock that falls back takes nothing away before its time', async () => {
  const { fixture, queue, clock } = await opened({ maxAgeMs: 3_600_000 });
  for (let n = 0; n < 10; n++) {
    await fixture.fill(queue, String(n));
    await clock.advance(300_000);
  }
  await clock.jump(-7_200_000);
  await fixture.fill(queue, 'back');
  await clock.jump(7_200_000);
  await fixture.fill(queue, 'right again');
  await fixture.expectStats(queue, { ready: 12 });
  await clock.advance(800_000);
  await fixture.expectStats(queue, { ready: 11 });
  await fixture.dispose();
});
