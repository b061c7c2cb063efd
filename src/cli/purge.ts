/** `postrider purge`: removes what waits in a queue. */
import type { Command } from 'commander';
import { print } from './print.ts';
import { addBrokerOptions, addVerb, type VerbOptions, withBroker } from './verb.ts';

const examples = `
Examples:
  postrider purge orders.dead           removes what waits there, and says how many
  postrider purge orders --json

It asks nothing. What consumers have and did not acknowledge is not touched.`;

export function registerPurge(program: Command): void {
  const command = addVerb(program, 'purge', 'remove all messages that wait in a queue', examples).argument(
    '<QUEUE>',
    'which queue',
  );
  addBrokerOptions(command, 'print one object').action(purge);
}

async function purge(name: string, { json = false, ...options }: VerbOptions): Promise<void> {
  await withBroker(options, async (mq) => {
    const removed = await (await mq.queue(name, { declare: false, deadLetter: false })).purge();
    const { messages } = await import('./table.ts');
    const line = json ? JSON.stringify({ queue: name, removed }) : `${messages(removed)} removed from queue '${name}'`;
    await print([line]);
  });
}
