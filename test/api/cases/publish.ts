import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Headers, Serializer, StandardSchema } from '../../../src/index.ts';
import { evenNumber } from '../schemas.ts';
import { type Bench, rejects, settledTo, sleep, take } from '../bench.ts';

export function publishCases(bench: Bench): void {
  const { name } = bench;

  describe('publishing', () => {
    it('carries JSON, text and bytes as they were', async () => {
      const queue = await bench.mq.queue(name());
      const payloads = [{ a: [1, null, 'ä'] }, 'text', 0, null, Buffer.from([0, 255, 10]), new Uint8Array([7])];
      for (const payload of payloads) await queue.publish(payload);
      const got = (await take(queue, payloads.length)).map(({ payload }) => payload);
      assert.deepEqual(got, [...payloads.slice(0, 5), Buffer.from([7])]);
    });

    it('carries whatever is bytes as bytes, as they were at the call', async () => {
      const queue = await bench.mq.queue(name());
      const { buffer } = new Uint8Array([1, 2, 3, 4]);
      const payloads = [buffer, new DataView(buffer, 1, 2), new Uint16Array(buffer), new Uint8ClampedArray(buffer, 2)];
      const stored = payloads.map((payload) => queue.publish(payload));
      new Uint8Array(buffer).fill(9);
      await Promise.all(stored);
      const got = (await take(queue, payloads.length)).map(({ payload }) => payload);
      assert.deepEqual(
        got,
        [
          [1, 2, 3, 4],
          [2, 3],
          [1, 2, 3, 4],
          [3, 4],
        ].map((bytes) => Buffer.from(bytes)),
      );
    });

    it('refuses what JSON would lose without a word', async () => {
      const queue = await bench.mq.queue(name());
      await rejects(queue.publish(Promise.resolve(1)), 'INVALID_PAYLOAD', /it is a promise; is an await missing\?/);
      await rejects(queue.publish(new Map([[1, 2]])), 'INVALID_PAYLOAD', /a Map has no JSON/);
      await rejects(queue.publish(new Set([1])), 'INVALID_PAYLOAD', /a Set has no JSON/);
      const told = Object.assign(new Map([[1, 2]]), { toJSON: () => ({ own: true }) });
      await queue.publish(told);
      assert.deepEqual((await take(queue, 1))[0]!.payload, { own: true });
    });

    it('carries large payloads', async () => {
      const queue = await bench.mq.queue<Uint8Array>(name());
      for (const bytes of [0, 131_072, 1_500_000]) {
        const body = Buffer.alloc(bytes, 'abcdefg');
        await queue.publish(body);
        const [message] = await take(queue, 1);
        assert.ok(body.equals(message!.payload), `${bytes} bytes`);
      }
      if (bench.kind !== 'postrider') return;
      const tooLarge = queue.publish(Buffer.alloc(17 * 1024 * 1024));
      await rejects(tooLarge, 'TOO_LARGE', /17825792 bytes is larger than the broker takes: 16777216 bytes/);
      await queue.publish(Buffer.from('it goes on'));
    });

    it('carries id, headers, correlation id, priority and where to answer', async () => {
      const queue = await bench.mq.queue(name());
      const headers = {
        text: 'ä',
        number: 5,
        negative: -70_000,
        big: 2 ** 40,
        real: 1.5,
        yes: true,
        no: null,
        list: [1, 'a'],
      };
      const nested = { ...headers, table: { inner: 'x' } };
      await queue.publish(1, { id: 'id-1', headers: nested, correlationId: 'c', priority: 3, replyTo: 'answers' });
      const [message] = await take(queue, 1);
      assert.equal(message!.id, 'id-1');
      assert.deepEqual(JSON.parse(JSON.stringify(message!.headers)), nested);
      assert.equal(message!.correlationId, 'c');
      assert.equal(message!.priority, 3);
      assert.equal(message!.contentType, 'application/json');
      assert.equal(message!.topic, queue.name);
      assert.equal(message!.queue, queue.name);
      assert.equal(message!.attempt, 1);
      assert.equal(message!.redelivered, false);
    });

    it('resolves a thousand at a time', async () => {
      const queue = await bench.mq.queue<number>(name());
      const numbers = Array.from({ length: 1_000 }, (_, index) => index);
      await Promise.all(numbers.map((number) => queue.publish(number)));
      assert.equal((await queue.stats()).ready, 1_000);
      const got = await take(queue, 1_000);
      assert.deepEqual(
        got.map(({ payload }) => payload),
        numbers,
      );
    });

    it('publishes many as one call, and checks all before the first is sent', async () => {
      const queue = await bench.mq.queue(name());
      await queue.publishAll([1, 2, 3]);
      assert.equal((await queue.stats()).ready, 3);
      await rejects(queue.publishAll([4, undefined, 5]), 'INVALID_PAYLOAD');
      assert.equal((await queue.stats()).ready, 3);
    });

    it('lists what failed of many', async () => {
      const queue = await bench.mq.queue<number>(name(), { maxLength: 2 });
      // A broker may take one or two more than its limit.
      for (let count = 0; count < 3; count++) await queue.publish(count).catch(() => undefined);
      const error = await rejects(queue.publishAll([4, 5]), 'QUEUE_FULL', /2 of 2 messages/);
      const failed = error.cause as { index: number; error: { code: string } }[];
      assert.deepEqual(
        failed.map(({ index }) => index),
        [0, 1],
      );
      for (const { error: each } of failed) assert.equal(each.code, 'QUEUE_FULL');
    });

    it('refuses what has no bytes', async () => {
      const queue = await bench.mq.queue(name());
      const circular: Record<string, unknown> = {};
      circular['self'] = circular;
      for (const payload of [undefined, () => 1, circular, 1n])
        await rejects(queue.publish(payload), 'INVALID_PAYLOAD');
      await rejects(queue.publish(1, { headers: { bad: NaN } }), 'INVALID_OPTION');
      assert.equal((await queue.stats()).ready, 0);
    });

    it('refuses headers that can not be encoded, by their names', async () => {
      const queue = await bench.mq.queue(name());
      const circle: Record<string, unknown> = { a: {} };
      (circle['a'] as Record<string, unknown>)['b'] = [circle];
      let deep: unknown = 'end';
      for (let count = 0; count < 70; count++) deep = { deep };
      let wide: unknown = 'end';
      for (let count = 0; count < 40; count++) wide = [wide, wide];
      const bad: [headers: unknown, text: RegExp][] = [
        [{ f: () => 1 }, /header 'f' can't be a function/],
        [{ a: { b: [1, Symbol('s')] } }, /header 'a\.b\.1' can't be a symbol/],
        [{ a: { n: NaN } }, /header 'a\.n' can't be NaN/],
        [{ at: new Date() }, /header 'at' can't be a Date/],
        [{ at: { map: new Map() } }, /header 'at\.map' can't be a Map/],
        [{ big: 2n ** 64n }, /header 'big' is an integer of more than 64 bits/],
        [circle, /contains itself/],
        [{ deep }, /header 'deep\..*' is nested deeper than 64/],
        [{ wide }, /more than 65536 values/],
        [{ ['x'.repeat(256)]: 1 }, /255 bytes/],
        [[1, 2], /must be a plain object, not an array/],
        [{ CC: 'orders' }, /header 'CC' .*list of texts/],
        [
          {
            get trap() {
              throw new Error('sprung');
            },
          },
          /can't be read: Error: sprung/,
        ],
      ];
      for (const [headers, text] of bad) {
        const options = { headers: headers as Headers };
        await rejects(queue.publish(1, options), 'INVALID_OPTION', text);
        await rejects(queue.publishAll([1, 2], options), 'INVALID_OPTION', text);
        await rejects(queue.request(1, { publish: options }), 'INVALID_OPTION', text);
      }
      assert.equal((await queue.stats()).ready, 0);
      const shared = { inner: 'x' };
      const good = { a: shared, b: [shared, undefined, null], no: undefined, big: 2n ** 60n, text: '' };
      await queue.publish(1, { headers: good as unknown as Headers });
      const [message] = await take(queue, 1);
      assert.deepEqual(
        { ...message!.headers, a: { ...(message!.headers['a'] as object) } },
        { ...message!.headers, a: shared },
      );
      // Over amqp: the client makes a number of it.
      assert.equal(Number(message!.headers['big']), 2 ** 60);
      assert.ok(!('no' in message!.headers));
    });

    it('uses the serializer that it is given', async () => {
      const reversed: Serializer<string> = {
        contentType: 'text/x-reversed',
        serialize: (text) => text.split('').reverse().join(''),
        deserialize: (bytes, contentType) => `${contentType}: ${bytes.toString().split('').reverse().join('')}`,
      };
      const queue = await bench.mq.queue<string>(name(), { serializer: reversed });
      await queue.publish('abc');
      const raw = await bench.mq.queue<Buffer>(queue.name, { declare: false });
      assert.equal((await raw.peek())[0]!.payload.toString(), 'cba');
      assert.equal((await take(queue, 1))[0]!.payload, 'text/x-reversed: abc');
      const broken: Serializer<never> = {
        ...reversed,
        serialize: () => 7 as unknown as string,
        deserialize: () => 0,
      };
      const other = await bench.mq.queue<string>(name(), { serializer: broken });
      await rejects(other.publish('x'), 'INVALID_PAYLOAD');
    });

    it('sends bytes as they were when they were published', async () => {
      const queue = await bench.mq.queue<Buffer>(name());
      const bytes = Buffer.from('first');
      const sent = [queue.publish(bytes)];
      bytes.write('after');
      sent.push(queue.publishAll([bytes]));
      bytes.fill(0);
      await Promise.all(sent);
      assert.deepEqual(
        (await take(queue, 2)).map(({ payload }) => payload.toString()),
        ['first', 'after'],
      );
      const scratch = Buffer.alloc(1);
      const serializer: Serializer<number> = {
        contentType: 'application/x-one',
        serialize(value) {
          scratch[0] = value;
          return scratch;
        },
        deserialize: (body) => body[0]!,
      };
      const ones = await bench.mq.queue<number>(name(), { serializer });
      await Promise.all([ones.publish(1), ones.publish(2), ones.publishAll([3, 4])]);
      assert.deepEqual(
        (await take(ones, 4)).map(({ payload }) => payload),
        [1, 2, 3, 4],
      );
    });

    it('sends what was checked, and nothing that was aborted during the check', async () => {
      let end = (): void => undefined;
      const schema: StandardSchema<{ n: number }> = {
        '~standard': {
          version: 1,
          vendor: 'test',
          validate: (value) => new Promise((resolve) => (end = () => resolve({ value: value as { n: number } }))),
        },
      };
      const queue = await bench.mq.queue(name(), { schema });
      const plain = await bench.mq.queue<{ n: number }>(queue.name, { declare: false });
      const payload = { n: 1 };
      const publishes = [
        () => queue.publish(payload),
        () => queue.publish(payload, { signal: new AbortController().signal }),
        () => queue.publishAll([payload]),
      ];
      for (const publish of publishes) {
        payload.n = 1;
        const sent = publish();
        payload.n = 2;
        end();
        await sent;
      }
      assert.deepEqual(
        (await take(plain, 3)).map((message) => message.payload.n),
        [1, 1, 1],
      );
      for (const publish of [
        (signal: AbortSignal) => queue.publish(payload, { signal }),
        (signal: AbortSignal) => queue.publishAll([payload], { signal }),
      ]) {
        const stop = new AbortController();
        const aborted = publish(stop.signal);
        stop.abort();
        end();
        await rejects(aborted, 'ABORTED');
      }
      await sleep(20);
      await settledTo(plain, 0);
    });

    it('checks nothing where the signal is aborted before', async () => {
      const schema: StandardSchema<number> = {
        '~standard': { version: 1, vendor: 'test', validate: () => Promise.reject(new Error('unseen')) },
      };
      const queue = await bench.mq.queue(name(), { schema });
      // A rejection that nobody handles would fail the run.
      await rejects(queue.publish(1, { signal: AbortSignal.abort() }), 'ABORTED');
      await sleep(5);
    });

    it('checks payloads against a schema, at once or later', async () => {
      for (const schema of [evenNumber(false), evenNumber(true)]) {
        const queue = await bench.mq.queue(name(), { schema });
        await queue.publish('2');
        await rejects(queue.publish('3'), 'SCHEMA_MISMATCH', /even/);
        await rejects(queue.publishAll(['2', '3']), 'SCHEMA_MISMATCH');
        const [message] = await take(queue, 1);
        assert.equal(message!.payload, 2);
        assert.equal((await queue.stats()).ready, 0);
      }
    });

    it('takes a schema that throws for one that nothing fits', async () => {
      for (const later of [false, true]) {
        const validate = (): never => {
          throw new Error('no idea');
        };
        const schema: StandardSchema<string> = {
          '~standard': {
            version: 1,
            vendor: 'test',
            validate: later ? () => Promise.reject(new Error('no idea')) : validate,
          },
        };
        const queue = await bench.mq.queue(name(), { schema });
        await rejects(queue.publish('x'), 'SCHEMA_MISMATCH', /the schema threw: no idea/);
      }
    });

    it('rejects what no queue takes', async () => {
      const queue = await bench.mq.queue(name());
      await queue.publish(1);
      assert.equal(await queue.delete(), 1);
      await rejects(queue.publish(2), 'UNROUTABLE');
      const sent = await Promise.allSettled([queue.publish(3), queue.publish(3), queue.publish(4)]);
      assert.deepEqual(
        sent.map(({ status }) => status),
        ['rejected', 'rejected', 'rejected'],
      );
      await bench.mq.queue(queue.name);
      await queue.publish(5);
    });

    it('rejects what a full queue refuses, and only that', async () => {
      const queue = await bench.mq.queue<number>(name(), { maxLength: 1 });
      const roomy = await bench.mq.queue<number>(name());
      await queue.publish(1);
      let refused = 0;
      for (let count = 0; count < 3; count++) {
        const [first, second] = await Promise.allSettled([queue.publish(2), roomy.publish(2)]);
        if (first.status === 'rejected') {
          refused += 1;
          assert.equal((first.reason as { code: string }).code, 'QUEUE_FULL');
        }
        assert.equal(second.status, 'fulfilled');
      }
      assert.ok(refused >= 2);
      await queue.purge();
      await queue.publish(3);
    });

    it('drops the oldest of a full queue to its dead letters', async () => {
      const queue = await bench.mq.queue<number>(name(), { maxLength: 2, overflow: 'drop-oldest' });
      for (const number of [1, 2, 3]) await queue.publish(number);
      await settledTo(queue, 2);
      await settledTo(queue.deadLetters!, 1);
      assert.equal((await queue.deadLetters!.peek())[0]!.payload, 1);
    });

    it('lets messages expire, by themselves or by their queue, into the dead letters', async () => {
      const queue = await bench.mq.queue<string>(name());
      await queue.publish('short', { expiresMs: 30 });
      await settledTo(queue.deadLetters!, 1);
      const hasty = await bench.mq.queue<string>(name(), { messageTtlMs: 30 });
      await hasty.publish('all');
      await settledTo(hasty.deadLetters!, 1);
      const [dead] = await hasty.deadLetters!.peek();
      assert.equal(dead!.payload, 'all');
    });

    it('delivers by priority', async () => {
      const queue = await bench.mq.queue<number>(name(), { priorities: 9, deliveryLimit: false });
      for (const priority of [1, 9, 5, 0, 9]) await queue.publish(priority, { priority });
      const got = await take(queue, 5);
      assert.deepEqual(
        got.map(({ payload }) => payload),
        [9, 9, 5, 1, 0],
      );
    });

    it('delivers late what is delayed, with all its properties', async () => {
      const queue = await bench.mq.queue<string>(name());
      const begun = performance.now();
      await queue.publish('late', { delayMs: 150, id: 'late-1', headers: { h: 1 } });
      await queue.publish('now');
      const got = await take(queue, 2);
      assert.ok(performance.now() - begun >= 145, 'not before its time');
      assert.deepEqual(
        got.map(({ payload }) => payload),
        ['now', 'late'],
      );
      const message = got[1]!;
      assert.equal(message.id, 'late-1');
      assert.deepEqual({ ...message.headers }, { h: 1 });
      assert.equal(message.queue, queue.name);
      assert.equal(message.redelivered, false);
      const gone = await bench.mq.queue(name());
      await gone.delete();
      await rejects(gone.publish(1, { delayMs: 50 }), 'UNROUTABLE');
    });

    it('gives up waiting when its signal says so', async () => {
      const queue = await bench.mq.queue(name());
      await rejects(queue.publish(1, { signal: AbortSignal.abort() }), 'ABORTED');
      await sleep(20);
      assert.equal((await queue.stats()).ready, 0);
      await queue.publish(1, { signal: new AbortController().signal });
      assert.equal((await queue.stats()).ready, 1);
      const warnings: Error[] = [];
      const listener = (warning: Error): void => void warnings.push(warning);
      process.on('warning', listener);
      const { signal } = new AbortController();
      await Promise.all(Array.from({ length: 50 }, (_, index) => queue.publish(index, { signal })));
      await sleep(1);
      process.off('warning', listener);
      assert.deepEqual(warnings, []);
    });
  });
}
