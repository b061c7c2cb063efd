/**
 * A broker killed again and again while workers take inputs and, in one transaction each, acknowledge or reject them and publish
 * their outputs to three queues: whatever the moment, all of a transaction is done or nothing, and so each input has its effect once.
 */
import assert from 'node:assert/strict';
import { it, type TestContext } from 'node:test';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BrokerProcess } from '../../src/demo/broker.ts';
import { Launcher } from '../../src/demo/launch.ts';
import type { FieldTable } from '../../src/format/field-table.ts';
import { basicAck, basicNack, basicQos, txCommit, txSelect } from '../../src/wire/amqp/basic-methods.ts';
import { channelClose } from '../../src/wire/amqp/channel-methods.ts';
import { queueDeclare } from '../../src/wire/amqp/queue-methods.ts';
import { postrider, scratch } from '../cli/postrider.ts';
import { declaration, publish, RawClient } from '../server/amqp/raw-client.ts';

const rounds = 5;
const inputs = 3_000;
const outputs = ['first', 'second', 'third'] as const;
const queues: Readonly<Record<string, FieldTable>> = {
  input: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'rejected' },
  rejected: {},
  again: {},
  first: {},
  second: {},
  third: {},
};

it('SIGKILL during transactions leaves all of each or nothing', { timeout: 300_000 }, async (context) => {
  const broker = await begin(context);
  await declare(broker.port);
  const progress = { commits: 0, ended: false };
  const filled = fill(broker);
  const begun = () => [1, 2, 3].map((most) => work(broker, most, progress));
  let workers = begun();
  for (let round = 1; round <= rounds; round++) {
    const before = progress.commits;
    while (progress.commits < before + 50) await sleep(2);
    await sleep(Math.random() * 40);
    await broker.kill();
    await broker.start();
  }
  const unknown = await filled;
  const client = await RawClient.open(broker.port);
  const left = async (): Promise<unknown> =>
    (await client.call(1, queueDeclare, passive('input'), 'queue.declare_ok')).args['messageCount'];
  // What workers hold is not counted: it is there again once they have ended.
  for (;;) {
    while ((await left()) !== 0) await sleep(50);
    progress.ended = true;
    await Promise.all(workers);
    if ((await left()) === 0) break;
    progress.ended = false;
    workers = begun();
  }

  const [first, second, third] = [
    await drain(client, 'first'),
    await drain(client, 'second'),
    await drain(client, 'third'),
  ];
  assert.deepEqual(second, first, 'what is in one output is in the others');
  assert.deepEqual(third, first, 'what is in one output is in the others');
  const ids = Array.from({ length: inputs }, (_, id) => id);
  for (const id of ids) {
    const count = first.get(id) ?? 0;
    // An input whose own transaction was cut may be there once or, published again, twice: but then all that came with it.
    assert.ok(count === 1 || (unknown.has(id) && count === 2), `input ${id} had its effect ${count} times`);
  }
  for (const fate of unknown.values()) {
    const counts = new Set(fate.map((id) => first.get(id)));
    assert.equal(
      counts.size,
      1,
      `of inputs published in one transaction: ${fate.map((id) => first.get(id)).join(' ')}`,
    );
  }
  const rejected = await drain(client, 'rejected');
  for (const id of ids) assert.equal(rejected.get(id) ?? 0, isRejected(id) ? first.get(id) : 0, `rejected ${id}`);
  const again = await drain(client, 'again');
  // Given back, it is redelivered; so whoever sees it for the first time is one alone.
  for (const [id, count] of again) assert.ok(isPutBack(id) && count <= first.get(id)!, `input ${id}: ${count} notes`);
  assert.ok(again.size > 0);
  context.diagnostic(`${progress.commits} commits, ${unknown.size} inputs in transactions that were cut`);
  client.end();
  assert.equal(await broker.stop(), 0);
});

const isRejected = (id: number): boolean => id % 7 === 3;
/** Delivered for the first time it is given back, together with a note in a queue of its own. */
const isPutBack = (id: number): boolean => id % 11 === 5;

