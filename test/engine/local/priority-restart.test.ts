/** What a priority queue is after a restart: its backlog is fresh but for what was, or may have been, delivered. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ChunkList } from '../../../src/engine/local/chunk-list.ts';
import type { LocalEngine, LocalEngineOptions } from '../../../src/engine/local/index.ts';
import { until } from '../../conformance/fixture.ts';
import { crashing, groupsIn, small, type Crashing } from './crashing.ts';

const MiB = 1024 * 1024;
const roomy: LocalEngineOptions = { ...small, windowBytes: 8 * MiB, blockBytes: MiB, firstSegmentBytes: 4 * MiB };
const COUNT = 20_000;
const LEAD = 4096;

/** Priorities 9 to 0, in turn, each with a tenth of the messages; named in the order of their delivery. */
async function filled({ fixture }: Crashing): Promise<string> {
  const { key } = await fixture.declare({ maxPriority: 9 });
  const each = COUNT / 10;
  for (let at = 0; at < COUNT; at += 1_000) {
    const specs = Array.from({ length: 1_000 }, (_, n) => {
      const priority = 9 - ((at + n) % 10);
      return { priority, body: `${(9 - priority) * each + Math.floor((at + n) / 10)}` };
    });
    await fixture.fill(fixture.queue(key), ...specs);
  }
  return key;
}

/** Numbers that are not simply fresh, one by one in memory. */
function singled(engine: LocalEngine, key: string): { returned: number; counts: number } {
  const queue = engine.topology.queues.get(key)!;
  const returned = queue.levels.reduce((sum, level) => sum + level.returned.size + level.announced.size, 0);
  return { returned, counts: queue.counts.size };
}

for (const restart of ['reopen', 'crash'] as const) {
  test(`${restart}: a priority queue of which nothing was delivered is fresh, and its messages are not counted one by one`, async (t) => {
    const opened = await crashing(t, roomy);
    const { fixture, engine, directory } = opened;
    const key = await filled(opened);
    await fixture[restart]();
    assert.deepEqual(singled(engine(), key), { returned: 0, counts: 0 });
    const { sink } = await fixture.consume(fixture.queue(key));
    await until('all', () => sink.deliveries.length === COUNT);
    sink.deliveries.forEach(({ text, redelivered, deliveryCount }, at) =>
      assert.deepEqual([text, redelivered, deliveryCount], [`${at}`, false, 0]),
    );
    const entries = (await groupsIn(directory())).flat();
    assert.equal(entries.filter(({ kind }) => kind === 'counted').length, 0);
  });

  test(`${restart}: of a priority queue that was consumed what may have been delivered is flagged, and no more`, async (t) => {
    const opened = await crashing(t, roomy);
    const { fixture, engine } = opened;
    const key = await filled(opened);
    const taken = 2_500;
    const { sink, lease } = await fixture.held(fixture.queue(key), taken);
    await fixture.settle(lease, sink.deliveries.slice(100), 'ack');
    await fixture[restart]();
    const most = restart === 'reopen' ? 100 : 100 + LEAD;
    const { returned, counts } = singled(engine(), key);
    assert.ok(returned >= 100 && returned <= most, `${returned} returned`);
    assert.equal(counts, returned);
    const again = await fixture.consume(fixture.queue(key));
    const left = COUNT - taken + 100;
    await until('the rest', () => again.sink.deliveries.length === left);
    const expected = Array.from({ length: COUNT }, (_, at) => at).filter((at) => at < 100 || at >= taken);
    again.sink.deliveries.forEach(({ text, redelivered, deliveryCount }, at) => {
      const repeat = at < returned;
      assert.deepEqual([text, redelivered, deliveryCount], [`${expected[at]}`, repeat, repeat ? 1 : 0]);
    });
  });
}

test('what is delivered of a priority between crashes is flagged each time', async (t) => {
  const { fixture } = await crashing(t, roomy);
  const { key } = await fixture.declare({ maxPriority: 2 });
  const publish = async (priority: number, ...bodies: string[]): Promise<void> =>
    fixture.fill(fixture.queue(key), ...bodies.map((body) => ({ body, priority })));
  const deliver = async (count: number): Promise<unknown[]> =>
    (await fixture.held(fixture.queue(key), count)).sink.deliveries.map((one) => [one.text, one.deliveryCount]);
  await publish(0, 'low');
  await publish(2, 'high');
  assert.deepEqual(await deliver(1), [['high', 0]]);
  await publish(1, 'middle');
  assert.deepEqual(await deliver(1), [['middle', 0]]);
  await fixture.reopen();
  assert.deepEqual(await deliver(3), [
    ['high', 1],
    ['middle', 1],
    ['low', 0],
  ]);
  await publish(2, 'late');
  assert.deepEqual(await deliver(1), [['late', 0]]);
  await fixture.crash();
  assert.deepEqual(await deliver(4), [
    ['high', 2],
    ['late', 1],
    ['middle', 2],
    ['low', 1],
  ]);
});

test('so many messages on in a list of chunks', () => {
  const gaps = fc.array(fc.record({ gap: fc.nat(5), count: fc.integer({ min: 1, max: 9 }) }), { maxLength: 700 });
  fc.assert(
    fc.property(gaps, fc.nat(), fc.nat(3_000), (chunks, start, count) => {
      const list = new ChunkList();
      const numbers: number[] = [];
      let next = 1;
      for (const { gap, count: n } of chunks) {
        next += gap;
        list.append(next, n, 1, next);
        for (let at = 0; at < n; at++) numbers.push(next++);
      }
      const from = numbers.length === 0 ? 1 : numbers[start % numbers.length]!;
      const behind = numbers.slice(numbers.indexOf(from));
      const last = behind[Math.min(count, behind.length) - 1];
      if (count > 0) assert.equal(list.past(from, count), last === undefined ? from : last + 1);
    }),
  );
});
