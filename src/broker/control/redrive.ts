import { BrokerError } from '../broker-error.ts';
import { redrive as redriveLetters } from '../dead-letter/redrive.ts';
import { requirePermission } from '../permission.ts';
import type { ControlVerb } from './control-verb.ts';

/**
 * Dead letters back to the queues that they came from, answered when it is done. Needs read on the queue, and write to the default exchange.
 */
export const redrive: ControlVerb = {
  name: 'redrive',
  fields: ['queue', 'limit', 'ratePerSecond', 'reason', 'from', 'messageId'],
  async run(request, session) {
    const { broker, vhost, principal, connection } = session;
    const name = request.text('queue');
    const ratePerSecond = request.has('ratePerSecond') ? request.value('ratePerSecond') : Infinity;
    if (typeof ratePerSecond !== 'number' || !(ratePerSecond >= 0.001)) {
      throw request.wrong('ratePerSecond', 'a number of at least 0.001');
    }
    const limit = request.optionalCount('limit', 1) ?? Infinity;
    const reason = request.optionalText('reason') ?? null;
    const origin = request.optionalText('from') ?? null;
    const messageId = request.optionalText('messageId') ?? null;
    requirePermission(principal, vhost.name, 'read', 'queue', name);
    requirePermission(principal, vhost.name, 'write', 'exchange', '');
    const queue = vhost.queues.require(name);
    queue.requireAccess(connection);
    if (queue.settings.type === 'stream') {
      throw new BrokerError('PRECONDITION_FAILED', `${queue.resource} is a stream, from which nothing is taken`);
    }
    await queue.created;
    const stopped = queue.stopped();
    if (stopped !== null) throw stopped;
    const isOver = (): boolean => session.closed;
    const asked = { queue, limit, ratePerSecond, reason, origin, messageId, isOver };
    return { ...(await redriveLetters(broker.context, vhost, asked)) };
  },
};
