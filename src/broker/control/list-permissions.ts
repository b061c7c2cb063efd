import { administratorVerb } from './administrator.ts';

/** All, or those of one user or in one vhost. */
export const listPermissions = administratorVerb('list-permissions', ['user', 'vhost'], (request, { broker }) => {
  const [wantedUser, wantedVhost] = [request.optionalText('user'), request.optionalText('vhost')];
  if (wantedUser !== undefined) broker.users.require(wantedUser);
  if (wantedVhost !== undefined) broker.requireVhost(wantedVhost);
  const permissions = broker.users
    .listPermissions()
    .filter(({ user, vhost }) => user === (wantedUser ?? user) && vhost === (wantedVhost ?? vhost));
  return { permissions };
});
