/** `postrider demo`: the online store, its services and its broker killed and restarted, and a verdict. */
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { CommandError } from './command-error.ts';
import { exitCode, signalExitCode } from './exit-code.ts';

const examples = `
Examples:
  postrider demo                     12,000 orders, about 20 seconds
  postrider demo --embedded          the shop has the broker inside; the services connect to it
  postrider demo --orders 30000      a longer one
  postrider demo --orders 2000 --rate 500

It starts a broker on a free port with its data in a temporary directory, and removes both when it ends.
With --embedded everybody uses the TypeScript API: the shop connects to file:, and listens; the services connect to amqp:.
Exit code 0: nothing confirmed was lost. 1: something was, or a step failed; it says what, and where the logs are.`;

interface Options {
  readonly orders: number;
  readonly rate: number;
  readonly embedded?: boolean;
  readonly url?: string;
  readonly data?: string;
}

export function registerDemo(program: Command): void {
  program
    .command('demo')
    .description("a store's orders survive the kill of a service and of the broker")
    .option('--orders <COUNT>', 'orders to place (default: 12000)', wholeNumber('--orders'), 12_000)
    .option('--rate <COUNT>', 'orders a second (default: 1000)', wholeNumber('--rate'), 1000)
    .option('--embedded', 'the same with the broker inside the shop, in TypeScript API calls')
    .addOption(
      program
        .createOption('--url <URL>', "play on another broker's amqp:// address, which is then not killed")
        .argParser(amqpUrl)
        .hideHelp(),
    )
    .addOption(program.createOption('--data <DIR|memory:>', "data of the demo's broker; memory: loses").hideHelp())
    .addHelpText('after', examples)
    .action(demo);
}

async function demo({ orders, rate, embedded = false, url, data }: Options): Promise<void> {
  if (embedded && url !== undefined) {
    throw new CommandError(
      exitCode.usage,
      '--embedded has its broker in the shop, and so no --url; leave one of them out',
    );
  }
  const { runDemo, DemoError } = await import('../demo/run-demo.ts');
  const { Terminal } = await import('./terminal.ts');
  const interrupted = new AbortController();
  const onSignal = (signal: 'SIGINT' | 'SIGTERM'): void => {
    process.exitCode = signalExitCode[signal];
    interrupted.abort();
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    const verdict = await runDemo({
      orders,
      perSecond: rate,
      embedded,
      url: url ?? null,
      data: data ?? null,
      postrider: [process.execPath, ...process.execArgv, fileURLToPath(mainUrl)],
      screen: new Terminal(process.stdout),
      signal: interrupted.signal,
    });
    process.exitCode = verdict.verdict === 'held' ? exitCode.done : exitCode.failed;
  } catch (error) {
    if (interrupted.signal.aborted) return;
    if (error instanceof DemoError) throw new CommandError(exitCode.failed, error.message, { cause: error });
    throw error;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

/** main.ts in the sources, main.js in dist. */
const mainUrl = new URL(`./main${import.meta.url.slice(import.meta.url.lastIndexOf('.'))}`, import.meta.url);

function amqpUrl(text: string): string {
  if (URL.canParse(text) && /^amqps?:$/.test(new URL(text).protocol)) return text;
  const wanted = 'an address such as amqp://localhost:5672';
  throw new CommandError(exitCode.usage, `--url must be ${wanted}, not ${JSON.stringify(text)}`);
}

function wholeNumber(option: string): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : 0;
    if (value < 1)
      throw new CommandError(exitCode.usage, `${option} must be a whole number from 1, not ${JSON.stringify(text)}`);
    return value;
  };
}
