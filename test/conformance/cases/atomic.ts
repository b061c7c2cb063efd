/** `begin('required')`: all of the batch or nothing. */
import assert from 'node:assert/strict';
import type { EngineQueue } from '../../../src/engine/engine.ts';
import type { Check } from '../engine-suite.ts';
import { conflict, type Fixture, refused, stale } from '../fixture.ts';

const needs = 'atomic-required';
const refusal = (fixture: Fixture): Promise<unknown> => fixture.commit(() => undefined, 'required');

/** A batch with one of everything that must not happen; `spoil` adds what is refused. */
async function expectNothing(
  fixture: Fixture,
  spoil: (fixture: Fixture) => Promise<{
    fill: Parameters<Fixture['commit']>[0];
    outcomes: (item: number) => readonly unknown[];
  }>,
): Promise<void> {
  const source = await fixture.declare();
  const target = await fixture.declare();
  const dropping = await fixture.declare({ maxLength: 1 });
  await fixture.fill(source, 'input');
  await fixture.fill(dropping, 'kept');
  const { lease, sink } = await fixture.held(source, 1);
  const { fill, outcomes } = await spoil(fixture);

  const before = (batch: Parameters<typeof fill>[0]): void => {
    fixture.append(batch, [target, dropping], 'output');
    fixture.settleIn(batch, lease, sink.deliveries, 'ack');
    batch.put('atomic/a', Buffer.from('1'));
  };
  assert.deepEqual(
    await fixture.commit((batch) => {
      before(batch);
      fill(batch);
      fixture.append(batch, target, 'after');
    }, 'required'),
    outcomes(3),
  );
  // Nothing of it happened: the input is still held, the outputs are nowhere, no head was dropped, no key is written.
  await fixture.expectStats(source, { ready: 0, unacked: 1 });
  await fixture.expectStats(target, { ready: 0 });
  assert.deepEqual(
    (await fixture.browse(dropping)).map(({ body }) => body.toString()),
    ['kept'],
  );
  assert.deepEqual(await fixture.engine.state('atomic/'), []);

  // The same without what spoilt it: all of it happens.
  assert.deepEqual(await fixture.commit(before, 'required'), []);
  await fixture.expectStats(source, { ready: 0, unacked: 0 });
  assert.deepEqual(await fixture.drainTexts(target), ['output']);
  assert.deepEqual(await fixture.drainTexts(dropping), ['output']);
  assert.equal((await fixture.engine.state('atomic/')).length, 1);
}

