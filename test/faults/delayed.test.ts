/**
 * A broker killed again and again while messages come to an exchange that holds them and are routed on, by a publisher that sends
 * everything again that it has no answer for: each is held, remembered by its id, and arrives in every queue exactly once.
 */
import assert from 'node:assert/strict';
import { it, type TestContext } from 'node:test';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BrokerProcess } from '../../src/demo/broker.ts';
import { Launcher } from '../../src/demo/launch.ts';
import { encodeProperties } from '../../src/format/basic-properties.ts';
import { confirmSelect } from '../../src/wire/amqp/basic-methods.ts';
import { exchangeDeclare } from '../../src/wire/amqp/exchange-methods.ts';
import { queueBind, queueDeclare } from '../../src/wire/amqp/queue-methods.ts';
import { postrider, scratch } from '../cli/postrider.ts';
import { declaration, publish, RawClient } from '../server/amqp/raw-client.ts';

const rounds = 4;
const messages = 2_000;
const window = 50;
const queues = ['first', 'second'] as const;

it(
  'SIGKILL while messages are held and routed neither loses nor doubles one',
  { timeout: 300_000 },
  async (context) => {
    const broker = await begin(context);
    await declare(broker.port);
    const progress = { confirmed: 0, again: 0 };
    const filled = fill(broker, progress);
    for (let round = 1; round <= rounds; round++) {
      const until = (messages / (rounds + 1)) * round;
      while (progress.confirmed < until) await sleep(2);
      await sleep(Math.random() * 40);
      await broker.kill();
      await broker.start();
    }
    await filled;
    const client = await RawClient.open(broker.port);
    const count = async (queue: string): Promise<number> =>
      (await client.call(1, queueDeclare, { ...declaration, queue, passive: true }, 'queue.declare_ok')).args[
        'messageCount'
      ] as number;
    while ((await count('first')) < messages) await sleep(20);
    // Whatever would come once more has its time.
    await sleep(100);
    const ids = Array.from({ length: messages }, (_, id) => id);
    for (const queue of queues) {
      const left = await count(queue);
      await client.consume(queue, queue, true);
      const found: number[] = [];
      for (let n = 0; n < left; n++) found.push(Number((await client.message('basic.deliver')).body.toString()));
      assert.deepEqual(
        found.sort((a, b) => a - b),
        ids,
        queue,
      );
    }
    context.diagnostic(`${progress.again} messages sent again`);
    client.end();
    assert.equal(await broker.stop(), 0);
  },
);

/** Publishes all of them, so many at a time unconfirmed, and again what was not confirmed when the broker was killed. */
async function fill(broker: BrokerProcess, progress: { confirmed: number; again: number }): Promise<void> {
  const left = new Set(Array.from({ length: messages }, (_, id) => id));
  while (left.size > 0) {
    const sent: number[] = [];
    try {
      const client = await RawClient.open(broker.port);
      await client.call(1, confirmSelect, { noWait: false }, 'confirm.select_ok');
      const ids = [...left];
      let acked = 0;
      while (acked < ids.length) {
        const some = ids.slice(sent.length, Math.min(ids.length, acked + window));
        client.send(...some.map(message));
        sent.push(...some);
        const { args } = await client.expect('basic.ack');
        const upTo = args['deliveryTag'] as number;
        for (const id of sent.slice(acked, upTo)) left.delete(id);
        acked = upTo;
        progress.confirmed = messages - left.size;
        await sleep(1);
      }
      client.end();
    } catch {
      progress.again += sent.filter((id) => left.has(id)).length;
      await sleep(20);
    }
  }
}

function message(id: number): Buffer {
  const headers = { 'x-delay': 1 + (id % 300), 'x-deduplication-header': `m${id}` };
  return publish('', String(id), { exchange: 'later', properties: encodeProperties({ deliveryMode: 2, headers }) });
}

async function declare(port: number): Promise<void> {
  const client = await RawClient.open(port);
  const given = { 'x-delayed-type': 'fanout', 'x-message-deduplication': true, 'x-cache-size': 2 * messages };
  const traits = { passive: false, durable: true, autoDelete: false, internal: false, noWait: false, arguments: given };
  const exchange = { ...traits, exchange: 'later', type: 'x-delayed-message' };
  await client.call(1, exchangeDeclare, exchange, 'exchange.declare_ok');
  for (const queue of queues) {
    await client.call(1, queueDeclare, { ...declaration, queue, durable: true }, 'queue.declare_ok');
    const binding = { queue, exchange: 'later', routingKey: '', noWait: false, arguments: {} };
    await client.call(1, queueBind, binding, 'queue.bind_ok');
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
