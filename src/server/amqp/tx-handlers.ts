import { ConnectionError } from '../../wire/amqp/amqp-error.ts';
import { txCommit, txRollback, txSelect } from '../../wire/amqp/basic-methods.ts';
import type { HandlerEntry } from './handler.ts';

export const txHandlers: readonly HandlerEntry[] = [txSelect, txCommit, txRollback].map(({ id, name }) => [
  id,
  () => {
    throw new ConnectionError('NOT_IMPLEMENTED', `${name} is not implemented`);
  },
]);
