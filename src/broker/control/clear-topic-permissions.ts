import { administratorVerb } from './administrator.ts';

/** From then on the user may use all topics of the exchange; without one: of all exchanges of the vhost. */
export const clearTopicPermissions = administratorVerb(
  'clear-topic-permissions',
  ['user', 'vhost', 'exchange'],
  async (request, { broker }) => {
    const exchange = request.optionalText('exchange');
    await broker.users.clearTopicPermissions(request.text('user'), request.text('vhost'), exchange);
    return {};
  },
);
