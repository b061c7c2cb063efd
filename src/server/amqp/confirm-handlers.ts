import { confirmSelect, confirmSelectOk } from '../../wire/amqp/basic-methods.ts';
import { handler, reply, type HandlerEntry } from './handler.ts';

export const confirmHandlers: readonly HandlerEntry[] = [
  handler(confirmSelect, (channel, args) => {
    channel.confirming = true;
    if (!args.noWait) reply(channel, confirmSelectOk, {});
    return undefined;
  }),
];
