import { ChannelError } from '../../wire/amqp/amqp-error.ts';
import {
  queueBind,
  queueBindOk,
  queueDeclare,
  queueDeclareOk,
  queueDelete,
  queueDeleteOk,
  queuePurge,
  queuePurgeOk,
  queueUnbind,
  queueUnbindOk,
} from '../../wire/amqp/queue-methods.ts';
import type { Channel } from './channel.ts';
import type { Consumer } from './consumer.ts';
import { handler, inTurn, reply, type HandlerEntry } from './handler.ts';
import { replyToPrefix, replyToQueue } from './reply-to.ts';

export const queueHandlers: readonly HandlerEntry[] = [
  handler(queueDeclare, (channel, args) => {
    const { session } = channel;
    const isReplyTo = args.queue === replyToQueue || channel.connection.server.replies.has(args.queue);
    if (isReplyTo) {
      // A server that is asked to reply can see whether anybody still waits; a client, whether there is direct reply-to at all.
      return inTurn(channel, Promise.resolve(), () => {
        channel.lastQueue = args.queue;
        if (!args.noWait) reply(channel, queueDeclareOk, { queue: args.queue, messageCount: 0, consumerCount: 1 });
      });
    }
    // What begins like an address is never made.
    const status =
      args.passive || args.queue.startsWith(replyToPrefix)
        ? session.vhost.queues.check(session, args.queue)
        : session.vhost.queues.declare(session, { ...args, name: args.queue });
    return inTurn(channel, status, ({ name, messageCount, consumerCount }) => {
      channel.lastQueue = name;
      if (!args.noWait) reply(channel, queueDeclareOk, { queue: name, messageCount, consumerCount });
    });
  }),

  handler(queueBind, (channel, args) => {
    const bind = (): Promise<void> =>
      channel.session.vhost.exchanges.bindQueue(channel.session, { ...args, ...ofLastQueue(channel, args) });
    // The name of the queue declared last is known when that was answered.
    const bound = args.queue === '' && channel.answered !== null ? channel.answered.then(bind) : bind();
    return inTurn(channel, bound, () => {
      if (!args.noWait) reply(channel, queueBindOk, {});
    });
  }),

  handler(queueUnbind, async (channel, args) => {
    await channel.session.vhost.unbindQueue(channel.session, { ...args, ...ofLastQueue(channel, args) });
    reply(channel, queueUnbindOk, {});
  }),

  handler(queuePurge, async (channel, args) => {
    const messageCount = await channel.session.vhost.purgeQueue(channel.session, queueName(channel, args.queue));
    if (!args.noWait) reply(channel, queuePurgeOk, { messageCount });
  }),

  handler(queueDelete, async (channel, args) => {
    const name = queueName(channel, args.queue);
    const cancelled: Consumer[] = [];
    channel.cancelledByDelete = cancelled;
    try {
      const messageCount = await channel.session.vhost.deleteQueue(channel.session, name, args);
      if (!args.noWait) reply(channel, queueDeleteOk, { messageCount });
    } finally {
      channel.cancelledByDelete = null;
      for (const consumer of cancelled) consumer.tellCancelled();
    }
  }),
];

/** An empty name stands for the queue that this channel declared last. @throws ChannelError NOT_FOUND */
export function queueName(channel: Channel, name: string): string {
  if (name !== '') return name;
  if (channel.lastQueue === '') throw new ChannelError('NOT_FOUND', 'no previously declared queue');
  return channel.lastQueue;
}

/** Where both are empty, the queue's name is the routing key as well (0-9-1 queue.bind). */
function ofLastQueue(channel: Channel, args: { queue: string; routingKey: string }) {
  const queue = queueName(channel, args.queue);
  return { queue, routingKey: args.queue === '' && args.routingKey === '' ? queue : args.routingKey };
}
