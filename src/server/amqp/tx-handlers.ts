import { ChannelError } from '../../wire/amqp/amqp-error.ts';
import { txCommit, txCommitOk, txRollback, txRollbackOk, txSelect, txSelectOk } from '../../wire/amqp/basic-methods.ts';
import type { Transaction } from '../../broker/index.ts';
import type { Channel } from './channel.ts';
import { handler, reply, type HandlerEntry } from './handler.ts';

export const txHandlers: readonly HandlerEntry[] = [
  handler(txSelect, (channel) => {
    if (channel.confirming) throw new ChannelError('PRECONDITION_FAILED', 'cannot switch from confirm to tx mode');
    channel.session.transact();
    reply(channel, txSelectOk, {});
    return undefined;
  }),

  handler(txCommit, async (channel) => {
    await transactionOf(channel).commit();
    reply(channel, txCommitOk, {});
  }),

  handler(txRollback, (channel) => {
    transactionOf(channel).rollback();
    reply(channel, txRollbackOk, {});
    return undefined;
  }),
];

/** @throws ChannelError PRECONDITION_FAILED */
function transactionOf({ session }: Channel): Transaction {
  if (session.transaction !== null) return session.transaction;
  throw new ChannelError('PRECONDITION_FAILED', 'channel is not transactional');
}
