/** `postrider queues`: what waits where. */
import type { Command } from 'commander';
import { CommandError } from './command-error.ts';
import { exitCode } from './exit-code.ts';
import { print } from './print.ts';
import { addBrokerOptions, addVerb, type VerbOptions, withBroker } from './verb.ts';

const examples = `
Examples:
  postrider queues                          all queues of a Postrider
  postrider queues orders orders.dead       these; works on RabbitMQ as well
  postrider queues --url file:./data        of a directory that no broker serves
  postrider queues --json | jq -r 'select(.ready > 0).name'

READY waits to be consumed; UNACKED is with consumers, and unknown (-) where
queues are named over amqp://. Exit code 1: a queue that was named is not there.`;

interface Listed {
  readonly name: string;
  readonly ready: number;
  readonly unacked: number | null;
  readonly consumers: number;
  readonly readyBytes?: number;
  /** Why it stopped. */
  readonly damage?: string;
}

export function registerQueues(program: Command): void {
  const command = addVerb(program, 'queues', 'list queues with their counts', examples).argument(
    '[NAME...]',
    'only these',
  );
  addBrokerOptions(command, 'print one object a line').action(queues);
}

async function queues(names: readonly string[], options: VerbOptions): Promise<void> {
  if (names.length > 0) {
    await withBroker(options, async (mq) => {
      const { PostriderError } = await import('../api/errors.ts');
      const missing: string[] = [];
      const found: Listed[] = [];
      for (const name of names) {
        try {
          const queue = await mq.queue(name, { declare: false, deadLetter: false });
          found.push({ name, ...(await queue.stats()) });
        } catch (error) {
          if (!(error instanceof PostriderError) || error.code !== 'QUEUE_NOT_FOUND') throw error;
          missing.push(name);
        }
      }
      await list(found, options);
      if (missing.length === 0) return;
      throw new CommandError(exitCode.failed, `there is no queue ${missing.map((name) => `'${name}'`).join(', ')}`);
    });
    return;
  }
  const { askTopology } = await import('./ask-topology.ts');
  const { queues: listed } = await askTopology(options);
  await list(listed, options);
  if (listed.length === 0 && options.json !== true) process.stderr.write('no queues\n');
}

async function list(queues: readonly Listed[], { json = false }: VerbOptions): Promise<void> {
  if (json) {
    await print(queues.map((queue) => JSON.stringify(queue)));
    return;
  }
  if (queues.length === 0) return;
  const { bytes, number, renderTable, widthOf } = await import('./table.ts');
  const { printableLine } = await import('./printable.ts');
  const { paintFor } = await import('./terminal.ts');
  const sized = queues.every(({ readyBytes }) => readyBytes !== undefined);
  const damaged = queues.some(({ damage }) => damage !== undefined);
  const columns = [
    { title: 'QUEUE' },
    ...['READY', 'UNACKED', 'CONSUMERS', ...(sized ? ['SIZE'] : [])].map((title) => ({ title, numeric: true })),
    ...(damaged ? [{ title: 'STOPPED' }] : []),
  ];
  const rows = queues.map(({ name, ready, unacked, consumers, readyBytes = 0, damage = '' }) => [
    printableLine(name),
    number(ready),
    number(unacked),
    number(consumers),
    ...(sized ? [bytes(readyBytes)] : []),
    ...(damaged ? [printableLine(damage === '' ? '' : `damaged: ${damage}`)] : []),
  ]);
  await print(renderTable(columns, rows, widthOf(process.stdout), paintFor(process.stdout)));
}
