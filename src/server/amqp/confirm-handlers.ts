import { ChannelError } from '../../wire/amqp/amqp-error.ts';
import { confirmSelect, confirmSelectOk } from '../../wire/amqp/basic-methods.ts';
import { handler, reply, type HandlerEntry } from './handler.ts';

export const confirmHandlers: readonly HandlerEntry[] = [
  handler(confirmSelect, (channel, args) => {
    if (channel.session.transaction !== null) {
      throw new ChannelError('PRECONDITION_FAILED', 'cannot switch from tx to confirm mode');
    }
    channel.confirming = true;
    if (!args.noWait) reply(channel, confirmSelectOk, {});
    return undefined;
  }),
];
