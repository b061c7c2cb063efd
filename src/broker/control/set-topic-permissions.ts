import { administratorVerb } from './administrator.ts';

const fields = ['user', 'vhost', 'exchange', 'write', 'read'] as const;

/** Two regular expressions: routing keys with which the user may publish to an exchange, and bind or subscribe. */
export const setTopicPermissions = administratorVerb('set-topic-permissions', fields, async (request, { broker }) => {
  const [user, vhost, exchange] = [request.text('user'), request.text('vhost'), request.text('exchange')];
  const traits = { user, vhost, exchange, write: request.text('write'), read: request.text('read') };
  await broker.users.setTopicPermissions(traits, () => broker.vhost(vhost) !== undefined);
  return {};
});
