import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Consuming, until } from '../../conformance/fixture.ts';
import { crashing } from './crashing.ts';

const texts = Array.from({ length: 1_000 }, (_, n) => `${n}`);

test('several consumers without acknowledgement ask once a group for its sync, not once a message', async (t) => {
  const { fixture, engine } = await crashing(t, {});
  const queue = await fixture.declare();
  const consumers: Consuming[] = [];
  for (let at = 0; at < 3; at++) consumers.push(await fixture.consume(queue, { noAck: true }));
  const { journal } = engine();
  const whenSynced = journal.whenSynced.bind(journal);
  let asked = 0;
  journal.whenSynced = (done) => {
    asked++;
    whenSynced(done);
  };
  await fixture.fill(queue, ...texts);
  await until('all', () => consumers.reduce((sum, { sink }) => sum + sink.deliveries.length, 0) === texts.length);
  assert.ok(asked <= 9, `${asked} times`);
});

test('what a consumer did not get before it went is a message again, with the rest of the queue', async (t) => {
  const { fixture } = await crashing(t, {});
  const queue = await fixture.declare();
  const { consumer, sink } = await fixture.consume(queue, { noAck: true });
  const filled = fixture.fill(queue, ...texts);
  consumer.setCredit(0);
  await filled;
  consumer.setCredit(10);
  await until('ten', () => sink.deliveries.length === 10);
  consumer.cancel();
  await fixture.expectStats(queue, { ready: 990, unacked: 0 });
  // What is confirmed behind it has it on disk.
  await fixture.fill(queue, 'last');
  await fixture.crash();
  assert.deepEqual(await fixture.drainTexts(fixture.queue(queue.key)), [...texts.slice(10), 'last']);
});
