/** `postrider topology`: queues, exchanges and bindings of a vhost. */
import type { Command } from 'commander';
import { print } from './print.ts';
import { addBrokerOptions, addVerb, type VerbOptions } from './verb.ts';

const examples = `
Examples:
  postrider topology                        queues, and what is bound to them
  postrider topology --url file:./data      of a directory that no broker serves
  postrider topology --json                 everything, with all arguments

Over amqp:// it is asked of a Postrider; RabbitMQ can't tell it over AMQP.`;

export function registerTopology(program: Command): void {
  const command = addVerb(program, 'topology', 'show queues, exchanges and bindings', examples);
  addBrokerOptions(command, 'print one object').action(async (options: VerbOptions) => {
    const { askTopology } = await import('./ask-topology.ts');
    const description = await askTopology(options);
    if (options.json === true) {
      await print([JSON.stringify(description)]);
      return;
    }
    const { renderTopology } = await import('./topology-tables.ts');
    const { widthOf } = await import('./table.ts');
    const { paintFor } = await import('./terminal.ts');
    await print(renderTopology(description, widthOf(process.stdout), paintFor(process.stdout)));
  });
}
