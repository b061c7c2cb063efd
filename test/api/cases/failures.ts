import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type ConsumeOptions,
  type Message,
  PostriderError,
  type Queue,
  type StandardSchema,
} from '../../../src/index.ts';
import { evenNumber } from '../schemas.ts';
import { type Bench, rejects, settledTo, sleep, take, until } from '../bench.ts';

const atOnce = { minDelayMs: 0, attempts: 3 };

export function failureCases(bench: Bench): void {
  const { name } = bench;

  /** Consumes until a message is dead, and answers with it. */
  async function deadOf<T, In>(
    queue: Queue<T, In>,
    handler: (payload: T, message: Message<T>) => unknown,
    options: ConsumeOptions = {},
  ): Promise<Message> {
    const consumer = await queue.consume(handler, options);
    await settledTo(queue.deadLetters!, 1);
    await consumer.close();
    await settledTo(queue, 0);
    return (await queue.deadLetters!.peek())[0]!;
  }

  describe('failing', () => {
    it('tries a message again, then dead-letters it with the reason', async () => {
      const queue = await bench.mq.queue<{ order: number }>(name());
      await queue.publish({ order: 1 }, { id: 'o-1', headers: { tenant: 't' } });
      const attempts: number[] = [];
      const told: string[] = [];
      const listener = (_error: Error, message: Message, then: string): void => {
        if (message.queue === queue.name) told.push(then);
      };
      bench.mq.on('handlerFailed', listener);
      const dead = await deadOf(
        queue,
        (_payload, message) => {
          attempts.push(message.attempt);
          throw new Error('no stock');
        },
        { retry: atOnce },
      );
      bench.mq.off('handlerFailed', listener);
      assert.deepEqual(attempts, [1, 2, 3]);
      assert.deepEqual(told, ['retry', 'retry', 'dead-letter']);
      assert.deepEqual(dead.payload, { order: 1 });
      assert.equal(dead.id, 'o-1');
      const { headers } = dead;
      assert.equal(headers['tenant'], 't');
      assert.equal(headers['x-dead-letter-queue'], queue.name);
      assert.equal(headers['x-dead-letter-reason'], 'failed');
      assert.equal(headers['x-dead-letter-error'], 'no stock');
      assert.equal(headers['x-dead-letter-attempts'], 3);
    });

    it('waits longer before each attempt', async () => {
      const queue = await bench.mq.queue<number>(name());
      await queue.publish(1);
      const at: number[] = [];
      const retry = { attempts: 3, minDelayMs: 60, factor: 3, jitter: 0 };
      const dead = await deadOf(
        queue,
        async () => {
          at.push(performance.now());
          throw new Error('again');
        },
        { retry },
      );
      assert.equal(at.length, 3);
      assert.ok(at[1]! - at[0]! >= 58, `${at[1]! - at[0]!} ms`);
      assert.ok(at[2]! - at[1]! >= 178, `${at[2]! - at[1]!} ms`);
      assert.equal(dead.headers['x-dead-letter-attempts'], 3);
      assert.equal(dead.headers['x-death'], undefined);
    });

    it('takes anything that is thrown', async () => {
      const trap = new Error('');
      Object.defineProperty(trap, 'message', {
        get() {
          throw new Error('sprung');
        },
      });
      for (const thrown of ['a text', null, undefined, { some: 'object' }, 7, Symbol('s'), Object.create(null), trap]) {
        const queue = await bench.mq.queue<number>(name());
        await queue.publish(1);
        const dead = await deadOf(
          queue,
          () => {
            throw thrown;
          },
          { retry: false },
        );
        assert.equal(dead.headers['x-dead-letter-reason'], 'failed');
        assert.equal(typeof dead.headers['x-dead-letter-error'], 'string');
      }
    });

    it('lets the handler decide', async () => {
      const queue = await bench.mq.queue<string>(name());
      await queue.publish('poison');
      const dead = await deadOf(queue, (_payload, message) => message.deadLetter('not for us'), { ack: 'manual' });
      assert.equal(dead.headers['x-dead-letter-reason'], 'rejected');
      assert.equal(dead.headers['x-dead-letter-error'], 'not for us');
      const again = await bench.mq.queue<string>(name());
      await again.publish('x');
      const seen: number[] = [];
      const letter = await deadOf(
        again,
        async (_payload, message) => {
          seen.push(message.attempt);
          await message.retry(new Error('busy'), { delayMs: 0 });
        },
        { ack: 'manual', retry: atOnce },
      );
      assert.deepEqual(seen, [1, 2, 3]);
      assert.equal(letter.headers['x-dead-letter-error'], 'busy');
    });

    it('refuses a retry with options that can not be, and leaves the message to its handler', async () => {
      const queue = await bench.mq.queue<string>(name());
      await queue.publish('x');
      let settledBefore = true;
      const consumer = await queue.consume(
        async (_payload, message) => {
          await rejects(message.retry(undefined, { delayMs: -1 }), 'INVALID_OPTION', /retry\(\): delayMs must be/);
          await rejects(message.retry(undefined, { delayMS: 1 } as object), 'INVALID_OPTION', /'delayMs'/);
          settledBefore = message.settled;
          await message.ack();
        },
        { ack: 'manual' },
      );
      await until('it was acknowledged', () => !settledBefore);
      await consumer.close();
      await settledTo(queue, 0);
      await settledTo(queue.deadLetters!, 0);
    });

    it('gives up a handler that never ends', async () => {
      const queue = await bench.mq.queue<string>(name());
      await queue.publish('x');
      let reason: unknown;
      const dead = await deadOf(
        queue,
        (_payload, message) =>
          new Promise(() => {
            message.signal.addEventListener('abort', () => {
              reason = message.signal.reason;
            });
          }),
        { timeoutMs: 30, retry: false },
      );
      assert.match(dead.headers['x-dead-letter-error'] as string, /did not end within 30 ms/);
      assert.ok(reason instanceof PostriderError && reason.code === 'TIMEOUT');
    });

    it('gives up a schema that never answers, and goes on with the next message', async () => {
      const schema: StandardSchema<string> = {
        '~standard': {
          version: 1,
          vendor: 'test',
          validate: (value) => (value === 'stuck' ? new Promise(() => undefined) : { value: value as string }),
        },
      };
      const plain = await bench.mq.queue<string>(name());
      await plain.publishAll(['stuck', 'next']);
      const queue = await bench.mq.queue(plain.name, { schema });
      const got: string[] = [];
      const consumer = await queue.consume((payload) => got.push(payload), { timeoutMs: 30, retry: false });
      await until('the next one came', () => got.length === 1);
      await consumer.close();
      assert.deepEqual(got, ['next']);
      const [letter] = await take(queue.deadLetters!, 1);
      assert.match(letter!.headers['x-dead-letter-error'] as string, /the schema .* did not end within 30 ms/);
    });

    it('dead-letters what can not be read', async () => {
      const queue = await bench.mq.queue(name());
      const raw = await bench.mq.queue<string>(queue.name, {
        declare: false,
        serializer: {
          contentType: 'application/json',
          serialize: (text: string) => text,
          deserialize: String,
        },
      });
      await raw.publish('{"cut');
      const dead = await deadOf(queue, () => assert.fail('it was handled'));
      assert.equal(dead.headers['x-dead-letter-reason'], 'undecodable');
      assert.ok(Buffer.from('{"cut').equals(dead.payload as Buffer));
    });

    it('dead-letters what does not fit its schema', async () => {
      for (const later of [false, true]) {
        const plain = await bench.mq.queue<string>(name());
        await plain.publish('3');
        const queue = await bench.mq.queue(plain.name, { schema: evenNumber(later) });
        const dead = await deadOf(queue, () => assert.fail('it was handled'));
        assert.equal(dead.headers['x-dead-letter-reason'], 'schema-mismatch');
        assert.match(dead.headers['x-dead-letter-error'] as string, /not even/);
        assert.equal(dead.payload, '3');
      }
    });

    it('dead-letters what was delivered too often without an answer', async () => {
      const queue = await bench.mq.queue<string>(name(), { deliveryLimit: 2 });
      await queue.publish('killer');
      let deliveries = 0;
      const dead = await deadOf(
        queue,
        async (_payload, message) => {
          deliveries += 1;
          await message.requeue();
        },
        { ack: 'manual', prefetch: 1 },
      );
      assert.equal(deliveries, 3);
      assert.equal(dead.payload, 'killer');
    });

    it('keeps what can not be retried for want of room, and gives it again', async () => {
      const queue = await bench.mq.queue<string>(name(), { maxLength: 1 });
      await queue.publish('first');
      const told: string[] = [];
      const listener = (error: Error, message: Message, then: string): void => {
        if (message.queue === queue.name) told.push(`${then} ${error instanceof PostriderError ? error.code : ''}`);
      };
      bench.mq.on('handlerFailed', listener);
      let fail!: () => void;
      let isFull = true;
      const got: string[] = [];
      const consumer = await queue.consume(
        async (payload) => {
          got.push(payload);
          // Full as long as this one is out, and others waited for its place.
          if (isFull) await new Promise<void>((_resolve, reject) => (fail = () => reject(new Error('busy'))));
        },
        { prefetch: 1, retry: { attempts: 2, minDelayMs: 0 } },
      );
      await until('it came', () => got.length === 1);
      // A broker may take one or two more than its limit.
      let others = 0;
      for (let count = 0; count < 4; count++) {
        await queue.publish(`other ${count}`).then(
          () => (others += 1),
          () => undefined,
        );
      }
      assert.ok(others >= 1 && others < 4);
      fail();
      await until('it could not be retried', () => told.length === 2);
      assert.deepEqual(told, ['retry ', 'requeue QUEUE_FULL']);
      isFull = false;
      await until('all were handled', () => got.length === others + 2);
      assert.ok(got.includes('first', 1));
      bench.mq.off('handlerFailed', listener);
      await consumer.close();
      assert.equal((await queue.deadLetters!.stats()).ready, 0);
      await settledTo(queue, 0);
    });

    it('keeps what finds its queue full when it is due again', async () => {
      // It tries again after three minutes.
      if (bench.kind === 'rabbitmq') return;
      const queue = await bench.mq.queue<string>(name(), { maxLength: 1 });
      await queue.publish('first');
      let published = 1;
      const fill = async (): Promise<void> => {
        for (let count = 0; count < 4; count++) {
          await queue.publish('other').then(
            () => (published += 1),
            () => undefined,
          );
        }
      };
      const got: string[] = [];
      let go!: () => void;
      const open = new Promise<void>((resolve) => (go = resolve));
      const consumer = await queue.consume(
        async (payload, { attempt }) => {
          got.push(payload);
          if (payload === 'first' && attempt === 1) throw new Error('busy');
          await open;
        },
        { prefetch: 1, retry: { attempts: 2, minDelayMs: 300, jitter: 0 } },
      );
      await until('it failed', () => got.length === 1);
      await queue.publish('other');
      published += 1;
      await until('another one is out', () => got.length === 2);
      await fill();
      await sleep(500);
      go();
      await until('all were handled', () => got.length === published + 1);
      assert.equal(got.filter((payload) => payload === 'first').length, 2);
      await consumer.close();
      assert.equal((await queue.deadLetters!.stats()).ready, 0);
    });

    it('loses no dead letter whose handler fails', async () => {
      const queue = await bench.mq.queue<string>(name());
      const dead = queue.deadLetters!;
      await queue.publish('x');
      await deadOf(
        queue,
        () => {
          throw new Error('no');
        },
        { retry: false },
      );
      const raw = await bench.mq.queue<string>(dead.name, {
        serializer: { contentType: 'application/json', serialize: (text: string) => text, deserialize: String },
      });
      await raw.publish('{"cut');
      const got: unknown[] = [];
      const consumer = await dead.consume(
        (payload, { attempt }) => {
          got.push(Buffer.isBuffer(payload) ? payload.toString() : payload);
          if (attempt < 8) throw new Error('still no');
        },
        { retry: { minDelayMs: 0 } },
      );
      await until('each was tried eight times', () => got.length === 16);
      await settledTo(dead, 0);
      await consumer.close();
      assert.deepEqual(new Set(got), new Set(['x', '{"cut']));
    });

    it('drops what has no dead-letter queue', async () => {
      const queue = await bench.mq.queue<string>(name(), { deadLetter: false });
      await queue.publish('x');
      const told: string[] = [];
      const listener = (_error: Error, message: Message, then: string): void => {
        if (message.queue === queue.name) told.push(then);
      };
      bench.mq.on('handlerFailed', listener);
      const consumer = await queue.consume(() => assert.fail('no'), { retry: false });
      await until('it failed', () => told.length === 1);
      await consumer.close();
      bench.mq.off('handlerFailed', listener);
      assert.deepEqual(told, ['drop']);
      await settledTo(queue, 0);
    });

    it('begins anew with what is published with the headers of another', async () => {
      const queue = await bench.mq.queue<number>(name());
      const next = await bench.mq.queue<number>(name());
      await queue.publish(1, { headers: { 'my-own': 'kept' } });
      const dead = await deadOf(
        queue,
        async (payload, message) => {
          if (message.attempt === 2) await next.publish(payload, { headers: message.headers });
          throw new Error('no');
        },
        { retry: { attempts: 2, minDelayMs: 0 } },
      );
      await next.publish(2, { headers: dead.headers });
      for (const message of await take(next, 2)) {
        assert.deepEqual([message.attempt, message.topic, message.death], [1, next.name, null]);
        assert.deepEqual({ ...message.headers }, { 'my-own': 'kept' });
      }
    });

    it('tries again what was delivered in time, however long it takes', async () => {
      const queue = await bench.mq.queue<number>(name());
      const attempts: number[] = [];
      const consumer = await queue.consume(
        (_payload, { attempt }) => {
          attempts.push(attempt);
          if (attempt < 3) throw new Error('busy');
        },
        { retry: { minDelayMs: 150, jitter: 0 } },
      );
      await queue.publish(1, { expiresMs: 100 });
      await until('it was tried three times', () => attempts.length === 3);
      await consumer.close();
      await settledTo(queue, 0);
      await settledTo(queue.deadLetters!, 0);
    });

    it('goes on with others while one is tried again', async () => {
      const queue = await bench.mq.queue<number>(name());
      await queue.publishAll([1, 2, 3]);
      const got: number[] = [];
      const consumer = await queue.consume(
        (payload, { attempt }) => {
          got.push(payload);
          if (payload === 1 && attempt === 1) throw new Error('once');
        },
        { retry: atOnce },
      );
      await until('all were handled', () => got.length === 4);
      assert.deepEqual(got.toSorted(), [1, 1, 2, 3]);
      await consumer.close();
      await settledTo(queue, 0);
    });

    it('refuses a settlement after the consumer was closed', async () => {
      const queue = await bench.mq.queue<number>(name());
      await queue.publish(1);
      let held: Message<number> | null = null;
      const consumer = await queue.consume((_payload, message) => void (held = message), { ack: 'manual' });
      await until('it came', () => held !== null);
      await consumer.close({ graceMs: 0 });
      await sleep(1);
      await rejects(held!.ack(), 'ALREADY_SETTLED');
      await settledTo(queue, 1);
    });
  });
}
