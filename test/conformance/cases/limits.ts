/** `maxLength` and `maxBytes`: decided for all targets before anything is appended. */
import assert from 'node:assert/strict';
import type { Check } from '../engine-suite.ts';
import { type Fixture, messageOf, refused } from '../fixture.ts';

const needs = 'readyLimits';
const refusal = (fixture: Fixture): Promise<unknown> => fixture.declare({ maxLength: 1 });

export function limitCases(check: Check): void {
  check(
    'reject: at maxLength an append is refused, and taken again once there is room',
    async (fixture) => {
      const queue = await fixture.declare({ maxLength: 2, overflow: 'reject' });
      await fixture.fill(queue, 'a', 'b');
      assert.deepEqual(await fixture.publish(queue, 'c'), [refused(0, 'max-length')]);
      assert.equal((await fixture.take(queue, fixture.engine.lease()))?.text, 'a'); // held, so no longer ready
      assert.deepEqual(await fixture.publish(queue, 'd', 'e'), [refused(1, 'max-length')]);
      assert.deepEqual(await fixture.drainTexts(queue), ['b', 'd']);
    },
    { needs, refusal },
  );

  check(
    'reject: within one batch the items beyond the limit are refused, the others are stored',
    async (fixture) => {
      const queue = await fixture.declare({ maxLength: 3, overflow: 'reject' });
      assert.deepEqual(await fixture.publish(queue, '1', '2', '3', '4', '5'), [
        refused(3, 'max-length'),
        refused(4, 'max-length'),
      ]);
      assert.deepEqual(await fixture.drainTexts(queue), ['1', '2', '3']);
    },
    { needs, refusal },
  );

  check(
    'reject: appends to other sets of queues in the same batch count',
    async (fixture) => {
      const queue = await fixture.declare({ maxLength: 3, overflow: 'reject' });
      const other = await fixture.declare();
      const [alone, both] = [[queue], [queue, other]].map((queues) => fixture.engine.targets(queues, Buffer.from('e')));
      const message = messageOf({ body: 'x' });
      const outcomes = await fixture.commit((batch) => {
        batch.append(alone!, message);
        batch.append(both!, message);
        batch.append(alone!, message);
        batch.append(both!, message);
        batch.append(alone!, message);
      });
      assert.deepEqual(outcomes, [refused(3, 'max-length'), refused(4, 'max-length')]);
      await fixture.expectStats(queue, { ready: 3 });
      await fixture.expectStats(other, { ready: 1 });
    },
    { needs, refusal },
  );

  check(
    'reject: batches begun before the first was reported see what it appended',
    async (fixture) => {
      const queue = await fixture.declare({ maxLength: 1, overflow: 'reject' });
      const outcomes = await Promise.all([fixture.publish(queue, 'a'), fixture.publish(queue, 'b')]);
      assert.deepEqual(outcomes, [[], [refused(0, 'max-length')]]);
    },
    { needs, refusal },
  );

  check(
    'reject: of two queues one is full, then neither has it',
    async (fixture) => {
      const roomy = await fixture.declare();
      const full = await fixture.declare({ maxLength: 1, overflow: 'reject' });
      const dropping = await fixture.declare({ maxLength: 1 });
      await fixture.fill([full, dropping], 'first');
      assert.deepEqual(await fixture.publish([roomy, dropping, full], 'x'), [refused(0, 'max-length')]);
      assert.deepEqual(await fixture.publish([full, dropping, roomy], 'x'), [refused(0, 'max-length')]);
      assert.deepEqual(await fixture.drainTexts(roomy), []);
      assert.deepEqual(await fixture.drainTexts(full), ['first']);
      assert.deepEqual(await fixture.drainTexts(dropping), ['first'], 'a refused append dropped a head');
    },
    { needs, refusal },
  );

  check(
    'reject: maxBytes counts ready bodies, and 0 bytes always fit',
    async (fixture) => {
      const queue = await fixture.declare({ maxBytes: 10, overflow: 'reject' });
      await fixture.fill(queue, '12345', '12345'); // the limit itself is allowed
      assert.deepEqual(await fixture.publish(queue, '1'), [refused(0, 'max-length')]);
      await fixture.fill(queue, '');
      const lease = fixture.engine.lease();
      await fixture.take(queue, lease);
      assert.deepEqual(await fixture.publish(queue, '123456'), [refused(0, 'max-length')]);
      await fixture.fill(queue, '1234');
      await fixture.expectStats(queue, { ready: 3, readyBytes: 9 });
    },
    { needs, refusal },
  );

  check(
    'reject: a message above maxBytes by itself is refused by an empty queue',
    async (fixture) => {
      const queue = await fixture.declare({ maxBytes: 3, overflow: 'reject' });
      assert.deepEqual(await fixture.publish(queue, '1234'), [refused(0, 'max-length')]);
      await fixture.expectStats(queue, { ready: 0, readyBytes: 0 });
    },
    { needs, refusal },
  );

  check(
    'drop-head is the default: the oldest ready messages go, silently',
    async (fixture) => {
      const queue = await fixture.declare({ maxLength: 3 });
      await fixture.fill(queue, '1', '2');
      await fixture.fill(queue, '3', '4', '5');
      await fixture.expectStats(queue, { ready: 3, unacked: 0 });
      assert.deepEqual(await fixture.drainTexts(queue), ['3', '4', '5']);
      await fixture.fill(queue, ...Array.from({ length: 50 }, (_, at) => `${at}`));
      assert.deepEqual(await fixture.drainTexts(queue), ['47', '48', '49']);
    },
    { needs, refusal },
  );

  check(
    'drop-head leaves held messages alone: they count for no limit',
    async (fixture) => {
      const queue = await fixture.declare({ maxLength: 2 });
      await fixture.fill(queue, 'held 1', 'held 2');
      const { lease, sink } = await fixture.held(queue, 2);
      await fixture.fill(queue, 'a', 'b', 'c');
      await fixture.expectStats(queue, { ready: 2, unacked: 2 });
      assert.deepEqual(await fixture.settle(lease, sink.deliveries, 'ack'), []);
      assert.deepEqual(await fixture.drainTexts(queue), ['b', 'c']);
    },
    { needs, refusal },
  );

  check(
    'drop-head by maxBytes drops as many as it takes',
    async (fixture) => {
      const queue = await fixture.declare({ maxBytes: 10 });
      await fixture.fill(queue, '1111', '2222', '33');
      await fixture.fill(queue, '55555');
      assert.deepEqual(await fixture.drainTexts(queue), ['33', '55555']);
      // Decided: a message that is too big by itself goes the way of every head: dropped at once, nobody is refused.
      await fixture.fill(queue, 'x', '12345678901');
      await fixture.untilStats(queue, { ready: 0, readyBytes: 0 });
    },
    { needs, refusal },
  );

  check(
    'both limits hold at once',
    async (fixture) => {
      const queue = await fixture.declare({ maxLength: 2, maxBytes: 6 });
      await fixture.fill(queue, 'a', 'b', 'c');
      assert.deepEqual(await fixture.drainTexts(queue), ['b', 'c']);
      await fixture.fill(queue, 'aaaa', 'bbbb');
      assert.deepEqual(await fixture.drainTexts(queue), ['bbbb']);
    },
    { needs, refusal },
  );
}
