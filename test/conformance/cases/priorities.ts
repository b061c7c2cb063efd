/** Queues with `maxPriority`. */
import assert from 'node:assert/strict';
import type { Check } from '../engine-suite.ts';
import { type Fixture, until } from '../fixture.ts';

const needs = 'priorities';
const refusal = (fixture: Fixture): Promise<unknown> => fixture.declare({ maxPriority: 9 });
const of = (text: string, priority: number): { body: string; priority: number } => ({ body: text, priority });

export function priorityCases(check: Check): void {
  check("without maxPriority a message's priority is ignored", async (fixture) => {
    const queue = await fixture.declare();
    await fixture.fill(queue, of('a', 1), of('b', 9), of('c', 255));
    assert.deepEqual(await fixture.drainTexts(queue), ['a', 'b', 'c']);
  });

  check(
    'higher first, equal ones in the order of their appends',
    async (fixture) => {
      const queue = await fixture.declare({ maxPriority: 9 });
      await fixture.fill(queue, of('0a', 0), of('5a', 5), of('9a', 9));
      await fixture.fill(queue, of('5b', 5), of('0b', 0), of('9b', 9), of('1a', 1));
      assert.deepEqual(await fixture.drainTexts(queue), ['9a', '9b', '5a', '5b', '1a', '0a', '0b']);
    },
    { needs, refusal },
  );

  check(
    'above maxPriority counts as maxPriority, 255 priorities are kept apart',
    async (fixture) => {
      const few = await fixture.declare({ maxPriority: 2 });
      await fixture.fill(few, of('2a', 2), of('200', 200), of('2b', 2), of('1', 1));
      assert.deepEqual(await fixture.drainTexts(few), ['2a', '200', '2b', '1']);
      const many = await fixture.declare({ maxPriority: 255 });
      const order = Array.from({ length: 256 }, (_, at) => (at * 37) % 256);
      await fixture.fill(many, ...order.map((priority) => of(`${priority}`, priority)));
      assert.deepEqual(
        await fixture.drainTexts(many),
        Array.from({ length: 256 }, (_, at) => `${255 - at}`),
      );
    },
    { needs, refusal },
  );

  check(
    'a later message of higher priority overtakes what is ready, not what is held',
    async (fixture) => {
      const queue = await fixture.declare({ maxPriority: 9 });
      await fixture.fill(queue, of('1a', 1), of('1b', 1), of('1c', 1));
      const { sink, consumer } = await fixture.held(queue, 1);
      await fixture.fill(queue, of('9', 9));
      consumer.addCredit(2);
      await until('three', () => sink.deliveries.length === 3);
      assert.deepEqual(sink.texts, ['1a', '9', '1b']);
    },
    { needs, refusal },
  );

  check(
    'requeued and released ones come back to their place in their priority',
    async (fixture) => {
      const queue = await fixture.declare({ maxPriority: 9 });
      await fixture.fill(queue, of('5a', 5), of('5b', 5), of('5c', 5), of('9a', 9), of('9b', 9), of('0', 0));
      const { sink, lease } = await fixture.held(queue, 4);
      assert.deepEqual(sink.texts, ['9a', '9b', '5a', '5b']);
      await fixture.fill(queue, of('9c', 9), of('7', 7));
      const [, nineB, fiveA] = sink.deliveries;
      assert.deepEqual(await fixture.settle(lease, [fiveA!], 'requeue'), []);
      assert.deepEqual(await fixture.settle(lease, [nineB!], 'requeue'), []);
      await fixture.expectStats(queue, { ready: 6, unacked: 2 });
      await fixture.release(lease);
      const drained = await fixture.drain(queue);
      assert.deepEqual(
        drained.map((delivery) => delivery.text),
        ['9a', '9b', '9c', '7', '5a', '5b', '5c', '0'],
      );
      assert.deepEqual(
        drained.map((delivery) => delivery.redelivered),
        [true, true, false, false, true, true, false, false],
      );
    },
    { needs, refusal },
  );

  check(
    'settling runs over several priorities: each number by itself',
    async (fixture) => {
      const queue = await fixture.declare({ maxPriority: 3 });
      await fixture.fill(queue, of('0', 0), of('3', 3), of('1', 1), of('2', 2));
      const { sink, lease } = await fixture.held(queue, 4);
      assert.deepEqual(sink.texts, ['3', '2', '1', '0']);
      const byNumber = [...sink.deliveries].sort((a, b) => a.number - b.number);
      assert.deepEqual(await fixture.settle(lease, byNumber, 'ack'), []);
      await fixture.expectStats(queue, { ready: 0, unacked: 0 });
    },
    { needs, refusal },
  );

  check(
    'drop-head drops the oldest of the lowest priority',
    async (fixture) => {
      // Decided: what matters least goes first. (RabbitMQ drops from the head of all, and its documentation warns that one would not expect it.)
      const queue = await fixture.declare({ maxPriority: 9, maxLength: 3 });
      await fixture.fill(queue, of('9', 9), of('1a', 1), of('1b', 1));
      await fixture.fill(queue, of('5', 5));
      assert.deepEqual(await fixture.drainTexts(queue), ['9', '5', '1b']);
    },
    { needs, refusal },
  );

  check(
    'purge and browse go over all priorities',
    async (fixture) => {
      const queue = await fixture.declare({ maxPriority: 9 });
      await fixture.fill(queue, of('0', 0), of('9', 9), of('5', 5));
      assert.deepEqual(
        (await fixture.browse(queue)).map(({ body }) => body.toString()),
        ['9', '5', '0'],
      );
      assert.equal(await fixture.engine.purge(queue), 3);
      await fixture.expectStats(queue, { ready: 0, readyBytes: 0 });
    },
    { needs, refusal },
  );

  check(
    'priorities outlive a restart',
    async (fixture) => {
      const queue = await fixture.declare({ maxPriority: 9 });
      await fixture.fill(queue, of('1', 1), of('9', 9), of('5a', 5), of('5b', 5));
      const { sink } = await fixture.held(queue, 2);
      assert.deepEqual(sink.texts, ['9', '5a']);
      await fixture.reopen();
      const drained = await fixture.drain(fixture.queue(queue.key));
      assert.deepEqual(
        drained.map(({ text, priority, redelivered }) => [text, priority, redelivered]),
        [
          ['9', 9, true],
          ['5a', 5, true],
          ['5b', 5, false],
          ['1', 1, false],
        ],
      );
    },
    { needs, refusal, across: 'reopen' },
  );
}
