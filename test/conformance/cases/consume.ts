/** Pushing to consumers (credit, fairness, priority, one active), taking one, loading again. */
import assert from 'node:assert/strict';
import type { Check } from '../engine-suite.ts';
import { Collector, type Consuming, type Fixture, stale, until } from '../fixture.ts';
import { hasCode } from './topology.ts';

const numbered = (count: number): string[] => Array.from({ length: count }, (_, at) => `${at}`);

export function consumeCases(check: Check): void {
  check('what was there before and what comes later is delivered, in order', async (fixture) => {
    const queue = await fixture.declare();
    await fixture.fill(queue, '0', '1');
    const { sink } = await fixture.consume(queue);
    await until('the backlog', () => sink.deliveries.length === 2);
    await fixture.fill(queue, '2');
    await fixture.fill(queue, '3', '4');
    await until('the rest', () => sink.deliveries.length === 5);
    assert.deepEqual(sink.texts, numbered(5));
    assert.ok(
      sink.deliveries.every((delivery) => delivery.queue === queue),
      'every delivery names its queue',
    );
    await fixture.expectStats(queue, { ready: 0, unacked: 5, consumers: 1 });
  });

  check('credit is exact', async (fixture) => {
    const queue = await fixture.declare();
    await fixture.fill(queue, ...numbered(20));
    const { sink, consumer, lease } = await fixture.consume(queue, { credit: 0 });
    const expect = async (count: number): Promise<void> => {
      await until(`${count} delivered`, () => sink.deliveries.length >= count);
      await fixture.quiet();
      assert.deepEqual(sink.texts, numbered(count));
    };
    await expect(0);
    consumer.addCredit(2);
    await expect(2);
    consumer.addCredit(1);
    consumer.addCredit(3);
    await expect(6);
    // Settling gives no credit back by itself: that is the broker's to decide.
    assert.deepEqual(await fixture.settle(lease, sink.deliveries, 'ack'), []);
    await expect(6);
    consumer.setCredit(2);
    await expect(8);
    consumer.setCredit(1);
    await expect(9);
    consumer.setCredit(0);
    await expect(9);
    consumer.setCredit(Infinity);
    await expect(20);
    consumer.setCredit(0);
    await fixture.fill(queue, '20');
    await expect(20);
    consumer.addCredit(1);
    await expect(21);
  });

  for (const noAck of [false, true]) {
    const how = noAck ? 'at most once' : 'with acknowledgements';
    check(`a large message is left to others while a sink has no room for it, ${how}`, async (fixture) => {
      const queue = await fixture.declare();
      const bytes = 300_000;
      const narrow = await fixture.consume(queue, { noAck });
      narrow.sink.room = false;
      await fixture.fill(queue, '0', 'x'.repeat(bytes), '1');
      await until('it is asked', () => narrow.sink.asked.length === 1);
      await fixture.quiet();
      // At most once, what was taken before may come after it too.
      assert.ok(noAck || narrow.sink.deliveries.length === 1);
      assert.deepEqual(narrow.sink.asked, [bytes]);
      await fixture.expectStats(queue, { ready: 2, unacked: noAck ? 0 : 1 });
      const wide = await fixture.consume(queue, { noAck });
      await until('another gets it', () => wide.sink.deliveries.length === 2);
      assert.deepEqual(wide.sink.texts, [`${bytes} bytes`, '1']);
      wide.consumer.cancel();
      narrow.sink.room = true;
      narrow.consumer.resume();
      await fixture.fill(queue, 'x'.repeat(bytes), '2');
      await until('it has room again', () => narrow.sink.deliveries.length === 3);
      assert.deepEqual(narrow.sink.texts, ['0', `${bytes} bytes`, '2']);
    });

    check(`one that came back is asked for as well, ${how}`, async (fixture) => {
      const queue = await fixture.declare();
      const bytes = 300_000;
      await fixture.fill(queue, 'x'.repeat(bytes));
      const { lease } = await fixture.held(queue, 1);
      await fixture.release(lease);
      const { sink, consumer } = await fixture.consume(queue, { noAck, credit: 0 });
      sink.room = false;
      consumer.setCredit(1);
      await until('it is asked', () => sink.asked.length === 1);
      await fixture.quiet();
      await fixture.expectStats(queue, { ready: 1, unacked: 0 });
      sink.room = true;
      consumer.resume();
      await until('it has room', () => sink.deliveries.length === 1);
      assert.equal(sink.deliveries[0]?.redelivered, true);
    });
  }

  check('credit that was given before there were messages is kept', async (fixture) => {
    const queue = await fixture.declare();
    const { sink } = await fixture.consume(queue, { credit: 3 });
    await fixture.fill(queue, ...numbered(2));
    await fixture.fill(queue, '2', '3');
    await until('three', () => sink.deliveries.length >= 3);
    await fixture.quiet();
    assert.deepEqual(sink.texts, ['0', '1', '2']);
    await fixture.expectStats(queue, { ready: 1, unacked: 3 });
  });

  check('deliver answers false: that one was taken, no more until resume', async (fixture) => {
    const queue = await fixture.declare();
    await fixture.fill(queue, ...numbered(6));
    const sink = new Collector(fixture);
    sink.onDeliver = (delivery) => delivery.text !== '1' && delivery.text !== '3';
    const { consumer, lease } = await fixture.consume(queue, { sink });
    await until('two', () => sink.deliveries.length >= 2);
    await fixture.quiet();
    assert.deepEqual(sink.texts, ['0', '1']);
    await fixture.expectStats(queue, { ready: 4, unacked: 2 });
    consumer.addCredit(5); // credit alone does not resume
    await fixture.quiet();
    assert.equal(sink.deliveries.length, 2);
    consumer.resume();
    await until('two more', () => sink.deliveries.length >= 4);
    await fixture.quiet();
    assert.deepEqual(sink.texts, numbered(4));
    assert.deepEqual(await fixture.settle(lease, sink.deliveries, 'ack'), []);
    consumer.resume();
    await until('the rest', () => sink.deliveries.length === 6);
    consumer.resume(); // when nothing is held back it does nothing
    await fixture.quiet();
    assert.deepEqual(sink.texts, numbered(6));
  });

  check('a consumer that is held back leaves the messages to the others', async (fixture) => {
    const queue = await fixture.declare();
    const slow = new Collector(fixture);
    slow.onDeliver = () => false;
    await fixture.consume(queue, { sink: slow });
    const fast = await fixture.consume(queue);
    await fixture.fill(queue, ...numbered(10));
    await until('all delivered', () => slow.deliveries.length + fast.sink.deliveries.length === 10);
    assert.equal(slow.deliveries.length, 1);
  });

  check('cancel: no more comes, what was given stays held and can be settled', async (fixture) => {
    const queue = await fixture.declare();
    await fixture.fill(queue, 'a', 'b');
    const { sink, consumer, lease } = await fixture.held(queue, 2);
    consumer.addCredit(5);
    consumer.cancel();
    consumer.cancel();
    consumer.addCredit(5);
    consumer.resume();
    await fixture.fill(queue, 'c');
    await fixture.quiet();
    assert.deepEqual(sink.texts, ['a', 'b']);
    await fixture.expectStats(queue, { ready: 1, unacked: 2, consumers: 0 });
    assert.deepEqual(await fixture.settle(lease, sink.deliveries.slice(0, 1), 'ack'), []);
    assert.deepEqual(await fixture.settle(lease, sink.deliveries.slice(1), 'requeue'), []);
    assert.deepEqual(await fixture.drainTexts(queue), ['b', 'c']);
  });

  check('cancel from within deliver', async (fixture) => {
    const queue = await fixture.declare();
    const sink = new Collector(fixture);
    const { consumer } = await fixture.consume(queue, { sink });
    sink.onDeliver = () => {
      consumer.cancel();
      return true;
    };
    await fixture.fill(queue, ...numbered(5));
    await until('one', () => sink.deliveries.length > 0);
    await fixture.quiet();
    assert.deepEqual(sink.texts, ['0']);
    await fixture.expectStats(queue, { ready: 4, unacked: 1, consumers: 0 });
  });

  check('equal consumers share: with equal credit, equal numbers', async (fixture) => {
    const queue = await fixture.declare();
    const consumers: Consuming[] = [];
    for (let at = 0; at < 3; at++) consumers.push(await fixture.consume(queue, { credit: 10 }));
    await fixture.fill(queue, ...numbered(30));
    await until('all', () => consumers.every(({ sink }) => sink.deliveries.length === 10));
    const all = consumers.flatMap(({ sink }) => sink.texts).sort((a, b) => Number(a) - Number(b));
    assert.deepEqual(all, numbered(30));
    for (const { sink } of consumers) {
      const order = sink.texts.map(Number);
      assert.deepEqual(
        order,
        [...order].sort((a, b) => a - b),
      );
    }
  });

  check('equal consumers without a limit take turns, for a burst and for single messages', async (fixture) => {
    const queue = await fixture.declare();
    const a = await fixture.consume(queue);
    const b = await fixture.consume(queue);
    const share = async (total: number): Promise<void> => {
      await until('all', () => a.sink.deliveries.length + b.sink.deliveries.length === total);
      // Decided: in turn, but an engine may give a few in a row; a third is what nobody may stay below.
      for (const { sink } of [a, b])
        assert.ok(sink.deliveries.length >= total / 3, `${sink.deliveries.length} of ${total}`);
    };
    for (let at = 0; at < 30; at++) await fixture.fill(queue, `${at}`);
    await share(30);
    a.sink.deliveries.length = 0;
    b.sink.deliveries.length = 0;
    for (let at = 0; at < 20; at++) await fixture.fill(queue, ...numbered(100));
    await share(2_000);
  });

  check(
    'a consumer of higher priority is served first while it has credit',
    async (fixture) => {
      const queue = await fixture.declare();
      const low = await fixture.consume(queue, { priority: -1 });
      const high = await fixture.consume(queue, { priority: 10, credit: 3 });
      const middle = await fixture.consume(queue, { credit: 2 });
      await fixture.fill(queue, ...numbered(8));
      await until(
        'all',
        () => low.sink.deliveries.length + middle.sink.deliveries.length + high.sink.deliveries.length === 8,
      );
      assert.deepEqual(
        [high.sink.texts, middle.sink.texts, low.sink.texts],
        [
          ['0', '1', '2'],
          ['3', '4'],
          ['5', '6', '7'],
        ],
      );
      high.consumer.addCredit(1);
      await fixture.fill(queue, '8', '9');
      await until('all', () => low.sink.deliveries.length === 4);
      assert.equal(high.sink.texts.at(-1), '8');
    },
    {
      needs: 'consumerPriorities',
      refusal: async (fixture) => fixture.consume(await fixture.declare(), { priority: 1 }),
    },
  );

  check('single active consumer: one gets all, the next takes over when it is gone', async (fixture) => {
    const queue = await fixture.declare({ singleActiveConsumer: true });
    const first = await fixture.consume(queue, { credit: 2 });
    const second = await fixture.consume(queue);
    const third = await fixture.consume(queue);
    await fixture.fill(queue, ...numbered(3));
    await until('two', () => first.sink.deliveries.length === 2);
    await fixture.quiet();
    // The active one has no credit left: the message waits for it all the same.
    assert.deepEqual([second.sink.texts, third.sink.texts], [[], []]);
    await fixture.expectStats(queue, { ready: 1, unacked: 2, consumers: 3 });
    first.consumer.cancel();
    await until('handed over', () => second.sink.deliveries.length === 1);
    await fixture.fill(queue, '3');
    await until('one more', () => second.sink.deliveries.length === 2);
    assert.deepEqual(second.sink.texts, ['2', '3']);
    // What the first was given stays its own.
    assert.deepEqual(await fixture.settle(first.lease, first.sink.deliveries, 'ack'), []);
    await fixture.release(second.lease);
    await until('handed over again', () => third.sink.deliveries.length === 2);
    assert.deepEqual(third.sink.texts, ['2', '3']);
  });

  check('exclusive: refused beside another consumer, and refuses others while it lasts', async (fixture) => {
    const queue = await fixture.declare();
    const plain = await fixture.consume(queue);
    await assert.rejects(fixture.consume(queue, { exclusive: true }), hasCode('IN_USE'));
    plain.consumer.cancel();
    const { consumer, sink } = await fixture.consume(queue, { exclusive: true });
    await assert.rejects(fixture.consume(queue), hasCode('IN_USE'));
    await assert.rejects(fixture.consume(queue, { exclusive: true }), hasCode('IN_USE'));
    await fixture.fill(queue, 'a');
    await until('delivered', () => sink.deliveries.length === 1);
    consumer.cancel();
    await fixture.consume(queue);
    await fixture.expectStats(queue, { consumers: 1 });
  });

  check('noAck: settled before it is delivered, nothing is held', async (fixture) => {
    const queue = await fixture.declare();
    await fixture.fill(queue, ...numbered(5));
    const { sink, lease } = await fixture.consume(queue, { noAck: true, credit: 4 });
    await until('four', () => sink.deliveries.length === 4);
    await fixture.quiet();
    assert.deepEqual(sink.texts, numbered(4));
    await fixture.expectStats(queue, { ready: 1, unacked: 0 });
    assert.deepEqual(await fixture.settle(lease, sink.deliveries.slice(0, 1), 'requeue'), [stale(0)]);
    await fixture.release(lease);
    assert.deepEqual(await fixture.drainTexts(queue), ['4']);
  });

  check('noAck and acknowledging consumers share a queue', async (fixture) => {
    const queue = await fixture.declare();
    const fast = await fixture.consume(queue, { noAck: true, credit: 5 });
    const safe = await fixture.consume(queue, { credit: 5 });
    await fixture.fill(queue, ...numbered(10));
    await until('all', () => fast.sink.deliveries.length + safe.sink.deliveries.length === 10);
    await fixture.expectStats(queue, { ready: 0, unacked: 5 });
    await fixture.release(safe.lease);
    await fixture.expectStats(queue, { ready: 5, unacked: 0 });
  });

  check('a noAck consumer that is held back keeps the rest in the queue', async (fixture) => {
    const queue = await fixture.declare();
    const sink = new Collector(fixture);
    sink.onDeliver = () => false;
    const { lease, consumer } = await fixture.consume(queue, { noAck: true, sink });
    await fixture.fill(queue, ...numbered(100));
    await until('one', () => sink.deliveries.length === 1);
    await fixture.quiet();
    assert.deepEqual(sink.texts, ['0']);
    consumer.cancel();
    await fixture.release(lease);
    // Settled ahead of delivery may be what a consumer was about to get; never what it was not yet given here: it said stop.
    assert.deepEqual(await fixture.drainTexts(queue), numbered(100).slice(1));
  });

  check('a noAck consumer without a limit gets all of a large burst', async (fixture) => {
    const queue = await fixture.declare();
    const { sink } = await fixture.consume(queue, { noAck: true });
    await fixture.fill(queue, ...numbered(1_500).map((text) => text.padEnd(100, '.')));
    await until('all', () => sink.deliveries.length === 1_500);
    assert.deepEqual(
      sink.deliveries.map(({ body }) => parseInt(body.toString())),
      numbered(1_500).map(Number),
    );
  });

  check(
    'a noAck consumer whose credit is taken away gets nothing more, settled or not, until it has credit',
    async (fixture) => {
      const queue = await fixture.declare();
      const { sink, consumer } = await fixture.consume(queue, { noAck: true });
      const filled = fixture.fill(queue, ...numbered(20));
      consumer.setCredit(0);
      const { length } = sink.deliveries;
      await filled;
      await fixture.quiet();
      assert.equal(sink.deliveries.length, length);
      consumer.setCredit(length + 3);
      await until('three', () => sink.deliveries.length >= 2 * length + 3 || sink.deliveries.length === 20);
      await fixture.quiet();
      assert.equal(sink.deliveries.length, Math.min(20, 2 * length + 3));
      consumer.setCredit(Infinity);
      await until('the rest', () => sink.deliveries.length === 20);
      assert.deepEqual(sink.texts, numbered(20));
      await fixture.expectStats(queue, { ready: 0, unacked: 0 });
    },
  );

  check('noAck consumers share a queue with each other', async (fixture) => {
    const queue = await fixture.declare();
    const consumers: Consuming[] = [];
    for (let at = 0; at < 3; at++) consumers.push(await fixture.consume(queue, { noAck: true }));
    await fixture.fill(queue, ...numbered(300));
    await until('all', () => consumers.reduce((sum, { sink }) => sum + sink.deliveries.length, 0) === 300);
    for (const { sink } of consumers) assert.equal(sink.deliveries.length, 100);
    const all = consumers.flatMap(({ sink }) => sink.deliveries).sort((a, b) => a.number - b.number);
    assert.deepEqual(
      all.map(({ text }) => text),
      numbered(300),
    );
  });

  check('afterSync: all of it comes, in order, with the rest of the queue', async (fixture) => {
    const queue = await fixture.declare();
    const { sink, lease } = await fixture.consume(queue, { afterSync: true });
    for (let at = 0; at < 10; at++) await fixture.fill(queue, `${at}`);
    await until('all', () => sink.deliveries.length === 10);
    assert.deepEqual(sink.texts, numbered(10));
    assert.deepEqual(await fixture.settle(lease, sink.deliveries, 'ack'), []);
  });

  check('afterSync and early consumers on one queue lose nothing between them', async (fixture) => {
    const queue = await fixture.declare();
    const late = await fixture.consume(queue, { afterSync: true, credit: 20 });
    const early = await fixture.consume(queue, { credit: 20 });
    await Promise.all(numbered(40).map((text) => fixture.fill(queue, text)));
    await until('all', () => late.sink.deliveries.length + early.sink.deliveries.length === 40);
    const all = [...late.sink.texts, ...early.sink.texts].sort((a, b) => Number(a) - Number(b));
    assert.deepEqual(all, numbered(40));
  });

  check('take: one at a time, null at the end', async (fixture) => {
    const queue = await fixture.declare();
    const lease = fixture.engine.lease();
    assert.equal(await fixture.take(queue, lease), null);
    await fixture.fill(queue, 'a', 'b');
    const first = await fixture.take(queue, lease);
    assert.equal(first?.text, 'a');
    await fixture.expectStats(queue, { ready: 1, unacked: 1, consumers: 0 });
    assert.equal((await fixture.take(queue, lease, true))?.text, 'b');
    await fixture.expectStats(queue, { ready: 0, unacked: 1 });
    assert.equal(await fixture.take(queue, lease), null);
    assert.deepEqual(await fixture.settle(lease, [first], 'requeue'), []);
    assert.equal((await fixture.take(queue, lease))?.redelivered, true);
  });

  check('take sees what was committed before, without waiting for the report', async (fixture) => {
    const queue = await fixture.declare();
    const report = fixture.publish(queue, 'a');
    assert.equal((await fixture.take(queue, fixture.engine.lease()))?.text, 'a');
    await report;
  });

  check('takes at once get different messages', async (fixture) => {
    const queue = await fixture.declare();
    await fixture.fill(queue, ...numbered(5));
    const lease = fixture.engine.lease();
    const taken = await Promise.all(Array.from({ length: 7 }, () => fixture.take(queue, lease)));
    assert.deepEqual(taken.map((delivery) => delivery?.text ?? 'none').sort(), [...numbered(5), 'none', 'none']);
  });

  check('load shows held messages again in the order asked for, and passes over what is not held', async (fixture) => {
    const queue = await fixture.declare();
    const big = Buffer.alloc(200_000, 'z');
    await fixture.fill(queue, 'a', { body: big, properties: Buffer.from('props') }, 'c', 'd', 'ready');
    const { lease, sink } = await fixture.held(queue, 4);
    const [a, b, c, d] = sink.deliveries;
    assert.ok(a && b && c && d, 'all were delivered');
    assert.deepEqual(await fixture.settle(lease, [c], 'ack'), []);
    const loaded = await fixture.load(queue, lease, [d.number, c.number, a.number, b.number, d.number + 1]);
    assert.deepEqual(
      loaded.map((delivery) => delivery.number),
      [d.number, a.number, b.number],
    );
    assert.ok(loaded[2]!.body.equals(big), 'the body is the same');
    assert.deepEqual(loaded[2]!.properties, Buffer.from('props'));
    assert.deepEqual(loaded[0]!.envelope, d.envelope);
    assert.deepEqual(await fixture.load(queue, fixture.engine.lease(), [a.number]), []);
    assert.deepEqual(await fixture.load(queue, lease, []), []);
    const first = await fixture.load(queue, lease, [a.number, b.number, d.number], 2);
    assert.deepEqual(
      first.map((delivery) => delivery.number),
      [a.number, b.number],
      'no more once the sink has had enough',
    );
    // Nothing changed by looking: still held, once.
    await fixture.expectStats(queue, { ready: 1, unacked: 3 });
    assert.deepEqual(await fixture.settle(lease, [a, b, d], 'drop'), []);
  });

  check('a sink may consume, take and publish from within deliver', async (fixture) => {
    const queue = await fixture.declare();
    const other = await fixture.declare();
    await fixture.fill(other, 'taken');
    const outer = await fixture.consume(queue, { credit: 1 });
    let taken: Promise<unknown> = Promise.resolve();
    let inner: ReturnType<Fixture['consume']> | null = null;
    outer.sink.onDeliver = () => {
      taken = fixture.take(other, outer.lease, true);
      inner = fixture.consume(queue);
      return true;
    };
    await fixture.fill(queue, '0', '1');
    await until('delivered', () => inner !== null);
    const { sink } = await inner!;
    await until('the rest', () => sink.deliveries.length === 1);
    assert.deepEqual(sink.texts, ['1']);
    assert.equal(((await taken) as { text: string }).text, 'taken');
  });
}
