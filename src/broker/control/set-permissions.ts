import { administratorVerb } from './administrator.ts';

const fields = ['user', 'vhost', 'configure', 'write', 'read'] as const;

/** Three regular expressions: names of what the user may declare and delete, put messages into, and take them from. */
export const setPermissions = administratorVerb('set-permissions', fields, async (request, { broker }) => {
  const [user, vhost] = [request.text('user'), request.text('vhost')];
  const texts = { configure: request.text('configure'), write: request.text('write'), read: request.text('read') };
  await broker.users.setPermissions(user, vhost, texts, () => broker.vhost(vhost) !== undefined);
  return {};
});
