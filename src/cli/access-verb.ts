/** What `users`, `vhosts` and `permissions` have in common: they are asked of a broker, and lists are tables or objects. */
import type { Command } from 'commander';
import { askControl, type ControlQuestion } from './ask-control.ts';
import { print } from './print.ts';
import type { VerbOptions } from './verb.ts';

const unable = (product: string): string =>
  `${product} can't be asked for users, vhosts and permissions over AMQP; rabbitmqctl does it for RabbitMQ`;

/** @throws CommandError */
export function askAccess<T>(options: VerbOptions, question: ControlQuestion): Promise<T> {
  return askControl<T>(options, question, unable);
}

/** A command under a command, with the options of both: `--url` may stand before or behind its name. */
export function actionOf<A extends readonly unknown[]>(
  work: (options: VerbOptions & Record<string, unknown>, ...args: A) => Promise<void>,
): (...args: unknown[]) => Promise<void> {
  return (...given) => {
    const command = given.at(-1) as Command;
    return work(command.optsWithGlobals(), ...(given.slice(0, -2) as unknown as A));
  };
}

/** One row an item, or with `--json` one object a line. */
export async function printItems<T extends object>(
  items: readonly T[],
  { json = false }: VerbOptions,
  columns: readonly string[],
  row: (item: T) => readonly string[],
  none: string,
): Promise<void> {
  if (json) {
    await print(items.map((item) => JSON.stringify(item)));
    return;
  }
  if (items.length === 0) {
    process.stderr.write(`${none}\n`);
    return;
  }
  const { renderTable, widthOf } = await import('./table.ts');
  const { printableLine } = await import('./printable.ts');
  const { paintFor } = await import('./terminal.ts');
  const titles = columns.map((title) => ({ title }));
  const rows = items.map((item) => row(item).map(printableLine));
  await print(renderTable(titles, rows, widthOf(process.stdout), paintFor(process.stdout)));
}

/** That something was done: a line, or with `--json` an object. */
export async function printDone(line: string, done: object, { json = false }: VerbOptions): Promise<void> {
  await print([json ? JSON.stringify(done) : line]);
}
