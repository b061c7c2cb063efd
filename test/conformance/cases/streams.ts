/** Streams: what is read stays, each consumer has a place of its own, and what goes, goes from the head. */
import assert from 'node:assert/strict';
import type { EngineQueue, StreamLimits, StreamStart } from '../../../src/engine/engine.ts';
import { EngineError } from '../../../src/engine/errors.ts';
import type { Case, Check } from '../engine-suite.ts';
import { type Fixture, until } from '../fixture.ts';
import { patterned } from './append.ts';

const refusal: Case['refusal'] = (fixture) => fixture.declare({ stream: {} });
const streams: Case = { needs: 'streams', refusal };

const declare = (fixture: Fixture, stream: StreamLimits = {}, key = 'stream'): Promise<EngineQueue> =>
  fixture.declare({ stream }, { key });

/** A new consumer gets this from there on, and nothing more. */
async function expectFrom(fixture: Fixture, queue: EngineQueue, from: StreamStart, expected: string[]): Promise<void> {
  const { sink, consumer } = await fixture.consume(queue, { from });
  await until(`${expected.length} deliveries`, () => sink.deliveries.length >= expected.length);
  await fixture.quiet();
  consumer.cancel();
  assert.deepEqual(sink.texts, expected);
}

async function numbersFrom(
  fixture: Fixture,
  queue: EngineQueue,
  count: number,
  from: StreamStart = 'first',
): Promise<number[]> {
  const { sink, consumer } = await fixture.consume(queue, { from });
  await until(`${count} deliveries`, () => sink.deliveries.length >= count);
  consumer.cancel();
  return sink.deliveries.map(({ number }) => number);
}

const texts = (from: number, to: number): string[] => Array.from({ length: to - from + 1 }, (_, at) => `${from + at}`);

