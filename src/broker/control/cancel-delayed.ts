import { BrokerError } from '../broker-error.ts';
import type { ControlVerb } from './control-verb.ts';
import { delayedPlace } from './delayed-place.ts';

/** Takes out a message before it is due. Needs read on the queue, or write to the exchange. Answered once that is durable. */
export const cancelDelayed: ControlVerb = {
  name: 'cancel-delayed',
  fields: ['queue', 'exchange', 'id'],
  async run(request, session) {
    const id = request.count('id', 1);
    const place = await delayedPlace(request, session, 'write');
    if (await session.broker.engine.cancel(place, id)) return {};
    throw new BrokerError('NOT_FOUND', `no delayed message ${id}: it was cancelled, or is due already`);
  },
};
