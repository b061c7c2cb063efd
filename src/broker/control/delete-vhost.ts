import { administratorVerb } from './administrator.ts';

export const deleteVhost = administratorVerb('delete-vhost', ['vhost'], async (request, { broker }) => {
  await broker.deleteVhost(request.text('vhost'));
  return {};
});
