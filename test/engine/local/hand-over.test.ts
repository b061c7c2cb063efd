/** What expires or overflows is handed over with its body: a whole backlog must not be at once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../../src/engine/clock.ts';
import type { DeliveryView, EngineQueue, QueueLimits } from '../../../src/engine/engine.ts';
import { memoryEngine, type LocalEngine } from '../../../src/engine/local/index.ts';
import { Fixture, type MessageSpec } from '../../conformance/fixture.ts';
import { crashing, small } from './crashing.ts';

/** Takes over what is removed, and drops it; knows how much it was given before it could. */
function takeOver(engine: LocalEngine): { readonly most: { messages: number; bytes: number }; taken: number } {
  const lease = engine.lease();
  const state = { most: { messages: 0, bytes: 0 }, taken: 0 };
  let removed: { readonly queue: EngineQueue; readonly number: number; readonly bytes: number }[] = [];
  engine.onRemoval(lease, {
    remove(delivery: DeliveryView) {
      removed.push({
        queue: delivery.queue,
        number: delivery.number,
        bytes: delivery.bodyEnd - delivery.propertiesStart,
      });
      state.taken++;
    },
    flush() {
      state.most.messages = Math.max(state.most.messages, removed.length);
      const bytes = removed.reduce((sum, each) => sum + each.bytes, 0);
      state.most.bytes = Math.max(state.most.bytes, bytes);
      const batch = engine.begin();
      for (const { queue, number } of removed) batch.settle(lease, queue, number, 1, 'drop');
      removed = [];
      batch.commit({ committed: () => undefined, failed: () => undefined }, null);
    },
  });
  return state;
}

async function backlog(
  fixture: Fixture,
  limits: QueueLimits,
  count: number,
  spec: MessageSpec,
  key = 'q',
): Promise<void> {
  const queue = await fixture.declare({ ...limits, handOverRemoved: true }, { key });
  for (let left = count; left > 0; left -= 1000)
    await fixture.fill(queue, ...Array.from({ length: Math.min(1000, left) }, () => spec));
}

const MiB = 1024 * 1024;

for (const where of ['memory', 'disk'] as const) {
  test(`a backlog that expires is handed over a part at a time (${where})`, async (t) => {
    let now = Date.now();
    const clock = { ...systemClock, now: () => now };
    const fixture =
      where === 'memory'
        ? await Fixture.open({ engine: memoryEngine(clock), cleanup: () => Promise.resolve() })
        : (await crashing(t, { ...small, windowBytes: 64 * MiB, clock })).fixture;
    await backlog(fixture, { messageTtlMs: 60_000 }, 10_000, { body: 'm' });
    now += 120_000;
    const taken = takeOver(fixture.engine as LocalEngine);
    await fixture.untilStats(fixture.queue('q'), { ready: 0, unacked: 0 });
    assert.equal(taken.taken, 10_000);
    assert.ok(taken.most.messages <= 4096, `${taken.most.messages} at once`);
    await fixture.dispose();
  });
}

test('large messages are handed over a few at a time', async () => {
  const engine = memoryEngine();
  const fixture = await Fixture.open({ engine, cleanup: () => Promise.resolve() });
  await backlog(fixture, {}, 40, { body: Buffer.alloc(MiB) });
  await fixture.change({
    op: 'put-queue',
    queue: { key: 'q', durable: true, limits: { maxLength: 1, handOverRemoved: true }, value: {} },
  });
  const taken = takeOver(engine);
  await fixture.untilStats(fixture.queue('q'), { ready: 1, unacked: 0 });
  assert.equal(taken.taken, 39);
  assert.ok(taken.most.bytes <= 5 * MiB, `${taken.most.bytes} bytes at once`);
  await fixture.dispose();
});

test('what came to its delivery limit is handed over a part at a time', async () => {
  const engine = memoryEngine();
  const fixture = await Fixture.open({ engine, cleanup: () => Promise.resolve() });
  await backlog(fixture, { deliveryLimit: 1 }, 6_000, { body: 'm' });
  const { lease } = await fixture.held(fixture.queue('q'), 6_000);
  const taken = takeOver(engine);
  await fixture.release(lease);
  await fixture.untilStats(fixture.queue('q'), { ready: 0, unacked: 0 });
  assert.equal(taken.taken, 6_000);
  assert.ok(taken.most.messages <= 4096, `${taken.most.messages} at once`);
  await fixture.dispose();
});

test('queues that expire take turns, so that what is live in one does not wait for the backlogs of others', async () => {
  let now = Date.now();
  const engine = memoryEngine({ ...systemClock, now: () => now });
  const fixture = await Fixture.open({ engine, cleanup: () => Promise.resolve() });
  const backlogs = ['q', 'r', 's'];
  for (const key of backlogs) await backlog(fixture, { messageTtlMs: 60_000 }, 20_000, { body: 'm' }, key);
  const others = Array.from({ length: 40 }, (_, n) => `o${n}`);
  for (const key of others) await backlog(fixture, {}, 1, { body: 'dead', expiresAt: now + 60_000 }, key);
  for (const key of others) await fixture.fill(fixture.queue(key), 'live');
  now += 120_000;
  const takenBefore: number[] = [];
  for (const key of others) {
    const { sink } = await fixture.consume(fixture.queue(key));
    sink.onDeliver = () => takenBefore.push(taken.taken) > 0;
  }
  const taken = takeOver(engine);
  for (const key of backlogs) await fixture.untilStats(fixture.queue(key), { ready: 0, unacked: 0 });
  assert.equal(taken.taken, 60_000 + others.length);
  assert.equal(takenBefore.length, others.length);
  assert.ok(Math.max(...takenBefore) <= 3 * 4096, `after ${Math.max(...takenBefore)} of others`);
  await fixture.dispose();
});
