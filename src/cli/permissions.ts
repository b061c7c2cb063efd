/** `postrider permissions`: what users may do where. */
import type { Command } from 'commander';
import { actionOf, askAccess, printDone, printItems } from './access-verb.ts';
import { CommandError } from './command-error.ts';
import { exitCode } from './exit-code.ts';
import { registerTopicPermissions } from './topic-permissions.ts';
import { addBrokerOptions, addVerb, type VerbOptions } from './verb.ts';

const examples = `
Examples:
  postrider permissions                            all of them
  postrider permissions --user ann
  postrider permissions set ann --all              everything, in the vhost /
  postrider permissions set ann --vhost staging --write '^orders$' --read '^replies-'
  postrider permissions clear ann --vhost staging
  postrider permissions topics --help              which topics of an exchange

Each is a regular expression over names of queues and exchanges (amq.default is the default
exchange): --configure declares and deletes, --write publishes, binds to, --read consumes, binds
from. What set does not name is not permitted. They hold at once, for who is connected too.`;

interface Listed {
  readonly user: string;
  readonly vhost: string;
  readonly configure: string;
  readonly write: string;
  readonly read: string;
}

interface Where extends VerbOptions {
  readonly vhost?: string;
  readonly user?: string;
}

interface Given extends Where, Partial<Pick<Listed, 'configure' | 'write' | 'read'>> {
  readonly all?: boolean;
}

export function registerPermissions(program: Command): void {
  const permissions = addVerb(program, 'permissions', 'list, set and clear what users may do', examples);
  permissions
    .option('--user <USER>', 'only those of this user')
    .option('--vhost <VHOST>', 'which vhost (set, clear: /)');
  addBrokerOptions(permissions, 'print objects, one a line').action(actionOf(list));
  const set = permissions.command('set').description('permit a user this, and nothing else, in a vhost');
  set
    .argument('<USER>', 'who')
    .option('--vhost <VHOST>', 'where (default: /)')
    .option('--all', 'everything')
    .option('--configure <REGEXP>', 'what it may declare and delete')
    .option('--write <REGEXP>', 'what it may publish to')
    .option('--read <REGEXP>', 'what it may consume from');
  addBrokerOptions(set, 'print one object').action(actionOf(setPermissions));
  const clear = permissions.command('clear').description('let a user enter a vhost no more').argument('<USER>', 'who');
  addBrokerOptions(clear.option('--vhost <VHOST>', 'which (default: /)'), 'print one object');
  clear.action(actionOf(clearPermissions));
  registerTopicPermissions(permissions);
}

async function list({ user, vhost, ...options }: Where): Promise<void> {
  const { permissions } = await askAccess<{ permissions: Listed[] }>(options, {
    verb: 'list-permissions',
    user,
    vhost,
  });
  const row = (each: Listed): string[] => [each.user, each.vhost, each.configure, each.write, each.read];
  await printItems(permissions, options, ['USER', 'VHOST', 'CONFIGURE', 'WRITE', 'READ'], row, 'no permissions');
}

async function setPermissions(options: Given, user: string): Promise<void> {
  const { vhost = '/', all = false } = options;
  if (!all && [options.configure, options.write, options.read].every((each) => each === undefined)) {
    throw new CommandError(
      exitCode.usage,
      'permissions set wants to know what is permitted: --all, or --configure, --write and --read; see postrider permissions --help',
    );
  }
  const rest = all ? '.*' : '';
  const { configure = rest, write = rest, read = rest } = options;
  const permissions = { user, vhost, configure, write, read };
  await askAccess(options, { verb: 'set-permissions', ...permissions });
  await printDone(`permissions of user '${user}' in vhost '${vhost}' set`, permissions, options);
}

async function clearPermissions(options: Where, user: string): Promise<void> {
  const { vhost = '/' } = options;
  await askAccess(options, { verb: 'clear-permissions', user, vhost });
  await printDone(`user '${user}' may not enter vhost '${vhost}' any more`, { user, vhost, cleared: true }, options);
}