/** Publishes the inputs, fifty in a transaction; answers those of transactions of which nobody knows whether they were done. */
async function fill(broker: BrokerProcess): Promise<Map<number, readonly number[]>> {
  const unknown = new Map<number, readonly number[]>();
  let at = 0;
  await whileRunning(
    () => at >= inputs,
    async () => {
      const client = await RawClient.open(broker.port);
      await client.call(1, txSelect, {}, 'tx.select_ok');
      while (at < inputs) {
        const ids = Array.from({ length: Math.min(50, inputs - at) }, (_, i) => at + i);
        client.send(...ids.map((id) => publish('input', String(id))), txCommit.frame(1, {}));
        try {
          await client.expect('tx.commit_ok');
        } catch (error) {
          for (const id of ids) unknown.set(id, ids);
          throw error;
        }
        at += ids.length;
        await sleep(1);
      }
      client.end();
    },
  );
  return unknown;
}

/** Takes up to `most` inputs in a transaction. */
async function work(broker: BrokerProcess, most: number, progress: { commits: number; ended: boolean }): Promise<void> {
  await whileRunning(
    () => progress.ended,
    async () => {
      const client = await RawClient.open(broker.port);
      await client.call(1, basicQos, { prefetchSize: 0, prefetchCount: 5, global: false }, 'basic.qos_ok');
      await client.call(1, txSelect, {}, 'tx.select_ok');
      await client.consume('input', 'worker');
      let taken = 0;
      let unanswered = 0;
      while (!progress.ended || taken > 0 || unanswered > 0) {
        const frame = await client.next('a delivery', 300).catch(() => undefined);
        if (frame === null) throw new Error('the broker is gone');
        if (frame?.name === 'tx.commit_ok') {
          unanswered -= 1;
          progress.commits += 1;
        }
        if (frame?.name === 'basic.deliver') {
          await client.expect('header');
          const id = Number((await client.expect('body')).payload.toString());
          settle(client, id, frame.args['deliveryTag'] as number, frame.args['redelivered'] === true);
          taken += 1;
        }
        if (taken === most || (taken > 0 && frame === undefined)) {
          client.send(txCommit.frame(1, {}));
          unanswered += 1;
          taken = 0;
        }
      }
      const code = { replyCode: 200, replyText: '', classId: 0, methodId: 0 };
      client.send(channelClose.frame(1, code));
      // Deliveries may be on their way.
      for (let frame = await client.next(); frame !== null && frame.name !== 'channel.close_ok';)
        frame = await client.next();
      client.end();
    },
  );
}

function settle(client: RawClient, id: number, deliveryTag: number, redelivered: boolean): void {
  if (isPutBack(id) && !redelivered) {
    client.send(publish('again', String(id)), basicNack.frame(1, { deliveryTag, multiple: false, requeue: true }));
    return;
  }
  for (const queue of outputs) client.send(publish(queue, String(id)));
  if (isRejected(id)) client.send(basicNack.frame(1, { deliveryTag, multiple: false, requeue: false }));
  else client.send(basicAck.frame(1, { deliveryTag, multiple: false }));
}

/** Again and again until it is done, since the broker is killed. */
async function whileRunning(isDone: () => boolean, task: () => Promise<void>): Promise<void> {
  while (!isDone()) {
    try {
      await task();
    } catch {
      await sleep(20);
    }
  }
}

async function drain(client: RawClient, name: string): Promise<Map<number, number>> {
  const { messageCount } = (await client.call(1, queueDeclare, passive(name), 'queue.declare_ok')).args;
  const counts = new Map<number, number>();
  await client.consume(name, name, true);
  for (let left = messageCount as number; left > 0; left--) {
    const id = Number((await client.message('basic.deliver')).body.toString());
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return new Map([...counts].sort(([a], [b]) => a - b));
}

const passive = (queue: string) => ({ ...declaration, queue, passive: true });

async function declare(port: number): Promise<void> {
  const client = await RawClient.open(port);
  for (const [queue, args] of Object.entries(queues)) {
    await client.call(1, queueDeclare, { ...declaration, queue, durable: true, arguments: args }, 'queue.declare_ok');
  }
  client.end();
}

async function begin(context: TestContext): Promise<BrokerProcess> {
  const directory = await scratch();
  const launcher = new Launcher();
  context.after(() => launcher.endAll());
  const broker = new BrokerProcess({
    launcher,
    postrider,
    data: join(directory, 'data'),
    logFile: join(directory, 'broker.log'),
  });
  await broker.start();
  return broker;
}
