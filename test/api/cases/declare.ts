import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Bench, rejects } from '../bench.ts';

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
      await rejects(bench.mq.queue(name, { maxLength: 11 }), 'QUEUE_DIFFERS', /x-max-length/);
      // And goes on.
      await bench.mq.queue(name, { maxLength: 10 });
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
