/** `open`, `change`, `watch` and queue handles. */
import assert from 'node:assert/strict';
import { EngineError, type EngineErrorCode } from '../../../src/engine/errors.ts';
import type { Check } from '../engine-suite.ts';
import { type Fixture, refused, stale, turn, until } from '../fixture.ts';

export const hasCode =
  (code: EngineErrorCode) =>
  (error: unknown): true => {
    assert.ok(error instanceof EngineError, `expected an EngineError, got ${String(error)}`);
    assert.equal(error.code, code);
    return true;
  };

const sorted = (fixture: Fixture): string[] =>
  fixture.topology.entries.map(({ kind, key, value }) => `${kind}/${key}=${JSON.stringify(value)}`).sort();

export function topologyCases(check: Check): void {
  check('an empty store has no entries and no queues', (fixture) => {
    assert.deepEqual(fixture.topology.entries, []);
    assert.deepEqual(fixture.topology.queues, []);
    assert.equal(fixture.engine.queue('none'), undefined);
    return Promise.resolve();
  });

  check('a declared queue has a handle, the same each time', async (fixture) => {
    const queue = await fixture.declare();
    assert.equal(queue.key, 'queue-1');
    assert.equal(queue.durable, true);
    assert.equal(queue.deleted, false);
    assert.equal(queue.damage, null);
    assert.equal(fixture.engine.queue('queue-1'), queue);
    const transient = await fixture.declare({}, { durable: false });
    assert.equal(transient.durable, false);
  });

  check('putting a queue again keeps its handle and messages and takes the new limits', async (fixture) => {
    const queue = await fixture.declare();
    await fixture.fill(queue, 'a', 'b', 'c');
    // Decided: a limit that is lowered below what is ready removes nothing by itself before the next append (policies change under load).
    await fixture.change({
      op: 'put-queue',
      queue: { key: queue.key, durable: true, limits: { maxLength: 3 }, value: 'new' },
    });
    assert.equal(fixture.engine.queue(queue.key), queue);
    assert.deepEqual(await fixture.publish(queue, 'd'), []);
    assert.deepEqual(await fixture.drainTexts(queue), ['b', 'c', 'd']);
  });

  check('deleting a queue: its handle says so, its consumers are told, nothing goes in or out', async (fixture) => {
    const queue = await fixture.declare();
    const other = await fixture.declare();
    await fixture.fill(queue, 'held', 'ready 1', 'ready 2');
    const { sink, lease } = await fixture.held(queue, 1);
    const waiting = await fixture.consume(queue, { credit: 0 });
    const result = await fixture.change({ op: 'delete-queue', key: queue.key });
    assert.equal(result.removed, 2); // ready ones, as queue.delete-ok counts them
    assert.equal(queue.deleted, true);
    assert.equal(fixture.engine.queue(queue.key), undefined);
    await until('cancelled', () => sink.cancellations.length === 1 && waiting.sink.cancellations.length === 1);
    assert.deepEqual(sink.cancellations, ['deleted']);

    assert.deepEqual(await fixture.settle(lease, sink.deliveries, 'ack'), [stale(0)]);
    assert.deepEqual(await fixture.publish(queue, 'x'), [refused(0, 'gone')]);
    // A refusal is whole: the living target of the same append has nothing either.
    assert.deepEqual(await fixture.publish([other, queue], 'x'), [refused(0, 'gone')]);
    assert.deepEqual(await fixture.drainTexts(other), []);
    await assert.rejects(fixture.consume(queue), hasCode('NO_QUEUE'));
    await assert.rejects(fixture.take(queue, lease), hasCode('NO_QUEUE'));
    // Decided: what asks about a deleted queue is told so, rather than answered 0.
    await assert.rejects(fixture.stats(queue), hasCode('NO_QUEUE'));
    await assert.rejects(fixture.engine.purge(queue), hasCode('NO_QUEUE'));
    await assert.rejects(fixture.browse(queue), hasCode('NO_QUEUE'));
    // Releasing what held its messages does no harm.
    await fixture.release(lease);
    await turn();
  });

  check('deleting what does not exist is done already', async (fixture) => {
    const { removed } = await fixture.change(
      { op: 'delete-queue', key: 'never' },
      { op: 'delete', kind: 'exchange', key: 'never' },
    );
    assert.equal(removed, 0);
  });

  check('a queue declared again after its deletion is a new and empty one', async (fixture) => {
    const first = await fixture.declare({}, { key: 'again' });
    await fixture.fill(first, 'old');
    await fixture.change({ op: 'delete-queue', key: 'again' });
    const second = await fixture.declare({}, { key: 'again' });
    assert.notEqual(second, first);
    assert.equal(first.deleted, true);
    assert.equal(second.deleted, false);
    assert.deepEqual(await fixture.publish(first, 'to the old handle'), [refused(0, 'gone')]);
    await fixture.fill(second, 'new');
    assert.deepEqual(await fixture.drainTexts(second), ['new']);
  });

  check('deleted and declared again in one change is a new queue too', async (fixture) => {
    const first = await fixture.declare({}, { key: 'again' });
    await fixture.fill(first, 'old');
    await fixture.change(
      { op: 'delete-queue', key: 'again' },
      { op: 'put-queue', queue: { key: 'again', durable: true, limits: {}, value: null } },
    );
    assert.equal(first.deleted, true);
    assert.deepEqual(await fixture.drainTexts(fixture.queue('again')), []);
  });

  check('if-unused and if-empty refuse, and then nothing of the change is done', async (fixture) => {
    const queue = await fixture.declare();
    const entry = { kind: 'exchange', key: 'x', durable: true, value: 1 };
    const { consumer, lease, sink } = await fixture.consume(queue);
    await assert.rejects(
      fixture.change({ op: 'put', entry }, { op: 'delete-queue', key: queue.key, ifUnused: true }),
      hasCode('IN_USE'),
    );
    await fixture.fill(queue, 'a');
    await until('delivered', () => sink.deliveries.length === 1);
    consumer.cancel();
    await fixture.fill(queue, 'b');
    await assert.rejects(
      fixture.change({ op: 'put', entry }, { op: 'delete-queue', key: queue.key, ifEmpty: true }),
      hasCode('NOT_EMPTY'),
    );
    assert.equal(queue.deleted, false);
    await fixture.engine.purge(queue);
    // Ready messages count, held ones don't (as RabbitMQ has it).
    await fixture.change({ op: 'delete-queue', key: queue.key, ifEmpty: true, ifUnused: true });
    assert.equal(queue.deleted, true);
    await fixture.release(lease);
    if (fixture.canReopen) {
      await fixture.reopen();
      assert.deepEqual(fixture.topology.entries, [], 'a refused change left an entry');
    }
  });

  check('revisions grow, and a change that expects another one is refused as a whole', async (fixture) => {
    const first = await fixture.change({ op: 'put', entry: { kind: 'k', key: 'a', durable: true, value: 1 } });
    assert.ok(first.revision > fixture.topology.revision, 'revisions and epochs grow');
    const second = await fixture.engine.change(
      [{ op: 'put', entry: { kind: 'k', key: 'b', durable: true, value: 2 } }],
      first.revision,
    );
    assert.ok(second.revision > first.revision, 'revisions and epochs grow');
    await assert.rejects(
      fixture.engine.change(
        [{ op: 'put-queue', queue: { key: 'late', durable: true, limits: {}, value: null } }],
        first.revision,
      ),
      hasCode('CONFLICT'),
    );
    assert.equal(fixture.engine.queue('late'), undefined);
  });

  check('changes made without waiting are done in their order', async (fixture) => {
    const put = { op: 'put-queue', queue: { key: 'q', durable: true, limits: {}, value: null } } as const;
    const results = await Promise.all([
      fixture.change(put),
      fixture.change({ op: 'delete-queue', key: 'q' }),
      fixture.change(put),
    ]);
    const revisions = results.map((result) => result.revision);
    assert.deepEqual(
      revisions,
      [...revisions].sort((a, b) => a - b),
    );
    assert.equal(fixture.queue('q').deleted, false);
  });

  check('watch can be begun and stopped, and does not tell of changes of its own', async (fixture) => {
    const told: number[] = [];
    const stop = fixture.engine.watch(fixture.topology.revision, (_changes, revision) => told.push(revision));
    await fixture.declare();
    await fixture.quiet();
    stop();
    assert.deepEqual(told, []);
  });

  check(
    'reopened: durable entries and queues are there with their values and limits, transient ones are gone',
    async (fixture) => {
      const value = { text: 'ü\u0000"', list: [1, 2.5, -0.25, null, true], nested: { a: { b: [] } } };
      await fixture.change(
        { op: 'put', entry: { kind: 'exchange', key: 'a', durable: true, value } },
        { op: 'put', entry: { kind: 'exchange', key: 'b', durable: true, value: 1 } },
        { op: 'put', entry: { kind: 'binding', key: 'a', durable: true, value: 'same key, other kind' } },
        { op: 'put', entry: { kind: 'exchange', key: 'transient', durable: false, value: 2 } },
      );
      await fixture.change(
        { op: 'put', entry: { kind: 'exchange', key: 'b', durable: true, value: 3 } },
        { op: 'delete', kind: 'binding', key: 'a' },
      );
      await fixture.declare({ maxLength: 2, overflow: 'reject' }, { key: 'durable' });
      await fixture.declare({}, { key: 'transient', durable: false });
      await fixture.declare({}, { key: 'deleted' });
      const { revision } = await fixture.change({ op: 'delete-queue', key: 'deleted' });

      await fixture.reopen();
      assert.deepEqual(sorted(fixture), [`exchange/a=${JSON.stringify(value)}`, 'exchange/b=3']);
      assert.deepEqual(
        fixture.topology.queues.map(({ key }) => key),
        ['durable'],
      );
      assert.deepEqual(fixture.topology.queues[0], {
        key: 'durable',
        durable: true,
        limits: { maxLength: 2, overflow: 'reject' },
        value: { key: 'durable' },
      });
      assert.ok(fixture.topology.revision >= revision, 'revisions go on over a restart');
      const queue = fixture.queue('durable');
      assert.deepEqual(await fixture.publish(queue, '1', '2', '3'), [refused(2, 'max-length')]);
      assert.equal(fixture.engine.queue('transient'), undefined);
    },
    { across: 'reopen' },
  );
}
