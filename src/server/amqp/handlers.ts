import { basicHandlers } from './basic-handlers.ts';
import { channelHandlers } from './channel-handlers.ts';
import { confirmHandlers } from './confirm-handlers.ts';
import { exchangeHandlers } from './exchange-handlers.ts';
import type { Handler } from './handler.ts';
import { queueHandlers } from './queue-handlers.ts';
import { exchangeBind, exchangeDeclare } from '../../wire/amqp/exchange-methods.ts';
import { queueBind, queueDeclare } from '../../wire/amqp/queue-methods.ts';
import { txHandlers } from './tx-handlers.ts';

/** Every method that a client may send on a channel, but those of the hot path (frame-run.ts). */
export const channelMethods: ReadonlyMap<number, Handler> = new Map([
  ...channelHandlers,
  ...exchangeHandlers,
  ...queueHandlers,
  ...basicHandlers,
  ...confirmHandlers,
  ...txHandlers,
]);

/**
 * Methods of a channel that begin while earlier ones of them wait for the disk, so that all that a client sends at once are one group
 * of the journal. They are answered in their order.
 */
export const overlapping: ReadonlySet<number> = new Set(
  [exchangeDeclare, exchangeBind, queueDeclare, queueBind].map(({ id }) => id),
);
