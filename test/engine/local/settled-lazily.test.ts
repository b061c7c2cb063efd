/** What a batch settles that nobody waits for needs no write of its own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Lease } from '../../../src/engine/engine.ts';
import type { Delivery, Fixture } from '../../conformance/fixture.ts';
import { crashing, groupsIn, small } from './crashing.ts';
import { HandClock } from './journal/scratch-journal.ts';

const lazyMs = 100;

/** Resolves once the batch's commit is told. */
function settleLazily({ engine }: Fixture, lease: Lease, deliveries: readonly Delivery[]): Promise<void> {
  const batch = engine.begin(undefined, false, false);
  for (const { queue, number } of deliveries) batch.settle(lease, queue, number, 1, 'ack');
  return new Promise((resolve, reject) => {
    batch.commit({ committed: () => resolve(), failed: (_, error) => reject(error) }, null);
  });
}

/** What delivering made the engine note is on disk. */
async function quiet(fixture: Fixture): Promise<void> {
  await fixture.fill(await fixture.declare({}, { key: 'other' }), 'x');
  for (let turns = 0; turns < 10; turns++) await turn();
}

async function settledIn(directory: string): Promise<number> {
  const groups = await groupsIn(directory);
  return groups.filter((entries) => entries.some(({ kind }) => kind === 'settled')).length;
}

test('such a commit is told without a write, which comes when it has waited for a while', async (t) => {
  const clock = new HandClock();
  const { fixture, directory } = await crashing(t, { ...small, clock });
  const queue = await fixture.declare();
  await fixture.fill(queue, 'a', 'b', 'c');
  const { lease, sink } = await fixture.held(queue, 3);
  await quiet(fixture);
  await settleLazily(fixture, lease, sink.deliveries.slice(0, 2));
  await fixture.expectStats(queue, { ready: 0, unacked: 1 });
  for (let turns = 0; turns < 10; turns++) await turn();
  assert.equal(await settledIn(directory()), 0);
  assert.ok(clock.waits(lazyMs));
  clock.ring();
  while ((await settledIn(directory())) === 0) await turn();
  await fixture.crash();
  assert.deepEqual(await fixture.drainTexts(fixture.queue(queue.key)), ['c']);
});

test('a crash before gives it back, flagged and counted', async (t) => {
  const { fixture } = await crashing(t, { ...small, clock: new HandClock() });
  const queue = await fixture.declare();
  await fixture.fill(queue, 'a');
  const { lease, sink } = await fixture.held(queue, 1);
  await quiet(fixture);
  await settleLazily(fixture, lease, sink.deliveries);
  await fixture.crash();
  const again = await fixture.drain(fixture.queue(queue.key));
  assert.deepEqual(
    again.map(({ text, redelivered, deliveryCount }) => [text, redelivered, deliveryCount]),
    [['a', true, 1]],
  );
});

test('what is committed behind it takes it along', async (t) => {
  const { fixture } = await crashing(t, { ...small, clock: new HandClock() });
  const queue = await fixture.declare();
  await fixture.fill(queue, 'a');
  const { lease, sink } = await fixture.held(queue, 1);
  await settleLazily(fixture, lease, sink.deliveries);
  await fixture.fill(queue, 'b');
  await fixture.crash();
  assert.deepEqual(await fixture.drainTexts(fixture.queue(queue.key)), ['b']);
});

test('a batch that also appends is told when that is durable, with what it settles', async (t) => {
  const { fixture } = await crashing(t, { ...small, clock: new HandClock() });
  const queue = await fixture.declare();
  await fixture.fill(queue, 'a');
  const { lease, sink } = await fixture.held(queue, 1);
  const { engine } = fixture;
  const batch = engine.begin(undefined, false, false);
  const [{ number }] = sink.deliveries as [Delivery];
  batch.settle(lease, queue, number, 1, 'ack');
  fixture.append(batch, queue, 'b');
  await new Promise<void>((resolve, reject) => {
    batch.commit({ committed: () => resolve(), failed: (_, error) => reject(error) }, null);
  });
  await fixture.crash();
  assert.deepEqual(await fixture.drainTexts(fixture.queue(queue.key)), ['b']);
});

test('a stop in order loses none of it', async (t) => {
  const { fixture } = await crashing(t, { ...small, clock: new HandClock() });
  const queue = await fixture.declare();
  await fixture.fill(queue, 'a');
  const { lease, sink } = await fixture.held(queue, 1);
  await settleLazily(fixture, lease, sink.deliveries);
  await fixture.engine.close();
  await fixture.reopen();
  assert.deepEqual(await fixture.drainTexts(fixture.queue(queue.key)), []);
});
