import { basicHandlers } from './basic-handlers.ts';
import { channelHandlers } from './channel-handlers.ts';
import { confirmHandlers } from './confirm-handlers.ts';
import { exchangeHandlers } from './exchange-handlers.ts';
import type { Handler } from './handler.ts';
import { queueHandlers } from './queue-handlers.ts';
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