export function streamCases(check: Check): void {
  check(
    'what is read stays, and each consumer reads all of it at its own pace',
    async (fixture) => {
      const queue = await declare(fixture);
      await fixture.fill(queue, ...texts(1, 5));
      const first = await fixture.consume(queue, { from: 'first', credit: 2 });
      const second = await fixture.consume(queue, { from: 'first' });
      await until('both are served', () => first.sink.texts.length === 2 && second.sink.texts.length === 5);
      await fixture.fill(queue, '6');
      await until('the second has the sixth', () => second.sink.texts.length === 6);
      assert.deepEqual(first.sink.texts, ['1', '2']);
      first.consumer.addCredit(10);
      await until('the first has all', () => first.sink.texts.length === 6);
      assert.deepEqual(first.sink.texts, texts(1, 6));
      assert.deepEqual(second.sink.texts, texts(1, 6));
      assert.deepEqual(
        second.sink.deliveries.map(({ number, redelivered, deliveryCount }) => [number, redelivered, deliveryCount]),
        [1, 2, 3, 4, 5, 6].map((number) => [number, false, 0]),
      );
      await fixture.expectStats(queue, { ready: 6, readyBytes: 6, unacked: 0, consumers: 2 });
    },
    streams,
  );

  check(
    'to settle a delivery does nothing, whatever it says, also in an atomic batch, and is never stale',
    async (fixture) => {
      const queue = await declare(fixture);
      const other = await fixture.declare();
      await fixture.fill(queue, '1', '2', '3');
      const { sink, lease } = await fixture.consume(queue, { from: 'first', credit: 3 });
      await until('three deliveries', () => sink.deliveries.length === 3);
      for (const settlement of ['ack', 'drop', 'requeue'] as const)
        assert.deepEqual(await fixture.settle(lease, sink.deliveries, settlement), []);
      const outcomes = await fixture.commit((batch) => {
        fixture.append(batch, other, 'with it');
        fixture.settleIn(batch, lease, sink.deliveries, 'ack');
      }, fixture.engine.capabilities.atomic);
      assert.deepEqual(outcomes, []);
      await fixture.release(lease);
      assert.deepEqual(await fixture.settle(lease, sink.deliveries, 'ack'), []);
      await fixture.expectStats(queue, { ready: 3, unacked: 0 });
      await fixture.expectStats(other, { ready: 1 });
      assert.deepEqual(sink.texts, ['1', '2', '3']);
    },
    streams,
  );

  check(
    'a consumer begins with the first, the last, the next, or a number',
    async (fixture) => {
      const queue = await declare(fixture);
      await expectFrom(fixture, queue, 'first', []);
      await expectFrom(fixture, queue, 'last', []);
      await fixture.fill(queue, ...texts(1, 9));
      await expectFrom(fixture, queue, 'first', texts(1, 9));
      await expectFrom(fixture, queue, 'last', ['9']);
      await expectFrom(fixture, queue, 'next', []);
      await expectFrom(fixture, queue, { number: 4 }, texts(4, 9));
      await expectFrom(fixture, queue, { number: 0 }, texts(1, 9));
      const beyond = await fixture.consume(queue, { from: { number: 11 } });
      const next = await fixture.consume(queue);
      await fixture.fill(queue, '10', '11', '12');
      await until('both are served', () => beyond.sink.texts.length === 2 && next.sink.texts.length === 3);
      assert.deepEqual(beyond.sink.texts, ['11', '12']);
      assert.deepEqual(next.sink.texts, ['10', '11', '12']);
    },
    streams,
  );

  check(
    'a consumer begins with what was appended at or after a time',
    async (fixture) => {
      const queue = await declare(fixture);
      const times: number[] = [];
      for (let n = 1; n <= 6; n++) {
        times.push(fixture.now());
        await fixture.fill(queue, `${n}`, `${n}'`);
        await fixture.advance(50);
      }
      const after = fixture.now();
      await expectFrom(
        fixture,
        queue,
        { storedAt: 0 },
        [1, 2, 3, 4, 5, 6].flatMap((n) => [`${n}`, `${n}'`]),
      );
      await expectFrom(fixture, queue, { storedAt: times[3]! }, ['4', "4'", '5', "5'", '6', "6'"]);
      await expectFrom(fixture, queue, { storedAt: times[3]! + 25 }, ['5', "5'", '6', "6'"]);
      await expectFrom(fixture, queue, { storedAt: after }, []);
      // Where that is still to come, it is as with `next`.
      const future = await fixture.consume(queue, { from: { storedAt: after + 3_600_000 } });
      await fixture.fill(queue, '7');
      await until('what came then is there', () => future.sink.texts.length === 1);
      assert.deepEqual(future.sink.texts, ['7']);
    },
    streams,
  );

  check(
    'read shows messages from a number on, and leaves them',
    async (fixture) => {
      const queue = await declare(fixture);
      await fixture.fill(queue, ...texts(1, 9));
      const read = async (position: number, limit: number): Promise<[number, string][]> =>
        (await fixture.engine.read(queue, position, limit)).map(({ number, body }) => [number, body.toString()]);
      assert.deepEqual(await read(0, 2), [
        [1, '1'],
        [2, '2'],
      ]);
      assert.deepEqual(await read(8, 10), [
        [8, '8'],
        [9, '9'],
      ]);
      assert.deepEqual(await read(10, 1), []);
      await fixture.expectStats(queue, { ready: 9 });
      await assert.rejects(fixture.engine.read(await fixture.declare(), 0, 1), isUnsupported);
    },
    { needs: 'streams', refusal: async (fixture) => fixture.engine.read(await fixture.declare(), 0, 1) },
  );

  check(
    'refuses what streams do not have',
    async (fixture) => {
      const queue = await declare(fixture);
      const lease = fixture.engine.lease();
      await fixture.fill(queue, '1');
      await assert.rejects(fixture.engine.purge(queue), isUnsupported);
      await assert.rejects(fixture.take(queue, lease), isUnsupported);
      await assert.rejects(fixture.consume(queue, { noAck: true }), isUnsupported);
      await assert.rejects(fixture.consume(await fixture.declare(), { from: 'first' }), isUnsupported);
      await assert.rejects(fixture.declare({ stream: {} }, { durable: false, key: 'a' }), isUnsupported);
      await assert.rejects(fixture.declare({ stream: {}, maxLength: 1 }, { key: 'b' }), isUnsupported);
      await assert.rejects(fixture.declare({}, { key: 'stream' }), isUnsupported);
      await fixture.declare({ stream: { maxBytes: 1_000 } }, { key: 'stream' });
      await fixture.declare({}, { key: 'c' });
      await assert.rejects(fixture.declare({ stream: {} }, { key: 'c' }), isUnsupported);
      await fixture.expectStats(queue, { ready: 1 });
    },
    streams,
  );

  check(
    'one message goes to streams and other queues alike',
    async (fixture) => {
      const stream = await declare(fixture);
      const other = await fixture.declare();
      await fixture.fill([other, stream], 'both');
      await fixture.fill(other, 'one');
      await fixture.fill([stream, other], 'both again');
      assert.deepEqual(await fixture.drainTexts(other), ['both', 'one', 'both again']);
      await expectFrom(fixture, stream, 'first', ['both', 'both again']);
    },
    streams,
  );

  check(
    'an exclusive consumer, one that goes, and deletion',
    async (fixture) => {
      const queue = await declare(fixture);
      await fixture.fill(queue, '1', '2');
      const { consumer } = await fixture.consume(queue, { from: 'first', exclusive: true });
      await assert.rejects(fixture.consume(queue), (error) => error instanceof EngineError && error.code === 'IN_USE');
      consumer.cancel();
      const { sink } = await fixture.consume(queue, { from: 'first' });
      await until('it is served', () => sink.texts.length === 2);
      assert.equal((await fixture.change({ op: 'delete-queue', key: queue.key })).removed, 2);
      await until('it is told', () => sink.cancellations.length === 1);
      assert.deepEqual(sink.cancellations, ['deleted']);
      await expectFrom(fixture, await declare(fixture), 'first', []);
    },
    streams,
  );

  check(
    'a sink that takes no more is served again from where it stopped',
    async (fixture) => {
      const queue = await declare(fixture);
      await fixture.fill(queue, ...texts(1, 20));
      const { sink, consumer } = await fixture.consume(queue, { from: 'first', credit: 0 });
      sink.onDeliver = () => sink.deliveries.length % 3 !== 0;
      consumer.setCredit(100);
      for (let round = 1; round <= 7; round++) {
        await until('three more', () => sink.deliveries.length === Math.min(20, 3 * round));
        await fixture.quiet();
        assert.equal(sink.deliveries.length, Math.min(20, 3 * round));
        consumer.resume();
      }
      assert.deepEqual(sink.texts, texts(1, 20));
    },
    streams,
  );

  check(
    'what is larger than a sink has room for waits until it has',
    async (fixture) => {
      const queue = await declare(fixture);
      await fixture.fill(queue, 'small', { body: patterned(200_000, 1) }, 'after');
      const { sink, consumer } = await fixture.consume(queue, { from: 'first', credit: 0 });
      sink.room = false;
      consumer.setCredit(10);
      await until('it was asked', () => sink.asked.length === 1);
      await fixture.quiet();
      assert.deepEqual(sink.texts, ['small']);
      sink.room = true;
      consumer.resume();
      await until('all is there', () => sink.texts.length === 3);
      assert.ok(sink.deliveries[1]!.body.equals(patterned(200_000, 1)));
    },
    streams,
  );

  check(
    'retention by bytes takes the oldest, and only them',
    async (fixture) => {
      const queue = await declare(fixture, { maxBytes: 2_000 });
      for (let n = 1; n <= 100; n++) await fixture.fill(queue, { body: Buffer.alloc(100, n) });
      await fixture.quiet();
      const stats = await fixture.stats(queue);
      assert.ok(stats.readyBytes <= 2_000, `${stats.readyBytes} bytes are kept`);
      assert.ok(stats.ready >= 10, `only ${stats.ready} messages are kept`);
      const numbers = await numbersFrom(fixture, queue, stats.ready);
      assert.deepEqual(
        numbers,
        Array.from({ length: stats.ready }, (_, at) => 101 - stats.ready + at),
      );
      // A number that is gone, and a consumer that was passed.
      assert.equal((await numbersFrom(fixture, queue, stats.ready, { number: 5 })).length, stats.ready);
      const slow = await fixture.consume(queue, { from: 'first', credit: 1 });
      await until('it has one', () => slow.sink.deliveries.length === 1);
      for (let n = 0; n < 60; n++) await fixture.fill(queue, { body: Buffer.alloc(100, n) });
      await fixture.quiet();
      const { ready } = await fixture.stats(queue);
      slow.consumer.setCredit(Infinity);
      await until('it has what is left', () => slow.sink.deliveries.length === 1 + ready);
      assert.deepEqual(
        slow.sink.deliveries.slice(1).map(({ number }) => number),
        Array.from({ length: ready }, (_, at) => 161 - ready + at),
      );
    },
    streams,
  );

  check(
    'retention by bytes leaves what was appended last, however large',
    async (fixture) => {
      const queue = await declare(fixture, { maxBytes: 10 });
      await fixture.fill(queue, 'small');
      await fixture.fill(queue, { body: patterned(1_000, 1) });
      await fixture.quiet();
      await fixture.expectStats(queue, { ready: 1, readyBytes: 1_000 });
      assert.deepEqual(await numbersFrom(fixture, queue, 1), [2]);
    },
    streams,
  );

  check(
    'retention by age takes what is too old, by itself, and numbers go on',
    async (fixture) => {
      const queue = await declare(fixture, { maxAgeMs: 400 });
      await fixture.fill(queue, '1', '2');
      await fixture.advance(250);
      await fixture.fill(queue, '3');
      await fixture.expectStats(queue, { ready: 3 });
      await fixture.advance(250);
      await fixture.untilStats(queue, { ready: 1 });
      await expectFrom(fixture, queue, 'first', ['3']);
      await fixture.advance(500);
      await fixture.untilStats(queue, { ready: 0, readyBytes: 0 });
      await expectFrom(fixture, queue, 'first', []);
      const { sink } = await fixture.consume(queue, { from: 'first' });
      await fixture.fill(queue, '4');
      await until('it is there', () => sink.texts.length === 1);
      assert.deepEqual([sink.deliveries[0]!.text, sink.deliveries[0]!.number], ['4', 4]);
    },
    streams,
  );

  check(
    'another retention, declared later, holds for what is there',
    async (fixture) => {
      const queue = await declare(fixture);
      for (let n = 1; n <= 40; n++) await fixture.fill(queue, { body: Buffer.alloc(100_000, n) });
      await fixture.expectStats(queue, { ready: 40 });
      await declare(fixture, { maxBytes: 2_000_000 });
      await fixture.fill(queue, 'one more');
      await fixture.quiet();
      const { readyBytes } = await fixture.stats(queue);
      assert.ok(readyBytes <= 2_000_000 && readyBytes >= 500_000, `${readyBytes} bytes are kept`);
    },
    streams,
  );

  check(
    'messages that were delayed get their places when they are due',
    async (fixture) => {
      if (!fixture.engine.capabilities.delayed) return;
      const queue = await declare(fixture);
      const { sink } = await fixture.consume(queue, { from: 'first' });
      await fixture.publish(queue, { body: 'late', dueAt: fixture.now() + 300 });
      await fixture.fill(queue, 'early');
      await until('the early one', () => sink.texts.length === 1);
      await fixture.advance(350);
      await fixture.advance(200);
      await until('the late one', () => sink.texts.length === 2);
      assert.deepEqual(
        sink.deliveries.map(({ text, number }) => [text, number]),
        [
          ['early', 1],
          ['late', 2],
        ],
      );
      await fixture.expectStats(queue, { ready: 2, delayed: 0 });
    },
    streams,
  );

  check(
    'a message that was delayed counts from when it was due, where a consumer begins by time',
    async (fixture) => {
      if (!fixture.engine.capabilities.delayed) return;
      const queue = await declare(fixture);
      const published = fixture.now();
      await fixture.publish(queue, { body: 'late', dueAt: published + 1_000 });
      await fixture.fill(queue, 'early');
      await fixture.advance(1_100);
      await fixture.untilStats(queue, { ready: 2 });
      await fixture.advance(500);
      await fixture.fill(queue, 'last');
      await expectFrom(fixture, queue, { storedAt: published + 900 }, ['late', 'last']);
      await expectFrom(fixture, queue, { storedAt: published + 1_001 }, ['last']);
    },
    streams,
  );

  check(
    'thousands of messages are read from wherever they lie',
    async (fixture) => {
      const queue = await declare(fixture);
      const other = await fixture.declare();
      for (let n = 0; n < 2_000; n += 50) {
        await fixture.fill(queue, ...Array.from({ length: 50 }, (_, at) => ({ body: patterned(100, n + at) })));
        await fixture.fill([other, queue], `${n}`);
      }
      const readers = await Promise.all(
        (['first', { number: 500 }, { number: 1_999 }] as const).map((from) => fixture.consume(queue, { from })),
      );
      await until('all are served', () => readers.every(({ sink }) => sink.deliveries.at(-1)?.number === 2_040));
      const [all] = readers;
      assert.deepEqual(
        readers.map(({ sink }) => sink.deliveries.length),
        [2_040, 1_541, 42],
      );
      all!.sink.deliveries.forEach(({ number, body }, at) => {
        assert.equal(number, at + 1);
        const group = Math.floor(at / 51);
        const expected = at % 51 === 50 ? Buffer.from(`${50 * group}`) : patterned(100, at - group);
        assert.ok(body.equals(expected), `message ${number} is another`);
      });
    },
    streams,
  );

  for (const restart of ['reopen', 'crash'] as const) {
    check(
      `${restart}: messages, numbers and places in time are what they were, and what was delivered is not flagged`,
      async (fixture) => {
        let queue = await declare(fixture);
        await fixture.fill(queue, ...texts(1, 5));
        await numbersFrom(fixture, queue, 5);
        await fixture.advance(100);
        const time = fixture.now();
        await fixture.fill(queue, ...texts(6, 9));
        await fixture[restart]();
        queue = fixture.queue('stream');
        await fixture.expectStats(queue, { ready: 9, readyBytes: 9, unacked: 0 });
        await expectFrom(fixture, queue, { storedAt: time }, texts(6, 9));
        const { sink } = await fixture.consume(queue, { from: { number: 3 } });
        await fixture.fill(queue, '10');
        await until('it is served', () => sink.texts.length === 8);
        assert.deepEqual(
          sink.deliveries.map(({ number, text, redelivered }) => [number, text, redelivered]),
          [3, 4, 5, 6, 7, 8, 9, 10].map((number) => [number, `${number}`, false]),
        );
      },
      { ...streams, across: restart },
    );

    check(
      `${restart}: what retention took stays away, and its numbers are not given again`,
      async (fixture) => {
        let queue = await declare(fixture, { maxBytes: 1_000 });
        const aged = await declare(fixture, { maxAgeMs: 1_000 }, 'aged');
        for (let n = 1; n <= 50; n++) await fixture.fill([queue, aged], { body: Buffer.alloc(100, n) });
        await fixture.advance(1_100);
        await fixture.untilStats(aged, { ready: 0 });
        // What the engine took by itself waits for the next group.
        await fixture.advance(200);
        await fixture.fill(await fixture.declare(), 'x');
        const { ready } = await fixture.stats(queue);
        await fixture[restart]();
        queue = fixture.queue('stream');
        await fixture.expectStats(queue, { ready, readyBytes: 100 * ready });
        assert.deepEqual((await numbersFrom(fixture, queue, ready))[0], 51 - ready);
        await fixture.expectStats(fixture.queue('aged'), { ready: 0, readyBytes: 0 });
        await fixture.fill([queue, fixture.queue('aged')], { body: Buffer.alloc(100) });
        assert.deepEqual(await numbersFrom(fixture, fixture.queue('aged'), 1), [51]);
        for (let n = 1; n <= 20; n++) await fixture.fill(queue, { body: Buffer.alloc(100, n) });
        await fixture.quiet();
        const stats = await fixture.stats(queue);
        assert.ok(stats.readyBytes <= 1_000 && stats.ready * 100 === stats.readyBytes, `${stats.readyBytes} bytes`);
      },
      { ...streams, across: restart },
    );

    check(
      `${restart}: again and again, under retention and beside other queues`,
      async (fixture) => {
        await declare(fixture, { maxBytes: 50_000 });
        await fixture.declare({}, { key: 'other' });
        let next = 1;
        for (let round = 0; round < 4; round++) {
          for (let n = 0; n < 60; n++) {
            const queues = [fixture.queue('stream'), fixture.queue('other')];
            await fixture.fill(
              n % 3 === 0 ? queues : queues[0]!,
              ...Array.from({ length: 5 }, (_, at) => ({ body: patterned(500, next + at) })),
            );
            next += 5;
          }
          if (round % 2 === 0) await fixture.engine.purge(fixture.queue('other'));
          await fixture.quiet();
          await fixture[restart]();
          const queue = fixture.queue('stream');
          await fixture.quiet();
          const { ready, readyBytes } = await fixture.stats(queue);
          assert.equal(readyBytes, 500 * ready);
          assert.ok(readyBytes <= 50_000 && readyBytes >= 25_000, `${readyBytes} bytes are kept`);
          const { sink, consumer } = await fixture.consume(queue, { from: 'first' });
          await until('all is read', () => sink.deliveries.length === ready);
          consumer.cancel();
          sink.deliveries.forEach(({ number, body }, at) => {
            assert.equal(number, next - ready + at);
            assert.ok(body.equals(patterned(500, number)), `message ${number} is another`);
          });
        }
      },
      { ...streams, across: restart },
    );
  }
}

function isUnsupported(error: unknown): boolean {
  return error instanceof EngineError && error.code === 'UNSUPPORTED';
}
