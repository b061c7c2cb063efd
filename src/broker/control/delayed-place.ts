import type { EngineQueue } from '../../engine/engine.ts';
import { BrokerError } from '../broker-error.ts';
import { requirePermission } from '../permission.ts';
import type { Permission } from '../principal.ts';
import { resourceName } from '../resource-name.ts';
import type { Session } from '../session.ts';
import type { ControlRequest } from './control-request.ts';
import { badRequest } from './control-verb.ts';

/**
 * Where delayed messages wait: the queue that the request names, or the exchange (`x-delayed-message`). Its `onExchange` is the permission that is needed there.
 * @throws BrokerError COMMAND_INVALID, NOT_FOUND, ACCESS_REFUSED, RESOURCE_LOCKED, PRECONDITION_FAILED
 */
export async function delayedPlace(
  request: ControlRequest,
  session: Session,
  onExchange: Permission,
): Promise<EngineQueue> {
  const { principal, vhost, connection } = session;
  if (request.has('queue') === request.has('exchange')) {
    throw badRequest(`${request.verb} wants a queue or an exchange, one of them`);
  }
  if (request.has('queue')) {
    const name = request.text('queue');
    requirePermission(principal, vhost.name, 'read', 'queue', name);
    const queue = vhost.queues.require(name);
    queue.requireAccess(connection);
    await queue.created;
    if (queue.handle !== null) return queue.handle;
    throw new BrokerError('NOT_FOUND', `no ${queue.resource}`);
  }
  const name = request.text('exchange');
  requirePermission(principal, vhost.name, onExchange, 'exchange', name);
  const { holding } = vhost.exchanges.require(name);
  if (holding !== null && holding.handle !== null) return holding.handle;
  const resource = resourceName('exchange', name, vhost.name);
  throw new BrokerError('PRECONDITION_FAILED', `${resource} holds no messages: its type is not x-delayed-message`);
}
