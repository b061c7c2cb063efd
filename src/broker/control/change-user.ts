import { administratorVerb } from './administrator.ts';

/** Another password or other tags. Who is connected stays so. */
export const changeUser = administratorVerb(
  'change-user',
  ['user', 'password', 'tags'],
  async (request, { broker }) => {
    const tags = request.has('tags') ? request.texts('tags') : undefined;
    await broker.users.put(request.text('user'), { password: request.optionalText('password'), tags }, 'known');
    return {};
  },
);
