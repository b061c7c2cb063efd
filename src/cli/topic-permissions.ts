/** `postrider permissions topics`: which topics users may publish to and subscribe to. */
import type { Command } from 'commander';
import { actionOf, askAccess, printDone, printItems } from './access-verb.ts';
import { CommandError } from './command-error.ts';
import { exitCode } from './exit-code.ts';
import { addBrokerOptions, type VerbOptions } from './verb.ts';

const examples = `
Examples:
  postrider permissions topics                     all of them
  postrider permissions topics set ann --write '^sensors\\.{username}\\.' --read '.*'
  postrider permissions topics set ann --exchange prices --read '^eu\\.'
  postrider permissions topics clear ann

Each is a regular expression over routing keys, which in a topic of MQTT have . for / and / for .;
{username}, {vhost} and {client_id} (MQTT) stand for who asks. What set does not name is not permitted.
A user without topic permissions for an exchange may use all its topics.`;

const defaultExchange = 'amq.topic';

interface Listed {
  readonly user: string;
  readonly vhost: string;
  readonly exchange: string;
  readonly write: string;
  readonly read: string;
}

interface Where extends VerbOptions {
  readonly vhost?: string;
  readonly user?: string;
  readonly exchange?: string;
}

interface Given extends Where {
  readonly write?: string;
  readonly read?: string;
}

export function registerTopicPermissions(permissions: Command): void {
  const topics = permissions.command('topics').description('list, set and clear which topics users may use');
  topics.addHelpText('after', examples);
  topics.option('--user <USER>', 'only those of this user').option('--vhost <VHOST>', 'which vhost (set, clear: /)');
  addBrokerOptions(topics, 'print objects, one a line').action(actionOf(list));
  const set = topics.command('set').description('permit a user these topics of an exchange, and no others');
  set
    .argument('<USER>', 'who')
    .option('--vhost <VHOST>', 'where (default: /)')
    .option('--exchange <EXCHANGE>', `whose topics (default: ${defaultExchange})`)
    .option('--write <REGEXP>', 'what it may publish to')
    .option('--read <REGEXP>', 'what it may bind and subscribe to');
  addBrokerOptions(set, 'print one object').action(actionOf(setTopics));
  const clear = topics.command('clear').description('permit a user all topics again').argument('<USER>', 'who');
  clear
    .option('--vhost <VHOST>', 'where (default: /)')
    .option('--exchange <EXCHANGE>', 'of this exchange alone (default: all of the vhost)');
  addBrokerOptions(clear, 'print one object').action(actionOf(clearTopics));
}

async function list({ user, vhost, ...options }: Where): Promise<void> {
  const { topicPermissions } = await askAccess<{ topicPermissions: Listed[] }>(options, {
    verb: 'list-topic-permissions',
    user,
    vhost,
  });
  const row = (each: Listed): string[] => [each.user, each.vhost, each.exchange, each.write, each.read];
  const columns = ['USER', 'VHOST', 'EXCHANGE', 'WRITE', 'READ'];
  await printItems(topicPermissions, options, columns, row, 'no topic permissions: all topics are permitted');
}

async function setTopics(options: Given, user: string): Promise<void> {
  const { vhost = '/', exchange = defaultExchange } = options;
  if (options.write === undefined && options.read === undefined) {
    throw new CommandError(
      exitCode.usage,
      'permissions topics set wants to know what is permitted: --write, --read or both; see postrider permissions topics --help',
    );
  }
  const { write = '', read = '' } = options;
  const permissions = { user, vhost, exchange, write, read };
  await askAccess(options, { verb: 'set-topic-permissions', ...permissions });
  const what = `topic permissions of user '${user}' for exchange '${exchange}' in vhost '${vhost}'`;
  await printDone(`${what} set`, permissions, options);
}

async function clearTopics(options: Where, user: string): Promise<void> {
  const { vhost = '/', exchange } = options;
  await askAccess(options, { verb: 'clear-topic-permissions', user, vhost, exchange });
  const where = exchange === undefined ? `vhost '${vhost}'` : `exchange '${exchange}' in vhost '${vhost}'`;
  const cleared = { user, vhost, ...(exchange === undefined ? {} : { exchange }), cleared: true };
  await printDone(`user '${user}' may use all topics of ${where} again`, cleared, options);
}