export function atomicCases(check: Check): void {
  check(
    'a refused append: nothing is settled, written or appended',
    (fixture) =>
      expectNothing(fixture, async () => {
        const full = await fixture.declare({ maxLength: 0, overflow: 'reject' });
        return {
          fill: (batch) => fixture.append(batch, full, 'x'),
          outcomes: (item) => [refused(item, 'max-length')],
        };
      }),
    { needs, refusal },
  );

  check(
    'a stale settlement: nothing is done',
    (fixture) =>
      expectNothing(fixture, async () => {
        const other = await fixture.declare();
        await fixture.fill(other, 'ready');
        const lease = fixture.engine.lease();
        const delivery = await fixture.take(other, lease);
        assert.ok(delivery, 'a message was there');
        await fixture.release(lease);
        return {
          fill: (batch) => batch.settle(lease, other, delivery.number, 1, 'ack'),
          outcomes: (item) => [stale(item)],
        };
      }),
    { needs, refusal },
  );

  check(
    'a conflict of keyed state: nothing is done',
    (fixture) =>
      expectNothing(fixture, async () => {
        await fixture.commit((batch) => batch.put('other', Buffer.from('there')));
        return {
          fill: (batch) => batch.put('other', Buffer.from('new'), 0),
          outcomes: (item) => [conflict(item)],
        };
      }),
    { needs, refusal },
  );

  check(
    'a deleted queue: nothing is done',
    (fixture) =>
      expectNothing(fixture, async () => {
        const deleted = await fixture.declare();
        await fixture.change({ op: 'delete-queue', key: deleted.key });
        return {
          fill: (batch) => fixture.append(batch, deleted, 'x'),
          outcomes: (item) => [refused(item, 'gone')],
        };
      }),
    { needs, refusal },
  );

  check(
    'a limit that the batch itself reaches refuses the batch',
    async (fixture) => {
      const queue = await fixture.declare({ maxLength: 2, overflow: 'reject' });
      const outcomes = await fixture.commit((batch) => {
        for (const text of ['1', '2', '3']) fixture.append(batch, queue, text);
      }, 'required');
      assert.deepEqual(outcomes, [refused(2, 'max-length')]);
      await fixture.expectStats(queue, { ready: 0, readyBytes: 0 });
      assert.deepEqual(
        await fixture.commit((batch) => {
          for (const text of ['1', '2']) fixture.append(batch, queue, text);
        }, 'required'),
        [],
      );
      await fixture.expectStats(queue, { ready: 2 });
    },
    { needs, refusal },
  );

  check(
    'what the batch itself gives back counts for what it appends behind that',
    async (fixture) => {
      const queue = await fixture.declare({ maxLength: 2, overflow: 'reject' });
      await fixture.fill(queue, 'held', 'ready');
      const { lease, sink } = await fixture.held(queue, 1);
      const outcomes = await fixture.commit((batch) => {
        fixture.settleIn(batch, lease, sink.deliveries, 'requeue');
        fixture.append(batch, queue, 'too many');
        fixture.append(batch, queue, 'too many');
      }, 'required');
      assert.deepEqual(outcomes, [refused(1, 'max-length'), refused(2, 'max-length')]);
      await fixture.expectStats(queue, { ready: 1, unacked: 1 });
      const settled = await fixture.commit((batch) => {
        fixture.append(batch, queue, 'last');
        fixture.settleIn(batch, lease, sink.deliveries, 'requeue');
      }, 'required');
      assert.deepEqual(settled, []);
      assert.deepEqual(await fixture.drainTexts(queue), ['held', 'ready', 'last']);
    },
    { needs, refusal },
  );

  check(
    'a refused batch does not move a producer or remember a message id',
    async (fixture) => {
      const queue = await fixture.declare();
      const full = await fixture.declare({ maxLength: 0, overflow: 'reject' });
      const { epoch, lastSequence } = await fixture.engine.producer('p');
      const identities = [
        { kind: 'producer', producer: 'p', epoch, sequence: lastSequence + 1 },
        { kind: 'id', scope: 's', id: 'i', windowMs: 60_000, windowCount: 10 },
      ] as const;
      const fill = (targets: readonly EngineQueue[]) => (batch: Parameters<Parameters<Fixture['commit']>[0]>[0]) => {
        for (const identity of identities) fixture.append(batch, queue, { body: identity.kind, identity });
        fixture.append(batch, targets, 'x');
      };
      assert.deepEqual(await fixture.commit(fill([full]), 'required'), [refused(2, 'max-length')]);
      assert.deepEqual(await fixture.commit(fill([]), 'required'), []);
      assert.deepEqual(await fixture.drainTexts(queue), ['producer', 'id']);
    },
    { needs, refusal },
  );

  check(
    'each append is judged by itself, whoever published the one before it',
    async (fixture) => {
      const queue = await fixture.declare();
      const full = await fixture.declare({ maxLength: 1, overflow: 'reject' });
      const { epoch } = await fixture.engine.producer('p');
      const by = (sequence: number) => ({
        body: `${sequence}`,
        identity: { kind: 'producer', producer: 'p', epoch, sequence } as const,
      });
      const fill =
        (last: EngineQueue) =>
        (batch: Parameters<Parameters<Fixture['commit']>[0]>[0]): void => {
          fixture.append(batch, queue, by(1));
          fixture.append(batch, full, by(2));
          fixture.append(batch, last, by(3));
        };
      assert.deepEqual(await fixture.commit(fill(full), 'required'), [refused(2, 'max-length')]);
      assert.deepEqual(await fixture.commit(fill(queue), 'required'), []);
      assert.deepEqual(await fixture.drainTexts(queue), ['1', '3']);
      assert.deepEqual(await fixture.drainTexts(full), ['2']);
    },
    { needs, refusal },
  );

  check(
    'over many queues all of it is there',
    async (fixture) => {
      const queues = await Promise.all(Array.from({ length: 20 }, (_, at) => fixture.declare({}, { key: `a${at}` })));
      const lease = fixture.engine.lease();
      for (const queue of queues) await fixture.fill(queue, 'in');
      const held = await Promise.all(queues.map((queue) => fixture.take(queue, lease)));
      assert.deepEqual(
        await fixture.commit((batch) => {
          queues.forEach((queue, at) => {
            batch.settle(lease, queue, held[at]!.number, 1, 'ack');
            fixture.append(batch, queues[(at + 1) % queues.length]!, `${at}`);
          });
          fixture.append(batch, queues, 'all');
        }, 'required'),
        [],
      );
      for (const [at, queue] of queues.entries()) {
        await fixture.expectStats(queue, { ready: 2, unacked: 0 });
        assert.deepEqual(await fixture.drainTexts(queue), [`${(at + 19) % 20}`, 'all']);
      }
    },
    { needs, refusal },
  );

  check('idempotent: outputs and their input, a group each', async (fixture) => {
    const source = await fixture.declare();
    const target = await fixture.declare();
    await fixture.fill(source, 'a', 'b');
    const { sink, lease } = await fixture.held(source, 2);
    assert.deepEqual(
      await fixture.commit((batch) => {
        for (const delivery of sink.deliveries) {
          fixture.append(batch, target, `${delivery.text}1`);
          fixture.append(batch, target, `${delivery.text}2`);
          batch.settle(lease, source, delivery.number, 1, 'ack');
        }
      }, 'idempotent'),
      [],
    );
    assert.deepEqual(await fixture.drainTexts(target), ['a1', 'a2', 'b1', 'b2']);
    await fixture.expectStats(source, { ready: 0, unacked: 0 });
  });
}
