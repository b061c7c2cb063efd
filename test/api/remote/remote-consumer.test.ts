/** A consumer whose prefetch changes, on a broker that takes notice of it for later consumers alone. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { describe, it } from 'node:test';
import type { AsyncMessage, Channel } from 'rabbitmq-client';
import type { PostriderError } from '../../../src/api/errors.ts';
import type { ConsumeTraits, DeliverySink } from '../../../src/api/link.ts';
import { type ConsumerHome, RemoteConsumer } from '../../../src/api/remote/remote-consumer.ts';
import { until } from '../bench.ts';

/** A broker's side of a channel, which notes what it is asked for. */
class Recorded extends EventEmitter {
  active = true;
  readonly asked: string[] = [];
  #deliver: (message: AsyncMessage) => void = () => undefined;
  #tag = 0;

  basicQos({ prefetchCount }: { prefetchCount: number }): Promise<void> {
    this.asked.push(`qos ${prefetchCount}`);
    return Promise.resolve();
  }

  basicConsume(_params: unknown, deliver: (message: AsyncMessage) => void): Promise<{ consumerTag: string }> {
    this.asked.push('consume');
    this.#deliver = deliver;
    return Promise.resolve({ consumerTag: 'c' });
  }

  basicCancel(): Promise<void> {
    this.asked.push('cancel');
    return Promise.resolve();
  }

  basicAck({ deliveryTag }: { deliveryTag: number }): void {
    this.asked.push(`ack ${deliveryTag}`);
  }

  deliver(count: number): void {
    for (let n = 0; n < count; n++) {
      this.#deliver({ deliveryTag: ++this.#tag, exchange: '', routingKey: 'q', body: Buffer.alloc(0) } as AsyncMessage);
    }
  }
}

it('leaves to come again only when all that it may have is here, and nothing on its way', async () => {
  const channel = new Recorded();
  const home = {
    connection: {
      server: { product: 'RabbitMQ' },
      channel: () => Promise.resolve(channel as unknown as Channel),
      closeChannel: () => Promise.resolve(),
      lastAnswer: (work: Promise<unknown>) => work,
    },
    topology: { known: () => undefined },
    consumerClosed: () => undefined,
  } as unknown as ConsumerHome;
  const traits: ConsumeTraits = { prefetch: 1, noAck: false, exclusive: false, priority: 0 };
  const sink: DeliverySink = { deliver: () => true, lost: () => undefined, ended: () => undefined };
  const consumer = new RemoteConsumer(home, 'q', traits, sink);
  await consumer.open(1_000);
  consumer.setPrefetch(2);
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.deepEqual(channel.asked.splice(0), ['qos 1', 'consume'], 'one may be on its way');
  channel.deliver(1);
  await until('it came again', () => channel.asked.length === 3);
  assert.deepEqual(channel.asked.splice(0), ['cancel', 'qos 8', 'consume']);
  consumer.setPrefetch(64);
  await new Promise((resolve) => setTimeout(resolve, 60));
  channel.deliver(4);
  for (const tag of [1, 2, 3, 4, 5]) consumer.ack(tag);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(channel.asked, [], 'else more would be on its way');
  channel.deliver(4);
  await until('it came again', () => channel.asked.length === 4);
  assert.deepEqual(channel.asked.splice(0), ['cancel', 'qos 64', 'consume', 'ack 5']);
  // Where not so many come, it stays as it is.
  consumer.setPrefetch(512);
  channel.deliver(40);
  await new Promise((resolve) => setTimeout(resolve, 70));
  consumer.ack(6);
  await until('it goes on', () => channel.asked.length === 1);
  assert.deepEqual(channel.asked, ['ack 6']);
  await consumer.close();
});

describe('a consumer that comes back after its channel ended', () => {
  const traits: ConsumeTraits = { prefetch: 1, noAck: false, exclusive: false, priority: 0 };
  const text = {
    failed: 'BasicConsume: INTERNAL_ERROR',
    full: 'BasicConsume: RESOURCE_ERROR - no room for it',
    away: "BasicConsume: NOT_FOUND - home node 'rabbit@b' of durable queue 'q' in vhost '/' is down or inaccessible",
    deleted: "BasicConsume: NOT_FOUND - no queue 'q' in vhost '/'",
  };

  /** Opens a consumer, ends its channel, and answers with these until there are no more. */
  async function back(
    answers: readonly (readonly [string, string])[],
  ): Promise<{ opened: Recorded[]; ended: PostriderError[]; consumer: RemoteConsumer }> {
    const left = [...answers];
    const opened: Recorded[] = [];
    const ended: PostriderError[] = [];
    const home = {
      connection: {
        server: { product: 'Postrider' },
        whenUp: () => Promise.resolve(),
        channel: () => {
          const channel = new Recorded();
          const failure = opened.length === 0 ? undefined : left.shift();
          if (failure !== undefined) {
            const [code, message] = failure;
            channel.basicConsume = () => Promise.reject(Object.assign(new Error(message), { code }));
          }
          opened.push(channel);
          return Promise.resolve(channel as unknown as Channel);
        },
        closeChannel: () => Promise.resolve(),
        lastAnswer: (work: Promise<unknown>) => work,
      },
      topology: { known: () => undefined, restore: () => Promise.resolve() },
      consumerClosed: () => undefined,
    } as unknown as ConsumerHome;
    const sink: DeliverySink = { deliver: () => true, lost: () => undefined, ended: (error) => void ended.push(error) };
    const consumer = new RemoteConsumer(home, 'q', traits, sink);
    await consumer.open(1_000);
    opened[0]!.active = false;
    opened[0]!.emit('close');
    return { opened, ended, consumer };
  }

  it('tries again what the broker may be able to do later', async () => {
    const { opened, ended, consumer } = await back([
      ['INTERNAL_ERROR', text.failed],
      ['RESOURCE_ERROR', text.full],
      ['NOT_FOUND', text.away],
    ]);
    await until('it consumes', () => opened[4]?.asked.includes('consume') === true);
    assert.deepEqual(ended, []);
    await consumer.close();
  });

  it('ends when its queue is gone', async () => {
    const { opened, ended, consumer } = await back([['NOT_FOUND', text.deleted]]);
    await until('it is told', () => ended.length === 1);
    assert.equal(ended[0]!.code, 'QUEUE_NOT_FOUND');
    assert.equal(opened.length, 2);
    await consumer.close();
  });
});
