/** `postrider redrive`: dead letters back to where they came from. */
import type { Command } from 'commander';
import type { PostriderError } from '../api/errors.ts';
import type { DeadLetter } from '../api/redrive.ts';
import { signalExitCode } from './exit-code.ts';
import { usage, positiveNumber, wholeNumber } from './option-value.ts';
import { print } from './print.ts';
import { addBrokerOptions, addVerb, type VerbOptions, withBroker } from './verb.ts';

const examples = `
Examples:
  postrider redrive orders.dead                          all of them
  postrider redrive orders.dead --limit 1                one, to see how it goes
  postrider redrive orders.dead --match reason=failed --match 'error=*timeout*'
  postrider redrive orders.dead --match 'id=order-17*' --rate 50

QUEUE is the one that holds the dead letters. Each goes back, as it was, to the
queue that it came from; a message that names none stays.`;

export interface RedriveFlags extends VerbOptions {
  readonly limit?: number;
  readonly rate?: number;
  readonly match?: readonly Matcher[];
}

const matchable = ['reason', 'id', 'error', 'queue'] as const;

interface Matcher {
  readonly field: (typeof matchable)[number];
  readonly pattern: RegExp;
}

export function registerRedrive(program: Command): void {
  const command = addVerb(program, 'redrive', 'send dead letters back to the queues that they came from', examples)
    .argument('<QUEUE>', 'the queue that holds them, such as orders.dead')
    .option('--limit <N>', 'at most so many', wholeNumber('--limit', 1))
    .option('--rate <N>', 'at most so many a second', positiveNumber('--rate'))
    .option('--match <FIELD=TEXT>', 'only those whose reason, id, error or queue is that (* is anything)', readMatch);
  addBrokerOptions(command, 'print one object').action(redrive);
}

async function redrive(
  name: string,
  { limit, rate, match = [], json = false, ...options }: RedriveFlags,
): Promise<void> {
  await withBroker(options, async (mq) => {
    const { Interruption } = await import('./interruption.ts');
    const { messages } = await import('./table.ts');
    const queue = await mq.queue(name, { declare: false, deadLetter: false });
    let homeless = 0;
    const filter = (letter: DeadLetter): boolean => {
      // To itself, it would only be made to look as if it had never failed.
      if (letter.queue === name) homeless += 1;
      return letter.queue !== name && match.every(({ field, pattern }) => pattern.test(letter[field] ?? ''));
    };
    const stop = new AbortController();
    const interruption = new Interruption(() => stop.abort());
    let redriven: number;
    try {
      redriven = await queue.redrive({
        filter,
        signal: stop.signal,
        ...(limit === undefined ? {} : { limit }),
        ...(rate === undefined ? {} : { ratePerSecond: rate }),
      });
    } catch (error) {
      const { moved = 0 } = error as PostriderError;
      if (interruption.by === null) throw error;
      process.exitCode = signalExitCode[interruption.by];
      if (json) await print([JSON.stringify({ queue: name, redriven: moved, left: (await queue.stats()).ready })]);
      process.stderr.write(`postrider: stopped; ${messages(moved)} sent back, the rest is still in queue '${name}'\n`);
      return;
    } finally {
      interruption.release();
    }
    const left = (await queue.stats()).ready;
    const line = `${messages(redriven)} sent back from queue '${name}', ${left === 0 ? 'none' : messages(left)} left`;
    await print([json ? JSON.stringify({ queue: name, redriven, left }) : line]);
    if (homeless > 0) {
      const where = name.endsWith('.dead') ? '' : `; dead letters of '${name}' are in '${name}.dead'`;
      process.stderr.write(`${messages(homeless)} there came from no other queue${where}\n`);
    }
  });
}

function readMatch(text: string, before: readonly Matcher[] = []): Matcher[] {
  const [, given = '', glob = ''] = /^([a-z]+)=(.*)$/s.exec(text) ?? [];
  const field = matchable.find((name) => name === given);
  if (field === undefined) {
    throw usage(`--match must be ${matchable.join(', ')} = a text, such as reason=failed, not ${JSON.stringify(text)}`);
  }
  const pattern = glob.split('*').map((part) => part.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'));
  return [...before, { field, pattern: new RegExp(`^${pattern.join('.*')}$`, 's') }];
}
