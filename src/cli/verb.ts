/** What the everyday verbs have in common: the broker's URL, the connection for as long as the verb works, and errors as lines. */
import type { Command } from 'commander';
import type { ErrorCode, PostriderError } from '../api/errors.ts';
import type { Mq } from '../api/mq.ts';
import type { Absence } from './absence.ts';
import { CommandError } from './command-error.ts';
import { exitCode, type ExitCode } from './exit-code.ts';
import { patienceMs } from './patience.ts';
import { say } from './report-error.ts';

export interface VerbOptions {
  readonly url?: string;
  readonly json?: boolean;
}

const defaultUrl = 'amqp://127.0.0.1:5672';

export function addVerb(program: Command, name: string, description: string, examples: string): Command {
  return program.command(name).description(description).addHelpText('after', examples);
}

/** Behind a verb's own options. */
export function addBrokerOptions(command: Command, json: string): Command {
  return command
    .option('--json', json)
    .option('--url <URL>', `the broker: amqp://, file: (default: $POSTRIDER_URL, else ${defaultUrl})`);
}

export function brokerUrl({ url }: VerbOptions): string {
  return url ?? (process.env['POSTRIDER_URL'] || defaultUrl);
}

/** Connects, lets `work` work, and closes. @throws CommandError */
export function withBroker(
  options: VerbOptions,
  work: (mq: Mq, absence: Absence) => Promise<void>,
  { create = false }: { readonly create?: boolean } = {},
): Promise<void> {
  const url = brokerUrl(options);
  return withErrorLines(url, async () => {
    const { connect } = await import('../api/connect.ts');
    const { Absence } = await import('./absence.ts');
    if (/^file:/i.test(url) && !create) await requireJournal(url);
    const remote = { connectTimeoutMs: patienceMs, name: 'postrider' };
    const mq = await connect(url, { log: say, ...(isRemote(url) ? remote : {}) });
    try {
      mq.on('blocked', (reason) => say(`the broker takes no messages for now (${reason}); waiting`));
      mq.on('disconnected', (error) => say(`${error.message}; connecting again`));
      mq.on('reconnected', () => say('connected again'));
      await work(mq, new Absence(mq));
    } finally {
      await mq.close({ graceMs: 0 });
    }
  });
}

export function isRemote(url: string): boolean {
  return /^amqps?:/i.test(url);
}

/** Lets `work` work; what it throws becomes a line that says what to do. @throws CommandError */
export async function withErrorLines<T>(url: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw await verbError(error, url);
  }
}

const exitCodes: Partial<Record<ErrorCode, ExitCode>> = {
  INVALID_URL: exitCode.usage,
  INVALID_OPTION: exitCode.usage,
  INVALID_NAME: exitCode.usage,
  ENGINE_FAILED: exitCode.engine,
  DATA_LOCKED: exitCode.data,
  DATA_FOREIGN: exitCode.data,
  DATA_NEWER: exitCode.data,
  DATA_CORRUPT: exitCode.data,
  DATA_UNWRITABLE: exitCode.data,
};

export function exitCodeOf({ code }: PostriderError): ExitCode {
  return exitCodes[code] ?? exitCode.failed;
}

async function verbError(error: unknown, url: string): Promise<unknown> {
  const { PostriderError } = await import('../api/errors.ts');
  // What nobody foresaw, or is a defect, is told as such.
  if (!(error instanceof PostriderError) || error.code === 'INTERNAL') return error;
  return new CommandError(exitCodeOf(error), explain(error, url), { cause: error });
}

function explain({ code, message }: PostriderError, url: string): string {
  switch (code) {
    case 'DATA_LOCKED':
      return `${message.replace(/: stop it, or .*$/, '')}; where that serves it, use the URL that it serves on: --url amqp://HOST:PORT`;
    case 'UNREACHABLE':
      if (url === defaultUrl) return `${message}; start one with postrider serve, or name another with --url`;
      return message.replace(
        /see the option tls$/,
        'the environment variable NODE_EXTRA_CA_CERTS names an authority to trust',
      );
    case 'QUEUE_NOT_FOUND':
      return `there is no ${/queue '[^']+'/.exec(message)?.[0] ?? `such queue (${message})`}; postrider queues lists what is there`;
    default:
      return message;
  }
}

/** Only `publish --create` may begin a data directory: a mistyped one must not become an empty broker. @throws CommandError */
async function requireJournal(url: string): Promise<void> {
  const { directoryOf } = await import('../api/connect.ts');
  const { readdir } = await import('node:fs/promises');
  const directory = directoryOf(url);
  const names = await readdir(directory).catch((error: unknown) => {
    // Anything else is told by whoever opens it.
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? [] : null;
  });
  if (names?.length !== 0) return;
  const path = await import('node:path');
  throw new CommandError(
    exitCode.data,
    `${path.resolve(directory)} holds no queues: it is empty, or not there; publish --create begins one`,
  );
}
