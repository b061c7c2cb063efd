/** A broker that takes no publishes for a while, since its disk is full. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '../../../src/index.ts';
import { rejects, settledTo, sleep, until } from '../bench.ts';

test('while a broker takes no messages, publishes wait, and acknowledgements do not', async (context) => {
  const here = await connect('memory:', { log: () => undefined });
  const { amqp } = await here.listen({ amqp: { port: 0 } });
  const mq = await connect(`amqp://127.0.0.1:${amqp!.port}`);
  context.after(async () => {
    await mq.close();
    await here.close();
  });
  const events: string[] = [];
  mq.on('blocked', (reason) => events.push(reason));
  mq.on('unblocked', () => events.push('unblocked'));
  const queue = await mq.queue<number>('blocked');
  await queue.publishAll([1, 2, 3]);
  const { pressure } = here.broker!;

  pressure.setDisk(true);
  await until('it is told', () => events.length === 1);
  let answered = 0;
  const waiting = [4, 5].map((number) => queue.publish(number).then(() => (answered += 1)));
  const got: number[] = [];
  await queue.consume((payload) => void got.push(payload));
  await until('what is there is handled and settled', async () => {
    const { ready, unacked } = await (await here.queue('blocked')).stats();
    return got.length === 3 && ready === 0 && unacked === 0;
  });
  await sleep(20);
  assert.equal(answered, 0);

  pressure.setDisk(false);
  await Promise.all(waiting);
  await until('they came', () => got.length === 5);
  assert.deepEqual(events, ['low on disk', 'unblocked']);

  pressure.setDisk(true);
  await until('it is told again', () => events.length === 3);
  const given = rejects(queue.publish(6), 'CLOSED');
  await mq.close();
  await given;
  pressure.setDisk(false);
  await settledTo(await here.queue('blocked'), 0);
});

test('a message that is too large is its publisher’s error alone', async (context) => {
  const here = await connect('memory:', { log: () => undefined });
  const { amqp } = await here.listen({ amqp: { port: 0 } });
  const mq = await connect(`amqp://127.0.0.1:${amqp!.port}`);
  context.after(async () => {
    await mq.close();
    await here.close();
  });
  const queue = await mq.queue<Uint8Array>('large');
  const large = Buffer.alloc(20 * 1024 * 1024);
  const [refused, ...others] = await Promise.allSettled([
    queue.publish(large),
    ...Array.from({ length: 20 }, () => queue.publish(Buffer.from('small'))),
    queue.publish(Buffer.alloc(2 * 1024 * 1024)),
  ]);
  assert.equal(refused.status === 'rejected' && (refused.reason as { code: string }).code, 'TOO_LARGE');
  for (const { status } of others) assert.equal(status, 'fulfilled');
  await rejects(queue.publish(Buffer.alloc(1), { headers: { big: 'x'.repeat(200_000) } }), 'TOO_LARGE', /frame/);
  await rejects(queue.publish(Buffer.alloc(1), { headers: { bytes: Buffer.alloc(2) } }), 'UNSUPPORTED', /'bytes'/);
  await rejects(queue.publish(Buffer.alloc(1), { delayMs: 1_000, expiresMs: 1_000 }), 'UNSUPPORTED', /expiresMs/);
  await rejects(queue.publish(Buffer.alloc(1), { delayMs: 60 * 86_400_000 }), 'UNSUPPORTED', /days/);
  assert.equal((await queue.stats()).ready, 21);
});

test('a message keeps what its publisher wrote, byte by byte, when it is tried again', async (context) => {
  const here = await connect('memory:', { log: () => undefined });
  const { amqp } = await here.listen({ amqp: { port: 0 } });
  const mq = await connect(`amqp://127.0.0.1:${amqp!.port}`);
  context.after(async () => {
    await mq.close();
    await here.close();
  });
  const raw = { contentType: 'application/json', serialize: (text: string) => text, deserialize: String };
  const origin = await here.queue<string>('exact', { serializer: raw });
  const text = '{ "id": 12345678901234567890, "a":1,  "a":2 }';
  await origin.publish(text, { expiresMs: 3_600_000, headers: { CC: ['exact-copy'], bytes: Buffer.from([255, 0]) } });
  const queue = await mq.queue('exact', { declare: false });
  const consumer = await queue.consume(
    () => {
      throw new Error('no');
    },
    { retry: { attempts: 2, minDelayMs: 20 } },
  );
  const dead = await here.queue<string>('exact.dead', { declare: false, serializer: raw, deadLetter: false });
  await settledTo(dead, 1);
  await consumer.close();
  const [letter] = await dead.peek();
  assert.equal(letter!.payload, text);
  assert.equal(letter!.headers['x-dead-letter-attempts'], 2);
  assert.equal(letter!.headers['CC'], undefined);
});

test(
  'a redrive that is aborted does not wait for a broker that takes nothing',
  { timeout: 300_000 },
  async (context) => {
    const here = await connect('memory:', { log: () => undefined });
    const { amqp } = await here.listen({ amqp: { port: 0 } });
    const mq = await connect(`amqp://127.0.0.1:${amqp!.port}`);
    context.after(async () => {
      await mq.close();
      await here.close();
    });
    let blocked = false;
    mq.on('blocked', () => (blocked = true));
    const queue = await mq.queue<number>('orders');
    const dead = queue.deadLetters!;
    await dead.publishAll([1, 2]);
    const { pressure } = here.broker!;
    pressure.setDisk(true);
    await until('it is told', () => blocked);
    const controller = new AbortController();
    const redriving = rejects(dead.redrive({ signal: controller.signal }), 'ABORTED');
    const there = await here.queue('orders.dead');
    await until('it has them', async () => (await there.stats()).unacked === 2);
    controller.abort();
    assert.equal((await redriving).moved, 0);
    await settledTo(there, 2);
    pressure.setDisk(false);
  },
);
