import { administratorVerb } from './administrator.ts';

export const listUsers = administratorVerb('list-users', [], (_request, { broker }) => ({
  users: broker.users.list(),
}));
