import { ConnectionError } from '../../wire/amqp/amqp-error.ts';
import {
  accessRequest,
  accessRequestOk,
  channelClose,
  channelCloseOk,
  channelFlow,
  channelFlowOk,
  channelOpen,
} from '../../wire/amqp/channel-methods.ts';
import { handler, reply, type HandlerEntry } from './handler.ts';

export const channelHandlers: readonly HandlerEntry[] = [
  handler(channelOpen, () => {
    throw new ConnectionError('CHANNEL_ERROR', "second 'channel.open' seen");
  }),

  handler(channelFlow, (channel, args) => {
    if (!args.active) throw new ConnectionError('NOT_IMPLEMENTED', 'active=false');
    reply(channel, channelFlowOk, { active: true });
    return undefined;
  }),

  handler(channelClose, async (channel) => {
    await channel.connection.removeChannel(channel);
    channel.connection.output.writeFrame(channelCloseOk.frame(channel.number, {}));
  }),

  handler(accessRequest, (channel) => {
    reply(channel, accessRequestOk, { ticket: 1 });
    return undefined;
  }),
];
