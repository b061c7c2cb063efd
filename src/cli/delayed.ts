/** `postrider delayed`: messages that wait until they are due, in a queue or in an exchange that holds them. */
import type { Command } from 'commander';
import { actionOf, printDone, printItems } from './access-verb.ts';
import { askControl, type ControlQuestion } from './ask-control.ts';
import { CommandError } from './command-error.ts';
import { exitCode } from './exit-code.ts';
import { wholeNumber } from './option-value.ts';
import { addBrokerOptions, addVerb, type VerbOptions } from './verb.ts';

const examples = `
Examples:
  postrider delayed list orders                    those of a queue
  postrider delayed list reminders --exchange      those that an exchange holds
  postrider delayed list orders --limit 5 --json   all that is known of five
  postrider delayed cancel orders 17               the one with this id

Over amqp:// it is asked of a Postrider; RabbitMQ can't tell.`;

const mostListed = 1_000;

type Options = VerbOptions & { readonly exchange?: boolean; readonly limit?: number };

interface Listed {
  readonly id: number;
  readonly dueAt: number;
  readonly exchange: string;
  readonly routingKey: string;
  readonly bytes: number;
  readonly properties: { readonly messageId?: string };
}

interface Page {
  readonly messages: readonly Listed[];
  readonly next: number | null;
}

export function registerDelayed(program: Command): void {
  const delayed = addVerb(program, 'delayed', 'list and cancel delayed messages', examples);
  const name = ['<NAME>', 'the queue, or the exchange'] as const;
  const exchange = ['--exchange', 'the name is that of an exchange (x-delayed-message)'] as const;
  const list = delayed
    .command('list')
    .description('list messages that are not due yet, in the order of their publishing');
  list
    .argument(...name)
    .option(...exchange)
    .option('--limit <N>', 'at most so many (100)', wholeNumber('--limit', 1));
  addBrokerOptions(list, 'print objects, one a line').action(actionOf(listDelayed));
  const cancel = delayed.command('cancel').description('take one out before it is due');
  cancel
    .argument(...name)
    .argument('<ID>', 'its id, as listed')
    .option(...exchange);
  addBrokerOptions(cancel, 'print one object').action(actionOf(cancelDelayed));
}

async function listDelayed(options: Options, name: string): Promise<void> {
  const { limit = 100 } = options;
  const messages: Listed[] = [];
  let after: number | null = 0;
  while (after !== null && messages.length < limit) {
    const most = Math.min(mostListed, limit - messages.length);
    const page: Page = await ask(options, { verb: 'list-delayed', ...place(options, name), after, limit: most });
    messages.push(...page.messages);
    after = page.next;
  }
  const row = ({ id, dueAt, exchange, routingKey, bytes, properties }: Listed): string[] => [
    `${id}`,
    new Date(Math.min(dueAt, latestDate)).toISOString(),
    `${bytes} B`,
    properties.messageId ?? '',
    exchange === '' ? routingKey : `${exchange} ${routingKey}`,
  ];
  await printItems(messages, options, ['ID', 'DUE', 'SIZE', 'MESSAGE ID', 'TO'], row, `nothing waits in '${name}'`);
  if (after !== null && options.json !== true) process.stderr.write('and more: --limit shows them\n');
}

async function cancelDelayed(options: Options, name: string, id: string): Promise<void> {
  const number = /^\d{1,15}$/.test(id) ? Number(id) : 0;
  if (number === 0) throw new CommandError(exitCode.usage, `ID must be a number as listed, not ${JSON.stringify(id)}`);
  await ask(options, { verb: 'cancel-delayed', ...place(options, name), id: number });
  await printDone(`message ${number} in '${name}' cancelled`, { id: number, cancelled: true }, options);
}

/** The last one that a date can be. */
const latestDate = 8.64e15;

function place({ exchange = false }: Options, name: string): { exchange: string } | { queue: string } {
  return exchange ? { exchange: name } : { queue: name };
}

function ask<T>(options: Options, question: ControlQuestion): Promise<T> {
  return askControl<T>(options, question, (product) => `${product} can't tell of delayed messages over AMQP`);
}
