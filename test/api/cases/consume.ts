import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import type { ConsumeOptions, Message, PostriderError, StandardSchema, StreamOptions } from '../../../src/index.ts';
import { type Bench, rejects, settledTo, sleep, until } from '../bench.ts';

export function consumeCases(bench: Bench): void {
  const { name } = bench;

  describe('consuming', () => {
    it('handles one message after another, in order, and acknowledges by itself', async () => {
      const queue = await bench.mq.queue<number>(name());
      const got: number[] = [];
      let running = 0;
      const consumer = await queue.consume(async (payload) => {
        running += 1;
        assert.equal(running, 1);
        await sleep(0);
        running -= 1;
        got.push(payload);
      });
      await queue.publishAll(Array.from({ length: 50 }, (_, index) => index));
      await until('all were handled', () => got.length === 50);
      assert.deepEqual(
        got,
        Array.from({ length: 50 }, (_, index) => index),
      );
      await consumer.close();
      await consumer.closed;
      await settledTo(queue, 0);
    });

    it('handles thousands with a handler that answers at once', async () => {
      const queue = await bench.mq.queue<number>(name());
      await queue.publishAll(Array.from({ length: 3_000 }, (_, index) => index));
      let next = 0;
      const consumer = await queue.consume((payload) => {
        assert.equal(payload, next);
        next += 1;
      });
      await until('all were handled', () => next === 3_000);
      await consumer.close();
      await settledTo(queue, 0);
    });

    it('runs as many handlers at a time as it may', async () => {
      const queue = await bench.mq.queue<number>(name());
      await queue.publishAll([1, 2, 3, 4, 5, 6, 7]);
      let running = 0;
      let most = 0;
      let done = 0;
      const consumer = await queue.consume(
        async () => {
          running += 1;
          most = Math.max(most, running);
          await sleep(20);
          running -= 1;
          done += 1;
        },
        { concurrency: 3 },
      );
      await until('all were handled', () => done === 7);
      assert.equal(most, 3);
      await consumer.close();
    });

    it('leaves the settlement to a handler that wants it', async () => {
      const queue = await bench.mq.queue<number>(name());
      await queue.publishAll([1, 2]);
      const got: Message<number>[] = [];
      const consumer = await queue.consume((_payload, message) => void got.push(message), {
        ack: 'manual',
        concurrency: 2,
      });
      await until('both came', () => got.length === 2);
      const [first, second] = got as [Message<number>, Message<number>];
      assert.equal(first.settled, false);
      await second.ack();
      assert.equal(second.settled, true);
      await rejects(second.ack(), 'ALREADY_SETTLED');
      await first.requeue();
      await rejects(first.retry(), 'ALREADY_SETTLED');
      await until('it came again', () => got.length === 3);
      assert.equal(got[2]!.payload, 1);
      assert.equal(got[2]!.redelivered, true);
      assert.equal(got[2]!.deliveryCount, 1);
      await got[2]!.ack();
      await consumer.close();
      await settledTo(queue, 0);
    });

    it('gives back what nobody settled when it is closed', async () => {
      const queue = await bench.mq.queue<number>(name());
      await queue.publishAll([1, 2, 3]);
      let came = 0;
      const consumer = await queue.consume(() => void (came += 1), { ack: 'manual', concurrency: 2 });
      await until('two came', () => came === 2);
      await consumer.close({ graceMs: 10 });
      await settledTo(queue, 3);
    });

    it('waits at its close for the handlers that run', async () => {
      const queue = await bench.mq.queue<number>(name());
      await queue.publishAll([1, 2]);
      let ended = 0;
      let begun = 0;
      const consumer = await queue.consume(async () => {
        begun += 1;
        await sleep(50);
        ended += 1;
      });
      await until('one began', () => begun === 1);
      await consumer.close();
      assert.equal(ended, 1);
      await settledTo(queue, 1);
    });

    it('settles before it delivers, at most once', async () => {
      const queue = await bench.mq.queue<number>(name());
      await queue.publishAll(Array.from({ length: 1_000 }, (_, index) => index));
      const got: number[] = [];
      const failures: string[] = [];
      const listener = (_error: Error, { queue: of }: Message, then: string): void => {
        if (of === queue.name) failures.push(then);
      };
      bench.mq.on('handlerFailed', listener);
      const consumer = await queue.consume(
        (payload) => {
          got.push(payload);
          if (payload === 3) throw new Error('lost');
        },
        { delivery: 'at-most-once' },
      );
      await until('all came', () => got.length === 1_000);
      await consumer.close();
      bench.mq.off('handlerFailed', listener);
      assert.deepEqual(failures, ['lost']);
      await settledTo(queue, 0);
    });

    it('says that nothing can come again that was settled before it came', async () => {
      const queue = await bench.mq.queue<number>(name());
      await queue.publish(1);
      let asked = 0;
      const consumer = await queue.consume(
        async (_payload, message) => {
          for (const settle of [() => message.requeue(), () => message.retry(), () => message.deadLetter()]) {
            await rejects(settle, 'ALREADY_SETTLED', /at-most-once/);
            asked += 1;
          }
          await message.ack();
        },
        { delivery: 'at-most-once' },
      );
      await until('it was handled', () => asked === 3);
      await consumer.close();
      await settledTo(queue, 0);
    });

    it('counts the time of a handler that settles later from its own beginning', async () => {
      const queue = await bench.mq.queue<number>(name());
      let settled = 0;
      const consumer = await queue.consume(
        (_payload, message) => void setTimeout(() => void message.ack().then(() => (settled += 1)), 5),
        { ack: 'manual', timeoutMs: 1_000, retry: false },
      );
      await sleep(1_300);
      await queue.publish(1);
      await until('it was settled', () => settled === 1);
      await consumer.close();
      await settledTo(queue, 0);
      assert.equal((await queue.deadLetters!.stats()).ready, 0);
    });

    it('handles what was settled before it came, though it closes', async () => {
      const queue = await bench.mq.queue<number>(name());
      await queue.publishAll(Array.from({ length: 40 }, (_, index) => index));
      const got: number[] = [];
      const consumer = await queue.consume(
        async (payload) => {
          await sleep(1);
          got.push(payload);
        },
        { delivery: 'at-most-once', prefetch: 10 },
      );
      await until('some came', () => got.length >= 3);
      await consumer.close();
      assert.equal(got.length + (await queue.stats()).ready, 40);
    });

    it('keeps the order where a schema takes its time', async () => {
      const schema: StandardSchema<number> = {
        '~standard': {
          version: 1,
          vendor: 'test',
          validate: async (value) => {
            await sleep(value === 0 ? 20 : 1);
            return { value: value as number };
          },
        },
      };
      const queue = await bench.mq.queue(name(), { schema });
      await queue.publishAll([0, 1, 2, 3, 4, 5]);
      const got: number[] = [];
      const consumer = await queue.consume((payload) => void got.push(payload), { prefetch: 6 });
      await until('all came', () => got.length === 6);
      assert.deepEqual(got, [0, 1, 2, 3, 4, 5]);
      await consumer.close();
    });

    it('waits for whatever has a then, and takes one that throws for a failure', async () => {
      const queue = await bench.mq.queue<string>(name());
      await queue.publishAll(['at once', 'throws']);
      const answers: Record<string, unknown> = {
        'at once': { then: (done: () => void) => done() },
        throws: {
          then: () => {
            throw new Error('no promise after all');
          },
        },
      };
      const consumer = await queue.consume((payload) => answers[payload], { retry: false });
      await settledTo(queue.deadLetters!, 1);
      await consumer.close();
      await settledTo(queue, 0);
    });

    it('is not overrun by messages without acknowledgement', async () => {
      const queue = await bench.mq.queue<number>(name());
      const count = 2_000;
      await queue.publishAll(Array.from({ length: count }, (_, index) => index));
      const got: number[] = [];
      let waiting: () => void = () => undefined;
      const consumer = await queue.consume(
        async (payload) => {
          got.push(payload);
          if (got.length === 5) await new Promise<void>((resolve) => (waiting = resolve));
        },
        { delivery: 'at-most-once', prefetch: 10 },
      );
      await until('five came', () => got.length === 5);
      await sleep(50);
      waiting();
      await until('all came', () => got.length === count);
      assert.deepEqual(
        got,
        Array.from({ length: count }, (_, index) => index),
      );
      await consumer.close();
    });

    it('ends a loop when the queue is empty, or nothing came for a while', async () => {
      const queue = await bench.mq.queue<number>(name());
      const drained = async (options: StreamOptions): Promise<number[]> => {
        const got: number[] = [];
        for await (const { payload } of queue.messages(options)) got.push(payload);
        return got;
      };
      assert.deepEqual(await drained({ idleMs: 0 }), []);
      await queue.publishAll([1, 2, 3]);
      assert.deepEqual(await drained({ idleMs: 0 }), [1, 2, 3]);
      await settledTo(queue, 0);
      await queue.publish(4);
      const begun = performance.now();
      setTimeout(() => void queue.publish(5), 40);
      assert.deepEqual(await drained({ idleMs: 1_000 }), [4, 5]);
      assert.ok(performance.now() - begun >= 1_035);
      await settledTo(queue, 0);
      // What has run dry in between.
      const got: number[] = [];
      await queue.publish(6);
      for await (const { payload } of queue.messages({ idleMs: 0 })) {
        got.push(payload);
        if (got.length < 4) await queue.publish(payload + 1);
      }
      assert.deepEqual(got, [6, 7, 8, 9]);
      await rejects(() => queue.messages({ idleMs: -1 }), 'INVALID_OPTION', /idleMs must be milliseconds/);
      await rejects(() => queue.messages({ concurrency: 2 } as object), 'INVALID_OPTION', /no option 'concurrency'/);
    });

    it('gives messages to a loop, and the last one back', async () => {
      const queue = await bench.mq.queue<number>(name());
      await queue.publishAll([1, 2, 3]);
      const got: number[] = [];
      for await (const { payload } of queue.messages()) {
        got.push(payload);
        if (payload === 2) break;
      }
      assert.deepEqual(got, [1, 2]);
      await settledTo(queue, 2);
    });

    it('ends a loop by its signal', async () => {
      const queue = await bench.mq.queue<number>(name());
      await queue.publish(1);
      const stop = new AbortController();
      const got: number[] = [];
      for await (const { payload } of queue.messages({ signal: stop.signal })) {
        got.push(payload);
        setTimeout(() => stop.abort(), 10);
      }
      assert.deepEqual(got, [1]);
    });

    it('closes a consumer by its signal', async () => {
      const queue = await bench.mq.queue<number>(name());
      const stop = new AbortController();
      const consumer = await queue.consume(() => undefined, { signal: stop.signal });
      stop.abort();
      await consumer.closed;
      await rejects(
        queue.consume(() => undefined, { signal: stop.signal }),
        'ABORTED',
      );
      await until('nobody consumes', async () => (await queue.stats()).consumers === 0);
    });

    it('shares a queue among consumers', async () => {
      const queue = await bench.mq.queue<number>(name());
      const got = [0, 0];
      const wait = (which: number) => async () => {
        got[which]! += 1;
        await sleep(2);
      };
      const first = await queue.consume(wait(0));
      const second = await queue.consume(wait(1));
      await queue.publishAll(Array.from({ length: 40 }, (_, index) => index));
      await until('all were handled', () => got[0]! + got[1]! === 40);
      assert.ok(got[0]! > 0 && got[1]! > 0, String(got));
      await first.close();
      await second.close();
    });

    it('keeps a queue for one consumer alone', async () => {
      const consume = (options: ConsumeOptions = {}): Promise<unknown> => queue.consume(() => undefined, options);
      if (bench.kind === 'rabbitmq') {
        const quorum = await bench.mq.queue(name());
        const refused = quorum.consume(() => undefined, { exclusive: true });
        await rejects(refused, 'UNSUPPORTED', /singleActiveConsumer/);
      }
      const queue = await bench.mq.queue<number>(name(), { priorities: 1, deliveryLimit: false });
      const first = await queue.consume(() => undefined);
      await rejects(consume({ exclusive: true }), 'QUEUE_LOCKED');
      await first.close();
      await until('it is gone', async () => (await queue.stats()).consumers === 0);
      const alone = await queue.consume(() => undefined, { exclusive: true });
      await rejects(consume(), 'QUEUE_LOCKED');
      await alone.close();
    });

    it('has one consumer after another where the queue is so', async () => {
      const queue = await bench.mq.queue<number>(name(), { singleActiveConsumer: true });
      const got: string[] = [];
      const first = await queue.consume(() => void got.push('first'));
      const second = await queue.consume(() => void got.push('second'));
      await queue.publishAll(Array.from({ length: 100 }, (_, index) => index));
      await until('all were handled', () => got.length === 100);
      assert.deepEqual(new Set(got), new Set(['first']));
      await first.close();
      await queue.publish(100);
      await until('the other has its turn', () => got.at(-1) === 'second');
      await second.close();
    });

    it('gives the messages of a key to one consumer at a time, in their order', async () => {
      if (bench.kind === 'rabbitmq') {
        await rejects(bench.mq.queue(name(), { groupBy: 'customer' }), 'UNSUPPORTED', /only Postrider does/);
        return;
      }
      const queue = await bench.mq.queue<number>(name(), { groupBy: 'customer' });
      const customers = ['ann', 'bob', 'cleo'];
      const running = new Map<unknown, number>();
      const handled: [customer: unknown, number: number][] = [];
      let most = 0;
      const consumers = await Promise.all(
        [1, 2, 3, 4].map(() =>
          queue.consume(
            async (number, message) => {
              const { customer } = message.headers;
              running.set(customer, (running.get(customer) ?? 0) + 1);
              assert.equal(running.get(customer), 1, `one at a time has those of ${customer as string}`);
              most = Math.max(most, [...running.values()].filter((count) => count > 0).length);
              await sleep(2);
              handled.push([customer, number]);
              running.set(customer, 0);
            },
            { prefetch: 3 },
          ),
        ),
      );
      for (let number = 0; number < 60; number++)
        await queue.publish(number, { headers: { customer: customers[number % 3]! } });
      await until('all were handled', () => handled.length === 60);
      for (const customer of customers) {
        const numbers = handled.filter(([whose]) => whose === customer).map(([, number]) => number);
        assert.deepEqual(
          numbers,
          numbers.toSorted((a, b) => a - b),
        );
      }
      assert.ok(most > 1, 'several keys are worked on at a time');
      for (const consumer of consumers) await consumer.close();
    });

    it('serves consumers of a higher priority first', async () => {
      const queue = await bench.mq.queue<number>(name());
      const got: string[] = [];
      const low = await queue.consume(() => void got.push('low'), { prefetch: 10 });
      const high = await queue.consume(() => void got.push('high'), { priority: 5, prefetch: 10 });
      // Until then the broker may not know what it may send to which.
      await sleep(20);
      for (let count = 0; count < 5; count++) {
        await queue.publish(count);
        await until('it was handled', () => got.length === count + 1);
        await sleep(5);
      }
      assert.deepEqual(got, ['high', 'high', 'high', 'high', 'high']);
      await low.close();
      await high.close();
    });

    it('says so when there is no such queue, or no longer', async () => {
      const queue = await bench.mq.queue(name());
      const heard = once(bench.mq, 'consumerEnded');
      const consumer = await queue.consume(() => undefined);
      await queue.delete();
      await rejects(consumer.closed, 'QUEUE_NOT_FOUND');
      await heard;
      await rejects(
        queue.consume(() => undefined),
        'QUEUE_NOT_FOUND',
      );
      await rejects(queue.stats(), 'QUEUE_NOT_FOUND');
      await rejects(queue.peek(), 'QUEUE_NOT_FOUND');
      await rejects(queue.purge(), 'QUEUE_NOT_FOUND');
    });

    it('tells of a consumer that ended by itself, and of one that was closed it does not', async (context) => {
      const told: unknown[] = [];
      const listener = (error: Error, of: string): number => told.push([(error as PostriderError).code, of]);
      bench.mq.on('consumerEnded', listener);
      const queue = await bench.mq.queue(name());
      const closed = await queue.consume(() => undefined);
      await closed.close();
      const consumer = await queue.consume(() => undefined);
      await queue.delete();
      await rejects(consumer.closed, 'QUEUE_NOT_FOUND');
      await until('it was told', () => told.length > 0);
      bench.mq.off('consumerEnded', listener);
      assert.deepEqual(told, [['QUEUE_NOT_FOUND', queue.name]]);

      const lines = context.mock.method(console, 'error', () => undefined).mock;
      const unheard = await bench.mq.queue(name());
      const another = await unheard.consume(() => undefined);
      await unheard.delete();
      await rejects(another.closed, 'QUEUE_NOT_FOUND');
      await until('it was printed', () => lines.callCount() > 0);
      assert.match(String(lines.calls[0]!.arguments[0]), new RegExp(`consumer of queue '${unheard.name}' has ended`));
    });

    it('fetches as many as it is told', async () => {
      const queue = await bench.mq.queue<number>(name());
      await queue.publishAll([1, 2, 3, 4, 5, 6]);
      let came = 0;
      const consumer = await queue.consume(
        async () => {
          came += 1;
          await new Promise(() => undefined);
        },
        { prefetch: 4 },
      );
      await until('one came', () => came === 1);
      await settledTo(queue, 2);
      await consumer.close({ graceMs: 0 });
      await settledTo(queue, 6);
    });
  });
}
