import { administratorVerb } from './administrator.ts';

/** All, or those of one user or in one vhost. Who has none for an exchange may use all its topics. */
export const listTopicPermissions = administratorVerb(
  'list-topic-permissions',
  ['user', 'vhost'],
  (request, { broker }) => {
    const [wantedUser, wantedVhost] = [request.optionalText('user'), request.optionalText('vhost')];
    if (wantedUser !== undefined) broker.users.require(wantedUser);
    if (wantedVhost !== undefined) broker.requireVhost(wantedVhost);
    const topicPermissions = broker.users
      .listTopicPermissions()
      .filter(({ user, vhost }) => user === (wantedUser ?? user) && vhost === (wantedVhost ?? vhost));
    return { topicPermissions };
  },
);
