/** What is kept when the connection to a broker is cut. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { connect, type Message, type Mq, type PostriderError } from '../../../src/index.ts';
import { rejects, settledTo, sleep, take, until } from '../bench.ts';
import { CuttableProxy } from '../cuttable-proxy.ts';

/** A broker, without the proxy in between. */
export interface Beside {
  readonly port: number;
  readonly mq: Mq;
  close(): Promise<void>;
}

export function lostConnectionCases(title: string, start: () => Promise<Beside>): void {
  describe(`a connection that is lost, ${title}`, () => {
    let beside!: Beside;
    let broker!: Mq;
    let proxy!: CuttableProxy;
    let url = '';
    let names = 0;
    const name = (): string => `lost-${process.pid}-${(names += 1)}`;

    before(async () => {
      beside = await start();
      broker = beside.mq;
      proxy = new CuttableProxy(() => beside.port);
      url = `amqp://127.0.0.1:${await proxy.listen()}`;
    });
    after(async () => {
      await proxy.close();
      await beside.close();
    });
    beforeEach(() => {
      proxy.refusing = false;
    });

    function heard(mq: Mq): string[] {
      const events: string[] = [];
      mq.on('disconnected', ({ code }) => events.push(`disconnected ${code}`));
      mq.on('reconnected', () => events.push('reconnected'));
      return events;
    }

    it('in the middle of thousands of publishes: each is stored, or of unknown outcome, and none twice', async () => {
      const here = await broker.queue<number>(name());
      await using mq = await connect(url);
      const events = heard(mq);
      const queue = await mq.queue<number>(here.name);
      const answers = Array.from({ length: 4_000 }, (_, index) =>
        queue.publish(index).then(
          () => 'stored',
          (error: unknown) => (error as PostriderError).code,
        ),
      );
      await until('some are stored', async () => (await here.stats()).ready > 50);
      proxy.cut();
      const told = await Promise.all(answers);
      const stored = told.flatMap((answer, index) => (answer === 'stored' ? [index] : []));
      assert.deepEqual(new Set(told.filter((answer) => answer !== 'stored')), new Set(['UNKNOWN_OUTCOME']));
      assert.ok(told.length - stored.length > 0, 'the cut came too late');
      await queue.publish(4_000);
      const { ready } = await here.stats();
      const there = (await take(here, ready)).map(({ payload }) => payload);
      assert.equal(new Set(there).size, there.length, 'none is there twice');
      for (const number of [...stored, 4_000]) assert.ok(there.includes(number), `${number} was confirmed`);
      await until('it was told', () => events.length >= 2);
      assert.deepEqual(events, ['disconnected UNREACHABLE', 'reconnected']);
    });

    it('while it is gone, publishes and declarations wait', async () => {
      await using mq = await connect(url);
      const events = heard(mq);
      const queue = await mq.queue<number>(name());
      await queue.publish(0);
      proxy.refusing = true;
      proxy.cut();
      await until('it is told', () => events.length === 1);
      let answered = 0;
      const waiting = [1, 2, 3].map((number) => queue.publish(number).then(() => (answered += 1)));
      const declared = mq.queue(name());
      await rejects(queue.publish(9, { signal: AbortSignal.timeout(20) }), 'ABORTED');
      assert.equal(answered, 0);
      proxy.refusing = false;
      await Promise.all(waiting);
      await declared;
      assert.ok((await queue.stats()).ready >= 4);
    });

    it('in the middle of consuming: it goes on, and nothing is lost', async () => {
      const here = await broker.queue<number>(name());
      const count = 2_000;
      await using mq = await connect(url);
      const queue = await mq.queue<number>(here.name);
      const times = new Map<number, number>();
      let done = 0;
      await queue.consume(async (payload) => {
        times.set(payload, (times.get(payload) ?? 0) + 1);
        done += 1;
        if (done === 100 || done === 500) proxy.cut();
        if (done % 50 === 0) await sleep(1);
      });
      await here.publishAll(Array.from({ length: count }, (_, index) => index));
      await until('all were handled', () => times.size === count);
      await settledTo(here, 0);
      await until('all are settled', async () => ((await here.stats()).unacked ?? 0) === 0);
    });

    it('what was held before is lost, and says so', async () => {
      const here = await broker.queue<number>(name());
      await here.publishAll([1, 2]);
      await using mq = await connect(url);
      const queue = await mq.queue<number>(here.name);
      const got: Message<number>[] = [];
      await queue.consume((_payload, message) => void got.push(message), { ack: 'manual', concurrency: 4 });
      await until('both came', () => got.length === 2);
      proxy.cut();
      await until('both came again', () => got.length === 4);
      const codes: string[] = [];
      for (const settle of [() => got[0]!.ack(), () => got[1]!.requeue()]) {
        await settle().catch((error: unknown) => codes.push((error as PostriderError).code));
      }
      assert.deepEqual(codes, ['DELIVERY_LOST', 'DELIVERY_LOST']);
      assert.deepEqual(
        got.slice(2).map(({ payload, redelivered }) => [payload, redelivered]),
        [
          [1, true],
          [2, true],
        ],
      );
      for (const message of got.slice(2)) await message.ack();
      await until('all are settled', async () => ((await here.stats()).unacked ?? 0) === 0);
      assert.equal((await here.stats()).ready, 0);
    });

    it('a handler that runs is told, and its message comes again', async () => {
      const here = await broker.queue<number>(name());
      await here.publish(1);
      await using mq = await connect(url);
      const queue = await mq.queue<number>(here.name);
      const reasons: unknown[] = [];
      let runs = 0;
      await queue.consume(async (_payload, { signal }) => {
        runs += 1;
        if (runs > 1) return;
        await new Promise<void>((resolve) => {
          signal.addEventListener('abort', () => {
            reasons.push((signal.reason as PostriderError).code);
            resolve();
          });
          proxy.cut();
        });
      });
      await until('it came again', () => runs === 2);
      assert.deepEqual(reasons, ['DELIVERY_LOST']);
      await until('it is settled', async () => ((await here.stats()).unacked ?? 0) === 0);
    });

    it('requests that wait are of unknown outcome, later ones are answered', async () => {
      await using mq = await connect(url);
      const here = await broker.queue<number>(name());
      const queue = await mq.queue<number>(here.name);
      const asked = queue.request(1);
      await settledTo(here, 1);
      proxy.cut();
      await rejects(asked, 'UNKNOWN_OUTCOME');
      await here.purge();
      await here.respond((payload) => payload + 1);
      assert.equal(await queue.request(41), 42);
    });

    it('is closed while it is gone: what waits is rejected', async () => {
      const mq = await connect(url);
      const queue = await mq.queue<number>(name());
      await queue.publish(0);
      await queue.consume(() => undefined);
      proxy.refusing = true;
      proxy.cut();
      await until('it is gone', () => proxy.open === 0);
      const waiting = queue.publish(1).then(
        () => 'stored',
        (error: unknown) => (error as PostriderError).code,
      );
      await mq.close();
      // Unknown where this side had not noticed yet.
      assert.ok(['CLOSED', 'UNKNOWN_OUTCOME'].includes(await waiting));
    });

    it('a consumer that was told to wait goes on after it', async () => {
      const here = await broker.queue<number>(name());
      await using mq = await connect(url);
      const queue = await mq.queue<number>(here.name);
      const got: number[] = [];
      await queue.consume((payload) => void got.push(payload), { delivery: 'at-most-once' });
      await here.publish(1);
      await until('one came', () => got.length === 1);
      proxy.cut();
      await until('it consumes again', async () => (await here.stats()).consumers === 1 && proxy.open > 0);
      await here.publish(2);
      await until('another came', () => got.includes(2));
    });

    it('cut at a publish that replaces a delivery: it is there once or twice, and never gone', async () => {
      const here = await broker.queue<number>(name());
      await using mq = await connect(url);
      const queue = await mq.queue<number>(here.name);
      const count = 200;
      await here.publishAll(Array.from({ length: count }, (_, index) => index));
      let failed = 0;
      await queue.consume(
        () => {
          failed += 1;
          if (failed === 50 || failed === 120) proxy.cut();
          throw new Error('dead');
        },
        { retry: false, concurrency: 20 },
      );
      const dead = here.deadLetters!;
      await until('all are dead', async () => {
        const { ready, unacked } = await here.stats();
        return ready === 0 && (unacked ?? 0) === 0 && (await dead.stats()).ready >= count;
      });
      const seen = (await dead.peek(1_000)).map(({ payload }) => payload as number);
      assert.equal(new Set(seen).size, count);
    });
  });
}
