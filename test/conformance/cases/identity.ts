/** Exactly-once publishing: named producers with dense sequences, and message ids within a window. */
import assert from 'node:assert/strict';
import type { Identity } from '../../../src/engine/engine.ts';
import type { Check } from '../engine-suite.ts';
import { duplicate, type Fixture, type MessageSpec, refused } from '../fixture.ts';

const by = (producer: string, epoch: number, sequence: number, body = `${sequence}`): MessageSpec => ({
  body,
  identity: { kind: 'producer', producer, epoch, sequence },
});

const withId = (id: string, window: Partial<Identity & { kind: 'id' }> = {}, body = id): MessageSpec => ({
  body,
  identity: { kind: 'id', scope: 's', id, windowMs: 60_000, windowCount: 1_000, ...window },
});

const producers = {
  needs: 'producers',
  refusal: (fixture: Fixture) => fixture.engine.producer('p'),
} as const;

const ids = {
  needs: 'messageIds',
  refusal: async (fixture: Fixture) => fixture.publish(await fixture.declare(), withId('a')),
} as const;

export function identityCases(check: Check): void {
  check(
    'a producer starts at 0, and a repeat is confirmed and not stored',
    async (fixture) => {
      const queue = await fixture.declare();
      const { epoch, lastSequence } = await fixture.engine.producer('p');
      assert.equal(lastSequence, 0);
      assert.deepEqual(await fixture.publish(queue, by('p', epoch, 1), by('p', epoch, 2)), []);
      assert.deepEqual(await fixture.publish(queue, by('p', epoch, 2), by('p', epoch, 1), by('p', epoch, 3)), [
        duplicate(0),
        duplicate(1),
      ]);
      assert.deepEqual(await fixture.publish(queue, by('p', epoch, 4), by('p', epoch, 4)), [duplicate(1)]);
      assert.deepEqual(await fixture.drainTexts(queue), ['1', '2', '3', '4']);
    },
    producers,
  );

  check(
    'a gap is refused and moves nothing',
    async (fixture) => {
      const queue = await fixture.declare();
      const { epoch } = await fixture.engine.producer('p');
      assert.deepEqual(await fixture.publish(queue, by('p', epoch, 2)), [refused(0, 'gap')]);
      assert.deepEqual(await fixture.publish(queue, by('p', epoch, 1), by('p', epoch, 3), by('p', epoch, 2)), [
        refused(1, 'gap'),
      ]);
      assert.deepEqual(await fixture.drainTexts(queue), ['1', '2']);
    },
    producers,
  );

  check(
    'after a refusal the later ones are refused until the refused one is sent again',
    async (fixture) => {
      const full = await fixture.declare({ maxLength: 1, overflow: 'reject' });
      const { epoch } = await fixture.engine.producer('p');
      assert.deepEqual(
        await fixture.publish(full, by('p', epoch, 1), by('p', epoch, 2), by('p', epoch, 3), by('p', epoch, 1)),
        [refused(1, 'max-length'), refused(2, 'gap'), duplicate(3)],
      );
      assert.equal((await fixture.drain(full)).length, 1);
      assert.deepEqual(await fixture.publish(full, by('p', epoch, 3)), [refused(0, 'gap')]);
      assert.deepEqual(await fixture.publish(full, by('p', epoch, 2)), []);
      await fixture.drain(full);
      assert.deepEqual(await fixture.publish(full, by('p', epoch, 3)), []);
    },
    producers,
  );

  check(
    'opening again fences the older epochs and tells the last sequence',
    async (fixture) => {
      const queue = await fixture.declare();
      const first = await fixture.engine.producer('p');
      await fixture.fill(queue, by('p', first.epoch, 1), by('p', first.epoch, 2));
      const second = await fixture.engine.producer('p');
      assert.ok(second.epoch > first.epoch, 'revisions and epochs grow');
      assert.equal(second.lastSequence, 2);
      // A fenced one is refused whatever it sends, a repeat too: it must learn that it was replaced.
      assert.deepEqual(await fixture.publish(queue, by('p', first.epoch, 3), by('p', first.epoch, 1)), [
        refused(0, 'fenced'),
        refused(1, 'fenced'),
      ]);
      assert.deepEqual(await fixture.publish(queue, by('p', second.epoch, 2), by('p', second.epoch, 3)), [
        duplicate(0),
      ]);
      assert.deepEqual(await fixture.drainTexts(queue), ['1', '2', '3']);
    },
    producers,
  );

  check(
    'opening right after a publish, without waiting, tells of it',
    async (fixture) => {
      const queue = await fixture.declare();
      const { epoch } = await fixture.engine.producer('p');
      const report = fixture.publish(queue, by('p', epoch, 1));
      const again = await fixture.engine.producer('p');
      assert.equal(again.lastSequence, 1);
      assert.deepEqual(await report, []);
    },
    producers,
  );

  check(
    'an epoch that was never opened is fenced',
    async (fixture) => {
      const queue = await fixture.declare();
      const { epoch } = await fixture.engine.producer('p');
      assert.deepEqual(await fixture.publish(queue, by('p', epoch + 1, 1), by('unknown', 1, 1)), [
        refused(0, 'fenced'),
        refused(1, 'fenced'),
      ]);
      assert.deepEqual(await fixture.drainTexts(queue), []);
    },
    producers,
  );

  check(
    'one sequence over all queues; producers do not see each other',
    async (fixture) => {
      const a = await fixture.declare();
      const b = await fixture.declare();
      const p = await fixture.engine.producer('p');
      const q = await fixture.engine.producer('q');
      assert.deepEqual(
        await fixture.commit((batch) => {
          fixture.append(batch, a, by('p', p.epoch, 1));
          fixture.append(batch, b, by('p', p.epoch, 2));
          fixture.append(batch, b, by('q', q.epoch, 1, 'q1'));
          fixture.append(batch, [a, b], by('p', p.epoch, 3));
          fixture.append(batch, [a, b], by('p', p.epoch, 3));
        }),
        [duplicate(4)],
      );
      assert.deepEqual(await fixture.drainTexts(a), ['1', '3']);
      assert.deepEqual(await fixture.drainTexts(b), ['2', 'q1', '3']);
    },
    producers,
  );

  check(
    'to no queue at all the sequence goes on',
    async (fixture) => {
      const queue = await fixture.declare();
      const { epoch } = await fixture.engine.producer('p');
      assert.deepEqual(await fixture.publish([], by('p', epoch, 1)), []);
      assert.deepEqual(await fixture.publish([], by('p', epoch, 1)), [duplicate(0)]);
      assert.deepEqual(await fixture.publish(queue, by('p', epoch, 2)), []);
    },
    producers,
  );

  check(
    'sequences outlive consumption, purge, restarts and death',
    async (fixture) => {
      let queue = await fixture.declare();
      const first = await fixture.engine.producer('p');
      await fixture.fill(queue, by('p', first.epoch, 1), by('p', first.epoch, 2), by('p', first.epoch, 3));
      await fixture.take(queue, fixture.engine.lease(), true);
      await fixture.engine.purge(queue);
      for (const restart of ['reopen', 'crash', 'reopen'] as const) {
        if (restart === 'crash' && !fixture.canCrash) continue;
        await fixture[restart]();
        queue = fixture.queue(queue.key);
        // Its epoch is still the newest until the producer is opened again.
        assert.deepEqual(await fixture.publish(queue, by('p', first.epoch, 3), by('p', first.epoch, 5)), [
          duplicate(0),
          refused(1, 'gap'),
        ]);
      }
      const second = await fixture.engine.producer('p');
      assert.ok(second.epoch > first.epoch, 'revisions and epochs grow');
      assert.equal(second.lastSequence, 3);
      await fixture.reopen();
      queue = fixture.queue(queue.key);
      assert.deepEqual(await fixture.publish(queue, by('p', first.epoch, 4), by('p', second.epoch, 4)), [
        refused(0, 'fenced'),
      ]);
      assert.deepEqual(await fixture.drainTexts(queue), ['4']);
    },
    { ...producers, across: 'reopen' },
  );

  check(
    'a message id is stored once in its scope',
    async (fixture) => {
      const a = await fixture.declare();
      const b = await fixture.declare();
      assert.deepEqual(await fixture.publish(a, withId('1'), withId('2'), withId('1', {}, 'again')), [duplicate(2)]);
      assert.deepEqual(await fixture.publish(a, withId('2', {}, 'again'), withId('1', { scope: 'other' }, 'other 1')), [
        duplicate(0),
      ]);
      // The scope, not the queue, is what an id is known in.
      assert.deepEqual(await fixture.publish(b, withId('1')), [duplicate(0)]);
      assert.deepEqual(await fixture.drainTexts(a), ['1', '2', 'other 1']);
      assert.deepEqual(await fixture.drainTexts(b), []);
      assert.deepEqual(await fixture.publish(a, withId('1', {}, 'again')), [duplicate(0)], 'consumed is not forgotten');
    },
    ids,
  );

  check(
    'ids are any text: empty, long, alike in their beginnings',
    async (fixture) => {
      const queue = await fixture.declare();
      const names = ['', 'a', 'aa', 'A', 'ä', 'x'.repeat(300), `${'x'.repeat(299)}y`, 'a\u0000', '🐇'];
      await fixture.fill(queue, ...names.map((name) => withId(name)));
      assert.deepEqual(
        await fixture.publish(queue, ...names.map((name) => withId(name))),
        names.map((_, at) => duplicate(at)),
      );
      assert.equal((await fixture.drain(queue)).length, names.length);
    },
    ids,
  );

  check(
    'windowCount: so many ids are remembered, the oldest is forgotten first',
    async (fixture) => {
      const queue = await fixture.declare();
      const window = { windowCount: 3 };
      await fixture.fill(queue, ...['a', 'b', 'c', 'd'].map((id) => withId(id, window)));
      assert.deepEqual(await fixture.publish(queue, withId('b', window), withId('c', window), withId('d', window)), [
        duplicate(0),
        duplicate(1),
        duplicate(2),
      ]);
      assert.deepEqual(await fixture.publish(queue, withId('a', window)), []);
    },
    ids,
  );

  check(
    'windowMs: an id is forgotten when its time is over',
    async (fixture) => {
      const queue = await fixture.declare();
      const window = { windowMs: 100 };
      await fixture.fill(queue, withId('a', window));
      assert.deepEqual(await fixture.publish(queue, withId('a', window)), [duplicate(0)]);
      await fixture.advance(150);
      assert.deepEqual(await fixture.publish(queue, withId('a', window)), []);
      assert.equal((await fixture.drain(queue)).length, 2);
    },
    ids,
  );

  check(
    "a refused message's id is not remembered",
    async (fixture) => {
      const full = await fixture.declare({ maxLength: 1, overflow: 'reject' });
      await fixture.fill(full, 'first');
      assert.deepEqual(await fixture.publish(full, withId('a')), [refused(0, 'max-length')]);
      await fixture.drain(full);
      assert.deepEqual(await fixture.publish(full, withId('a')), []);
    },
    ids,
  );

  check(
    'ids outlive restarts and death',
    async (fixture) => {
      const queue = await fixture.declare();
      await fixture.fill(queue, withId('a'), withId('b'));
      await fixture.drain(queue);
      for (const restart of ['reopen', 'crash', 'reopen'] as const) {
        if (restart === 'crash' && !fixture.canCrash) continue;
        await fixture[restart]();
        assert.deepEqual(await fixture.publish(fixture.queue(queue.key), withId('a'), withId('b')), [
          duplicate(0),
          duplicate(1),
        ]);
      }
    },
    { ...ids, across: 'reopen' },
  );

  check(
    'in an atomic batch that is refused nothing is a repeat of what would have been stored',
    async (fixture) => {
      const queue = await fixture.declare();
      const full = await fixture.declare({ maxLength: 0, overflow: 'reject' });
      const outcomes = await fixture.commit((batch) => {
        fixture.append(batch, queue, withId('a'));
        fixture.append(batch, queue, withId('a'));
        fixture.append(batch, full, 'rest');
      }, fixture.engine.capabilities.atomic);
      assert.deepEqual(outcomes, [refused(2, 'max-length')]);
      assert.deepEqual(await fixture.drainTexts(queue), []);
    },
    { needs: 'atomic-required' },
  );

  check(
    'a duplicate is no refusal: an atomic batch with one is done',
    async (fixture) => {
      const queue = await fixture.declare();
      await fixture.fill(queue, withId('a'));
      const outcomes = await fixture.commit((batch) => {
        fixture.append(batch, queue, withId('a'));
        fixture.append(batch, queue, 'rest');
      }, fixture.engine.capabilities.atomic);
      assert.deepEqual(outcomes, [duplicate(0)]);
      assert.deepEqual(await fixture.drainTexts(queue), ['a', 'rest']);
    },
    { needs: 'atomic-required' },
  );
}
