/** `postrider publish`: one message from the command line, or each line of standard input. */
import { fstatSync } from 'node:fs';
import type { Command } from 'commander';
import type { Mq } from '../api/mq.ts';
import type { PublishOptions } from '../api/publish-options.ts';
import { CommandError } from './command-error.ts';
import { exitCode } from './exit-code.ts';
import { duration, pairs, usage, wholeNumber } from './option-value.ts';
import { print } from './print.ts';
import { addBrokerOptions, addVerb, type VerbOptions, withBroker } from './verb.ts';

const examples = `
Examples:
  postrider publish orders 'one order'                    a text
  postrider publish orders --json '{"id":1}'              JSON, checked before it is sent
  postrider publish orders < lines.txt                    each line a message
  tail -f events.ndjson | postrider publish events --json
  postrider publish --topic orders.placed --header tenant=acme hello
  postrider publish reminders --create --delay 10m 'call back'

It ends when everything is on the broker's disk. The queue must be there, unless
--create makes it. Exit code 1: something was not stored, or not for certain;
the lines are named, and nothing behind them is sent.`;

export interface PublishFlags extends VerbOptions {
  readonly topic?: string;
  readonly create?: boolean;
  readonly contentType?: string;
  readonly id?: string;
  readonly header?: Record<string, string>;
  readonly priority?: number;
  readonly delay?: number;
  readonly expires?: number;
}

export function registerPublish(program: Command): void {
  const command = addVerb(program, 'publish', 'send a message, or each line of standard input', examples)
    .argument('[QUEUE]', 'where to; with --topic there is none')
    .argument('[PAYLOAD]', 'the message; without it each line of standard input is one')
    .option('--topic <TOPIC>', 'send to all that subscribed to this topic, instead of to a queue')
    .option('--create', 'make the queue if it is not there, durable, with a dead-letter queue')
    .option('--content-type <TYPE>', 'what the payload is (default: text/plain; with --json application/json)')
    .option('--id <ID>', 'message id; lines get ID-1, ID-2, ...')
    .option('--header <NAME=VALUE>', 'a header; may be repeated', pairs('--header'))
    .option('--priority <N>', '0 to 255, for queues with priorities', wholeNumber('--priority', 0, 255))
    .option('--delay <TIME>', 'not delivered before, such as 30s or 10m', duration('--delay'))
    .option('--expires <TIME>', 'not delivered after', duration('--expires'));
  addBrokerOptions(command, 'payloads are JSON, and so is what is told of them').action(publish);
}

async function publish(first: string | undefined, second: string | undefined, flags: PublishFlags): Promise<void> {
  const { topic, create = false, json = false } = flags;
  if (topic !== undefined && second !== undefined) {
    throw usage(`--topic takes the place of the queue: publish --topic ${topic} PAYLOAD`);
  }
  if (topic !== undefined && create) throw usage('--create makes a queue, and --topic names none');
  if (topic === undefined && first === undefined) {
    throw usage('publish wants to know where to: a QUEUE, or --topic TOPIC; see postrider publish --help');
  }
  const [queue, payload] = topic === undefined ? [first!, second] : [null, first];
  const { checkJson } = await import('./json-payload.ts');
  if (json && payload !== undefined) {
    const fault = checkJson(Buffer.from(payload));
    if (fault !== null) throw usage(`PAYLOAD is no JSON: ${fault}`);
  }
  if (payload === undefined) requireInput();
  const contentType = flags.contentType ?? (json ? 'application/json' : 'text/plain; charset=utf-8');
  await withBroker(
    flags,
    async (mq, absence) => {
      const { asItStands, rawBytes } = await import('./raw-bytes.ts');
      const target =
        queue === null
          ? mq.topic<Uint8Array>(topic!, { serializer: rawBytes(contentType) })
          : await openQueue(mq, queue, create).then(() => mq.queue<Uint8Array>(queue, asItStands(contentType)));
      const options = publishOptions(flags);
      const send = (bytes: Uint8Array, line: number | null): Promise<void> =>
        target.publish(
          bytes,
          line === null || options?.id === undefined ? options : { ...options, id: `${options.id}-${line}` },
        );
      const told = queue === null ? `sent to topic '${topic!}'` : `stored in queue '${queue}'`;
      const { publishLines } = await import('./publish-lines.ts');
      if (payload === undefined) {
        await publishLines(process.stdin, { mq, absence, send, told, json });
        return;
      }
      await absence.endWait(send(Buffer.from(payload), null));
      await print([json ? JSON.stringify({ stored: 1, failed: [] }) : `1 message ${told}`]);
    },
    { create },
  );
}

/** Node takes a directory for an empty input. @throws CommandError */
function requireInput(): void {
  if (!fstatSync(0).isDirectory()) return;
  throw new CommandError(exitCode.failed, "can't read standard input: EISDIR: it is a directory");
}

/** Makes the queue where it is wanted and not there: one that is there stays as it is. */
async function openQueue(mq: Mq, name: string, create: boolean): Promise<void> {
  const { PostriderError } = await import('../api/errors.ts');
  try {
    await mq.queue(name, { declare: false, deadLetter: false });
  } catch (error) {
    if (!(error instanceof PostriderError) || error.code !== 'QUEUE_NOT_FOUND') throw error;
    if (!create)
      throw new CommandError(exitCode.failed, `there is no queue '${name}'; --create makes it`, { cause: error });
    await mq.queue(name);
  }
}

/** Undefined: nothing but a payload. */
function publishOptions({ id, header, priority, delay, expires }: PublishFlags): PublishOptions | undefined {
  const options: PublishOptions = {
    ...(id === undefined ? {} : { id }),
    ...(header === undefined ? {} : { headers: header }),
    ...(priority === undefined ? {} : { priority }),
    ...(delay === undefined ? {} : { delayMs: delay }),
    ...(expires === undefined ? {} : { expiresMs: expires }),
  };
  return Object.keys(options).length === 0 ? undefined : options;
}
