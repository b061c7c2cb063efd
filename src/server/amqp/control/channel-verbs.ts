import { controlVerbs, type ControlVerb } from '../../../broker/index.ts';
import type { Channel } from '../channel.ts';
import { extendLease } from './extend-lease.ts';

/** Those that need the channel itself. */
const ofChannel: readonly ControlVerb<Channel>[] = [extendLease];

/** Every verb, as a channel calls it. */
export const channelVerbs: readonly ControlVerb<Channel>[] = [
  ...controlVerbs.map((verb): ControlVerb<Channel> => ({
    ...verb,
    run: (request, channel) => verb.run(request, channel.session),
  })),
  ...ofChannel,
];
