/** `postrider users`: who may log in. */
import type { Command } from 'commander';
import { actionOf, askAccess, printDone, printItems } from './access-verb.ts';
import { addBrokerOptions, addVerb, type VerbOptions } from './verb.ts';

const examples = `
Examples:
  postrider users                                  all of them, with their tags
  postrider users add orders-service < secret.txt  the password is the first line of standard input
  postrider users add ann --tag administrator      asks for it on a terminal
  postrider users password ann                     another password
  postrider users tags ann monitoring              these tags and no others; none: no tags
  postrider users delete guest
  postrider users --url file:./data                of a directory that no broker serves

A new user may enter no vhost: see postrider permissions. The password may also stand
in $POSTRIDER_NEW_PASSWORD. A broker that runs asks for a user with the tag administrator.`;

export function registerUsers(program: Command): void {
  const users = addVerb(program, 'users', 'list, add, change and delete users', examples);
  addBrokerOptions(users, 'print objects, one a line').action(actionOf(list));
  const add = users.command('add').description('add a user').argument('<USER>', 'its name');
  addBrokerOptions(add.option('--tag <TAG>', 'a tag; more than once for more', collect), 'print one object');
  add.action(actionOf(addUser));
  const password = users.command('password').description('give a user another password');
  addBrokerOptions(password.argument('<USER>', 'its name'), 'print one object').action(actionOf(changePassword));
  const tags = users.command('tags').description('give a user these tags, and no others');
  tags.argument('<USER>', 'its name').argument('[TAG...]', 'such as administrator');
  addBrokerOptions(tags, 'print one object').action(actionOf(changeTags));
  const remove = users.command('delete').description('delete a user, and close its connections');
  addBrokerOptions(remove.argument('<USER>', 'its name'), 'print one object').action(actionOf(deleteUser));
}

async function list(options: VerbOptions): Promise<void> {
  const { users } = await askAccess<{ users: { user: string; tags: string[] }[] }>(options, { verb: 'list-users' });
  await printItems(users, options, ['USER', 'TAGS'], ({ user, tags }) => [user, tags.join(' ')], 'no users');
}

async function addUser(options: VerbOptions & { readonly tag?: readonly string[] }, user: string): Promise<void> {
  const { newPassword } = await import('./new-password.ts');
  const tags = options.tag ?? [];
  await askAccess(options, { verb: 'add-user', user, password: await newPassword(user), tags });
  await printDone(`user '${user}' added; postrider permissions set says what it may do`, { user, tags }, options);
}

async function changePassword(options: VerbOptions, user: string): Promise<void> {
  const { newPassword } = await import('./new-password.ts');
  await askAccess(options, { verb: 'change-user', user, password: await newPassword(user) });
  await printDone(`user '${user}' has a new password`, { user }, options);
}

async function changeTags(options: VerbOptions, user: string, tags: readonly string[]): Promise<void> {
  await askAccess(options, { verb: 'change-user', user, tags });
  await printDone(`user '${user}' has ${tags.length === 0 ? 'no tags' : tags.join(', ')}`, { user, tags }, options);
}

async function deleteUser(options: VerbOptions, user: string): Promise<void> {
  await askAccess(options, { verb: 'delete-user', user });
  await printDone(`user '${user}' deleted`, { user, deleted: true }, options);
}

function collect(tag: string, before: readonly string[] = []): string[] {
  return [...before, tag];
}
