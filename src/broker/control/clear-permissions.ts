import { administratorVerb } from './administrator.ts';

/** From then on the user can't enter the vhost; what is connected is refused whatever it asks for. */
export const clearPermissions = administratorVerb(
  'clear-permissions',
  ['user', 'vhost'],
  async (request, { broker }) => {
    await broker.users.clearPermissions(request.text('user'), request.text('vhost'));
    return {};
  },
);
