import { randomBytes } from 'node:crypto';
import type { GetSink } from '../../broker/index.ts';
import { ConnectionError } from '../../wire/amqp/amqp-error.ts';
import {
  basicCancel,
  basicCancelOk,
  basicConsume,
  basicConsumeOk,
  basicGet,
  basicGetEmpty,
  basicQos,
  basicQosOk,
  basicRecover,
  basicRecoverAsync,
  basicRecoverOk,
} from '../../wire/amqp/basic-methods.ts';
import type { Channel } from './channel.ts';
import { Consumer } from './consumer.ts';
import { writeGetOk } from './answers.ts';
import { handler, reply, type HandlerEntry } from './handler.ts';
import { queueName } from './queue-handlers.ts';
import { replyToQueue } from './reply-to.ts';

export const basicHandlers: readonly HandlerEntry[] = [
  handler(basicQos, (channel, args) => {
    if (args.prefetchSize !== 0) {
      throw new ConnectionError('NOT_IMPLEMENTED', `prefetch_size!=0 (${args.prefetchSize})`);
    }
    // Before what may be delivered now.
    reply(channel, basicQosOk, {});
    channel.session.setPrefetch(args.prefetchCount, args.global);
    return undefined;
  }),

  handler(basicConsume, async (channel, args) => {
    const { consumers, connection, session } = channel;
    const tag = args.consumerTag === '' ? madeTag() : args.consumerTag;
    if (consumers.has(tag)) throw new ConnectionError('NOT_ALLOWED', `attempt to reuse consumer tag '${tag}'`);
    const { maxConsumersPerChannel, maxConsumersPerConnection } = connection.settings;
    if (consumers.size >= maxConsumersPerChannel) {
      throw new ConnectionError('NOT_ALLOWED', `reached maximum (${maxConsumersPerChannel}) of consumers per channel`);
    }
    if (connection.consumerCount >= maxConsumersPerConnection) {
      const text = `reached maximum (${maxConsumersPerConnection}) of consumers per connection`;
      throw new ConnectionError('NOT_ALLOWED', text);
    }
    if (args.queue === replyToQueue) {
      connection.server.replies.consume(channel, tag, args.noAck);
      if (!args.noWait) reply(channel, basicConsumeOk, { consumerTag: tag });
      return;
    }
    const consumer = new Consumer(channel, tag);
    consumers.set(tag, consumer);
    try {
      const request = { ...args, consumerTag: tag };
      consumer.registered = await session.consume(queueName(channel, args.queue), request, consumer);
      connection.server.deadlines.follow(session.shortestTimeoutMs);
      if (connection.output.unsent >= connection.output.limit) consumer.pause();
    } catch (error) {
      channel.forget(tag);
      throw error;
    }
    if (!args.noWait) reply(channel, basicConsumeOk, { consumerTag: tag });
  }),

  handler(basicCancel, async (channel, args) => {
    if (!channel.connection.server.replies.cancel(channel, args.consumerTag)) {
      await channel.session.cancel(args.consumerTag);
    }
    channel.forget(args.consumerTag);
    if (!args.noWait) reply(channel, basicCancelOk, { consumerTag: args.consumerTag });
  }),

  /** A client's answer to a cancel from here; the consumer is gone already. */
  handler(basicCancelOk, () => undefined),

  handler(basicGet, async (channel, args) => {
    const name = queueName(channel, args.queue);
    const sink: GetSink = {
      deliver: (tag, delivery, remaining) => {
        if (channel.open) writeGetOk(channel, tag, delivery, remaining);
      },
    };
    const taken = await channel.connection.gets.take(() => channel.session.get(name, args.noAck, sink));
    if (taken === null) reply(channel, basicGetEmpty, {});
    else channel.connection.server.deadlines.follow(channel.session.shortestTimeoutMs);
  }),

  handler(basicRecover, (channel, args) => {
    recover(channel, args.requeue);
    reply(channel, basicRecoverOk, {});
    return undefined;
  }),

  handler(basicRecoverAsync, (channel, args) => {
    recover(channel, args.requeue);
    return undefined;
  }),
];

function recover(channel: Channel, requeue: boolean): void {
  if (!requeue) throw new ConnectionError('NOT_IMPLEMENTED', 'requeue=false');
  channel.session.recover(channel.connection.batch ?? channel.connection.beginBatch());
  channel.connection.commitBatch();
}

function madeTag(): string {
  return `amq.ctag-${randomBytes(16).toString('base64url')}`;
}
