import type { RefusalReason } from '../../engine/engine.ts';
import { BrokerError } from '../broker-error.ts';
import type { Route } from '../route.ts';

const causes: Readonly<Partial<Record<RefusalReason, string>>> = {
  full: 'the disk is full',
  'max-length': 'a queue is full',
  gone: 'a queue was deleted',
  damaged: 'a queue is damaged',
  'too-large': 'it is too large',
};

/** Why a transaction was refused, of which a message on this route was. */
export function refusalOf(reason: RefusalReason | null, { exchange, routingKey }: Route): BrokerError {
  const cause = (reason === null ? undefined : causes[reason]) ?? String(reason);
  const text = `transaction refused: ${cause}, of exchange '${exchange}' with routing key '${routingKey}'; nothing was done`;
  return new BrokerError('PRECONDITION_FAILED', text);
}
