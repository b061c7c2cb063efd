import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Bench, rejects, settledTo, sleep, until } from '../bench.ts';

export function closingCases(bench: Bench): void {
  const { name } = bench;

  describe('closing', () => {
    it('waits for handlers, answers what was published, and takes nothing more', async () => {
      const here = await bench.mq.queue<number>(name());
      const other = await bench.other();
      const queue = await other.queue<number>(here.name);
      const answered = Promise.all(Array.from({ length: 200 }, (_, index) => queue.publish(index)));
      const results = await other.queue<string>(name());
      let ended = false;
      let begun = false;
      await queue.consume(async () => {
        begun = true;
        await sleep(30);
        // A handler that is waited for may publish what it was for.
        await results.publish('result');
        await results.publishAll(['more', 'and more']);
        ended = true;
      });
      await until('a handler runs', () => begun);
      let closed = 0;
      other.on('closed', () => (closed += 1));
      const [first, second] = [other.close(), other.close()];
      await rejects(queue.stats(), 'CLOSED');
      await Promise.all([first, second, answered]);
      assert.equal(ended, true);
      assert.equal(other.closed, true);
      assert.equal(closed, 1);
      await rejects(queue.publish(7), 'CLOSED');
      await rejects(
        queue.consume(() => undefined),
        'CLOSED',
      );
      await rejects(other.queue('x'), 'CLOSED');
      await rejects(() => other.topic('x'), 'CLOSED');
      await settledTo(here, 199);
      await settledTo(await bench.mq.queue(results.name), 3);
    });

    it('lets a handler that it waits for ask, and waits for the answer', async () => {
      const here = await bench.mq.queue<number>(name());
      await using responder = await here.respond((number) => number * 2);
      assert.equal(responder.queue, here.name);
      const other = await bench.other();
      const asking = await other.queue<number>(here.name);
      const queue = await other.queue<number>(name());
      let begun = false;
      let answer: unknown = null;
      await queue.consume(async (number) => {
        begun = true;
        await sleep(30);
        answer = await asking.request(number).catch((error: unknown) => error);
      });
      await queue.publish(21);
      await until('a handler runs', () => begun);
      const closed = other.close();
      await rejects(asking.stats(), 'CLOSED');
      await closed;
      assert.equal(answer, 42);
      await rejects(asking.request(1), 'CLOSED');
    });

    it('takes nothing more at once where no handler runs', async () => {
      const other = await bench.other();
      const queue = await other.queue<number>(name());
      const closed = other.close();
      await rejects(queue.publish(7), 'CLOSED');
      await closed;
    });

    it('says of every verb that it is closed', async () => {
      const other = await bench.other();
      const queue = await other.queue<number>(name());
      const topic = other.topic<number>(name());
      const subscription = await topic.subscribe(name());
      await other.close();
      const verbs: Record<string, () => unknown> = {
        queue: () => other.queue('x'),
        topic: () => other.topic('x'),
        publish: () => queue.publish(1),
        'publish later': () => queue.publish(1, { delayMs: 5 }),
        'publish with a signal': () => queue.publish(1, { signal: new AbortController().signal }),
        publishAll: () => queue.publishAll([1]),
        consume: () => queue.consume(() => undefined),
        messages: async () => {
          for await (const message of queue.messages()) assert.fail(`${message.payload} came`);
        },
        request: () => queue.request(1),
        respond: () => queue.respond(() => 1),
        peek: () => queue.peek(),
        purge: () => queue.purge(),
        delete: () => queue.delete(),
        stats: () => queue.stats(),
        redrive: () => queue.deadLetters!.redrive(),
        'publish to a topic': () => topic.publish(1),
        'publish many to a topic': () => topic.publishAll([1]),
        subscribe: () => topic.subscribe('x'),
        unsubscribe: () => topic.unsubscribe(subscription.name),
      };
      for (const verb of Object.values(verbs)) {
        await rejects(verb, 'CLOSED', /^can't [a-z ]+: the connection is closed; connect again for more$/);
      }
      await other.close();
      await rejects(other.close({ grace: 5 } as object), 'INVALID_OPTION', /'graceMs'/);
    });

    it('ends a redrive, and says how many it had sent back', async () => {
      const other = await bench.other();
      const queue = await other.queue<number>(name());
      await queue.deadLetters!.publishAll([1, 2, 3]);
      const redriving = rejects(
        queue.deadLetters!.redrive({ ratePerSecond: 0.01 }),
        'CLOSED',
        /1 message was sent back/,
      );
      await settledTo(queue, 1);
      await other.close();
      assert.equal((await redriving).moved, 1);
      await settledTo(await bench.mq.queue(queue.name), 1);
      await settledTo(await bench.mq.queue(`${queue.name}.dead`), 2);
    });

    it('rejects requests that wait, and does not wait for ever', async () => {
      const here = await bench.mq.queue<number>(name());
      const other = await bench.other();
      const queue = await other.queue<number>(here.name);
      const asked = rejects(queue.request(1), 'UNKNOWN_OUTCOME');
      await settledTo(here, 1);
      let begun = false;
      let aborted = false;
      await queue.consume((_payload, { signal }) => {
        begun = true;
        signal.addEventListener('abort', () => (aborted = true));
        return new Promise(() => undefined);
      });
      await until('a handler runs', () => begun);
      await other.close({ graceMs: 20 });
      await asked;
      assert.equal(aborted, true);
      await settledTo(here, 1);
    });

    it('waits no longer than whoever closes last, however it began', { timeout: 25_000 }, async () => {
      const other = await bench.other();
      const queue = await other.queue<number>(name());
      await queue.publish(1);
      const stop = new AbortController();
      let begun = false;
      const consumer = await queue.consume(
        () => {
          begun = true;
          return new Promise(() => undefined);
        },
        { signal: stop.signal },
      );
      await until('a handler runs', () => begun);
      stop.abort();
      const first = other.close();
      await other.close({ graceMs: 20 });
      await Promise.all([first, consumer.closed]);
      await settledTo(await bench.mq.queue(queue.name), 1);
    });

    it('ends with its block', async () => {
      let ended;
      {
        await using other = await bench.other();
        const queue = await other.queue(name());
        await using consumer = await queue.consume(() => undefined);
        assert.equal(consumer.queue, queue.name);
        ended = consumer.closed;
      }
      await ended;
    });
  });
}
