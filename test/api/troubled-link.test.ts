/** What the API does when its link refuses, ends or never answers something. */
import assert from 'node:assert/strict';
import { it, type TestContext } from 'node:test';
import { EmbeddedLink } from '../../src/api/embedded/embedded-link.ts';
import { PostriderError } from '../../src/api/errors.ts';
import type { DeliverySink } from '../../src/api/link.ts';
import { Mq } from '../../src/api/mq.ts';
import { openLocal } from '../../src/engine/local/index.ts';
import { rejects, take, until } from './bench.ts';

/** An API on a broker in memory, whose link `trouble` may change. */
async function openOn(context: TestContext, trouble: (link: EmbeddedLink) => void): Promise<Mq> {
  const mq = new Mq();
  await mq.begin(async (events) => {
    const link = await EmbeddedLink.open(openLocal('memory:'), events, () => undefined);
    trouble(link);
    return link;
  });
  context.after(() => mq.close({ graceMs: 0 }));
  return mq;
}

it('a refused declaration takes its new dead-letter queue back, unless somebody has letters in it by then', async (context) => {
  const to = { exchange: '', routingKey: 'used.dead', mandatory: true };
  const mq = await openOn(context, (link) => {
    const declare = link.declareQueue.bind(link);
    link.declareQueue = async (traits) => {
      if (traits.name.endsWith('.dead')) return declare(traits);
      if (traits.name === 'used') await link.publish(to, { body: 'letter', properties: {}, delayMs: 0 });
      throw new PostriderError('ACCESS_REFUSED', 'not for you');
    };
  });
  await rejects(mq.queue('unused'), 'ACCESS_REFUSED');
  await rejects(mq.queue('unused.dead', { declare: false }), 'QUEUE_NOT_FOUND');
  await rejects(mq.queue('used'), 'ACCESS_REFUSED');
  const dead = await mq.queue('used.dead', { declare: false });
  assert.equal((await take(dead, 1)).length, 1);
});

it('makes another queue for answers when the one that it had is gone', async (context) => {
  const sinks: DeliverySink[] = [];
  const mq = await openOn(context, (link) => {
    const consume = link.consume.bind(link);
    link.consume = (queue, traits, sink) => {
      if (queue.startsWith('amq.gen')) sinks.push(sink);
      return consume(queue, traits, sink);
    };
  });
  const queue = await mq.queue<number>('asked');
  const lost = rejects(queue.request(1), 'UNKNOWN_OUTCOME', /the queue for answers is gone/);
  await until('it asked', async () => (await queue.stats()).ready === 1);
  sinks[0]!.ended(new PostriderError('QUEUE_NOT_FOUND', 'it was deleted'));
  await lost;
  await queue.respond((number) => number * 2);
  assert.equal(await queue.request(2), 4);
  assert.equal(sinks.length, 2);
});

it('closes a consumer in time, though its broker does not answer', { timeout: 60_000 }, async (context) => {
  const mq = await openOn(context, (link) => {
    const consume = link.consume.bind(link);
    link.consume = async (...args) => {
      const consumer = await consume(...args);
      consumer.cancel = () => new Promise(() => undefined);
      return consumer;
    };
  });
  const queue = await mq.queue('orders');
  const consumer = await queue.consume(() => undefined);
  await consumer.close({ graceMs: 20 });
  await consumer.closed;
});
