import { administratorVerb } from './administrator.ts';

/** A user without any permission. */
export const addUser = administratorVerb('add-user', ['user', 'password', 'tags'], async (request, { broker }) => {
  const tags = request.has('tags') ? request.texts('tags') : [];
  await broker.users.put(request.text('user'), { password: request.text('password'), tags }, 'new');
  return {};
});
