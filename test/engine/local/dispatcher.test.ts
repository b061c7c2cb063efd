import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock, type Clock } from '../../../src/engine/clock.ts';
import type { MessageView } from '../../../src/engine/engine.ts';
import { memoryEngine } from '../../../src/engine/local/index.ts';
import { Collector, Fixture, messageOf, until } from '../../conformance/fixture.ts';

/** What is thrown in a turn of its own ends up in `thrown` instead of ending the process. */
async function opened(): Promise<{ fixture: Fixture; thrown: unknown[] }> {
  const thrown: unknown[] = [];
  const clock: Clock = {
    ...systemClock,
    defer: (task) =>
      systemClock.defer(() => {
        try {
          task();
        } catch (error) {
          thrown.push(error);
        }
      }),
  };
  const engine = memoryEngine(clock);
  return { fixture: await Fixture.open({ engine, cleanup: () => Promise.resolve() }), thrown };
}

const bad: MessageView = Object.defineProperty(messageOf({ body: 'm' }), 'dueAt', {
  get: () => {
    throw new RangeError('a defect of the broker');
  },
});

for (const atomic of [undefined, 'required'] as const) {
  test(`a batch that was given up when an append threw holds nobody: ${atomic ?? 'plain'}`, async () => {
    const { fixture } = await opened();
    const queue = await fixture.declare();
    await fixture.fill(queue, 'm');
    const { sink, consumer } = await fixture.consume(queue, { credit: 0 });
    const batch = fixture.engine.begin(atomic);
    assert.throws(() => batch.append(fixture.engine.targets([queue], Buffer.from('e')), bad));
    consumer.setCredit(1);
    await until('the delivery', () => sink.texts.length === 1);
    await fixture.dispose();
  });
}

test('what was refused in a batch that was given up is not told to the next one', async () => {
  const { fixture } = await opened();
  const [queue, gone] = [await fixture.declare(), await fixture.declare()];
  await fixture.change({ op: 'delete-queue', key: gone.key });
  fixture.append(fixture.engine.begin(), gone, 'refused');
  assert.deepEqual(await fixture.publish(queue, 'm'), []);
  await fixture.dispose();
});

test('an atomic batch whose append throws leaves the group divisible', async () => {
  const engine = memoryEngine(systemClock);
  const fixture = await Fixture.open({ engine, cleanup: () => Promise.resolve() });
  const queue = await fixture.declare();
  const batch = engine.begin('required');
  fixture.append(batch, queue, 'm');
  engine.journal.append = () => {
    throw new RangeError('no such bytes');
  };
  assert.throws(() => batch.commit({ committed: () => undefined, failed: () => undefined }, 0), RangeError);
  assert.equal(engine.journal.atomic, false);
});

test('a sink that throws gets no more, and other consumers and queues what is theirs', async () => {
  const { fixture, thrown } = await opened();
  const queues = [await fixture.declare(), await fixture.declare(), await fixture.declare()];
  const [first] = queues;
  const bad = new Collector(fixture);
  bad.onDeliver = () => {
    throw new Error('a defect of the sink');
  };
  const { consumer } = await fixture.consume(first!, { sink: bad, priority: 1 });
  const sinks = await Promise.all(queues.map(async (queue) => (await fixture.consume(queue)).sink));
  await fixture.fill(queues, '1', '2', '3');
  await until('the rest', () => sinks.every((sink) => sink.texts.includes('3')));
  assert.deepEqual(bad.texts, ['1']);
  assert.deepEqual(
    sinks.map((sink) => sink.texts),
    [
      ['2', '3'],
      ['1', '2', '3'],
      ['1', '2', '3'],
    ],
  );
  await fixture.expectStats(first!, { ready: 0, unacked: 3 });
  bad.onDeliver = null;
  consumer.resume();
  await fixture.fill(first!, '4');
  await until('more once it is resumed', () => bad.texts.length === 2);
  assert.deepEqual(thrown.map(String), ['Error: a defect of the sink']);
  await fixture.dispose();
});

test('a sink of one message that throws has taken it', async () => {
  const { fixture, thrown } = await opened();
  const queue = await fixture.declare();
  await fixture.fill(queue, 'm');
  const lease = fixture.engine.lease();
  const taken = await fixture.engine.take(queue, lease, false, {
    deliver: () => {
      throw new Error('a defect of the sink');
    },
    cancelled: () => undefined,
  });
  assert.equal(taken, true);
  await fixture.expectStats(queue, { ready: 0, unacked: 1 });
  await fixture.quiet();
  assert.deepEqual(thrown.map(String), ['Error: a defect of the sink']);
  await fixture.dispose();
});

test('a removal sink that throws hinders nobody', async () => {
  const { fixture, thrown } = await opened();
  const [limited, other] = [await fixture.declare({ maxLength: 1, handOverRemoved: true }), await fixture.declare()];
  fixture.engine.onRemoval(fixture.engine.lease(), {
    remove: () => {
      throw new Error('remove');
    },
    flush: () => {
      throw new Error('flush');
    },
  });
  const { sink } = await fixture.consume(other);
  await fixture.fill([limited, other], '1', '2');
  await until('both', () => sink.texts.length === 2);
  await fixture.quiet();
  assert.deepEqual(thrown.map(String), ['Error: remove', 'Error: flush']);
  await fixture.dispose();
});
