import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeProperties, encodeProperties } from '../../../src/format/basic-properties.ts';
import { basicCancel, basicConsume } from '../../../src/wire/amqp/basic-methods.ts';
import { queueDeclare } from '../../../src/wire/amqp/queue-methods.ts';
import type { Channel } from '../../../src/server/amqp/channel.ts';
import { DirectReplies } from '../../../src/server/amqp/direct-reply.ts';
import { messageOf } from '../../broker/harness.ts';
import { declaration, publish } from './raw-client.ts';
import { serve } from './serve.ts';

const served = await serve();
const replyTo = 'amq.rabbitmq.reply-to';
const asking = encodeProperties({ correlationId: 'c1', replyTo });

test('a reply goes straight to the channel that asked', async () => {
  const asker = await served.client();
  const answerer = await served.client();
  await answerer.declare('questions');
  await answerer.consume('questions', 'a', true);
  await asker.consume(replyTo, 'replies', true);
  asker.send(publish('questions', 'how?', { properties: asking }));
  const question = await answerer.message('basic.deliver');
  const { replyTo: address = '', correlationId } = decodeProperties(question.properties, 0, question.properties.length);
  assert.match(address, /^amq\.rabbitmq\.reply-to\../);
  assert.equal(correlationId, 'c1');
  await answerer.call(1, queueDeclare, { ...declaration, queue: address, passive: true }, 'queue.declare_ok');

  answerer.send(publish(address, 'so', { mandatory: true }));
  const { frame, body } = await asker.message('basic.deliver');
  const expected = { consumerTag: 'replies', deliveryTag: 1, redelivered: false, exchange: '', routingKey: address };
  assert.deepEqual({ ...frame.args }, expected);
  assert.equal(body.toString(), 'so');

  await asker.call(1, basicCancel, { consumerTag: 'replies', noWait: false }, 'basic.cancel_ok');
  answerer.send(publish(address, 'too late', { mandatory: true }));
  assert.equal((await answerer.message('basic.return')).body.toString(), 'too late');
});

for (const passive of [true, false]) {
  test(`declaring tells whether anybody waits for replies${passive ? ', passively' : ''}`, async () => {
    const client = await served.client();
    const declare = { ...declaration, passive, queue: replyTo };
    const { args } = await client.call(1, queueDeclare, declare, 'queue.declare_ok');
    assert.deepEqual({ ...args }, { queue: replyTo, messageCount: 0, consumerCount: 1 });
    const gone = `${replyTo}.gone`;
    const closed = await client.call(1, queueDeclare, { ...declare, queue: gone }, 'channel.close');
    assert.equal(closed.args.replyText, `NOT_FOUND - no queue '${gone}' in vhost '/'`);
  });
}

for (const [name, noAck, consumes, text] of [
  ['acknowledging', false, 1, 'reply consumer cannot acknowledge'],
  ['a second one', true, 2, 'reply consumer already set'],
  ['asking without one', true, 0, 'fast reply consumer does not exist'],
] as const) {
  test(`${name} is refused`, async () => {
    const client = await served.client();
    const args = { queue: replyTo, noLocal: false, noAck, exclusive: false, noWait: true, arguments: {} };
    for (let index = 0; index < consumes; index++)
      client.send(basicConsume.frame(1, { ...args, consumerTag: `c${index}` }));
    client.send(publish('anywhere', '', { properties: asking }));
    const { replyCode, replyText } = (await client.expect('channel.close')).args;
    assert.deepEqual([replyCode, replyText], [406, `PRECONDITION_FAILED - ${text}`]);
  });
}

test('a reply is lost to a client that has more unsent than it may have now', () => {
  const replies = new DirectReplies();
  const output = { unsent: 200_000, limit: 65_536 };
  let taken = 0;
  const skip = (): never => {
    taken += 1;
    throw new Error('it would be sent');
  };
  const channel = {
    replyAddress: null,
    connection: { output, settings: { maxUnsentBytes: 1024 * 1024 } },
    session: { ledger: { skip } },
  } as unknown as Channel;
  replies.consume(channel, 'c', true);
  const address = channel.replyAddress!;
  assert.equal(replies.deliver(address, messageOf('so')), true);
  assert.equal(taken, 0);
  output.limit = 1024 * 1024;
  assert.throws(() => replies.deliver(address, messageOf('so')), /it would be sent/);
});
