import { administratorVerb } from './administrator.ts';

/** Nobody may enter it until permissions say so. */
export const addVhost = administratorVerb('add-vhost', ['vhost'], async (request, { broker }) => {
  await broker.createVhost(request.text('vhost'));
  return {};
});
