import {
  exchangeBind,
  exchangeBindOk,
  exchangeDeclare,
  exchangeDeclareOk,
  exchangeDelete,
  exchangeDeleteOk,
  exchangeUnbind,
  exchangeUnbindOk,
} from '../../wire/amqp/exchange-methods.ts';
import { handler, inTurn, reply, type HandlerEntry } from './handler.ts';

export const exchangeHandlers: readonly HandlerEntry[] = [
  handler(exchangeDeclare, (channel, args) => {
    const { session } = channel;
    if (args.passive) session.vhost.checkExchange(session, args.exchange);
    const declared = args.passive
      ? Promise.resolve()
      : session.vhost.exchanges.declare(session, { ...args, name: args.exchange });
    return inTurn(channel, declared, () => {
      if (!args.noWait) reply(channel, exchangeDeclareOk, {});
    });
  }),

  handler(exchangeDelete, async (channel, args) => {
    await channel.session.vhost.deleteExchange(channel.session, args.exchange, { ifUnused: args.ifUnused });
    if (!args.noWait) reply(channel, exchangeDeleteOk, {});
  }),

  handler(exchangeBind, (channel, args) =>
    inTurn(channel, channel.session.vhost.exchanges.bindExchange(channel.session, args), () => {
      if (!args.noWait) reply(channel, exchangeBindOk, {});
    }),
  ),

  handler(exchangeUnbind, async (channel, args) => {
    await channel.session.vhost.unbindExchange(channel.session, args);
    if (!args.noWait) reply(channel, exchangeUnbindOk, {});
  }),
];
