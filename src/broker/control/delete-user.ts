import { administratorVerb } from './administrator.ts';

export const deleteUser = administratorVerb('delete-user', ['user'], async (request, { broker }) => {
  await broker.users.delete(request.text('user'));
  return {};
});
