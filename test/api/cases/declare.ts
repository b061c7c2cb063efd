import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Message, QueueOptions } from '../../../src/index.ts';
import { evenNumber } from '../schemas.ts';
import { type Bench, rejects, settledTo, until } from '../bench.ts';

export function declareCases(bench: Bench): void {
  describe('declaring', () => {
    it('makes a queue with its dead-letter queue, again and again the same', async () => {
      const name = bench.name();
      const queue = await bench.mq.queue(name, { maxLength: 10, messageTtlMs: 60_000 });
      assert.equal(queue.name, name);
      assert.equal(queue.deadLetters?.name, `${name}.dead`);
      await queue.publish('x');
      await bench.mq.queue(name, { maxLength: 10, messageTtlMs: 60_000 });
      assert.equal((await queue.stats()).ready, 1);
      assert.equal((await queue.deadLetters.stats()).ready, 0);
    });

    it('refuses a queue that is there with other settings', async () => {
      const name = bench.name();
      await bench.mq.queue(name, { maxLength: 10 });
      await rejects(
        bench.mq.queue(name, { maxLength: 11 }),
        'QUEUE_DIFFERS',
        /is there with maxLength: 10, not with maxLength: 11.*declare: false/,
      );
      // And goes on.
      await bench.mq.queue(name, { maxLength: 10 });
    });

    it('says in options what differs, and what to do', async () => {
      const { mq } = bench;
      const plain = { deliveryLimit: false, deadLetter: false } as const;
      const differences: [first: QueueOptions, then: QueueOptions, text: RegExp][] = [
        [{ ...plain, maxLength: 10 }, plain, /is there with maxLength: 10, not with no maxLength as asked for/],
        [plain, { ...plain, messageTtlMs: 500 }, /with no messageTtlMs, not with messageTtlMs: 500/],
        [plain, { ...plain, expiresMs: 70_000 }, /with no expiresMs, not with expiresMs: 70000/],
        [{ ...plain, deliveryLimit: 4 }, plain, /with deliveryLimit: 4, not with deliveryLimit: false/],
        [{ ...plain, singleActiveConsumer: true }, plain, /with singleActiveConsumer: true, not/],
        [plain, { deliveryLimit: false }, /with deadLetter: false, not with a dead-letter queue/],
        [
          { ...plain, deadLetter: 'a' },
          { ...plain, deadLetter: 'b' },
          /with deadLetter: 'a', not with deadLetter: 'b'/,
        ],
        [{ ...plain, durable: false }, plain, /with durable: false, not with durable: true/],
        [
          { ...plain, maxBytes: 9 },
          { ...plain, maxBytes: 9, overflow: 'drop-oldest' },
          /with overflow: 'reject', not with overflow: 'drop-oldest'/,
        ],
      ];
      if (bench.kind !== 'rabbitmq')
        differences.push([{ ...plain, groupBy: 'a' }, plain, /with groupBy: 'a', not with no groupBy/]);
      for (const [first, then, text] of differences) {
        const name = bench.name();
        await mq.queue(name, first);
        const error = await rejects(mq.queue(name, then), 'QUEUE_DIFFERS', text);
        assert.match(error.message, new RegExp(`^queue '${name}' is there .*declare: false`));
        assert.doesNotMatch(error.message, /x-|vhost|PRECONDITION/);
      }
      const exchange = bench.name();
      await mq.topic('a', { exchange }).subscribe(bench.name());
      await rejects(
        mq.topic('a', { exchange: 'amq.direct' }).subscribe(bench.name()),
        'QUEUE_DIFFERS',
        /exchange 'amq\.direct' is there of the type 'direct'.*'topic'; take another name/,
      );
    });

    it('leaves nothing behind when it is refused', async () => {
      const { mq } = bench;
      const name = bench.name();
      await mq.queue(name, { maxLength: 10, deadLetter: false });
      await rejects(mq.queue(name), 'QUEUE_DIFFERS');
      await rejects(mq.queue(`${name}.dead`, { declare: false }), 'QUEUE_NOT_FOUND');
      if (bench.kind !== 'rabbitmq') return;
      const other = bench.name();
      await rejects(mq.queue(other, { priorities: 5, deliveryLimit: 3 }), 'UNSUPPORTED');
      await rejects(mq.queue(`${other}.dead`, { declare: false }), 'QUEUE_NOT_FOUND');
    });

    it('opens a dead-letter queue by its name, whoever made it', async () => {
      const { mq } = bench;
      const name = bench.name();
      const { deadLetters } = await mq.queue(name);
      const dead = await mq.queue(`${name}.dead`);
      assert.equal(dead.deadLetters, null);
      await deadLetters!.publish('x');
      assert.equal((await dead.peek())[0]!.payload, 'x');
      const shared = await mq.queue(bench.name(), { messageTtlMs: 60_000 });
      const user = await mq.queue(bench.name(), { deadLetter: shared.name });
      assert.equal(user.deadLetters?.name, shared.name);
      // Its dead letters may have been there first.
      const later = bench.name();
      await mq.queue(`${later}.dead`, { maxLength: 1_000 });
      await mq.queue(later);
    });

    it('opens a dead-letter queue with a name of its own as one', async () => {
      const { mq } = bench;
      const graveyard = bench.name();
      const queue = await mq.queue(bench.name(), { deadLetter: graveyard });
      const dead = await mq.queue(graveyard);
      assert.equal(dead.deadLetters, null);
      const raw = { contentType: 'application/json', serialize: (text: string) => text, deserialize: String };
      await (
        await mq.queue<string>(queue.name, { declare: false, serializer: raw, deadLetter: graveyard })
      ).publish('{"cut');
      const reading = await queue.consume(() => assert.fail('it was handled'));
      await settledTo(dead, 1);
      await reading.close();
      const other = await bench.other();
      // Who doesn't know says so.
      for (const opened of [dead, await other.queue(graveyard, { deadLetter: false })]) {
        const got: unknown[] = [];
        const consumer = await opened.consume(
          (payload) => {
            got.push(payload);
            if (got.length < 7) throw new Error('no');
          },
          { retry: { minDelayMs: 0 } },
        );
        await until('it was tried often', () => got.length === 7);
        await consumer.close();
        assert.ok(got.every((payload) => Buffer.isBuffer(payload) && payload.toString() === '{"cut'));
        if (opened === dead) await (await mq.queue<string>(graveyard, { serializer: raw })).publish('{"cut');
      }
      await settledTo(dead, 0);
      await other.close();
      // What was a queue of its own first stays one.
      const first = await mq.queue(bench.name());
      await mq.queue(bench.name(), { deadLetter: first.name });
      assert.equal((await mq.queue(first.name)).deadLetters?.name, `${first.name}.dead`);
    });

    it('keeps trying what does not fit its schema where there are no dead letters', async () => {
      const plain = await bench.mq.queue<string>(bench.name(), { deadLetter: false });
      await plain.publish('3');
      const queue = await bench.mq.queue(plain.name, { schema: evenNumber(false), deadLetter: false });
      const told: string[] = [];
      const listener = (_error: Error, message: Message, then: string): void => {
        if (message.queue === queue.name) told.push(then);
      };
      bench.mq.on('handlerFailed', listener);
      const consumer = await queue.consume(() => assert.fail('it was handled'), { retry: { minDelayMs: 0 } });
      await until('it was tried often', () => told.length >= 7);
      await consumer.close();
      bench.mq.off('handlerFailed', listener);
      assert.deepEqual(new Set(told), new Set(['retry']));
      await until('it is there', async () => (await plain.stats()).ready === 1);
    });

    it('uses a queue as it stands', async () => {
      const name = bench.name();
      await rejects(bench.mq.queue(name, { declare: false }), 'QUEUE_NOT_FOUND');
      await bench.mq.queue(name, { maxLength: 10, deadLetter: false });
      const queue = await bench.mq.queue(name, { declare: false, deadLetter: false });
      await queue.publish(1);
      assert.equal((await queue.stats()).ready, 1);
      assert.equal(queue.deadLetters, null);
    });

    it('refuses names that no broker takes', async () => {
      const { mq } = bench;
      await rejects(mq.queue(''), 'INVALID_NAME');
      await rejects(mq.queue(7 as unknown as string), 'INVALID_NAME');
      await rejects(mq.queue('x'.repeat(251)), 'INVALID_NAME', /250 bytes/);
      await rejects(mq.queue('amq.mine'), 'INVALID_NAME');
      await rejects(mq.queue('a\nb'), 'INVALID_NAME');
      await rejects(mq.queue('a\ud800'), 'INVALID_NAME', /half of a character/);
      await rejects(() => mq.topic('a\ud800'), 'INVALID_NAME', /half of a character/);
      await rejects(() => mq.topic('a', { exchange: '' }), 'INVALID_NAME', /exchange/);
      await rejects(() => mq.topic('a', { exchange: 'x'.repeat(256) }), 'INVALID_NAME', /255 bytes/);
      await mq.queue('🛒'.repeat(2) + bench.name());
      await rejects(() => mq.topic('x'.repeat(256)), 'INVALID_NAME');
      await rejects(() => mq.topic(''), 'INVALID_NAME');
      await rejects(mq.topic('a').subscribe(''), 'INVALID_NAME');
    });

    it('says of an unknown option what was meant', async () => {
      const { mq } = bench;
      const options = (given: object): object => given;
      await rejects(mq.queue(bench.name(), options({ maxLenght: 1 })), 'INVALID_OPTION', /did you mean 'maxLength'/);
      await rejects(mq.queue(bench.name(), { maxLength: -1 }), 'INVALID_OPTION', /maxLength/);
      await rejects(mq.queue(bench.name(), { overflow: 'reject' }), 'INVALID_OPTION', /limit/);
      const queue = await mq.queue(bench.name());
      await rejects(
        queue.consume(() => undefined, options({ concurency: 2 })),
        'INVALID_OPTION',
        /'concurrency'/,
      );
      await rejects(queue.consume(7 as never), 'INVALID_OPTION', /handler/);
      await rejects(
        queue.consume(() => undefined, { concurrency: 5, prefetch: 2 }),
        'INVALID_OPTION',
        /starve/,
      );
      await rejects(
        queue.consume(() => undefined, { delivery: 'at-most-once', ack: 'manual' }),
        'INVALID_OPTION',
      );
      await rejects(queue.publish(1, options({ delay: 5 })), 'INVALID_OPTION', /'delayMs'/);
      await rejects(queue.publish(1, { priority: 256 }), 'INVALID_OPTION');
      await rejects(queue.publish(1, { id: 'x'.repeat(256) }), 'INVALID_OPTION', /255/);
      await rejects(queue.request(1, options({ timeout: 5 })), 'INVALID_OPTION', /'timeoutMs'/);
      await rejects(queue.redrive(options({ limits: 5 })), 'INVALID_OPTION', /'limit'/);
      await rejects(queue.request(1, { publish: options({ replyTo: 'x' }) }), 'INVALID_OPTION', /no option 'replyTo'/);
      await rejects(
        queue.respond(() => 1, options({ ack: 'manual' })),
        'INVALID_OPTION',
        /no option 'ack'/,
      );
      await rejects(queue.publishAll(7 as never), 'INVALID_OPTION', /not 7/);
      await rejects(queue.publishAll('abc'), 'INVALID_OPTION', /wants payloads, in an array/);
      const consumer = await queue.consume(() => undefined);
      await rejects(consumer.close(options({ grace: 5 })), 'INVALID_OPTION', /'graceMs'/);
      await consumer.close();
      await rejects(queue.peek(0), 'INVALID_OPTION');
    });

    it('keeps priorities, or says that it can not', async () => {
      const name = bench.name();
      if (bench.kind === 'rabbitmq') {
        await rejects(bench.mq.queue(name, { priorities: 5 }), 'UNSUPPORTED', /deliveryLimit: false/);
        await rejects(bench.mq.queue(bench.name(), { durable: false }), 'UNSUPPORTED', /deliveryLimit: false/);
      }
      const queue = await bench.mq.queue(name, { priorities: 5, deliveryLimit: false });
      assert.equal((await queue.stats()).ready, 0);
    });

    it('has queues that end with their broker', async () => {
      const queue = await bench.mq.queue(bench.name(), { durable: false, deliveryLimit: false });
      await queue.publish('fleeting');
      assert.equal((await queue.stats()).ready, 1);
    });
  });
}
