/** Message groups: queues with `groupBy`. */
import assert from 'node:assert/strict';
import type { Check } from '../engine-suite.ts';
import { type Consuming, type Fixture, type MessageSpec, until } from '../fixture.ts';
import { hasCode } from './topology.ts';

const needs = 'groups';
const grouped = { groupBy: 'key' };
const refusal = (fixture: Fixture): Promise<unknown> => fixture.declare(grouped);

/** `a1`: the first message of key a. Those of key - have none. */
const of = (text: string, spec: MessageSpec = {}): MessageSpec => ({
  ...spec,
  body: text,
  properties: Buffer.from(text.startsWith('-') ? 'none' : `k${text[0]!}`),
});
const all = (...texts: string[]): MessageSpec[] => texts.map((text) => of(text));
const got = async ({ sink }: Consuming, ...texts: string[]): Promise<void> => {
  await until(texts.join(), () => sink.deliveries.length >= texts.length);
  assert.deepEqual(sink.texts, texts);
};

export function groupCases(check: Check): void {
  const one = (title: string, body: (fixture: Fixture) => Promise<void>, across?: 'reopen' | 'crash'): void =>
    check(title, body, { needs, refusal, ...(across === undefined ? {} : { across }) });

  one('one consumer at a time has the messages of a key, in their order', async (fixture) => {
    const queue = await fixture.declare(grouped);
    const texts = 'abcabcabccba'.split('').map((key, at) => `${key}${at}`);
    const both = [await fixture.consume(queue), await fixture.consume(queue)];
    for (const text of texts) await fixture.fill(queue, of(text));
    await until('all', () => both.every(({ sink }) => sink.deliveries.length > 0) && total(both) === texts.length);
    for (const key of 'abc') {
      const holders = both.filter(({ sink }) => sink.texts.some((text) => text.startsWith(key)));
      assert.equal(holders.length, 1, `key ${key} has one holder`);
      const wanted = texts.filter((text) => text.startsWith(key));
      assert.deepEqual(
        holders[0]!.sink.texts.filter((text) => text.startsWith(key)),
        wanted,
      );
    }
  });

  one('what is held elsewhere is passed over, and goes on when all of its key is settled', async (fixture) => {
    const queue = await fixture.declare(grouped);
    await fixture.fill(queue, ...all('a1', 'a2', 'a3', 'b1', 'b2', '-1', 'c1'));
    const first = await fixture.held(queue, 2);
    await got(first, 'a1', 'a2');
    const second = await fixture.consume(queue);
    await got(second, 'b1', 'b2', '-1', 'c1');
    await fixture.expectStats(queue, { ready: 1, unacked: 6 });
    await fixture.settle(first.lease, [first.sink.deliveries[0]!], 'ack');
    await fixture.quiet();
    assert.equal(second.sink.deliveries.length, 4, 'a2 is still held');
    await fixture.settle(first.lease, [first.sink.deliveries[1]!], 'ack');
    await got(second, 'b1', 'b2', '-1', 'c1', 'a3');
    await fixture.expectStats(queue, { ready: 0, unacked: 5 });
  });

  one('a holder that can take more gets what waited for it, before what is behind', async (fixture) => {
    const queue = await fixture.declare(grouped);
    await fixture.fill(queue, ...all('a1', 'a2', 'b1', 'a3'));
    const first = await fixture.held(queue, 1);
    const second = await fixture.held(queue, 1);
    await got(second, 'b1');
    first.consumer.addCredit(2);
    await got(first, 'a1', 'a2', 'a3');
  });

  one('messages without a key are not grouped', async (fixture) => {
    const queue = await fixture.declare(grouped);
    await fixture.fill(queue, ...all('-1', '-2', '-3'));
    await got(await fixture.held(queue, 1), '-1');
    await got(await fixture.held(queue, 1), '-2');
    await got(await fixture.held(queue, 1), '-3');
  });

  one('when its holder is gone a key goes to the next, in order, from what the holder had', async (fixture) => {
    const queue = await fixture.declare(grouped);
    await fixture.fill(queue, ...all('a1', 'a2', 'a3', 'b1'));
    const first = await fixture.held(queue, 2);
    const second = await fixture.consume(queue);
    await got(second, 'b1');
    first.consumer.cancel();
    await fixture.quiet();
    await got(second, 'b1');
    await fixture.release(first.lease);
    await got(second, 'b1', 'a1', 'a2', 'a3');
    assert.deepEqual(
      second.sink.deliveries.map(({ redelivered }) => redelivered),
      [false, true, true, false],
    );
  });

  one('nothing of a key goes out after one came back until the others are settled', async (fixture) => {
    const queue = await fixture.declare(grouped);
    await fixture.fill(queue, ...all('a1', 'a2', 'a3', 'a4', 'b1'));
    const first = await fixture.held(queue, 3);
    const second = await fixture.consume(queue);
    const [one, two, three] = first.sink.deliveries;
    await fixture.settle(first.lease, [two!], 'requeue');
    first.consumer.setCredit(10);
    await fixture.settle(first.lease, [three!], 'requeue');
    await fixture.quiet();
    await got(first, 'a1', 'a2', 'a3');
    await got(second, 'b1');
    await fixture.settle(first.lease, [one!], 'ack');
    const both = [first, second];
    await until('the rest', () => total(both) === 7);
    const rest = [...first.sink.texts.slice(3), ...second.sink.texts.slice(1)];
    assert.deepEqual(rest, ['a2', 'a3', 'a4']);
    assert.ok(first.sink.deliveries.length === 3 || second.sink.deliveries.length === 1, 'one has all of them');
  });

  one('one that is rejected for good does not stop the others', async (fixture) => {
    const queue = await fixture.declare(grouped);
    await fixture.fill(queue, ...all('a1', 'a2', 'a3', 'a4'));
    const first = await fixture.held(queue, 2);
    await fixture.settle(first.lease, [first.sink.deliveries[0]!], 'drop');
    first.consumer.addCredit(2);
    await got(first, 'a1', 'a2', 'a3', 'a4');
  });

  one('a single message is taken under a lease, which then has its key', async (fixture) => {
    const queue = await fixture.declare(grouped);
    await fixture.fill(queue, ...all('a1', 'a2', 'b1'));
    const [mine, other] = [fixture.engine.lease(), fixture.engine.lease()];
    const first = await fixture.take(queue, mine);
    assert.equal(first?.text, 'a1');
    assert.equal((await fixture.take(queue, other))?.text, 'b1');
    assert.equal(await fixture.take(queue, other), null);
    assert.equal(await fixture.take(queue, other, true), null);
    const second = await fixture.take(queue, mine);
    assert.equal(second?.text, 'a2');
    await fixture.fill(queue, of('a3'));
    assert.equal(await fixture.take(queue, other), null);
    await fixture.settle(mine, [first, second], 'ack');
    assert.equal((await fixture.take(queue, other))?.text, 'a3');
  });

  one('at most once: nobody has a key, but what is held is passed over', async (fixture) => {
    const queue = await fixture.declare(grouped);
    await fixture.fill(queue, ...all('a1', 'a2', 'b1', 'b2', '-1'));
    const first = await fixture.held(queue, 1);
    const second = await fixture.consume(queue, { noAck: true });
    await got(second, 'b1', 'b2', '-1');
    await fixture.settle(first.lease, first.sink.deliveries, 'ack');
    await got(second, 'b1', 'b2', '-1', 'a2');
    await fixture.expectStats(queue, { ready: 0, unacked: 0 });
  });

  one('a key stays with its holder though another has a higher priority', async (fixture) => {
    const queue = await fixture.declare(grouped);
    const low = await fixture.consume(queue);
    await fixture.fill(queue, ...all('a1'));
    await got(low, 'a1');
    const high = await fixture.consume(queue, { priority: 5 });
    await fixture.fill(queue, ...all('a2', 'b1'));
    await got(high, 'b1');
    await got(low, 'a1', 'a2');
    await fixture.settle(low.lease, low.sink.deliveries, 'ack');
    await fixture.fill(queue, of('a3'));
    await got(high, 'b1', 'a3');
  });

  one('a single active consumer gets all keys, and the next one those that it left', async (fixture) => {
    const queue = await fixture.declare({ ...grouped, singleActiveConsumer: true });
    await fixture.fill(queue, ...all('a1', 'b1', 'a2'));
    const first = await fixture.held(queue, 2);
    const second = await fixture.consume(queue);
    await fixture.quiet();
    await got(second);
    first.consumer.cancel();
    await fixture.quiet();
    await got(second);
    await fixture.settle(first.lease, [first.sink.deliveries[0]!], 'ack');
    await got(second, 'a2');
    await fixture.release(first.lease);
    await got(second, 'a2', 'b1');
  });

  one('after-sync consumers get their keys as well', async (fixture) => {
    const queue = await fixture.declare(grouped);
    const both = [await fixture.consume(queue, { afterSync: true }), await fixture.consume(queue, { afterSync: true })];
    for (const text of ['a1', 'b1', 'a2', 'b2', 'a3', '-1']) await fixture.fill(queue, of(text));
    await until('all', () => total(both) === 6);
    for (const { sink } of both) {
      const own = sink.texts.filter((text) => text.startsWith('a'));
      assert.ok(own.length === 0 || own.length === 3);
    }
  });

  one('of a key, each priority has its order, and higher ones go first', async (fixture) => {
    const queue = await fixture.declare({ ...grouped, maxPriority: 3 });
    const low = { priority: 0 };
    const high = { priority: 3 };
    await fixture.fill(queue, of('a1', low), of('a2', low), of('b1', low), of('a3', high), of('a4', high));
    const first = await fixture.held(queue, 1);
    await got(first, 'a3');
    const second = await fixture.consume(queue);
    await got(second, 'b1');
    await fixture.fill(queue, of('a5', high));
    await fixture.settle(first.lease, first.sink.deliveries, 'requeue');
    await got(second, 'b1', 'a3', 'a4', 'a5', 'a1', 'a2');
  });

  one('what was passed over counts, is browsed in its place, and is purged', async (fixture) => {
    const queue = await fixture.declare(grouped);
    await fixture.fill(queue, ...all('a1', 'a2', 'b1', 'a3', 'b2'));
    const first = await fixture.held(queue, 1);
    const second = await fixture.held(queue, 2);
    await got(second, 'b1', 'b2');
    await fixture.fill(queue, ...all('c1', 'b3'));
    const texts = (await fixture.browse(queue)).map(({ body }) => body.toString());
    assert.deepEqual(texts, ['a2', 'a3', 'c1', 'b3']);
    await fixture.expectStats(queue, { ready: 4, unacked: 3, readyBytes: 8 });
    assert.equal(await fixture.engine.purge(queue), 4);
    await fixture.fill(queue, ...all('a4'));
    await fixture.settle(first.lease, first.sink.deliveries, 'ack');
    second.consumer.addCredit(1);
    await got(second, 'b1', 'b2', 'a4');
    await fixture.expectStats(queue, { ready: 0, unacked: 3, readyBytes: 0 });
  });

  one('drop-head drops the oldest, passed over or not', async (fixture) => {
    const queue = await fixture.declare({ ...grouped, maxLength: 3 });
    await fixture.fill(queue, ...all('a1', 'a2', 'b1'));
    const first = await fixture.held(queue, 1);
    const second = await fixture.held(queue, 1);
    await got(second, 'b1');
    await fixture.fill(queue, ...all('a3', 'c1', 'c2'));
    await fixture.settle(first.lease, first.sink.deliveries, 'ack');
    assert.deepEqual(await fixture.drainTexts(queue), ['a3', 'c1', 'c2']);
  });

  one('what was passed over expires, and is not delivered then', async (fixture) => {
    const queue = await fixture.declare(grouped);
    const expiresAt = fixture.now() + 200;
    await fixture.fill(queue, of('a1'), of('a2', { expiresAt }), of('a3'), of('a4', { expiresAt }), of('b1'));
    const first = await fixture.held(queue, 1);
    const second = await fixture.consume(queue);
    await got(second, 'b1');
    await fixture.advance(300);
    await fixture.untilStats(queue, { ready: 2 });
    await fixture.settle(first.lease, first.sink.deliveries, 'ack');
    await got(second, 'b1', 'a3');
    await fixture.untilStats(queue, { ready: 0, unacked: 2 });
  });

  one('a message at its delivery limit goes, and its key goes on', async (fixture) => {
    const queue = await fixture.declare({ ...grouped, deliveryLimit: 2 });
    await fixture.fill(queue, ...all('a1', 'a2'));
    for (let delivery = 1; delivery <= 2; delivery++) {
      const { sink, lease } = await fixture.held(queue, 1);
      assert.deepEqual(sink.texts, ['a1']);
      await fixture.release(lease);
    }
    await got(await fixture.held(queue, 1), 'a2');
    await fixture.untilStats(queue, { ready: 0, unacked: 1 });
  });

  one('delayed messages come to their key when they are due', async (fixture) => {
    if (!fixture.engine.capabilities.delayed) return;
    const queue = await fixture.declare(grouped);
    await fixture.publish(queue, of('a1', { dueAt: fixture.now() + 200 }));
    await fixture.fill(queue, ...all('a2', 'b1'));
    const first = await fixture.held(queue, 1);
    const second = await fixture.consume(queue);
    await got(second, 'b1');
    await fixture.advance(300);
    await fixture.untilStats(queue, { ready: 1, delayed: 0 });
    await fixture.settle(first.lease, first.sink.deliveries, 'ack');
    await got(second, 'b1', 'a1');
  });

  one('what a queue is grouped by stays as it is', async (fixture) => {
    await fixture.declare(grouped, { key: 'fixed' });
    await assert.rejects(fixture.declare({ groupBy: 'other' }, { key: 'fixed' }), hasCode('UNSUPPORTED'));
    await assert.rejects(fixture.declare({}, { key: 'fixed' }), hasCode('UNSUPPORTED'));
    await fixture.declare({ ...grouped, maxLength: 5 }, { key: 'fixed' });
  });

  for (const across of ['reopen', 'crash'] as const) {
    one(
      `after a ${across} each key goes on in order, and nobody has any`,
      async (fixture) => {
        const before = await fixture.declare(grouped, { key: 'kept' });
        await fixture.fill(before, ...all('a1', 'a2', 'a3', 'b1', 'a4', 'b2', '-1'));
        const first = await fixture.held(before, 2);
        await got(first, 'a1', 'a2');
        const second = await fixture.held(before, 2);
        await got(second, 'b1', 'b2');
        await fixture.settle(first.lease, [first.sink.deliveries[0]!], 'ack');
        await fixture.quiet();
        await fixture[across]();
        const queue = fixture.queue('kept');
        const both = [await fixture.consume(queue), await fixture.consume(queue)];
        await until('all', () => total(both) === 6);
        for (const [key, texts] of Object.entries({ a: ['a2', 'a3', 'a4'], b: ['b1', 'b2'] })) {
          const holder = both.find(({ sink }) => sink.texts.some((text) => text.startsWith(key)))!;
          const own = holder.sink.deliveries.filter(({ text }) => text.startsWith(key));
          assert.deepEqual(
            own.map(({ text }) => text),
            texts,
          );
          if (across === 'crash') continue;
          // Nobody got a3 and a4.
          const flags = own.map(({ redelivered, deliveryCount }) => [redelivered, deliveryCount]);
          const again = [true, 1];
          const never = [false, 0];
          assert.deepEqual(flags, key === 'a' ? [again, never, never] : [again, again]);
        }
      },
      across,
    );
  }
}

function total(consumers: readonly Consuming[]): number {
  return consumers.reduce((sum, { sink }) => sum + sink.deliveries.length, 0);
}
