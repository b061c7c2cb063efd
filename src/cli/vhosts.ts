/** `postrider vhosts`: rooms of one broker, each with queues and exchanges of its own. */
import type { Command } from 'commander';
import { actionOf, askAccess, printDone, printItems } from './access-verb.ts';
import { addBrokerOptions, addVerb, type VerbOptions } from './verb.ts';

const examples = `
Examples:
  postrider vhosts                     all of them
  postrider vhosts add staging         nobody may enter it yet: see postrider permissions
  postrider vhosts delete staging      with its queues and their messages; it asks nothing

A broker that runs asks for a user with the tag administrator.`;

interface Listed {
  readonly vhost: string;
  readonly queues: number;
  readonly exchanges: number;
}

export function registerVhosts(program: Command): void {
  const vhosts = addVerb(program, 'vhosts', 'list, add and delete vhosts', examples);
  addBrokerOptions(vhosts, 'print objects, one a line').action(actionOf(list));
  const add = vhosts.command('add').description('add a vhost').argument('<VHOST>', 'its name');
  addBrokerOptions(add, 'print one object').action(actionOf(addVhost));
  const remove = vhosts.command('delete').description('delete a vhost with all that is in it');
  addBrokerOptions(remove.argument('<VHOST>', 'its name'), 'print one object').action(actionOf(deleteVhost));
}

async function list(options: VerbOptions): Promise<void> {
  const { vhosts } = await askAccess<{ vhosts: Listed[] }>(options, { verb: 'list-vhosts' });
  const row = ({ vhost, queues, exchanges }: Listed): string[] => [vhost, `${queues}`, `${exchanges}`];
  await printItems(vhosts, options, ['VHOST', 'QUEUES', 'EXCHANGES'], row, 'no vhosts');
}

async function addVhost(options: VerbOptions, vhost: string): Promise<void> {
  await askAccess(options, { verb: 'add-vhost', vhost });
  await printDone(`vhost '${vhost}' added; postrider permissions set says who may enter it`, { vhost }, options);
}

async function deleteVhost(options: VerbOptions, vhost: string): Promise<void> {
  await askAccess(options, { verb: 'delete-vhost', vhost });
  await printDone(`vhost '${vhost}' deleted`, { vhost, deleted: true }, options);
}
