import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Queue, Topic } from '../../../src/index.ts';
import { evenNumber } from '../schemas.ts';
import { type Bench, rejects, settledTo, take } from '../bench.ts';

export function topicCases(bench: Bench): void {
  const { name } = bench;

  describe('topics', () => {
    it('gives every subscription its own copy', async () => {
      const topic = bench.mq.topic<string>(`${name()}.placed`);
      await topic.publish('nobody listens');
      const [stock, billing] = [await topic.subscribe(name()), await topic.subscribe(name())];
      await topic.publish('order');
      for (const queue of [stock, billing]) {
        const [message] = await take(queue, 1);
        assert.equal(message!.payload, 'order');
        assert.equal(message!.topic, topic.name);
        assert.equal(message!.queue, queue.name);
      }
    });

    it('leaves the event loop to others while one publishes on and on to nobody', { timeout: 300_000 }, async () => {
      const topic = bench.mq.topic<number>(name());
      const gone = await bench.mq.queue<number>(name());
      await gone.delete();
      for (const publish of [() => topic.publish(1), () => gone.publish(1).catch(() => undefined)]) {
        let fired = false;
        setTimeout(() => (fired = true), 5);
        // Bounded, so that a loop that nothing gets into fails instead of hanging.
        const until = performance.now() + 20_000;
        while (!fired && performance.now() < until) await publish();
        assert.equal(fired, true);
      }
    });

    it('keeps for a subscription what comes while nobody consumes it', async () => {
      const topic = bench.mq.topic<number>(name());
      const subscription = name();
      const queue = await topic.subscribe(subscription);
      await topic.publishAll([1, 2, 3]);
      assert.equal((await queue.stats()).ready, 3);
      const same = await topic.subscribe(subscription);
      assert.equal((await same.stats()).ready, 3);
      await topic.unsubscribe(subscription);
      await topic.publish(4);
      assert.equal((await queue.stats()).ready, 3);
    });

    it('wants the name of the subscription that is to end', async () => {
      const topic = bench.mq.topic<number>(`${name()}.x`);
      const subscription = await topic.subscribe(name());
      await rejects(topic.unsubscribe(''), 'INVALID_NAME', /a subscription/);
      await rejects(topic.unsubscribe(undefined as unknown as string), 'INVALID_NAME');
      await topic.publish(1);
      await settledTo(subscription, 1);
      await topic.unsubscribe(subscription.name);
      await topic.publish(2);
      await settledTo(subscription, 1);
    });

    it('matches words by patterns', async () => {
      const base = name();
      const one = await bench.mq.topic(`${base}.*.paid`).subscribe(name());
      const all = await bench.mq.topic(`${base}.#`).subscribe(name());
      for (const words of ['a.paid', 'b.sent', 'a.b.paid', 'b.paid'])
        await bench.mq.topic<string>(`${base}.${words}`).publish(words);
      assert.equal((await one.stats()).ready, 2);
      assert.equal((await all.stats()).ready, 4);
      await rejects(bench.mq.topic(`${base}.*`).publish(1), 'INVALID_NAME', /pattern/);
      await rejects(bench.mq.topic(`${base}.#`).publishAll([1]), 'INVALID_NAME');
    });

    it("takes MQTT's way of writing topics, which are the same topics", async () => {
      const base = name();
      const levels = await bench.mq.topic<string>(`${base}/+/temperature`).subscribe(name());
      const words = await bench.mq.topic<string>(`${base}.*.temperature`).subscribe(name());
      const below = await bench.mq.topic<string>(`${base}/#`).subscribe(name());
      for (const topic of [
        `${base}/7/temperature`,
        `${base}.8.temperature`,
        `${base}/7/humidity`,
        base,
        `${base}/v1.5/x`,
      ])
        await bench.mq.topic<string>(topic).publish(topic);
      const topicsIn = async (queue: Queue<string>, count: number): Promise<string[]> => {
        await settledTo(queue, count);
        return (await take(queue, count)).map(({ topic }) => topic);
      };
      assert.deepEqual(await topicsIn(levels, 2), [`${base}/7/temperature`, `${base}/8/temperature`]);
      assert.deepEqual(await topicsIn(words, 2), [`${base}.7.temperature`, `${base}.8.temperature`]);
      const all = ['/7/temperature', '/8/temperature', '/7/humidity', '', '/v1.5/x'];
      assert.deepEqual(
        await topicsIn(below, 5),
        all.map((rest) => base + rest),
      );
    });

    it('tells a topic as its subscription writes it at every attempt, and of dead letters', async () => {
      const base = name();
      const queue = await bench.mq.topic<string>(`${base}/#`).subscribe(name());
      const topics: string[] = [];
      const consumer = await queue.consume(
        (_payload, message) => {
          topics.push(message.topic);
          throw new Error('no');
        },
        { retry: { attempts: 2, minDelayMs: 1 } },
      );
      await bench.mq.topic<string>(`${base}/50%/a.b`).publish('reading');
      await settledTo(queue.deadLetters!, 1);
      await consumer.close();
      assert.deepEqual(topics, [`${base}/50%/a.b`, `${base}/50%/a.b`]);
      const [peeked] = await queue.deadLetters!.peek();
      assert.equal(peeked!.topic, `${base}/50%/a.b`);
      // Whoever writes topics with dots reads the same message so.
      const plain = await bench.mq.queue(queue.name);
      assert.equal((await plain.deadLetters!.peek())[0]!.topic, `${base}.50%25.a/b`);
    });

    it('tells the name of a queue that was published to as it is', async () => {
      const queue = await bench.mq.topic<string>(`${name()}/+`).subscribe(`${name()}.a/b`);
      await queue.publish('direct');
      const [message] = await take(queue, 1);
      assert.equal(message!.topic, queue.name);
    });

    it("ends a subscription to MQTT's pattern", async () => {
      const base = name();
      const topic = bench.mq.topic<number>(`${base}/+`);
      const queue = await topic.subscribe(name());
      await bench.mq.topic<number>(`${base}/1`).publish(1);
      await settledTo(queue, 1);
      await topic.unsubscribe(queue.name);
      await bench.mq.topic<number>(`${base}/1`).publish(2);
      await settledTo(queue, 1);
    });

    it("publishes to no pattern of MQTT's, and subscribes to none that MQTT has not", async () => {
      const { mq } = bench;
      await rejects(mq.topic('site/+/temperature').publish(1), 'INVALID_NAME', /'site\/\+\/temperature' is a pattern/);
      await rejects(mq.topic('site/#').publishAll([1]), 'INVALID_NAME', /pattern/);
      await rejects(mq.topic('+').publish(1), 'INVALID_NAME', /pattern/);
      for (const [topic, why] of [
        ['site/#/x', /has a # before its end/],
        ['site/a+', /has a wildcard beside other characters: 'a\+'/],
        ['site/*/x', /write \+ for any one/],
        ['$share/group/site/#', /consumers of the same subscription share it/],
        ['$SYS/uptime', /the server's own/],
        [`a/${'%'.repeat(100)}`, /has 302 bytes as a routing key/],
      ] as const)
        assert.throws(() => mq.topic(topic), { code: 'INVALID_NAME', message: why });
    });

    it('uses an exchange of its own where it is told to', async () => {
      const exchange = name();
      const topic = bench.mq.topic<number>('a.b', { exchange });
      await rejects(topic.publish(0), 'QUEUE_NOT_FOUND', /no exchange/);
      const queue = await topic.subscribe(name());
      const other = await bench.mq.topic<number>('a.b').subscribe(name());
      await topic.publish(1);
      await settledTo(queue, 1);
      assert.equal((await other.stats()).ready, 0);
    });

    it('says which topic, and which of its queues, refuses more', async () => {
      const topic = bench.mq.topic<number>(`${name()}.a`);
      const [roomy, full] = [await topic.subscribe(name()), await topic.subscribe(name(), { maxLength: 1 })];
      // A broker may take one or two more than its limit.
      const fill = async (limited: Topic<number>): Promise<void> => {
        for (let count = 0; count < 5; count++) await limited.publish(count);
      };
      const text = new RegExp(`topic '${topic.name}': its queue '${full.name}' is at its length limit`);
      await rejects(fill(topic), 'QUEUE_FULL', text);
      const own = bench.mq.topic<number>('a.b', { exchange: name() });
      await own.subscribe(name(), { maxLength: 1 });
      await rejects(fill(own), 'QUEUE_FULL', /topic 'a\.b' of exchange '.*': its queue/);
      assert.ok((await roomy.stats()).ready >= 1);
    });

    it('checks its payloads', async () => {
      const topic = bench.mq.topic(name(), { schema: evenNumber(false) });
      const queue = await topic.subscribe(name());
      await rejects(topic.publish('1'), 'SCHEMA_MISMATCH');
      await topic.publish('2');
      assert.equal((await take(queue, 1))[0]!.payload, 2);
    });

    it('fails one publisher and not the others', async () => {
      const queue = await bench.mq.queue<number>(name());
      const missing = bench.mq.topic<number>('x', { exchange: name() });
      const sent = await Promise.allSettled([
        ...[1, 2, 3].map((number) => queue.publish(number)),
        ...[1, 2, 3].map((number) => missing.publish(number)),
        ...[4, 5, 6].map((number) => queue.publish(number)),
      ]);
      const codes = sent.map((result) =>
        result.status === 'fulfilled' ? 'ok' : (result.reason as { code: string }).code,
      );
      const no = 'QUEUE_NOT_FOUND';
      assert.deepEqual(codes, ['ok', 'ok', 'ok', no, no, no, 'ok', 'ok', 'ok']);
    });
  });
}
