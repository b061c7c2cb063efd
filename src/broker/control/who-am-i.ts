import type { ControlVerb } from './control-verb.ts';

/** For whom this connection acts. Whoever is in may ask. */
export const whoAmI: ControlVerb = {
  name: 'who-am-i',
  fields: [],
  run: (_request, { principal, vhost }) => ({ user: principal.user, tags: principal.tags, vhost: vhost.name }),
};
