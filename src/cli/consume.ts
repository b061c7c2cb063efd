/** `postrider consume`: a queue's messages on standard output, each acknowledged once its line is out. */
import type { Command } from 'commander';
import { duration, usage, wholeNumber } from './option-value.ts';
import { addBrokerOptions, addVerb, type VerbOptions, withBroker } from './verb.ts';

const examples = `
Examples:
  postrider consume orders                      until Ctrl-C
  postrider consume orders --count 3            three messages, no more
  postrider consume orders --no-wait > all.txt  what is there now
  postrider consume orders --json | jq .headers
  postrider consume orders --count 1 --timeout 30s || echo nothing came

A message is acknowledged once its line was written, or given back. A pipe
holds 64 KiB that nobody may ever read: behind | head, say --count as well.
Exit code 1: fewer came than --count asked for, or the output failed.`;

export interface ConsumeFlags extends VerbOptions {
  readonly count?: number;
  /** `--no-wait` */
  readonly wait: boolean;
  readonly timeout?: number;
  readonly atMostOnce?: boolean;
}

export function registerConsume(program: Command): void {
  const command = addVerb(program, 'consume', "write a queue's messages to standard output, line by line", examples)
    .argument('<QUEUE>', 'where from')
    .option('--count <N>', 'end after so many messages', wholeNumber('--count', 1))
    .option('--no-wait', 'end when the queue is empty')
    .option('--timeout <TIME>', 'end when no message came for so long, such as 30s', duration('--timeout'))
    .option('--at-most-once', 'settle messages before they are written: none comes twice, some may be lost');
  addBrokerOptions(command, 'a line is an object: payload, id, headers, redelivered, ...').action(consume);
}

async function consume(queue: string, flags: ConsumeFlags): Promise<void> {
  const { atMostOnce = false, count, timeout, wait } = flags;
  if (atMostOnce && count !== undefined) {
    throw usage('--at-most-once with --count would lose what was fetched beyond the count; leave one of them out');
  }
  if (!wait && timeout !== undefined) throw usage('--no-wait and --timeout say two things; give one of them');
  let isDone = true;
  await withBroker(flags, async (mq) => {
    const { asItStands } = await import('./raw-bytes.ts');
    const { consumeLines } = await import('./consume-lines.ts');
    isDone = await consumeLines(await mq.queue<Uint8Array>(queue, asItStands()), {
      count: count ?? Infinity,
      idleMs: wait ? (timeout ?? Infinity) : 0,
      atMostOnce,
      json: flags.json ?? false,
    });
  });
  if (!isDone) process.exit();
}
