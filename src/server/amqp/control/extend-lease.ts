import { BrokerError, type ControlVerb } from '../../../broker/index.ts';
import type { Channel } from '../channel.ts';

/** Ten years, as for every time that RabbitMQ takes. */
const longestMs = 315_360_000_000;

/** More time for one unacknowledged delivery of this channel, before its channel is closed for it (`--consumer-timeout`, `x-consumer-timeout`). */
export const extendLease: ControlVerb<Channel> = {
  name: 'extend-lease',
  fields: ['deliveryTag', 'ms'],
  run(request, channel) {
    const tag = request.count('deliveryTag', 1);
    const ms = request.count('ms', 1, longestMs);
    if (channel.connection.server.deadlines.extend(channel, tag, ms)) return {};
    throw new BrokerError('PRECONDITION_FAILED', `unknown delivery tag ${tag}`);
  },
};
